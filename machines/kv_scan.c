/*
 * KEYS, SCAN and DBSIZE: commands that look at every record.
 *
 * KEYS walks the partitions in order and the table's order inside each (kv_table.h), in slices:
 * nothing else is executed until it has finished, so it sees one moment.
 *
 * SCAN keeps nothing between its calls. Its cursor is a place in the same order, a partition in
 * front: what is there from the first call to the last is returned. It has to say where it ended
 * before it lists its keys, so it first counts ahead to find its end, over the table alone, and
 * then walks again.
 *
 *     cursor   bits 50..43 partition, 42..0 place (kv_table.h); 0 is the beginning and the end
 */

#include "machines/kv.h"

#include "base/decimal.h"

/* How many empty homes SCAN passes for each key asked for, as Redis passes empty buckets. */
enum { KV_SCAN_EMPTY_FACTOR = 10 };

#define KV_CURSOR_END UINT64_MAX

/* A walk over all keys from one cursor to another, writing those that match to the reply.
 * Words: 0 cursor, 1 record of that home, 2 keys written, 3 and 4 the array's mark, 5 and 6 the
 * state of the pattern match. */
static enum kv_step kv_walk_keys(struct kv_call *call, const struct machine_argument *pattern,
                                 int32_t type, uint64_t end);

/* One step of the walk at `cursor`: the records of one home, and the cursor behind it. */
static uint32_t kv_walk(const struct kv *kv, uint64_t *cursor, struct kv_record **records) {
    const uint64_t partition = *cursor >> KV_POSITION_BITS;
    uint64_t position = *cursor & (KV_POSITION_END - 1);
    ASSERT(partition < kv->partition_count);
    const uint32_t count = kv_table_walk(&kv->partition[partition].space.table, &position, records);
    /* The end of a partition's order is the beginning of the next one's. */
    *cursor = (partition << KV_POSITION_BITS) + position;
    if (*cursor >> KV_POSITION_BITS == kv->partition_count)
        *cursor = KV_CURSOR_END;
    return count;
}

static void kv_mark_save(struct kv_call *call) {
    const struct reply_mark mark = reply_array_begin(call->reply);
    call->cursor->word[3] = (uintptr_t)mark.position;
    call->cursor->word[4] = mark.overflow_bytes;
}

static void kv_mark_end(struct kv_call *call) {
    const uint64_t *word = call->cursor->word;
    const struct reply_mark mark = {(uint8_t *)(uintptr_t)word[3], word[4]};
    reply_array_end(call->reply, mark, word[2]);
}

/* Whether one record is to be listed; KV_MORE in the middle of a match. */
static enum kv_step kv_wanted(struct kv_call *call, const struct kv_record *record,
                              const struct machine_argument *pattern, int32_t type, bool *wanted) {
    *wanted = false;
    kv_spend(call, 1);
    if (kv_deadline_ms(record) <= call->now_ms ||
        (type != KV_SCAN_ANY && (int32_t)kv_type_of(record) != type))
        return KV_DONE;
    if (pattern->data == NULL) {
        *wanted = true;
        return KV_DONE;
    }
    uint64_t *word = call->cursor->word;
    struct kv_pattern_state state;
    _Static_assert(sizeof(state) == 2 * sizeof(word[0]), "it lives in words 5 and 6");
    memcpy(&state, &word[5], sizeof(state));
    const enum kv_pattern_result result =
        kv_pattern_match(pattern->data, pattern->length_bytes, kv_key(record), kv_key_bytes(record),
                         &state, &call->run->budget);
    memcpy(&word[5], &state, sizeof(state));
    *wanted = result == KV_PATTERN_MATCHES;
    return result == KV_PATTERN_MORE ? KV_MORE : KV_DONE;
}

static enum kv_step kv_walk_keys(struct kv_call *call, const struct machine_argument *pattern,
                                 int32_t type, uint64_t end) {
    uint64_t *word = call->cursor->word;
    struct kv_record *records[KV_SEGMENT_RECORDS_MAX];
    while (word[0] != end) {
        uint64_t next = word[0];
        const uint32_t count = kv_walk(call->kv, &next, records);
        for (; word[1] < count; word[1]++) {
            const struct kv_record *record = records[word[1]];
            bool wanted;
            if (call->run->budget == 0 ||
                kv_wanted(call, record, pattern, type, &wanted) == KV_MORE)
                return KV_MORE;
            if (!wanted)
                continue;
            word[2]++;
            reply_bulk(call->reply, kv_key(record), kv_key_bytes(record));
            kv_spend(call, kv_key_bytes(record) / KV_UNIT_BYTES);
        }
        word[0] = next;
        word[1] = 0;
        kv_spend(call, 1);
        if (call->run->budget == 0 && word[0] != end)
            return KV_MORE;
    }
    kv_mark_end(call);
    return KV_DONE;
}

/* "*" lists all, also the empty key. */
static struct machine_argument kv_pattern_or_all(struct machine_argument pattern) {
    if (pattern.length_bytes == 1 && pattern.data[0] == '*')
        return (struct machine_argument){NULL, 0};
    return pattern;
}

/* Word 7: whether it has begun. */
enum kv_step kv_keys(struct kv_call *call) {
    if (call->reply == NULL)
        return KV_DONE;
    uint64_t *word = call->cursor->word;
    if (word[7] == 0)
        kv_mark_save(call);
    word[7] = 1;
    const struct machine_argument pattern = kv_pattern_or_all(call->operation->arguments[0]);
    return kv_walk_keys(call, &pattern, KV_SCAN_ANY, KV_CURSOR_END);
}

/* ---- SCAN ------------------------------------------------------------------------------------ */

/* Counts ahead to where this call of SCAN ends. Words: 0 cursor, 1 keys passed, 2 steps. */
static enum kv_step kv_scan_ahead(struct kv_call *call, int64_t wanted_count) {
    uint64_t *word = call->cursor->word;
    const uint64_t wanted = (uint64_t)wanted_count;
    const uint64_t steps_max =
        wanted > UINT64_MAX / KV_SCAN_EMPTY_FACTOR ? UINT64_MAX : wanted * KV_SCAN_EMPTY_FACTOR;
    while (word[0] != KV_CURSOR_END && word[1] < wanted && word[2] < steps_max) {
        if (call->run->budget == 0)
            return KV_MORE;
        word[1] += kv_walk(call->kv, &word[0], NULL);
        word[2]++;
        kv_spend(call, 1);
    }
    return KV_DONE;
}

static void kv_scan_head(struct kv_call *call, uint64_t end) {
    char text[DECIMAL_BYTES_MAX];
    const size_t length = decimal_format_u64(text, end == KV_CURSOR_END ? 0 : end);
    reply_array(call->reply, 2);
    reply_bulk(call->reply, text, length);
    kv_mark_save(call);
}

/* Word 7: 0 counting ahead, else where it ends + 1 (so the end of all is 0 + KV_SCAN_TO_END). */
enum kv_step kv_scan(struct kv_call *call) {
    struct kv_scan_options options;
    if (call->reply == NULL ||
        !kv_options_scan(call->operation->arguments, call->operation->argument_count, &options,
                         call->reply))
        return KV_DONE;
    uint64_t *word = call->cursor->word;
    /* A cursor that was never given out is taken for a finished one. */
    const bool beyond = options.cursor >> KV_POSITION_BITS >= call->kv->partition_count;
    const uint64_t begin = beyond ? KV_CURSOR_END : options.cursor;
    if (word[7] == 0) {
        if (word[2] == 0)
            word[0] = begin;
        if (kv_scan_ahead(call, options.count) == KV_MORE)
            return KV_MORE;
        /* No cursor is 1: its home and segment are 0 and its depth 1, given out only when the
         * walk has passed home 0. So 1 can stand for the end. */
        const uint64_t end = word[0];
        word[7] = end == KV_CURSOR_END ? 1 : end;
        word[0] = begin;
        word[1] = word[2] = 0;
        kv_scan_head(call, end);
    }
    const uint64_t end = word[7] == 1 ? KV_CURSOR_END : word[7];
    if (options.type == KV_TYPES)
        word[0] = end; /* no value is of that type */
    const struct machine_argument pattern = kv_pattern_or_all(options.pattern);
    return kv_walk_keys(call, &pattern, options.type, end);
}

/* ---- DBSIZE ---------------------------------------------------------------------------------- */

/* Records less those that are due. Words: 0 partition, 1 sum, 2 heap index, 3 due so far. */
enum kv_step kv_dbsize(struct kv_call *call) {
    uint64_t *word = call->cursor->word;
    while (word[0] < call->kv->partition_count) {
        const struct kv_space *space = &call->kv->partition[word[0]].space;
        if (call->run->budget == 0)
            return KV_MORE;
        word[3] += kv_expiry_count_due(&space->expiry, call->now_ms, &word[2], &call->run->budget);
        if (word[2] != UINT64_MAX)
            return KV_MORE;
        word[1] += space->table.count - word[3];
        word[0]++;
        word[2] = word[3] = 0;
    }
    kv_reply_integer(call, (int64_t)word[1]);
    return KV_DONE;
}
