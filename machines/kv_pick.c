/*
 * Happy path: a ticket's cell is a line of tags in one segment; it has as many records as the rank
 * asks for; they are fetched, ordered, and the one of that rank is it.
 *
 * What else may happen: most tickets win nothing; a cell lies in several segments, or in a part of
 * one that has yet to be split; the budget ends between two tickets.
 */

#include "machines/kv_pick.h"

enum {
    /* Cells have this many records on average, or up to twice as many. */
    KV_PICK_RECORDS_MEAN = 4,
    /* From so many records on each home is a group of its own: 63 * 4 is about 256. */
    KV_PICK_DEPTH_COUNT = 256,
    /* The last of the 64 numbers of six bits is no home: a ticket for it wins nothing. */
    KV_PICK_GROUP_BITS_MAX = 6,
};

_Static_assert(KV_SEGMENT_BUCKETS <= 1 << KV_PICK_GROUP_BITS_MAX, "a group for each home");

uint64_t kv_pick_mix(uint64_t value) {
    value += UINT64_C(0x9e3779b97f4a7c15);
    value = (value ^ value >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    value = (value ^ value >> 27) * UINT64_C(0x94d049bb133111eb);
    return value ^ value >> 31;
}

/* The greatest n with 1 << n <= value. */
static uint32_t kv_pick_log2(uint64_t value) {
    ASSERT_HOT(value > 0);
    return 63 - (uint32_t)__builtin_clzll(value);
}

struct kv_pick kv_pick_make(uint64_t count, uint64_t seed) {
    ASSERT(count >= 1);
    struct kv_pick pick = {.groups = 1};
    if (count >= KV_PICK_DEPTH_COUNT) {
        pick.depth = kv_pick_log2(count / KV_PICK_DEPTH_COUNT);
        pick.depth = pick.depth < KV_DEPTH_MAX ? pick.depth : KV_DEPTH_MAX;
        pick.group_bits = KV_PICK_GROUP_BITS_MAX;
        pick.groups = KV_SEGMENT_BUCKETS;
    } else if (count >= 2 * KV_PICK_RECORDS_MEAN) {
        pick.group_bits = kv_pick_log2(count / KV_PICK_RECORDS_MEAN);
        pick.groups = 1u << pick.group_bits;
    }
    for (uint32_t i = 0; i < KV_PICK_ROUNDS; i++) {
        seed = kv_pick_mix(seed);
        pick.key[i] = seed;
    }
    return pick;
}

uint64_t kv_pick_draw(const struct kv_pick *pick, uint64_t ticket, uint32_t *rank) {
    ASSERT_HOT(ticket < kv_pick_tickets(pick));
    const uint32_t bits = KV_PICK_RANK_BITS + pick->group_bits + pick->depth;
    const uint32_t low_bits = bits / 2;
    const uint64_t low_mask = (UINT64_C(1) << low_bits) - 1;
    const uint64_t high_mask = (UINT64_C(1) << (bits - low_bits)) - 1;
    uint64_t low = ticket & low_mask;
    uint64_t high = ticket >> low_bits;
    for (uint32_t i = 0; i < KV_PICK_ROUNDS; i += 2) {
        high ^= kv_pick_mix(pick->key[i] ^ low) & high_mask;
        low ^= kv_pick_mix(pick->key[i + 1] ^ high) & low_mask;
    }
    const uint64_t drawn = high << low_bits | low;
    *rank = (uint32_t)(drawn & (KV_PICK_RECORDS_MAX - 1));
    return drawn >> KV_PICK_RANK_BITS;
}

/* ---- Cells ----------------------------------------------------------------------------------- */

static struct kv_table_cell kv_pick_place(const struct kv_pick *pick, uint64_t cell) {
    ASSERT_HOT(cell < kv_pick_cells(pick));
    const uint32_t group = (uint32_t)(cell & ((UINT64_C(1) << pick->group_bits) - 1));
    /* Group g has the homes from g * 63 / groups, rounded up, on; so group 63 of 63 has none. */
    const uint32_t end = (group + 1) * KV_SEGMENT_BUCKETS;
    const uint32_t last = KV_SEGMENT_BUCKETS;
    const uint32_t home_end = (end + pick->groups - 1) / pick->groups;
    return (struct kv_table_cell){
        .depth = pick->depth,
        .pattern = (uint32_t)(cell >> pick->group_bits),
        .home = (group * KV_SEGMENT_BUCKETS + pick->groups - 1) / pick->groups,
        .home_end = home_end < last ? home_end : last,
    };
}

/* Whether a comes before b. */
static bool kv_pick_before(const struct kv_record *a, const struct kv_record *b) {
    const uint32_t a_hash = a->hash_low;
    const uint32_t b_hash = b->hash_low;
    if (a_hash != b_hash)
        return a_hash < b_hash;
    const uint32_t a_bytes = kv_key_bytes(a);
    const uint32_t b_bytes = kv_key_bytes(b);
    if (a_bytes != b_bytes)
        return a_bytes < b_bytes;
    return memcmp(kv_key(a), kv_key(b), a_bytes) < 0;
}

static void kv_pick_spend(uint32_t *budget, uint32_t units) {
    *budget -= units < *budget ? units : *budget;
}

uint32_t kv_pick_cell(const struct kv_table *table, const struct kv_pick *pick, uint64_t cell,
                      struct kv_record *records[KV_PICK_RECORDS_MAX], uint32_t *budget) {
    const struct kv_table_cell place = kv_pick_place(pick, cell);
    uint32_t segments = 0;
    const uint32_t count = kv_table_gather(table, &place, records, KV_PICK_RECORDS_MAX, &segments);
    ASSERT(count <= KV_PICK_RECORDS_MAX);
    for (uint32_t i = 0; i < count; i++)
        __builtin_prefetch(records[i]);
    for (uint32_t i = 1; i < count; i++) {
        struct kv_record *record = records[i];
        uint32_t to = i;
        for (; to > 0 && kv_pick_before(record, records[to - 1]); to--)
            records[to] = records[to - 1];
        records[to] = record;
    }
    kv_pick_spend(budget, segments + count);
    return count;
}

struct kv_record *kv_pick_next(const struct kv_table *table, const struct kv_pick *pick,
                               uint64_t *ticket, uint32_t *budget) {
    struct kv_record *records[KV_PICK_RECORDS_MAX];
    while (*budget > 0) {
        ASSERT(*ticket < kv_pick_tickets(pick));
        uint32_t rank;
        const uint64_t cell = kv_pick_draw(pick, *ticket, &rank);
        (*ticket)++;
        const struct kv_table_cell place = kv_pick_place(pick, cell);
        uint32_t segments = 1;
        const uint64_t count =
            pick->groups == 1 ? table->count : kv_table_gather(table, &place, NULL, 0, &segments);
        kv_pick_spend(budget, segments);
        if (rank >= count)
            continue;
        kv_pick_cell(table, pick, cell, records, budget);
        return records[rank];
    }
    return NULL;
}
