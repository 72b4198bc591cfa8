/*
 * The life of a kv machine: made empty, kept in order between commands, unmade in slices.
 *
 * All of it lies in memory of the host. This struct and its partitions are one piece; what is
 * inside a partition's memory (memory.h) is another matter, and goes back block by block.
 */

#include "machines/kv_collection.h"

#include "base/error.h"

static int kv_create(struct machine **out, const struct machine_host *host,
                     const struct machine_options *options) {
    ASSERT(options->partition_bits <= KV_PARTITION_BITS_MAX);
    ASSERT(options->value_bytes_max <= KV_VALUE_BYTES_MAX);
    const uint32_t count = 1u << options->partition_bits;
    const size_t gone_offset = sizeof(struct kv) + count * sizeof(struct kv_partition);
    const size_t length_bytes =
        ALIGN_UP(gone_offset + KV_GONE_CELLS * sizeof(uint64_t), (size_t)MEMORY_PAGE_BYTES);
    struct kv *kv = host->pages_take(host->context, length_bytes);
    if (kv == NULL)
        return WEIR_ENOMEM;
    kv->host = *host;
    kv->options = *options;
    kv->partition_count = count;
    kv->length_bytes = length_bytes;
    kv->gone = (uint64_t *)(void *)((uint8_t *)kv + gone_offset);
    kv->longest_bytes = KV_INLINE_BYTES_MAX;
    for (uint32_t i = 0; i < count; i++)
        memory_begin(&kv->partition[i].space.memory, &kv->host, &kv->fresh_pages);
    memory_begin(&kv->sources.memory, &kv->host, &kv->fresh_pages);
    *out = (struct machine *)kv;
    return 0;
}

static enum machine_progress kv_destroy(struct machine *machine, uint32_t budget) {
    struct kv *kv = (struct kv *)machine;
    kv_snapshot_discard(kv);
    kv_restore_discard(kv);
    kv_scratch_give(kv);
    if (kv->sources.memory.blocks != NULL)
        memory_retire(&kv->sources.memory, &kv->sources.retired);
    if (memory_retired_give(&kv->sources.retired, &kv->host, &budget))
        return MACHINE_MORE;
    for (; kv->destroy_partition < kv->partition_count; kv->destroy_partition++) {
        struct kv_partition *partition = &kv->partition[kv->destroy_partition];
        if (partition->space.memory.blocks != NULL)
            memory_retire(&partition->space.memory, &partition->retired);
        if (memory_retired_give(&partition->retired, &kv->host, &budget))
            return MACHINE_MORE;
    }
    const struct machine_host host = kv->host;
    host.pages_give(host.context, kv, kv->length_bytes);
    return MACHINE_DONE;
}

/* ---- Housekeeping ---------------------------------------------------------------------------- */

/* Removes what is due in one partition. KV_MORE: out of budget, or a snapshot must be written
 * first. Not in the digest: that a key is gone follows from its deadline, which is. */
static enum kv_step kv_remove_due(struct kv *kv, struct kv_partition *partition, uint32_t *budget) {
    struct kv_space *space = &partition->space;
    while (kv_expiry_next_ms(&space->expiry) <= kv->log_time_ms) {
        if (*budget == 0)
            return KV_MORE;
        struct kv_record *record = kv_expiry_first(&space->expiry);
        const uint64_t hash =
            machine_key_hash(kv_key(record), kv_key_bytes(record), kv->options.hash_seed);
        if (!kv_snapshot_protect(kv, partition, record))
            return KV_MORE;
        kv_space_remove(space, kv_table_slot_of(&space->table, hash, record));
        /* Heap, table and free list: about four places that are not in the cache. */
        *budget -= *budget < 4 ? *budget : 4;
    }
    return KV_DONE;
}

static enum machine_progress kv_maintain(struct machine *machine, uint64_t log_time_ms,
                                         uint32_t budget) {
    struct kv *kv = (struct kv *)machine;
    if (kv->log_time_ms < log_time_ms)
        kv->log_time_ms = log_time_ms;
    bool more = false;
    for (uint32_t i = 0; i < kv->partition_count; i++) {
        more |= kv_remove_due(kv, &kv->partition[i], &budget) == KV_MORE;
        more |= kv_graveyard_give(&kv->partition[i].space, &budget);
    }
    if (kv->flushing != 0) {
        bool left = false;
        for (uint32_t i = 0; i < kv->partition_count; i++)
            left |= memory_retired_give(&kv->partition[i].retired, &kv->host, &budget);
        kv->flushing = left;
        more |= left;
    }
    more |= kv_snapshot_sweep(kv, &budget);
    return more ? MACHINE_MORE : MACHINE_DONE;
}

static uint64_t kv_next_deadline_ms(const struct machine *machine) {
    const struct kv *kv = (const struct kv *)machine;
    uint64_t next_ms = UINT64_MAX;
    for (uint32_t i = 0; i < kv->partition_count; i++) {
        const uint64_t first_ms = kv_expiry_next_ms(&kv->partition[i].space.expiry);
        next_ms = first_ms < next_ms ? first_ms : next_ms;
    }
    return next_ms;
}

static uint64_t kv_memory_bytes(const struct machine *machine) {
    const struct kv *kv = (const struct kv *)machine;
    uint64_t bytes = kv->length_bytes + kv_snapshot_bytes(kv) + kv->scratch_bytes +
                     kv->sources.memory.used_bytes + kv->sources.retired.taken_bytes;
    for (uint32_t i = 0; i < kv->partition_count; i++)
        bytes += kv->partition[i].space.memory.used_bytes + kv->partition[i].retired.taken_bytes;
    return bytes;
}

static uint64_t kv_record_count(const struct machine *machine) {
    const struct kv *kv = (const struct kv *)machine;
    uint64_t count = 0;
    for (uint32_t i = 0; i < kv->partition_count; i++)
        count += kv->partition[i].space.table.count;
    return count;
}

static uint64_t kv_longest_bytes(const struct machine *machine) {
    return ((const struct kv *)machine)->longest_bytes;
}

/* 2: a snapshot says when a key was changed last, and of what kind it is; and what is gone. */
enum { KV_VERSION = 2 };

static int kv_upgrade(struct machine *machine, uint32_t from_version, uint32_t to_version) {
    (void)machine;
    return from_version == KV_VERSION && to_version == KV_VERSION ? 0 : WEIR_EVERSION;
}

const struct machine_operations machine_kv = {
    .abi_version = MACHINE_ABI_VERSION,
    .version = KV_VERSION,
    .name = "kv",
    .commands = kv_commands,
    .command_count = KV_ROWS,
    .partition_bits_max = KV_PARTITION_BITS_MAX,
    .key_bytes_max = KV_KEY_BYTES_MAX,
    .create = kv_create,
    .destroy = kv_destroy,
    .validate = kv_validate,
    .key_positions = kv_key_positions,
    .growth_bytes = kv_growth_bytes,
    .execute = kv_execute,
    .maintain = kv_maintain,
    .next_deadline_ms = kv_next_deadline_ms,
    .snapshot_begin = kv_snapshot_begin,
    .snapshot_emit = kv_snapshot_emit,
    .snapshot_end = kv_snapshot_end,
    .restore = kv_restore,
    .restore_end = kv_restore_end,
    .holds = kv_holds,
    .changed = kv_changed,
    .digest = kv_digest,
    .digest_full = kv_digest_full,
    .memory_bytes = kv_memory_bytes,
    .record_count = kv_record_count,
    .longest_bytes = kv_longest_bytes,
    .upgrade = kv_upgrade,
};
