#ifndef WEIR_MACHINES_KV_RECORD_H
#define WEIR_MACHINES_KV_RECORD_H

/*
 * A record: one key, its value, and its deadline if it has one, in one object of the memory.
 *
 *     0  u32  hash                 the low half of the key's
 *     4  u32  change               the low half of the index of the entry that changed it last
 *     8  u32  key bytes, and above them type and flags
 *    12  u32  value bytes, and flags in the top bits
 *    16  [u64 deadline, u32 its place in the heap, u32 unused]   if KV_DEADLINED
 *        key
 *        value, or {u8 *data, u64 capacity} of an object apart   if KV_APART
 *               or {struct kv_collection *} of a large collection   if KV_LARGE
 *
 * Values up to KV_INLINE_BYTES_MAX lie in the record, so that a lookup touches the table's cache
 * line and the record's, and nothing else. A longer one lies apart: to change the record's head
 * then costs no copy of the value.
 *
 * A list, a set, a sorted set or a hash is a collection (kv_collection.h). A small one is a value
 * in packed form (kv_packed.h), which lies in the record; a large one is an object of its own,
 * whose elements are records as well, with a field or a member in place of the key.
 *
 * The table's directory needs no more of the hash than its low half; what else is needed stands in
 * the slot (kv_table.h). Who has a record alone, and needs all of it, computes it from the key.
 *
 * The change is what WATCH is about. Half an index is enough: asked is only whether the last change
 * is less old than the watch, and both ages are differences to the index of the entry that asks
 * (kv_changed_after).
 *
 * KV_EMITTED says that the running snapshot needs this record no more (kv_snapshot.h). It is
 * relative to the machine's parity: a new snapshot flips the meaning, not five million bits.
 */

#include "base/assert.h"
#include "base/bytes.h"
#include "machines/memory.h"

#include <string.h>

enum {
    KV_KEY_BYTES_MAX = 65536,       /* a key is copied and compared in one piece: 10 us at most */
    KV_VALUE_BYTES_MAX = 1 << 29,   /* 512 MiB, as Redis has it */
    KV_INLINE_BYTES_MAX = 4096,     /* 40 units */
    KV_LENGTH_MASK = (1 << 30) - 1, /* of value_word */
    KV_APART = 1 << 30,             /* of value_word */
    KV_KEY_LENGTH_MASK = (1 << 17) - 1, /* of key_word */
    KV_TYPE_SHIFT = 17,                 /* of key_word: three bits of enum kv_type */
    KV_TYPE_MASK = 7 << KV_TYPE_SHIFT,  /* of key_word */
    KV_LARGE = 1 << 20,                 /* of key_word */
    KV_MARKED = 1 << 21,    /* of key_word, of an element: chosen, within one command (SPOP) */
    KV_DEADLINED = 1 << 30, /* of key_word */
};
#define KV_EMITTED       (UINT32_C(1) << 31) /* of value_word */
#define KV_DEADLINE_NONE UINT64_MAX

_Static_assert(KV_VALUE_BYTES_MAX <= KV_LENGTH_MASK && KV_KEY_BYTES_MAX <= KV_KEY_LENGTH_MASK,
               "lengths share their word with flags");

/* What a value is. Numbers for ever: snapshots hold them. */
enum kv_type {
    KV_TYPE_STRING = 0,
    KV_TYPE_LIST = 1,
    KV_TYPE_SET = 2,
    KV_TYPE_ZSET = 3,
    KV_TYPE_HASH = 4,
    KV_TYPES,
};

/* The head, as drawn above. */
struct kv_record {
    uint32_t hash_low;
    uint32_t change;
    uint32_t key_word;
    uint32_t value_word;
    uint8_t bytes[];
};

_Static_assert(sizeof(struct kv_record) == 16, "what a key costs beside its bytes");

struct kv_deadline {
    uint64_t deadline_ms; /* KV_DEADLINE_NONE: it had one; not in the heap */
    uint32_t heap_index;
    uint32_t unused;
};

/* Where a long value lies, in place of the value. */
struct kv_apart {
    uint8_t *data;
    uint64_t capacity_bytes;
};

/* The key's length. */
static inline uint32_t kv_key_bytes(const struct kv_record *record) {
    return record->key_word & KV_KEY_LENGTH_MASK;
}

/* What the value is. */
static inline enum kv_type kv_type_of(const struct kv_record *record) {
    return (enum kv_type)((record->key_word & KV_TYPE_MASK) >> KV_TYPE_SHIFT);
}

/* Whether the value is a large collection: kv_collection_of has it (kv_collection.h). */
static inline bool kv_is_large(const struct kv_record *record) {
    return (record->key_word & KV_LARGE) != 0;
}

/* The value's length, wherever it lies: of a string, or of a collection in packed form; of a large
 * one that of the pointer. */
static inline uint32_t kv_value_bytes(const struct kv_record *record) {
    return record->value_word & KV_LENGTH_MASK;
}

/* Whether the value lies in an object of its own. */
static inline bool kv_is_apart(const struct kv_record *record) {
    return (record->value_word & KV_APART) != 0;
}

/* NULL if there is no room for one. */
static inline struct kv_deadline *kv_deadline_of(struct kv_record *record) {
    if ((record->key_word & KV_DEADLINED) == 0)
        return NULL;
    return (struct kv_deadline *)(void *)record->bytes;
}

/* The log time from which on the key is absent; KV_DEADLINE_NONE: it stays. */
static inline uint64_t kv_deadline_ms(const struct kv_record *record) {
    if ((record->key_word & KV_DEADLINED) == 0)
        return KV_DEADLINE_NONE;
    return ((const struct kv_deadline *)(const void *)record->bytes)->deadline_ms;
}

/* Where the key begins in `bytes`. */
static inline uint32_t kv_key_offset(const struct kv_record *record) {
    return (record->key_word & KV_DEADLINED) != 0 ? sizeof(struct kv_deadline) : 0;
}

/* The key. */
static inline const uint8_t *kv_key(const struct kv_record *record) {
    return record->bytes + kv_key_offset(record);
}

/* Where the long value lies; only if kv_is_apart. */
static inline struct kv_apart kv_apart_get(const struct kv_record *record) {
    struct kv_apart apart;
    memcpy(&apart, kv_key(record) + kv_key_bytes(record), sizeof(apart));
    return apart;
}

/* The value. */
static inline const uint8_t *kv_value(const struct kv_record *record) {
    if (kv_is_apart(record))
        return kv_apart_get(record).data;
    return kv_key(record) + kv_key_bytes(record);
}

/* Where the value, or the pointer to it, lies in the record. */
static inline uint8_t *kv_value_place(struct kv_record *record) {
    return record->bytes + kv_key_offset(record) + kv_key_bytes(record);
}

/* The size of a record of this shape, without what lies apart. */
static inline size_t kv_record_bytes_of(bool deadlined, uint32_t key_bytes, uint32_t value_bytes) {
    return sizeof(struct kv_record) + (deadlined ? sizeof(struct kv_deadline) : 0) + key_bytes +
           (value_bytes > KV_INLINE_BYTES_MAX ? sizeof(struct kv_apart) : value_bytes);
}

/* The size that memory_give wants. A value apart may have become short: the flag decides. */
static inline size_t kv_record_bytes(const struct kv_record *record) {
    return sizeof(struct kv_record) + kv_key_offset(record) + kv_key_bytes(record) +
           (kv_is_apart(record) ? sizeof(struct kv_apart) : kv_value_bytes(record));
}

/*
 * Whether the record was changed after the entry `watched`, asked in the entry `index`, which is
 * not before it and less than 2^32 entries later. A record that was not changed for 2^32 entries or
 * more may be said to have been, if its age modulo 2^32 happens to be less than that of the watch;
 * one that was changed is never missed.
 */
static inline bool kv_changed_after(const struct kv_record *record, uint64_t watched,
                                    uint64_t index) {
    ASSERT_HOT(watched <= index && index - watched <= UINT32_MAX);
    return (uint32_t)index - record->change < (uint32_t)(index - watched);
}

/* Whether this is the record of that key, whose hash is `hash`. */
static inline bool kv_key_equals(const struct kv_record *record, uint64_t hash, const uint8_t *key,
                                 uint32_t key_bytes) {
    return record->hash_low == (uint32_t)hash && kv_key_bytes(record) == key_bytes &&
           memcmp(kv_key(record), key, key_bytes) == 0;
}

#endif
