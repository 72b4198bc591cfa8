/*
 * HRANDFIELD: fields chosen at random. A read, so replicas need not agree on the choice.
 *
 * A large hash draws tickets (kv_pick.h), going on from one to the next for fields that are all
 * different; a compact one draws among its fields by number, and for different ones goes over them
 * once: each is taken with the chance that as many as are still wanted are among those still to
 * come, so all choices are equally likely. A count of at least as many as there are gives all.
 *
 * Words: 0 how many were replied, 1 the seed, 2 the next ticket, or place, 3 how many the compact
 * one's place has passed, 4 whether a field is written and its value is not, 5 and 6
 * kv_reply_bytes, 7 the record, or place + 1, of the field that was drawn; 0: none yet.
 */

#include "machines/kv_hash.h"
#include "machines/kv_pick.h"
#include "machines/kv_set.h"

/* What HRANDFIELD is to do with a hash that is there. */
struct kv_drawing {
    const struct kv_record *hash;
    uint64_t size;
    uint64_t wanted;
    bool repeats; /* each of all; else all different */
    bool all;
    bool with_values;
};

bool kv_options_hrandfield(const struct machine_argument *arguments, uint32_t count,
                           int64_t *wanted, bool *with_values, struct reply_writer *error) {
    *wanted = KV_COUNT_NONE;
    *with_values = false;
    if (count == 1)
        return true;
    if (!kv_options_random_count(&arguments[1], wanted, error))
        return false;
    if (count == 2)
        return true;
    if (count > 3 || !kv_is_word(&arguments[2], "WITHVALUES")) {
        kv_error(error, kv_error_syntax);
        return false;
    }
    *with_values = true;
    if (*wanted <= INT64_MAX / 2)
        return true;
    kv_error(error, "ERR value is out of range");
    return false;
}

/* A number below `limit` of a seed's own; the bias is less than limit / 2^32. */
static uint64_t kv_drawn_below(uint64_t seed, uint64_t number, uint64_t limit) {
    ASSERT_HOT(limit > 0 && limit <= KV_COMPACT_COUNT_MAX);
    return (kv_pick_mix(seed ^ kv_pick_mix(number)) >> 32) * limit >> 32;
}

/* The place of the next field of a compact hash, or of any, if all are wanted. */
static uint64_t kv_draw_place(struct kv_call *call, const struct kv_drawing *drawing) {
    uint64_t *word = call->cursor->word;
    struct kv_element element;
    if (drawing->repeats) {
        uint64_t place = 0;
        for (uint64_t skip = kv_drawn_below(word[1], word[0], drawing->size); skip > 0; skip--)
            kv_collection_next(drawing->hash, &place, &element);
        return place;
    }
    for (;;) {
        const uint64_t place = word[2];
        const uint64_t left = drawing->size - word[3];
        const uint64_t missing = drawing->wanted - word[0];
        ASSERT(missing <= left);
        const bool there = kv_collection_next(drawing->hash, &word[2], &element);
        ASSERT(there);
        word[3]++;
        if (drawing->all || kv_drawn_below(word[1], word[3], left) < missing)
            return place;
    }
}

/* Draws the next field: word 7. KV_MORE: out of budget. */
static enum kv_step kv_draw_field(struct kv_call *call, const struct kv_drawing *drawing) {
    uint64_t *word = call->cursor->word;
    if (call->run->budget == 0)
        return KV_MORE;
    if (drawing->all || !kv_is_large(drawing->hash)) {
        word[7] = kv_draw_place(call, drawing) + 1;
        kv_spend(call, 1);
        return KV_DONE;
    }
    const struct kv_table *table = &kv_collection_of(drawing->hash)->table;
    const struct kv_pick pick = kv_pick_make(drawing->size, word[1]);
    const struct kv_record *record = kv_pick_next(table, &pick, &word[2], &call->run->budget);
    if (record == NULL)
        return KV_MORE;
    if (drawing->repeats) {
        word[1] = kv_pick_mix(word[1]);
        word[2] = 0;
    }
    word[7] = (uintptr_t)record;
    return KV_DONE;
}

/* Replies the field that was drawn. */
static enum kv_step kv_reply_field(struct kv_call *call, const struct kv_drawing *drawing) {
    uint64_t *word = call->cursor->word;
    struct kv_element element;
    if (drawing->all || !kv_is_large(drawing->hash)) {
        uint64_t place = word[7] - 1;
        const bool there = kv_collection_next(drawing->hash, &place, &element);
        ASSERT(there);
    } else {
        const struct kv_record *record = (const struct kv_record *)(uintptr_t)word[7];
        element.first = (struct kv_bytes){kv_key(record), kv_key_bytes(record)};
        element.second = (struct kv_bytes){kv_value(record), kv_value_bytes(record)};
    }
    if (word[4] == 0) {
        if (drawing->with_values)
            reply_pair(call->reply);
        reply_bulk(call->reply, element.first.data, element.first.length_bytes);
        kv_spend(call, element.first.length_bytes / KV_UNIT_BYTES);
    }
    word[4] = 1;
    if (drawing->with_values &&
        kv_reply_bytes(call, element.second.data, element.second.length_bytes) == KV_MORE)
        return KV_MORE;
    word[4] = word[7] = 0;
    kv_spend(call, 1);
    return KV_DONE;
}

static enum kv_step kv_reply_fields(struct kv_call *call, const struct kv_drawing *drawing) {
    uint64_t *word = call->cursor->word;
    for (; word[0] < drawing->wanted; word[0]++) {
        if (word[7] == 0 && kv_draw_field(call, drawing) == KV_MORE)
            return KV_MORE;
        if (kv_reply_field(call, drawing) == KV_MORE)
            return KV_MORE;
    }
    kv_read_drawn(call);
    return KV_DONE;
}

enum kv_step kv_hrandfield(struct kv_call *call) {
    const struct machine_operation *operation = call->operation;
    uint64_t *word = call->cursor->word;
    int64_t wanted;
    struct kv_drawing drawing = {0};
    if (call->reply == NULL ||
        !kv_options_hrandfield(operation->arguments, operation->argument_count, &wanted,
                               &drawing.with_values, call->reply))
        return KV_DONE;
    const struct kv_found found = kv_find(call, 0, 0);
    const bool one = wanted == KV_COUNT_NONE;
    if (!kv_typed(call, &found, KV_TYPE_HASH))
        return KV_DONE;
    if (found.present == NULL || wanted == 0) {
        if (one)
            kv_reply_null(call);
        else
            reply_array(call->reply, 0);
        return KV_DONE;
    }
    drawing.hash = found.present;
    drawing.size = kv_collection_count(found.present);
    drawing.repeats = !one && wanted < 0;
    drawing.wanted = one ? 1 : wanted < 0 ? (uint64_t)-wanted : (uint64_t)wanted;
    drawing.all = !drawing.repeats && drawing.wanted >= drawing.size;
    if (drawing.all)
        drawing.wanted = drawing.size;
    if (word[1] == 0) {
        if (!one && drawing.with_values)
            reply_pairs(call->reply, drawing.wanted);
        else if (!one)
            reply_array(call->reply, drawing.wanted);
        word[1] = kv_read_seed(call) | 1;
    }
    return kv_reply_fields(call, &drawing);
}
