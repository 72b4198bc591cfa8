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

#include "machines/kv_collection.h"
#include "machines/kv_snapshot.h"

#include "base/error.h"

enum kv_restoring {
    KV_RESTORING_HEAD,
    KV_RESTORING_ITEM, /* the head of a record, or the tail */
    KV_RESTORING_KEY,
    KV_RESTORING_VALUE,
    KV_RESTORING_DIGEST, /* and insertion */
    KV_RESTORING_COMPLETE,
};

struct kv_restore {
    enum kv_restoring state;
    uint32_t have_bytes; /* of what the state gathers */
    uint8_t scratch[KV_HEAD_BYTES_MAX + KV_KEY_BYTES_MAX];
    uint32_t key_bytes;
    uint32_t value_bytes;
    uint32_t change;
    enum kv_type type;
    uint64_t hash;
    uint64_t deadline_ms;
    struct kv_record *record;
    uint8_t *value; /* where it goes */
    uint64_t digest_offset;
    uint64_t digest;
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
    case KV_RESTORING_VALUE: *to = restore->value; return restore->value_bytes;
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

static int kv_restore_item(struct kv_restore *restore) {
    const uint8_t *from = restore->scratch;
    restore->deadline_ms = bytes_get_u64(from);
    restore->key_bytes = bytes_get_u32(from + 8);
    restore->value_bytes = bytes_get_u32(from + 12);
    restore->change = bytes_get_u32(from + 16);
    const uint32_t kind = bytes_get_u32(from + 20);
    if (restore->key_bytes == KV_TAIL_MARK) {
        const bool whole = restore->value_bytes == 0 &&
                           restore->deadline_ms == restore->record_count &&
                           bytes_get_u64(from + 16) == restore->digest_sum;
        restore->state = KV_RESTORING_COMPLETE;
        return whole ? 0 : WEIR_ECORRUPT;
    }
    if (restore->key_bytes > KV_KEY_BYTES_MAX || restore->value_bytes > KV_VALUE_BYTES_MAX ||
        kind >= KV_TYPES)
        return WEIR_ECORRUPT;
    restore->type = (enum kv_type)kind;
    if (restore->type != KV_TYPE_STRING &&
        (restore->value_bytes == 0 || restore->value_bytes > KV_INLINE_BYTES_MAX))
        return WEIR_ECORRUPT;
    restore->state = KV_RESTORING_KEY;
    return 0;
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
    struct kv_record *record = kv_record_make(kv, &space->memory, hash, restore->change,
                                              restore->deadline_ms != KV_DEADLINE_NONE,
                                              restore->key_bytes, restore->value_bytes);
    record->key_word |= (uint32_t)restore->type << KV_TYPE_SHIFT;
    memcpy(record->bytes + kv_key_offset(record), key, restore->key_bytes);
    restore->value = kv_value_place(record);
    if (kv_is_apart(record)) {
        const struct kv_apart apart = {memory_take(&space->memory, restore->value_bytes),
                                       memory_usable_bytes(restore->value_bytes)};
        memcpy(kv_value_place(record), &apart, sizeof(apart));
        restore->value = apart.data;
    }
    restore->record = record;
    restore->hash = hash;
    restore->state = KV_RESTORING_VALUE;
    return 0;
}

/* The value is there: that of a collection is judged. */
static int kv_restore_value(struct kv_restore *restore) {
    uint64_t count;
    const uint32_t stride = kv_stride(restore->type);
    restore->state = KV_RESTORING_DIGEST;
    if (restore->type == KV_TYPE_STRING)
        return 0;
    return kv_packed_check(restore->value, restore->value_bytes, &count) && count % stride == 0 &&
                   kv_compact_takes(count / stride, restore->value_bytes)
               ? 0
               : WEIR_ECORRUPT;
}

/* The record is whole: it counts from here on. */
static void kv_restore_insert(struct kv *kv, struct kv_restore *restore, uint32_t *budget) {
    struct kv_record *record = restore->record;
    struct kv_space *space = &kv_restore_partition(kv, restore->hash)->space;
    if (kv_deadline_of(record) != NULL && kv_deadline_of(record)->deadline_ms == KV_DEADLINE_NONE)
        kv_expiry_set(&space->expiry, &space->memory, record, restore->deadline_ms);
    if (!kv_digest_record(record, &restore->digest_offset, &restore->digest, budget))
        return;
    const uint32_t units =
        1 + kv_table_insert(&space->table, &space->memory, restore->hash, record);
    *budget -= units < *budget ? units : *budget;
    restore->digest_sum += restore->digest;
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
