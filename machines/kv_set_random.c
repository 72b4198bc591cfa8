/*
 * SPOP and SRANDMEMBER: members chosen at random.
 *
 * A large set draws tickets (kv_pick.h), a compact one its members by number. Several different
 * members are drawn without putting back. What SPOP removes is in the log as its entry's random
 * source only, so every replica has to choose the same.
 *
 * Happy path of SPOP with a count below the size: members are drawn, marked and replied; then the
 * cells of the tickets are visited again and what is marked in them is removed. If the reply does
 * not fit, the marks are taken away instead, and nothing has changed; called again with more room,
 * the same members are drawn. So nothing has to be remembered but the number of tickets, however
 * many members are popped.
 */

#include "machines/kv_set.h"

/* The seed of a write's choice. The entry's source is the same for all of its operations, the
 * partition's digest changes with each member that is removed, and both are on every replica. */
static uint64_t kv_write_seed(const struct kv_call *call, const struct kv_found *found) {
    return kv_pick_mix(call->run->moment.random ^ kv_pick_mix(found->partition->digest));
}

uint64_t kv_read_seed(const struct kv_call *call) {
    const struct kv *kv = call->kv;
    return kv_pick_mix(kv->options.hash_seed ^
                       kv_pick_mix(call->run->moment.clock_ms ^ kv_pick_mix(kv->draws)));
}

void kv_read_drawn(struct kv_call *call) {
    if (!kv_reply_overflows(call))
        call->kv->draws++;
}

/* A number below `limit`, a small one: the bias is less than limit / 2^32. */
static uint32_t kv_random_below(uint64_t *seed, uint32_t limit) {
    ASSERT_HOT(limit > 0 && limit <= KV_COMPACT_COUNT_MAX);
    *seed = kv_pick_mix(*seed);
    return (uint32_t)((*seed >> 32) * limit >> 32);
}

/* The members of a compact set, in their order. */
static uint32_t kv_compact_members(const struct kv_record *set,
                                   struct kv_bytes members[KV_COMPACT_COUNT_MAX]) {
    uint32_t count = 0;
    uint32_t offset = 0;
    while (kv_packed_next(kv_value(set), kv_value_bytes(set), &offset, &members[count]))
        count++;
    ASSERT(count > 0 && count <= KV_COMPACT_COUNT_MAX);
    return count;
}

/* Puts `wanted` numbers below `count`, drawn without putting back, in front. */
static void kv_draw_numbers(uint64_t seed, uint32_t count, uint32_t wanted,
                            uint8_t numbers[KV_COMPACT_COUNT_MAX]) {
    ASSERT(wanted <= count && count <= KV_COMPACT_COUNT_MAX);
    for (uint32_t i = 0; i < count; i++)
        numbers[i] = (uint8_t)i;
    for (uint32_t i = 0; i < wanted; i++) {
        const uint32_t other = i + kv_random_below(&seed, count - i);
        const uint8_t number = numbers[other];
        numbers[other] = numbers[i];
        numbers[i] = number;
    }
}

static void kv_reply_member(struct kv_call *call, struct kv_bytes member) {
    if (call->reply != NULL)
        reply_bulk(call->reply, member.data, member.length_bytes);
    kv_spend(call, 1 + member.length_bytes / KV_UNIT_BYTES);
}

/* One member at random. False: out of budget. *ticket: the next one to be drawn. */
static bool kv_draw_member(struct kv_call *call, const struct kv_record *set, uint64_t seed,
                           uint64_t *ticket, struct kv_bytes *member) {
    if (!kv_is_large(set)) {
        struct kv_bytes members[KV_COMPACT_COUNT_MAX];
        const uint32_t count = kv_compact_members(set, members);
        *member = members[kv_random_below(&seed, count)];
        return true;
    }
    const struct kv_table *table = &kv_collection_of(set)->table;
    const struct kv_pick pick = kv_pick_make(table->count, seed);
    const struct kv_record *record = kv_pick_next(table, &pick, ticket, &call->run->budget);
    if (record == NULL)
        return false;
    *member = (struct kv_bytes){kv_key(record), kv_key_bytes(record)};
    return true;
}

/* ---- SPOP ------------------------------------------------------------------------------------ */

static enum kv_step kv_spop_one(struct kv_call *call, struct kv_found *found) {
    struct kv_bytes member;
    if (!kv_draw_member(call, found->present, kv_write_seed(call, found), &call->cursor->word[0],
                        &member))
        return KV_MORE;
    kv_reply_member(call, member);
    if (kv_reply_overflows(call))
        return KV_DONE;
    const bool removed = kv_member_remove(call, found, member);
    ASSERT(removed);
    return KV_DONE;
}

static enum kv_step kv_spop_all(struct kv_call *call, struct kv_found *found) {
    if (!kv_set_reply_all(call, found->present, false))
        return KV_MORE;
    if (!kv_reply_overflows(call))
        kv_store_remove(call, found);
    return KV_DONE;
}

/* From the last to the first, so that those to come stay at their numbers. */
static void kv_spop_compact(struct kv_call *call, struct kv_found *found, uint32_t wanted) {
    struct kv_bytes members[KV_COMPACT_COUNT_MAX];
    uint8_t numbers[KV_COMPACT_COUNT_MAX];
    bool drawn[KV_COMPACT_COUNT_MAX] = {false};
    const uint32_t count = kv_compact_members(found->present, members);
    ASSERT(wanted < count);
    kv_draw_numbers(kv_write_seed(call, found), count, wanted, numbers);
    if (call->reply != NULL)
        reply_set(call->reply, wanted);
    for (uint32_t i = 0; i < wanted; i++) {
        kv_reply_member(call, members[numbers[i]]);
        drawn[numbers[i]] = true;
    }
    if (kv_reply_overflows(call))
        return;
    for (uint32_t i = count; i-- > 0;) {
        if (!drawn[i])
            continue;
        /* What is in front does not move but with the whole record. */
        kv_compact_members(found->present, members);
        const bool removed = kv_member_remove(call, found, members[i]);
        ASSERT(removed);
    }
}

/* The phases of kv_spop_large. */
enum { KV_SPOP_BEGIN, KV_SPOP_DRAW, KV_SPOP_REMOVE, KV_SPOP_RELEASE };

/* Draws, marks and replies. Words: 0 the next ticket, 1 how many were drawn. */
static enum kv_step kv_spop_draw(struct kv_call *call, const struct kv_table *table,
                                 const struct kv_pick *pick, uint64_t wanted) {
    uint64_t *word = call->cursor->word;
    for (; word[1] < wanted; word[1]++) {
        struct kv_record *record = kv_pick_next(table, pick, &word[0], &call->run->budget);
        if (record == NULL)
            return KV_MORE;
        ASSERT((record->key_word & KV_MARKED) == 0);
        record->key_word |= KV_MARKED;
        kv_reply_member(call, (struct kv_bytes){kv_key(record), kv_key_bytes(record)});
    }
    return KV_DONE;
}

/* Visits the cells of all tickets that were drawn, or all cells if that is less, and removes or
 * releases what is marked. Words: 0 the tickets, 4 the next ticket, or cell. */
static enum kv_step kv_spop_visit(struct kv_call *call, struct kv_found *found,
                                  const struct kv_pick *pick, bool removes) {
    uint64_t *word = call->cursor->word;
    const struct kv_table *table = &kv_collection_of(found->present)->table;
    const bool all = word[0] >= kv_pick_cells(pick);
    const uint64_t end = all ? kv_pick_cells(pick) : word[0];
    for (; word[4] < end; word[4]++) {
        if (call->run->budget == 0)
            return KV_MORE;
        uint32_t rank;
        const uint64_t cell = all ? word[4] : kv_pick_draw(pick, word[4], &rank);
        struct kv_record *records[KV_PICK_RECORDS_MAX];
        const uint32_t count = kv_pick_cell(table, pick, cell, records, &call->run->budget);
        for (uint32_t i = 0; i < count; i++) {
            struct kv_record *record = records[i];
            if ((record->key_word & KV_MARKED) == 0)
                continue;
            record->key_word &= ~(uint32_t)KV_MARKED;
            if (!removes)
                continue;
            const bool removed = kv_member_remove(
                call, found, (struct kv_bytes){kv_key(record), kv_key_bytes(record)});
            ASSERT(removed);
            kv_spend(call, 1);
        }
    }
    return KV_DONE;
}

/* Words: those above, 5 the seed, 6 the size, 7 the phase. */
static enum kv_step kv_spop_large(struct kv_call *call, struct kv_found *found, uint64_t wanted) {
    uint64_t *word = call->cursor->word;
    const struct kv_table *table = &kv_collection_of(found->present)->table;
    if (word[7] == KV_SPOP_BEGIN) {
        word[5] = kv_write_seed(call, found);
        word[6] = table->count;
        word[7] = KV_SPOP_DRAW;
        if (call->reply != NULL)
            reply_set(call->reply, wanted);
    }
    const struct kv_pick pick = kv_pick_make(word[6], word[5]);
    if (word[7] == KV_SPOP_DRAW) {
        if (kv_spop_draw(call, table, &pick, wanted) == KV_MORE)
            return KV_MORE;
        word[7] = kv_reply_overflows(call) ? KV_SPOP_RELEASE : KV_SPOP_REMOVE;
    }
    return kv_spop_visit(call, found, &pick, word[7] == KV_SPOP_REMOVE);
}

enum kv_step kv_spop(struct kv_call *call) {
    const struct machine_operation *operation = call->operation;
    uint64_t *word = call->cursor->word;
    int64_t wanted;
    if (!kv_options_spop(operation->arguments, operation->argument_count, &wanted, call->reply))
        return KV_DONE;
    struct kv_found found = kv_find(call, 0, 0);
    if (!kv_typed(call, &found, KV_TYPE_SET))
        return KV_DONE;
    if (found.present == NULL || wanted == 0) {
        if (wanted == KV_COUNT_NONE)
            kv_reply_null(call);
        else if (call->reply != NULL)
            reply_set(call->reply, 0);
        return KV_DONE;
    }
    if (kv_protect(call, &found) == KV_MORE)
        return KV_MORE;
    if (wanted == KV_COUNT_NONE)
        return kv_spop_one(call, &found);
    if (word[7] == KV_SPOP_BEGIN && (uint64_t)wanted >= kv_collection_count(found.present))
        return kv_spop_all(call, &found);
    if (kv_is_large(found.present))
        return kv_spop_large(call, &found, (uint64_t)wanted);
    kv_spop_compact(call, &found, (uint32_t)wanted);
    return KV_DONE;
}

/* ---- SRANDMEMBER ----------------------------------------------------------------------------- */

/* As many as are wanted, all different. Words: 0 the next ticket, 1 how many were drawn. */
static enum kv_step kv_random_different(struct kv_call *call, const struct kv_record *set,
                                        uint64_t seed, uint64_t wanted) {
    uint64_t *word = call->cursor->word;
    if (!kv_is_large(set)) {
        struct kv_bytes members[KV_COMPACT_COUNT_MAX];
        uint8_t numbers[KV_COMPACT_COUNT_MAX];
        kv_draw_numbers(seed, kv_compact_members(set, members), (uint32_t)wanted, numbers);
        for (uint32_t i = 0; i < wanted; i++)
            kv_reply_member(call, members[numbers[i]]);
        return KV_DONE;
    }
    for (; word[1] < wanted; word[1]++) {
        struct kv_bytes member;
        if (!kv_draw_member(call, set, seed, &word[0], &member))
            return KV_MORE;
        kv_reply_member(call, member);
    }
    return KV_DONE;
}

/* As many as are wanted, each of all: the n'th has a seed of its own. Words: as above. */
static enum kv_step kv_random_repeated(struct kv_call *call, const struct kv_record *set,
                                       uint64_t seed, uint64_t wanted) {
    uint64_t *word = call->cursor->word;
    for (; word[1] < wanted; word[1]++) {
        struct kv_bytes member;
        if (call->run->budget == 0 ||
            !kv_draw_member(call, set, kv_pick_mix(seed + word[1]), &word[0], &member))
            return KV_MORE;
        word[0] = 0;
        kv_reply_member(call, member);
    }
    return KV_DONE;
}

/* Word 5: whether the array has begun. */
static enum kv_step kv_random_members(struct kv_call *call, const struct kv_record *set,
                                      int64_t wanted) {
    uint64_t *word = call->cursor->word;
    const uint64_t size = kv_collection_count(set);
    const uint64_t seed = kv_read_seed(call);
    if (wanted > 0 && (uint64_t)wanted >= size)
        return kv_set_reply_all(call, set, true) ? KV_DONE : KV_MORE;
    const uint64_t count = wanted < 0 ? 0 - (uint64_t)wanted : (uint64_t)wanted;
    if (word[5] == 0)
        reply_array(call->reply, count);
    word[5] = 1;
    return wanted < 0 ? kv_random_repeated(call, set, seed, count)
                      : kv_random_different(call, set, seed, count);
}

enum kv_step kv_srandmember(struct kv_call *call) {
    const struct machine_operation *operation = call->operation;
    int64_t wanted;
    if (call->reply == NULL ||
        !kv_options_srandmember(operation->arguments, operation->argument_count, &wanted,
                                call->reply))
        return KV_DONE;
    const struct kv_found found = kv_find(call, 0, 0);
    if (!kv_typed(call, &found, KV_TYPE_SET))
        return KV_DONE;
    if (found.present == NULL) {
        if (wanted == KV_COUNT_NONE)
            kv_reply_null(call);
        else
            reply_array(call->reply, 0);
        return KV_DONE;
    }
    if (wanted == KV_COUNT_NONE) {
        struct kv_bytes member;
        if (!kv_draw_member(call, found.present, kv_read_seed(call), &call->cursor->word[0],
                            &member))
            return KV_MORE;
        kv_reply_member(call, member);
    } else if (kv_random_members(call, found.present, wanted) == KV_MORE) {
        return KV_MORE;
    }
    kv_read_drawn(call);
    return KV_DONE;
}
