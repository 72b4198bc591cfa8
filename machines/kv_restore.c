/*
 * The way back from a snapshot's bytes (format: kv_snapshot.c), which arrive in any slicing.
 *
 * Happy path: head, then for each record its head, then key and value straight into a new record,
 * which is digested and inserted; the tail last. Heads are gathered in a scratch buffer.
 *
 * Failure: bytes that are not such a snapshot, or not this machine's, give WEIR_ECORRUPT, although
 * their checksum was right: they may have been written for another cluster. The machine then holds
 * a part of them, and may only be destroyed.
 */

#include "machines/kv_restore_elements.h"
#include "machines/kv_snapshot.h"

#include "base/error.h"

enum kv_restoring {
    KV_RESTORING_HEAD,
    KV_RESTORING_ITEM, /* the head of a record, or the tail */
    KV_RESTORING_KEY,
    KV_RESTORING_VALUE,
    KV_RESTORING_ELEMENTS, /* of a large collection, in place of the value */
    KV_RESTORING_DIGEST,   /* and insertion */
    KV_RESTORING_COMPLETE,
};

struct kv_restore {
    enum kv_restoring state;
    uint32_t have_bytes; /* of what the state gathers */
    uint8_t scratch[KV_HEAD_BYTES_MAX + KV_KEY_BYTES_MAX];
    uint32_t key_bytes;
    uint64_t value_bytes;
    uint32_t change;
    enum kv_type type;
    bool is_large;
    struct kv_restore_elements elements;
    uint64_t hash;
    uint64_t deadline_ms;
    struct kv_record *record;
    uint8_t *value; /* where it goes */
    struct kv_digest_state digesting;
    uint64_t digest_sum;
    uint64_t record_count;
};

#define KV_RESTORE_BYTES ALIGN_UP(sizeof(struct kv_restore), (size_t)MEMORY_PAGE_BYTES)

/* Where the bytes of the current state go, and how many make it complete. */
static uint32_t kv_restore_target(const struct kv *kv, struct kv_restore *restore, uint8_t **to) {
    *to = restore->scratch;
    switch (restore->state) {
    case KV_RESTORING_HEAD: return kv_head_bytes(kv->partition_count);
    case KV_RESTORING_ITEM: return KV_ITEM_BYTES;
    case KV_RESTORING_KEY: return restore->key_bytes;
    case KV_RESTORING_VALUE: *to = restore->value; return (uint32_t)restore->value_bytes;
    case KV_RESTORING_ELEMENTS:
    case KV_RESTORING_DIGEST:
    case KV_RESTORING_COMPLETE: return 0;
    }
    UNREACHABLE("a state that is none");
}

static int kv_restore_head(struct kv *kv, struct kv_restore *restore) {
    const uint8_t *from = restore->scratch;
    if (bytes_get_u64(from) != KV_SNAPSHOT_MAGIC ||
        bytes_get_u32(from + 8) != kv->options.partition_bits || bytes_get_u32(from + 12) != 0 ||
        bytes_get_u64(from + 16) != kv->options.hash_seed)
        return WEIR_ECORRUPT;
    kv->log_time_ms = bytes_get_u64(from + 32);
    from += 40;
    for (uint32_t i = 0; i < kv->partition_count; i++) {
        kv->partition[i].digest = bytes_get_u64(from);
        kv->partition[i].changed = bytes_get_u64(from + 8);
        kv->partition[i].flushed = bytes_get_u64(from + 16);
        from += KV_HEAD_PARTITION_BYTES;
    }
    for (uint32_t i = 0; i < KV_GONE_CELLS; i++)
        kv->gone[i] = bytes_get_u64(from + (size_t)8 * i);
    restore->state = KV_RESTORING_ITEM;
    return 0;
}

/* Whether there may be a value of that type, and so long. */
static bool kv_restore_is_possible(const struct kv_restore *restore) {
    if (restore->key_bytes > KV_KEY_BYTES_MAX || restore->type >= KV_TYPES)
        return false;
    if (restore->type == KV_TYPE_STRING)
        return !restore->is_large && restore->value_bytes <= KV_VALUE_BYTES_MAX;
    return restore->value_bytes > 0 &&
           (restore->is_large || restore->value_bytes <= KV_INLINE_BYTES_MAX);
}

static int kv_restore_item(struct kv_restore *restore) {
    const uint8_t *from = restore->scratch;
    restore->deadline_ms = bytes_get_u64(from);
    restore->value_bytes = bytes_get_u64(from + 8);
    restore->key_bytes = bytes_get_u32(from + 16);
    restore->change = bytes_get_u32(from + 20);
    const uint32_t kind = bytes_get_u32(from + 24);
    if (bytes_get_u32(from + 28) != 0)
        return WEIR_ECORRUPT;
    if (restore->key_bytes == KV_TAIL_MARK) {
        const bool whole = restore->deadline_ms == restore->record_count &&
                           restore->value_bytes == restore->digest_sum && restore->change == 0 &&
                           kind == 0;
        restore->state = KV_RESTORING_COMPLETE;
        return whole ? 0 : WEIR_ECORRUPT;
    }
    restore->is_large = (kind & KV_ITEM_LARGE) != 0;
    restore->type = (enum kv_type)(kind & ~(uint32_t)KV_ITEM_LARGE);
    restore->state = KV_RESTORING_KEY;
    return kv_restore_is_possible(restore) ? 0 : WEIR_ECORRUPT;
}

static struct kv_partition *kv_restore_partition(struct kv *kv, uint64_t hash) {
    return &kv->partition[machine_partition(hash, kv->options.partition_bits)];
}

/* The key is known: makes the record, its value still to come. */
static int kv_restore_key(struct kv *kv, struct kv_restore *restore) {
    const uint8_t *key = restore->scratch;
    const uint64_t hash = machine_key_hash(key, restore->key_bytes, kv->options.hash_seed);
    struct kv_space *space = &kv_restore_partition(kv, hash)->space;
    if (kv_table_find(&space->table, hash, key, restore->key_bytes) != NULL)
        return WEIR_ECORRUPT;
    const uint64_t value_bytes =
        restore->is_large ? sizeof(struct kv_collection *) : restore->value_bytes;
    struct kv_record *record = kv_record_make(kv, &space->memory, hash, restore->change,
                                              restore->deadline_ms != KV_DEADLINE_NONE,
                                              restore->key_bytes, (uint32_t)value_bytes);
    record->key_word |= (uint32_t)restore->type << KV_TYPE_SHIFT;
    memcpy(record->bytes + kv_key_offset(record), key, restore->key_bytes);
    restore->value = kv_value_place(record);
    restore->state = KV_RESTORING_VALUE;
    if (restore->is_large) {
        struct kv_collection *collection = kv_collection_make(&space->memory, restore->type);
        record->key_word |= KV_LARGE;
        memcpy(kv_value_place(record), &collection, sizeof(collection));
        kv_restore_elements_begin(&restore->elements, collection, &space->memory,
                                  restore->value_bytes, restore->scratch);
        restore->state = KV_RESTORING_ELEMENTS;
    } else if (kv_is_apart(record)) {
        const struct kv_apart apart = {memory_take(&space->memory, value_bytes),
                                       memory_usable_bytes(value_bytes)};
        memcpy(kv_value_place(record), &apart, sizeof(apart));
        restore->value = apart.data;
    }
    restore->record = record;
    restore->hash = hash;
    return 0;
}

/* The value is there: that of a compact collection is judged. */
static int kv_restore_value(struct kv_restore *restore) {
    restore->state = KV_RESTORING_DIGEST;
    if (restore->type == KV_TYPE_STRING ||
        kv_restore_compact_check(restore->type, restore->value, (uint32_t)restore->value_bytes))
        return 0;
    return WEIR_ECORRUPT;
}

/* The record is whole: it counts from here on. */
static void kv_restore_insert(struct kv *kv, struct kv_restore *restore, uint32_t *budget) {
    struct kv_record *record = restore->record;
    struct kv_space *space = &kv_restore_partition(kv, restore->hash)->space;
    if (kv_deadline_of(record) != NULL && kv_deadline_of(record)->deadline_ms == KV_DEADLINE_NONE)
        kv_expiry_set(&space->expiry, &space->memory, record, restore->deadline_ms);
    uint64_t digest = 0;
    if (!kv_digest_record(record, &restore->digesting, &digest, budget))
        return;
    const uint32_t units =
        1 + kv_table_insert(&space->table, &space->memory, restore->hash, record);
    *budget -= units < *budget ? units : *budget;
    restore->digest_sum += digest;
    restore->record_count++;
    restore->record = NULL;
    restore->state = KV_RESTORING_ITEM;
}

/* What the state gathered is complete: goes on to the next. */
static int kv_restore_advance(struct kv *kv, struct kv_restore *restore) {
    restore->have_bytes = 0;
    switch (restore->state) {
    case KV_RESTORING_HEAD: return kv_restore_head(kv, restore);
    case KV_RESTORING_ITEM: return kv_restore_item(restore);
    case KV_RESTORING_KEY: return kv_restore_key(kv, restore);
    case KV_RESTORING_VALUE: return kv_restore_value(restore);
    case KV_RESTORING_ELEMENTS:
    case KV_RESTORING_DIGEST:
    case KV_RESTORING_COMPLETE: break;
    }
    UNREACHABLE("this state gathers nothing");
}

static int kv_restore_open(struct kv *kv) {
    for (uint32_t i = 0; i < kv->partition_count; i++)
        ASSERT(kv->partition[i].space.table.count == 0);
    kv->restore = kv->host.pages_take(kv->host.context, KV_RESTORE_BYTES);
    return kv->restore != NULL ? 0 : WEIR_ENOMEM;
}

/* Takes at most a slice of the bytes. */
static int kv_restore_bytes(struct kv *kv, struct kv_restore *restore, const uint8_t *bytes,
                            size_t length_bytes, size_t *consumed, uint32_t *budget) {
    uint8_t *to;
    const uint32_t wanted = kv_restore_target(kv, restore, &to);
    const size_t left = wanted - restore->have_bytes;
    size_t length = left < length_bytes ? left : length_bytes;
    length = length < KV_SLICE_BYTES ? length : KV_SLICE_BYTES;
    if (length > 0)
        memcpy(to + restore->have_bytes, bytes, length);
    *consumed += length;
    restore->have_bytes += (uint32_t)length;
    const uint32_t units = 1 + (uint32_t)length / KV_UNIT_BYTES;
    *budget -= units < *budget ? units : *budget;
    return restore->have_bytes == wanted ? kv_restore_advance(kv, restore) : 0;
}

int kv_restore(struct machine *machine, uint32_t version, const uint8_t *bytes, size_t length_bytes,
               size_t *consumed, uint32_t budget) {
    struct kv *kv = (struct kv *)machine;
    *consumed = 0;
    if (version != machine_kv.version)
        return WEIR_EVERSION;
    if (kv->restore == NULL && kv_restore_open(kv) != 0)
        return WEIR_ENOMEM;
    struct kv_restore *restore = kv->restore;
    for (;;) {
        const bool hungry = restore->state != KV_RESTORING_DIGEST;
        if (hungry && *consumed == length_bytes)
            return MACHINE_DONE;
        if (budget == 0)
            return MACHINE_MORE;
        if (restore->state == KV_RESTORING_COMPLETE)
            return WEIR_ECORRUPT; /* bytes behind the tail */
        if (!hungry) {
            kv_restore_insert(kv, restore, &budget);
            continue;
        }
        if (restore->state == KV_RESTORING_ELEMENTS) {
            const int wrong = kv_restore_elements_take(kv, &restore->elements, bytes + *consumed,
                                                       length_bytes - *consumed, consumed, &budget);
            if (wrong != 0)
                return wrong;
            if (kv_restore_elements_done(&restore->elements))
                restore->state = KV_RESTORING_DIGEST;
            continue;
        }
        const int error = kv_restore_bytes(kv, restore, bytes + *consumed, length_bytes - *consumed,
                                           consumed, &budget);
        if (error != 0)
            return error;
    }
}

int kv_restore_end(struct machine *machine) {
    struct kv *kv = (struct kv *)machine;
    if (kv->restore == NULL || kv->restore->state != KV_RESTORING_COMPLETE)
        return WEIR_ECORRUPT;
    kv_restore_discard(kv);
    return 0;
}

void kv_restore_discard(struct kv *kv) {
    if (kv->restore == NULL)
        return;
    kv->host.pages_give(kv->host.context, kv->restore, KV_RESTORE_BYTES);
    kv->restore = NULL;
}
