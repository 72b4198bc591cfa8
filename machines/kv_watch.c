/*
 * WATCH: whether a key is as it was.
 *
 * Happy path: the key is there, as it was when it was watched, and its record says that it was
 * changed no later.
 *
 * What else may happen: it was there and is not, or the other way round: it was changed. It was
 * absent and is absent: it may have come and gone in between. A key goes when it is removed, when
 * all are, or when its time is over; so the indexes of removals stand in a table of few cells, in
 * the cell of the key's hash, and so do those of changes after which a key had a deadline, since it
 * may be gone at any time after that, unseen. (Not those of removals by expiry: replicas remove
 * what is due at different times, and must come to the same answer.) A cell is of many keys, so
 * that a key may be said to have changed because another one in its cell was; no change is missed.
 * Of a flush it is noted up to where its partition had been changed before.
 *
 * Cells and notes are part of the state: snapshots have them.
 */

#include "machines/kv.h"

static uint64_t *kv_gone_cell(struct kv *kv, const struct kv_partition *partition, uint64_t hash) {
    const uint32_t cells = KV_GONE_CELLS >> kv->options.partition_bits;
    const uint32_t index = (uint32_t)(partition - kv->partition);
    ASSERT_HOT(index < kv->partition_count && cells > 0);
    return &kv->gone[index * cells + (hash & (cells - 1))];
}

void kv_gone_note(const struct kv_call *call, const struct kv_found *found) {
    uint64_t *cell = kv_gone_cell(call->kv, found->partition, found->hash);
    if (*cell < call->run->moment.index)
        *cell = call->run->moment.index;
}

/* The record of a key at a log time; NULL: it is absent. */
static const struct kv_record *kv_present(const struct kv_partition *partition, uint64_t hash,
                                          const uint8_t *key, uint32_t key_bytes, uint64_t now_ms) {
    const uint64_t *slot = kv_table_find(&partition->space.table, hash, key, key_bytes);
    if (slot == NULL)
        return NULL;
    const struct kv_record *record = kv_slot_record(*slot);
    return kv_deadline_ms(record) > now_ms ? record : NULL;
}

static const struct kv_partition *kv_partition_of(const struct kv *kv, uint64_t hash) {
    return &kv->partition[machine_partition(hash, kv->options.partition_bits)];
}

bool kv_holds(const struct machine *machine, const struct machine_argument *key, uint64_t hash,
              const struct machine_moment *moment) {
    const struct kv *kv = (const struct kv *)machine;
    return kv_present(kv_partition_of(kv, hash), hash, key->data, key->length_bytes,
                      moment->log_time_ms) != NULL;
}

bool kv_changed(const struct machine *machine, const struct machine_watch *watch,
                const struct machine_moment *moment) {
    struct kv *kv = (struct kv *)(uintptr_t)machine; /* it is not changed */
    const struct kv_partition *partition = kv_partition_of(kv, watch->hash);
    if (watch->index > moment->index || moment->index - watch->index > UINT32_MAX)
        return true; /* as good as any answer, and the same everywhere */
    const struct kv_record *record = kv_present(partition, watch->hash, watch->key.data,
                                                watch->key.length_bytes, moment->log_time_ms);
    if ((record != NULL) != watch->present)
        return true;
    if (record != NULL)
        return kv_changed_after(record, watch->index, moment->index);
    return *kv_gone_cell(kv, partition, watch->hash) > watch->index ||
           partition->flushed > watch->index;
}
