/*
 * HSCAN, SSCAN and ZSCAN: the elements of one key, as SCAN lists the keys (kv_scan.c).
 *
 * A compact collection is listed whole, whatever the cursor and the count, as Redis does with its
 * own compact ones. In a large one the cursor is a place in the order of its table (kv_table.h):
 * what is there from the first call to the last is listed. Where a call ends is counted ahead.
 *
 * Words: 0 the place, 1 twice the element in its home, + 1 while its second part is being written,
 * 2 what has been written, or steps passed, 3 and 4 the array's mark, 5 and 6 the state of the
 * match, or of kv_reply_bytes, 7 where it ends + 1.
 */

#include "machines/kv_collection.h"
#include "machines/kv_score.h"

#include "base/decimal.h"

enum { KV_SCAN_STEPS_FACTOR = 10 }; /* as SCAN: empty homes passed for each element asked for */

bool kv_options_scan_elements(const struct machine_argument *arguments, uint32_t count,
                              struct kv_scan_options *options, struct reply_writer *error) {
    *options = (struct kv_scan_options){.count = 10};
    if (!kv_options_cursor(&arguments[1], &options->cursor, error))
        return false;
    for (uint32_t i = 2; i < count; i += 2) {
        const bool has_value = i + 1 < count;
        if (has_value && kv_is_word(&arguments[i], "COUNT")) {
            if (!kv_integer(&arguments[i + 1], &options->count, error))
                return false;
            if (options->count < 1) {
                kv_error(error, kv_error_syntax);
                return false;
            }
        } else if (has_value && kv_is_word(&arguments[i], "MATCH")) {
            options->pattern = arguments[i + 1];
        } else {
            kv_error(error, kv_error_syntax);
            return false;
        }
    }
    if (options->pattern.length_bytes == 1 && options->pattern.data[0] == '*')
        options->pattern = (struct machine_argument){NULL, 0};
    return true;
}

/* The cursor alone: Redis looks at the key before it looks at the rest. */
bool kv_validate_scan_elements(uint32_t row, const struct machine_argument *arguments,
                               uint32_t count, const struct machine_options *options,
                               struct reply_writer *error) {
    uint64_t cursor;
    (void)row;
    (void)options;
    ASSERT_HOT(count >= 2);
    return kv_options_cursor(&arguments[1], &cursor, error);
}

static void kv_scan_begin(struct kv_call *call, uint64_t cursor) {
    char text[DECIMAL_BYTES_MAX];
    const size_t length = decimal_format_u64(text, cursor);
    reply_array(call->reply, 2);
    reply_bulk(call->reply, text, length);
    const struct reply_mark mark = reply_array_begin(call->reply);
    call->cursor->word[3] = (uintptr_t)mark.position;
    call->cursor->word[4] = mark.overflow_bytes;
}

static void kv_scan_end(struct kv_call *call) {
    const uint64_t *word = call->cursor->word;
    const struct reply_mark mark = {(uint8_t *)(uintptr_t)word[3], word[4]};
    reply_array_end(call->reply, mark, word[2]);
}

static enum kv_step kv_scan_matches(struct kv_call *call, const struct kv_scan_options *options,
                                    struct kv_bytes bytes, bool *matches) {
    uint64_t *word = call->cursor->word;
    struct kv_pattern_state state;
    *matches = options->pattern.data == NULL;
    if (*matches)
        return KV_DONE;
    _Static_assert(sizeof(state) == 2 * sizeof(word[0]), "it lives in words 5 and 6");
    memcpy(&state, &word[5], sizeof(state));
    const enum kv_pattern_result result =
        kv_pattern_match(options->pattern.data, options->pattern.length_bytes, bytes.data,
                         bytes.length_bytes, &state, &call->run->budget);
    memcpy(&word[5], &state, sizeof(state));
    *matches = result == KV_PATTERN_MATCHES;
    return result == KV_PATTERN_MORE ? KV_MORE : KV_DONE;
}

/* A score as Redis lists it: that of a small sorted set, if it is a whole number up to 2^62, with
 * all its digits. */
static void kv_scan_score(struct kv_call *call, double score, bool compact) {
    const double whole_max = 0x1p62;
    if (compact && score >= -whole_max && score <= whole_max && score == (double)(int64_t)score) {
        char text[DECIMAL_BYTES_MAX];
        reply_bulk(call->reply, text, decimal_format_i64(text, (int64_t)score));
        return;
    }
    reply_double_text(call->reply, score);
}

/* One element: whether it is to be listed, and its parts. */
static enum kv_step kv_scan_element(struct kv_call *call, const struct kv_scan_options *options,
                                    enum kv_type type, bool compact,
                                    const struct kv_element *element) {
    uint64_t *word = call->cursor->word;
    if (call->run->budget == 0)
        return KV_MORE;
    if ((word[1] & 1) == 0) {
        bool matches;
        kv_spend(call, 1);
        if (kv_scan_matches(call, options, element->first, &matches) == KV_MORE)
            return KV_MORE;
        if (!matches)
            return KV_DONE;
        word[2] += type == KV_TYPE_SET ? 1 : 2;
        reply_bulk(call->reply, element->first.data, element->first.length_bytes);
        kv_spend(call, element->first.length_bytes / KV_UNIT_BYTES);
        if (type == KV_TYPE_ZSET)
            kv_scan_score(call, kv_score_get(element->second.data), compact);
        if (type != KV_TYPE_HASH)
            return KV_DONE;
        word[1] |= 1;
    }
    if (kv_reply_bytes(call, element->second.data, element->second.length_bytes) == KV_MORE)
        return KV_MORE;
    word[1] &= ~UINT64_C(1);
    return KV_DONE;
}

/* ---- Compact --------------------------------------------------------------------------------- */

static enum kv_step kv_scan_compact(struct kv_call *call, const struct kv_scan_options *options,
                                    const struct kv_record *record) {
    uint64_t *word = call->cursor->word;
    if (word[7] == 0)
        kv_scan_begin(call, 0);
    word[7] = 1;
    struct kv_element element;
    for (uint64_t next = word[0]; kv_collection_next(record, &next, &element); word[0] = next)
        if (kv_scan_element(call, options, kv_type_of(record), true, &element) == KV_MORE)
            return KV_MORE;
    kv_scan_end(call);
    return KV_DONE;
}

/* ---- Large ----------------------------------------------------------------------------------- */

/* Counts ahead to where this call ends. Words: 0 the place, 1 elements passed, 2 steps. */
static enum kv_step kv_scan_ahead(struct kv_call *call, const struct kv_scan_options *options,
                                  const struct kv_table *table) {
    uint64_t *word = call->cursor->word;
    const uint64_t wanted = (uint64_t)options->count;
    const uint64_t steps_max =
        wanted > UINT64_MAX / KV_SCAN_STEPS_FACTOR ? UINT64_MAX : wanted * KV_SCAN_STEPS_FACTOR;
    while (word[0] != KV_POSITION_END && word[1] < wanted && word[2] < steps_max) {
        if (call->run->budget == 0)
            return KV_MORE;
        word[1] += kv_table_walk(table, &word[0], NULL);
        word[2]++;
        kv_spend(call, 1);
    }
    return KV_DONE;
}

static enum kv_step kv_scan_walk(struct kv_call *call, const struct kv_scan_options *options,
                                 enum kv_type type, const struct kv_table *table, uint64_t end) {
    uint64_t *word = call->cursor->word;
    struct kv_record *records[KV_SEGMENT_RECORDS_MAX];
    while (word[0] != end) {
        uint64_t next = word[0];
        if (call->run->budget == 0)
            return KV_MORE;
        const uint32_t count = kv_table_walk(table, &next, records);
        for (; word[1] / 2 < count; word[1] += 2) {
            const struct kv_record *record = records[word[1] / 2];
            const struct kv_element element = {{kv_key(record), kv_key_bytes(record)},
                                               {kv_value(record), kv_value_bytes(record)}};
            if (kv_scan_element(call, options, type, false, &element) == KV_MORE)
                return KV_MORE;
        }
        word[0] = next;
        word[1] = 0;
        kv_spend(call, 1);
    }
    kv_scan_end(call);
    return KV_DONE;
}

static enum kv_step kv_scan_large(struct kv_call *call, const struct kv_scan_options *options,
                                  const struct kv_record *record) {
    uint64_t *word = call->cursor->word;
    const struct kv_table *table = &kv_collection_of(record)->table;
    /* A cursor that was never given out is taken for a finished one. */
    const uint64_t begin = options->cursor < KV_POSITION_END ? options->cursor : KV_POSITION_END;
    if (word[7] == 0) {
        if (word[2] == 0)
            word[0] = begin;
        if (kv_scan_ahead(call, options, table) == KV_MORE)
            return KV_MORE;
        word[7] = word[0] + 1;
        kv_scan_begin(call, word[0] == KV_POSITION_END ? 0 : word[0]);
        word[0] = begin;
        word[1] = word[2] = 0;
    }
    return kv_scan_walk(call, options, kv_type_of(record), table, word[7] - 1);
}

enum kv_step kv_scan_elements(struct kv_call *call, enum kv_type type) {
    const struct machine_operation *operation = call->operation;
    struct kv_scan_options options;
    ASSERT(type != KV_TYPE_STRING && type != KV_TYPE_LIST);
    if (call->reply == NULL ||
        !kv_options_cursor(&operation->arguments[1], &options.cursor, call->reply))
        return KV_DONE;
    const struct kv_found found = kv_find(call, 0, 0);
    if (!kv_typed(call, &found, type))
        return KV_DONE;
    if (found.present == NULL) {
        kv_scan_begin(call, 0);
        kv_scan_end(call);
        return KV_DONE;
    }
    if (!kv_options_scan_elements(operation->arguments, operation->argument_count, &options,
                                  call->reply))
        return KV_DONE;
    return kv_is_large(found.present) ? kv_scan_large(call, &options, found.present)
                                      : kv_scan_compact(call, &options, found.present);
}
