#ifndef WEIR_MACHINES_KV_TABLE_H
#define WEIR_MACHINES_KV_TABLE_H

/*
 * The hash table of a partition: extendible hashing with open addressing inside each segment.
 *
 * Concepts
 *
 *   segment    One page: a head and 63 buckets of 8 slots; a bucket is one cache line. Segments
 *              are filled to 448 records of 504, then split in two by the next bit of the hash.
 *              A split looks at 448 records and nothing else, so the table never has to be
 *              rebuilt, however large it is. Two that have become almost empty are merged.
 *   slot       One word: 48 bits of address, 16 of tag; 0 is empty. A bucket's slots are used
 *              from the first on: the last one being empty means that the bucket is not full.
 *   tag        6 bits of home + 1 (so no tag is 0) and 10 that only distinguish. The home is the
 *              bucket where the search begins; it goes on in the next one only while buckets are
 *              full. Since the home stands in the tag, records are moved without looking at them.
 *   directory  The low `depth` bits of the hash lead to the segment. A segment of depth d is
 *              entered wherever the low d bits are its own. The directory is cut into pages of
 *              256, found through `root`. Doubling it copies the root only: both halves share
 *              their pages until a split needs them to differ.
 *
 *              hash   63      48 47      32 31     22 21                    0
 *                     { tag's  } home       tag        directory, from bit 0 up (to 32)
 *
 *              The top 16 bits do not take part: with a {tag} in the key they are equal for all.
 *
 *   order      A walk over all records that survives splits and merges between its steps: segments
 *              by their directory bits reversed (the first bit is the most significant), inside a
 *              segment by home. Splitting puts the two halves at the place of the whole. A step
 *              visits the records of one home. What is there during the whole walk is visited at
 *              least once; again only if segments were split or merged meanwhile.
 *
 * A lookup costs the bucket's cache line and the record's: both can be prefetched over a run.
 */

#include "machines/kv_record.h"

enum {
    KV_SEGMENT_BUCKETS = 63,
    KV_BUCKET_SLOTS = 8,
    KV_SEGMENT_RECORDS_MAX = 448,   /* split above; 8/9 of the slots */
    KV_SEGMENT_RECORDS_MERGE = 200, /* two segments with less than this together become one */
    KV_DIRECTORY_SHIFT = 8,
    KV_DIRECTORY_COUNT = 1 << KV_DIRECTORY_SHIFT,
    KV_DEPTH_MAX = 31,
    KV_DEPTH_SPREAD_MAX = 8, /* a merge is not worth rewriting more than 256 directory entries */
    KV_ADDRESS_BITS = 48,
};

/* A cache line of slots. */
struct kv_bucket {
    uint64_t slot[KV_BUCKET_SLOTS];
};

struct kv_segment {
    struct memory_block block;
    uint32_t count;   /* records in it */
    uint32_t depth;   /* how many low bits of the hash its records share */
    uint32_t pattern; /* those bits */
    uint32_t unused[7];
    struct kv_bucket bucket[KV_SEGMENT_BUCKETS];
};

_Static_assert(sizeof(struct kv_segment) == MEMORY_PAGE_BYTES, "a segment is a page");
_Static_assert(offsetof(struct kv_segment, bucket) == CACHE_LINE_BYTES, "a bucket is a line");
_Static_assert(KV_SEGMENT_RECORDS_MAX < KV_SEGMENT_BUCKETS * KV_BUCKET_SLOTS,
               "a search ends at an empty slot");
_Static_assert(KV_SEGMENT_BUCKETS < 1 << 6, "home + 1 is 6 bits of the tag");
_Static_assert(KV_SEGMENT_RECORDS_MERGE * 2 < KV_SEGMENT_RECORDS_MAX,
               "a merged segment is far from being split again");

/* Zeroed: empty, and without memory. May be copied to another place. */
struct kv_table {
    struct kv_segment ***root; /* pages of KV_DIRECTORY_COUNT pointers; NULL while nothing is in */
    uint32_t depth;            /* of the directory */
    uint32_t segment_count;
    uint64_t count; /* records */
};

/* The bucket where the search for a hash begins. */
static inline uint32_t kv_home(uint64_t hash) {
    return (uint32_t)(((hash >> 32 & 0xffff) * KV_SEGMENT_BUCKETS) >> 16);
}

/* The tag of a hash, never 0. */
static inline uint64_t kv_tag(uint64_t hash) {
    return (uint64_t)(kv_home(hash) + 1) << 10 | (hash >> 22 & 0x3ff);
}

/* The record of a slot that is not empty. */
static inline struct kv_record *kv_slot_record(uint64_t slot) {
    return (struct kv_record *)(uintptr_t)(slot & ((UINT64_C(1) << KV_ADDRESS_BITS) - 1));
}

/* The segment of a hash; the table has had a record (root is not NULL). */
static inline struct kv_segment *kv_table_segment(const struct kv_table *table, uint64_t hash) {
    const uint64_t index = hash & ((UINT64_C(1) << table->depth) - 1);
    return table->root[index >> KV_DIRECTORY_SHIFT][index & (KV_DIRECTORY_COUNT - 1)];
}

/* First pass over a run: fetch the bucket. */
static inline void kv_table_prefetch_bucket(const struct kv_table *table, uint64_t hash) {
    if (table->root != NULL)
        __builtin_prefetch(&kv_table_segment(table, hash)->bucket[kv_home(hash)]);
}

/* Second pass, when the bucket has arrived: fetch the record. */
void kv_table_prefetch_record(const struct kv_table *table, uint64_t hash);

/* The slot of a key, or NULL. Valid until the next insert or remove. */
uint64_t *kv_table_find(const struct kv_table *table, uint64_t hash, const uint8_t *key,
                        uint32_t key_bytes);

/* The slot of a record that is in the table; `hash` is its key's, whole. */
uint64_t *kv_table_slot_of(const struct kv_table *table, uint64_t hash,
                           const struct kv_record *record);

/* Puts another record of the same key in a slot, which is not empty. */
static inline void kv_slot_set(uint64_t *slot, struct kv_record *record) {
    ASSERT_HOT((uintptr_t)record >> KV_ADDRESS_BITS == 0);
    ASSERT_HOT(kv_slot_record(*slot)->hash_low == record->hash_low);
    *slot = *slot >> KV_ADDRESS_BITS << KV_ADDRESS_BITS | (uintptr_t)record;
}

/* Inserts a record whose key is not in the table; `hash` is its key's, whole. Returns what it cost
 * in units: 0, or the KV_SEGMENT_RECORDS_MAX of a split. */
uint32_t kv_table_insert(struct kv_table *table, struct memory *memory, uint64_t hash,
                         struct kv_record *record);

/* Empties a slot. The record itself stays the caller's. */
void kv_table_remove(struct kv_table *table, struct memory *memory, uint64_t *slot);

/* Gives a table back in pieces: `give` frees each record, then segments and directory follow.
 * *place: 0 at first, how far it is. Returns whether there is more to do; until then the table can
 * only be given back further, at the end it is as if zeroed. */
bool kv_table_give_step(struct kv_table *table, struct memory *memory, uint64_t *place,
                        void (*give)(struct memory *memory, struct kv_record *record),
                        uint32_t *budget);

/* A place in the order: bits 42..11 segment, 10..5 home, 4..0 depth of the segment where the walk
 * stood. 0 is the beginning. */
#define KV_POSITION_BITS 43
#define KV_POSITION_END  (UINT64_C(1) << KV_POSITION_BITS)

/* One step of a walk from *position (any value below KV_POSITION_END): writes the records of one
 * home, at most KV_SEGMENT_RECORDS_MAX, to `records` (NULL: only count), advances *position, and
 * returns how many. */
uint32_t kv_table_walk(const struct kv_table *table, uint64_t *position,
                       struct kv_record **records);

/* The records whose hashes have these low `depth` bits and a home from `home` up to `home_end`. */
struct kv_table_cell {
    uint32_t depth;
    uint32_t pattern;
    uint32_t home;
    uint32_t home_end;
};

/* Writes the first `capacity` records of a cell to `records` (may be NULL if that is 0), in no
 * order, adds to *segments how many segments were looked into, and returns how many records the
 * cell has. Looks at records only if the cell is less than a segment has of these homes. */
uint32_t kv_table_gather(const struct kv_table *table, const struct kv_table_cell *cell,
                         struct kv_record **records, uint32_t capacity, uint32_t *segments);

#endif
