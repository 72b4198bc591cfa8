/*
 * Happy path: the directory gives the segment, the hash its home bucket; eight tags are compared,
 * the record whose tag is equal is looked at, and it is the one.
 *
 * What else may happen: the bucket is full and the search goes on in the next; a tag is equal by
 * chance (once in some hundred searches); the segment is full and is split, perhaps after the
 * directory was doubled; a removal leaves a hole that a record further on must fill, because
 * searches for it would end there.
 *
 * Invariant: if a record lies in bucket b and its home is h, the buckets from h up to b
 * (cyclically) are all full.
 */

#include "machines/kv_table.h"

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

/* ---- Searching ------------------------------------------------------------------------------- */

/* Bit i is set if slot i has the tag. No tag is 0, so an empty slot has none. */
#if defined(__SSE2__)
/* The tags of four slots. */
static inline __m128i kv_bucket_tags(const uint64_t *slots) {
    const __m128i low =
        _mm_srli_epi64(_mm_load_si128((const __m128i *)(const void *)slots), KV_ADDRESS_BITS);
    const __m128i high =
        _mm_srli_epi64(_mm_load_si128((const __m128i *)(const void *)(slots + 2)), KV_ADDRESS_BITS);
    /* The low half of each 64-bit lane. */
    return _mm_castps_si128(_mm_shuffle_ps(_mm_castsi128_ps(low), _mm_castsi128_ps(high), 0x88));
}

static inline uint32_t kv_bucket_match(const struct kv_bucket *bucket, uint64_t tag) {
    const __m128i wanted = _mm_set1_epi32((int)tag);
    const __m128i first = _mm_cmpeq_epi32(kv_bucket_tags(bucket->slot), wanted);
    const __m128i second = _mm_cmpeq_epi32(kv_bucket_tags(bucket->slot + 4), wanted);
    const __m128i equal = _mm_packs_epi32(first, second);
    return (uint32_t)_mm_movemask_epi8(_mm_packs_epi16(equal, _mm_setzero_si128()));
}
#else
static inline uint32_t kv_bucket_match(const struct kv_bucket *bucket, uint64_t tag) {
    uint32_t match = 0;
    for (uint32_t i = 0; i < KV_BUCKET_SLOTS; i++)
        match |= (uint32_t)(bucket->slot[i] >> KV_ADDRESS_BITS == tag) << i;
    return match;
}
#endif

static inline bool kv_bucket_is_full(const struct kv_bucket *bucket) {
    return bucket->slot[KV_BUCKET_SLOTS - 1] != 0;
}

static inline uint32_t kv_bucket_next(uint32_t index) {
    return index + 1 == KV_SEGMENT_BUCKETS ? 0 : index + 1;
}

void kv_table_prefetch_record(const struct kv_table *table, uint64_t hash) {
    if (table->root == NULL)
        return;
    const struct kv_bucket *bucket = &kv_table_segment(table, hash)->bucket[kv_home(hash)];
    const uint32_t match = kv_bucket_match(bucket, kv_tag(hash));
    if (match == 0)
        return; /* absent, or in a later bucket: the search itself will see */
    const char *record = (const char *)kv_slot_record(bucket->slot[__builtin_ctz(match)]);
    __builtin_prefetch(record);
    __builtin_prefetch(record + CACHE_LINE_BYTES);
}

uint64_t *kv_table_find(const struct kv_table *table, uint64_t hash, const uint8_t *key,
                        uint32_t key_bytes) {
    if (table->root == NULL)
        return NULL;
    struct kv_segment *segment = kv_table_segment(table, hash);
    const uint64_t tag = kv_tag(hash);
    for (uint32_t index = kv_home(hash);; index = kv_bucket_next(index)) {
        struct kv_bucket *bucket = &segment->bucket[index];
        uint32_t match = kv_bucket_match(bucket, tag);
        for (; match != 0; match &= match - 1) {
            uint64_t *slot = &bucket->slot[__builtin_ctz(match)];
            if (kv_key_equals(kv_slot_record(*slot), hash, key, key_bytes))
                return slot;
        }
        if (!kv_bucket_is_full(bucket))
            return NULL;
    }
}

uint64_t *kv_table_slot_of(const struct kv_table *table, uint64_t hash,
                           const struct kv_record *record) {
    ASSERT(record->hash_low == (uint32_t)hash);
    struct kv_segment *segment = kv_table_segment(table, hash);
    const uint64_t wanted = kv_tag(hash) << KV_ADDRESS_BITS | (uintptr_t)record;
    for (uint32_t index = kv_home(hash);; index = kv_bucket_next(index)) {
        struct kv_bucket *bucket = &segment->bucket[index];
        for (uint32_t i = 0; i < KV_BUCKET_SLOTS; i++)
            if (bucket->slot[i] == wanted)
                return &bucket->slot[i];
        ASSERT(kv_bucket_is_full(bucket));
    }
}

/* ---- Inside a segment ------------------------------------------------------------------------ */

static uint32_t kv_slot_home(uint64_t slot) {
    return (uint32_t)(slot >> (KV_ADDRESS_BITS + 10)) - 1;
}

static void kv_segment_put(struct kv_segment *segment, uint64_t slot) {
    uint32_t index = kv_slot_home(slot);
    while (kv_bucket_is_full(&segment->bucket[index]))
        index = kv_bucket_next(index);
    struct kv_bucket *bucket = &segment->bucket[index];
    uint32_t i = 0;
    while (bucket->slot[i] != 0)
        i++;
    bucket->slot[i] = slot;
    segment->count++;
}

/* Removes the slot and keeps the bucket's slots together. Returns whether the bucket was full. */
static bool kv_bucket_drop(struct kv_bucket *bucket, uint32_t i) {
    const bool was_full = kv_bucket_is_full(bucket);
    uint32_t last = KV_BUCKET_SLOTS - 1;
    while (bucket->slot[last] == 0)
        last--;
    bucket->slot[i] = bucket->slot[last];
    bucket->slot[last] = 0;
    return was_full;
}

static uint32_t kv_bucket_distance(uint32_t from, uint32_t to) {
    return to >= from ? to - from : to + KV_SEGMENT_BUCKETS - from;
}

/* Restores the invariant after bucket `hole`, which was full, has lost a slot: the first record
 * further on that was displaced across it moves in, and leaves a hole itself. */
static void kv_segment_fill(struct kv_segment *segment, uint32_t hole) {
    uint32_t index = kv_bucket_next(hole);
    for (;;) {
        struct kv_bucket *bucket = &segment->bucket[index];
        const uint32_t reach = kv_bucket_distance(hole, index);
        for (uint32_t i = 0; i < KV_BUCKET_SLOTS && bucket->slot[i] != 0; i++) {
            const uint64_t slot = bucket->slot[i];
            if (kv_bucket_distance(kv_slot_home(slot), index) < reach)
                continue;
            segment->bucket[hole].slot[KV_BUCKET_SLOTS - 1] = slot;
            if (!kv_bucket_drop(bucket, i))
                return;
            hole = index;
            break;
        }
        if (hole != index && !kv_bucket_is_full(bucket))
            return;
        index = kv_bucket_next(index);
    }
}

_Static_assert(KV_DEPTH_MAX < 32, "a record has the low half of its hash, which is enough");

/* ---- The directory --------------------------------------------------------------------------- */

#define KV_DIRECTORY_BYTES (KV_DIRECTORY_COUNT * sizeof(struct kv_segment *))

static uint64_t kv_root_count(uint32_t depth) {
    return depth <= KV_DIRECTORY_SHIFT ? 1 : UINT64_C(1) << (depth - KV_DIRECTORY_SHIFT);
}

static struct kv_segment *kv_segment_new(struct kv_table *table, struct memory *memory,
                                         uint32_t depth, uint32_t pattern) {
    struct kv_segment *segment = memory_take_page(memory);
    segment->depth = depth;
    segment->pattern = pattern;
    table->segment_count++;
    return segment;
}

static __attribute__((noinline)) void kv_table_open(struct kv_table *table, struct memory *memory) {
    table->root = memory_take(memory, sizeof(*table->root));
    table->root[0] = memory_take(memory, KV_DIRECTORY_BYTES);
    table->depth = 0;
    table->root[0][0] = kv_segment_new(table, memory, 0, 0);
}

static void kv_directory_double(struct kv_table *table, struct memory *memory) {
    const uint32_t depth = table->depth;
    ASSERT(depth < KV_DEPTH_MAX); /* 448 hashes that share 31 bits: not with a secret seed */
    if (depth < KV_DIRECTORY_SHIFT) {
        struct kv_segment **page = table->root[0];
        memcpy(page + (1u << depth), page, sizeof(struct kv_segment *) << depth);
    } else {
        const size_t count = kv_root_count(depth);
        struct kv_segment ***root = memory_take(memory, 2 * count * sizeof(*root));
        memcpy(root, table->root, count * sizeof(*root));
        memcpy(root + count, table->root, count * sizeof(*root));
        memory_give(memory, table->root, count * sizeof(*root));
        table->root = root;
    }
    table->depth = depth + 1;
}

/* Makes the entries of `pattern` (depth bits, the last of which is new) stand on pages that are
 * not shared with those that differ in the last bit only. */
static void kv_directory_unshare(struct kv_table *table, struct memory *memory, uint32_t depth,
                                 uint32_t pattern) {
    if (depth <= KV_DIRECTORY_SHIFT)
        return;
    const uint64_t bit = UINT64_C(1) << (depth - 1 - KV_DIRECTORY_SHIFT);
    const uint64_t first = pattern >> KV_DIRECTORY_SHIFT;
    ASSERT(first & bit);
    if (table->root[first] != table->root[first ^ bit])
        return;
    struct kv_segment **page = memory_take(memory, KV_DIRECTORY_BYTES);
    memcpy(page, table->root[first], KV_DIRECTORY_BYTES);
    for (uint64_t i = first; i < kv_root_count(table->depth); i += bit << 1)
        table->root[i] = page;
}

/* Lets every entry whose low `depth` bits are `pattern` lead to the segment. */
static void kv_directory_set(struct kv_table *table, uint32_t depth, uint32_t pattern,
                             struct kv_segment *segment) {
    const uint64_t step = UINT64_C(1) << depth;
    for (uint64_t i = pattern; i < UINT64_C(1) << table->depth; i += step)
        table->root[i >> KV_DIRECTORY_SHIFT][i & (KV_DIRECTORY_COUNT - 1)] = segment;
}

/* ---- Splitting and merging ------------------------------------------------------------------- */

/* Cuts a full segment in two. Its records' next hash bit is not in the tag, so each is looked at
 * once; all of them are fetched ahead. */
static __attribute__((noinline)) void kv_segment_split(struct kv_table *table,
                                                       struct memory *memory,
                                                       struct kv_segment *segment) {
    const uint32_t bit = segment->depth;
    if (bit == table->depth)
        kv_directory_double(table, memory);
    const uint32_t pattern = segment->pattern | UINT32_C(1) << bit;
    kv_directory_unshare(table, memory, bit + 1, pattern);

    uint64_t slots[KV_SEGMENT_BUCKETS * KV_BUCKET_SLOTS];
    uint32_t count = 0;
    for (uint32_t b = 0; b < KV_SEGMENT_BUCKETS; b++)
        for (uint32_t i = 0; i < KV_BUCKET_SLOTS && segment->bucket[b].slot[i] != 0; i++) {
            __builtin_prefetch(kv_slot_record(segment->bucket[b].slot[i]));
            slots[count++] = segment->bucket[b].slot[i];
        }
    ASSERT(count == segment->count);

    struct kv_segment *sibling = kv_segment_new(table, memory, bit + 1, pattern);
    memset(segment->bucket, 0, sizeof(segment->bucket));
    segment->count = 0;
    segment->depth = bit + 1;
    for (uint32_t i = 0; i < count; i++) {
        const bool moves = (kv_slot_record(slots[i])->hash_low >> bit & 1) != 0;
        kv_segment_put(moves ? sibling : segment, slots[i]);
    }
    ASSERT(segment->count + sibling->count == count);
    kv_directory_set(table, bit + 1, pattern, sibling);
}

/* Joins a segment with the one it was once split from, if both have become small. */
static void kv_segment_merge(struct kv_table *table, struct memory *memory,
                             struct kv_segment *segment) {
    const uint32_t depth = segment->depth;
    if (depth == 0 || depth + KV_DEPTH_SPREAD_MAX <= table->depth)
        return;
    const uint32_t bit = UINT32_C(1) << (depth - 1);
    struct kv_segment *other = kv_table_segment(table, segment->pattern ^ bit);
    if (other->depth != depth || segment->count + other->count >= KV_SEGMENT_RECORDS_MERGE)
        return;
    ASSERT((segment->pattern ^ other->pattern) == bit);
    struct kv_segment *stays = segment->pattern & bit ? other : segment;
    struct kv_segment *goes = segment->pattern & bit ? segment : other;
    for (uint32_t b = 0; b < KV_SEGMENT_BUCKETS; b++)
        for (uint32_t i = 0; i < KV_BUCKET_SLOTS && goes->bucket[b].slot[i] != 0; i++)
            kv_segment_put(stays, goes->bucket[b].slot[i]);
    kv_directory_set(table, depth, goes->pattern, stays);
    stays->depth = depth - 1;
    memory_give_page(memory, goes);
    table->segment_count--;
}

uint32_t kv_table_insert(struct kv_table *table, struct memory *memory, uint64_t hash,
                         struct kv_record *record) {
    ASSERT_HOT(record->hash_low == (uint32_t)hash && (uintptr_t)record >> KV_ADDRESS_BITS == 0);
    if (table->root == NULL)
        kv_table_open(table, memory);
    uint32_t units = 0;
    struct kv_segment *segment = kv_table_segment(table, hash);
    while (segment->count >= KV_SEGMENT_RECORDS_MAX) {
        kv_segment_split(table, memory, segment);
        units += KV_SEGMENT_RECORDS_MAX;
        segment = kv_table_segment(table, hash);
    }
    kv_segment_put(segment, kv_tag(hash) << KV_ADDRESS_BITS | (uintptr_t)record);
    table->count++;
    return units;
}

void kv_table_remove(struct kv_table *table, struct memory *memory, uint64_t *slot) {
    struct kv_segment *segment =
        (struct kv_segment *)((uintptr_t)slot & ~(uintptr_t)(MEMORY_PAGE_BYTES - 1));
    const uint32_t place = (uint32_t)(slot - &segment->bucket[0].slot[0]);
    const uint32_t index = place / KV_BUCKET_SLOTS;
    ASSERT_HOT(index < KV_SEGMENT_BUCKETS && *slot != 0 && segment->count > 0);
    if (kv_bucket_drop(&segment->bucket[index], place % KV_BUCKET_SLOTS))
        kv_segment_fill(segment, index);
    segment->count--;
    table->count--;
    if (segment->count < KV_SEGMENT_RECORDS_MERGE / 4)
        kv_segment_merge(table, memory, segment);
}

/* ---- Walking --------------------------------------------------------------------------------- */

static uint32_t kv_reverse(uint32_t bits) {
    bits = (bits >> 1 & 0x55555555u) | (bits & 0x55555555u) << 1;
    bits = (bits >> 2 & 0x33333333u) | (bits & 0x33333333u) << 2;
    bits = (bits >> 4 & 0x0f0f0f0fu) | (bits & 0x0f0f0f0fu) << 4;
    return __builtin_bswap32(bits);
}

/* The records of one home in a segment: they lie in its bucket and those after it, up to one that
 * is not full. */
static uint32_t kv_segment_gather(const struct kv_segment *segment, uint32_t home,
                                  struct kv_record **records) {
    uint32_t count = 0;
    for (uint32_t index = home;; index = kv_bucket_next(index)) {
        const struct kv_bucket *bucket = &segment->bucket[index];
        for (uint32_t i = 0; i < KV_BUCKET_SLOTS && bucket->slot[i] != 0; i++) {
            if (kv_slot_home(bucket->slot[i]) != home)
                continue;
            if (records != NULL)
                records[count] = kv_slot_record(bucket->slot[i]);
            count++;
        }
        if (!kv_bucket_is_full(bucket))
            return count;
    }
}

/* Fetches what the step after the next will want. */
static void kv_segment_prefetch(const struct kv_segment *segment, uint32_t home) {
    if (home >= KV_SEGMENT_BUCKETS)
        return;
    const struct kv_bucket *bucket = &segment->bucket[home];
    for (uint32_t i = 0; i < KV_BUCKET_SLOTS && bucket->slot[i] != 0; i++)
        __builtin_prefetch(kv_slot_record(bucket->slot[i]));
}

uint32_t kv_table_walk(const struct kv_table *table, uint64_t *position,
                       struct kv_record **records) {
    ASSERT_HOT(*position < KV_POSITION_END);
    if (table->root == NULL) {
        *position = KV_POSITION_END;
        return 0;
    }
    const uint32_t order = (uint32_t)(*position >> 11);
    const struct kv_segment *segment = kv_table_segment(table, kv_reverse(order));
    uint32_t home = (uint32_t)(*position >> 5 & 63);
    if (segment->depth < (*position & 31) || home >= KV_SEGMENT_BUCKETS)
        home = 0; /* it was merged since: what it took over may not have been visited */

    const uint32_t count = kv_segment_gather(segment, home, records);
    if (records != NULL)
        kv_segment_prefetch(segment, home + 2);
    home++;
    const uint64_t start = kv_reverse(segment->pattern);
    if (home < KV_SEGMENT_BUCKETS) {
        *position = start << 11 | (uint64_t)home << 5 | segment->depth;
    } else {
        const uint64_t next = start + (UINT64_C(1) << (32 - segment->depth));
        *position = next >> 32 != 0 ? KV_POSITION_END : next << 11;
    }
    return count;
}

/* ---- Cells ----------------------------------------------------------------------------------- */

/* Those of one segment, behind the `count` that were found before. */
static uint32_t kv_segment_cell(const struct kv_segment *segment, const struct kv_table_cell *cell,
                                struct kv_record **records, uint32_t capacity, uint32_t count) {
    const uint32_t mask = segment->depth < cell->depth ? (UINT32_C(1) << cell->depth) - 1 : 0;
    for (uint32_t home = cell->home; home < cell->home_end; home++) {
        for (uint32_t index = home;; index = kv_bucket_next(index)) {
            const struct kv_bucket *bucket = &segment->bucket[index];
            for (uint32_t i = 0; i < KV_BUCKET_SLOTS && bucket->slot[i] != 0; i++) {
                if (kv_slot_home(bucket->slot[i]) != home)
                    continue;
                struct kv_record *record = kv_slot_record(bucket->slot[i]);
                if (mask != 0 && (record->hash_low & mask) != cell->pattern)
                    continue;
                if (count < capacity)
                    records[count] = record;
                count++;
            }
            if (!kv_bucket_is_full(bucket))
                break;
        }
    }
    return count;
}

uint32_t kv_table_gather(const struct kv_table *table, const struct kv_table_cell *cell,
                         struct kv_record **records, uint32_t capacity, uint32_t *segments) {
    ASSERT_HOT(cell->depth <= KV_DEPTH_MAX && cell->home_end <= KV_SEGMENT_BUCKETS);
    ASSERT_HOT((uint64_t)cell->pattern >> cell->depth == 0);
    if (table->root == NULL)
        return 0;
    uint32_t count = 0;
    uint64_t order = kv_reverse(cell->pattern);
    const uint64_t end = order + (UINT64_C(1) << (32 - cell->depth));
    while (order < end) {
        const struct kv_segment *segment = kv_table_segment(table, kv_reverse((uint32_t)order));
        count = kv_segment_cell(segment, cell, records, capacity, count);
        order += UINT64_C(1) << (32 - segment->depth);
        (*segments)++;
    }
    return count;
}

/* ---- Giving back ----------------------------------------------------------------------------- */

static void kv_table_spend(uint32_t *budget, uint32_t units) {
    *budget -= units < *budget ? units : *budget;
}

/* Whether the directory page of an index is not shared with one of a smaller index. */
static bool kv_directory_is_first(const struct kv_table *table, uint64_t index) {
    return index == 0 ||
           table->root[index] !=
               table->root[index ^ UINT64_C(1) << (63 - (uint32_t)__builtin_clzll(index))];
}

/* One bucket: its records, and, of the last one, the segment. Places advance in the walk's order,
 * so the directory leads to segments that are there, though it leads to others that are not. */
static uint32_t kv_segment_give(struct kv_table *table, struct memory *memory, uint64_t *place,
                                void (*give)(struct memory *, struct kv_record *)) {
    const uint32_t order = (uint32_t)(*place >> 11);
    const uint32_t home = (uint32_t)(*place >> 5 & 63);
    struct kv_segment *segment = kv_table_segment(table, kv_reverse(order));
    const struct kv_bucket *bucket = &segment->bucket[home];
    ASSERT(segment->pattern == kv_reverse(order));
    kv_segment_prefetch(segment, home + 1);
    uint32_t count = 0;
    for (; count < KV_BUCKET_SLOTS && bucket->slot[count] != 0; count++)
        give(memory, kv_slot_record(bucket->slot[count]));
    table->count -= count;
    if (home + 1 < KV_SEGMENT_BUCKETS) {
        *place += 1u << 5;
    } else {
        const uint64_t next = order + (UINT64_C(1) << (32 - segment->depth));
        memory_give_page(memory, segment);
        *place = next >> 32 != 0 ? KV_POSITION_END : next << 11;
    }
    return count;
}

bool kv_table_give_step(struct kv_table *table, struct memory *memory, uint64_t *place,
                        void (*give)(struct memory *memory, struct kv_record *record),
                        uint32_t *budget) {
    if (table->root == NULL)
        return false;
    while (*place < KV_POSITION_END) {
        if (*budget == 0)
            return true;
        kv_table_spend(budget, 1 + 2 * kv_segment_give(table, memory, place, give));
    }
    ASSERT(table->count == 0);
    const uint64_t count = kv_root_count(table->depth);
    for (; *place - KV_POSITION_END < count; ++*place) {
        if (*budget == 0)
            return true;
        const uint64_t index = *place - KV_POSITION_END;
        if (kv_directory_is_first(table, index))
            memory_give(memory, table->root[index], KV_DIRECTORY_BYTES);
        kv_table_spend(budget, 1);
    }
    memory_give(memory, table->root, count * sizeof(*table->root));
    *table = (struct kv_table){0};
    return false;
}
