/*
 * A snapshot: the state as of begin, written in slices while commands go on.
 *
 * Happy path: emit walks all records in the table's order (kv_table.h), writes those that have not
 * been written, and marks them. A command that is about to change a record not yet written has it
 * written first (kv_snapshot_protect). Records made since begin carry the mark from birth.
 *
 * The mark is one bit of the record, relative to the machine's parity: begin flips the parity and
 * thereby unmarks every record at once. After a complete snapshot all records are marked again;
 * after an abandoned one maintain has to mark the rest (sweep) before the next may begin.
 *
 * Bytes go through a stage of KV_STAGE_BYTES, so that a command can write without a sink. When
 * the stage is full, or a record too long for it is being written piece by piece, protect says no:
 * the command waits until emit has made room. It does not wait for a large hash or set of which it
 * changes an element: that element is written first, and the others when their turn comes
 * (kv_item.h).
 *
 * A flush would take away what is still to be written. So it hands the whole space over to the
 * snapshot, which reads it there and gives it back at end.
 *
 * Records that were due at begin are not part of the state and not written.
 *
 * Format, version 2 (all little-endian):
 *
 *     head     u64 magic, u32 partition bits, u32 zero, u64 hash seed, u64 index, u64 log time,
 *              of each partition: u64 running digest, u64 index of its last change, u64 that as
 *              it was before its last flush; then the cells of what is gone (kv_watch.c), u64 each
 *     record   u64 deadline in ms (all ones: none), u64 value bytes, u32 key bytes, u32 low half of
 *              the index of its last change, u32 kind, u32 zero, key, value
 *     ...      in any order, each key once
 *     tail     u64 number of records, u64 sum of the records' digests, u32 all ones, 3 u32 zero
 *
 *     kind     0 string, 1 list, 2 set, 3 sorted set, 4 hash; 256 more: large (kv_collection.h)
 *     value    a string's bytes, or a collection's elements in packed form (kv_packed.h): a list's
 *              and a sorted set's in their order, those of a compact one in the order that it has
 *              them in, those of a large hash or set in any
 *
 * It is valid if the head agrees with the machine's options, the tail is there with nothing behind
 * it, and number and sum agree with the records before it; and if collections have elements, none
 * twice where that may not be, and compact ones are not more than is compact.
 */

#include "machines/kv_snapshot.h"

#include "base/error.h"

enum kv_phase {
    KV_PHASE_RECORDS, /* the head is staged at begin */
    KV_PHASE_TAIL,
    KV_PHASE_WRITTEN, /* all is staged */
    KV_PHASE_SWEEP,   /* abandoned: marking what was not written */
};

enum {
    KV_STAGE_BYTES = 4 * KV_ITEM_SHORT_BYTES, /* longer records are written in pieces */
};

_Static_assert(KV_HEAD_BYTES_MAX + KV_ITEM_BYTES <= KV_STAGE_BYTES, "the head fits the stage");
_Static_assert(KV_ITEM_BYTES + KV_SLICE_BYTES <= KV_ITEM_SHORT_BYTES, "most records are short");

struct kv_snapshot {
    enum kv_phase phase;
    uint32_t partition; /* where the walk is */
    uint64_t position;
    uint64_t log_time_ms; /* of begin */
    uint64_t record_count;
    uint64_t digest_sum;
    uint64_t length_bytes; /* of this, as taken from the host */

    /* A long record being written in pieces; NULL: none. */
    struct kv_record *current;
    struct kv_item item; /* how much of it is staged */

    uint32_t staged_bytes;
    uint32_t drained_bytes;
    uint8_t stage[KV_STAGE_BYTES];

    /* Flushed since begin, and not yet written: by partition. */
    struct kv_pinned {
        bool is_pinned;
        struct kv_space space;
    } pinned[];
};

static bool kv_is_marked(const struct kv *kv, const struct kv_record *record) {
    return (record->value_word & KV_EMITTED) == kv->parity;
}

static void kv_mark(const struct kv *kv, struct kv_record *record) {
    record->value_word = (record->value_word & ~KV_EMITTED) | kv->parity;
}

/* ---- Begin and end --------------------------------------------------------------------------- */

static void kv_stage_head(struct kv *kv, struct kv_snapshot *snapshot, uint64_t index) {
    uint8_t *to = snapshot->stage;
    bytes_put_u64(to, KV_SNAPSHOT_MAGIC);
    bytes_put_u32(to + 8, kv->options.partition_bits);
    bytes_put_u32(to + 12, 0);
    bytes_put_u64(to + 16, kv->options.hash_seed);
    bytes_put_u64(to + 24, index);
    bytes_put_u64(to + 32, snapshot->log_time_ms);
    to += 40;
    for (uint32_t i = 0; i < kv->partition_count; i++) {
        bytes_put_u64(to, kv->partition[i].digest);
        bytes_put_u64(to + 8, kv->partition[i].changed);
        bytes_put_u64(to + 16, kv->partition[i].flushed);
        to += KV_HEAD_PARTITION_BYTES;
    }
    for (uint32_t i = 0; i < KV_GONE_CELLS; i++)
        bytes_put_u64(to + (size_t)8 * i, kv->gone[i]);
    snapshot->staged_bytes = kv_head_bytes(kv->partition_count);
}

int kv_snapshot_begin(struct machine *machine, const struct machine_moment *moment) {
    struct kv *kv = (struct kv *)machine;
    if (kv->snapshot != NULL) {
        ASSERT(kv->snapshot->phase == KV_PHASE_SWEEP); /* at most one at a time */
        return WEIR_EAGAIN;
    }
    const size_t length_bytes =
        ALIGN_UP(sizeof(struct kv_snapshot) + kv->partition_count * sizeof(struct kv_pinned),
                 (size_t)MEMORY_PAGE_BYTES);
    struct kv_snapshot *snapshot = kv->host.pages_take(kv->host.context, length_bytes);
    if (snapshot == NULL)
        return WEIR_ENOMEM;
    if (kv->log_time_ms < moment->log_time_ms)
        kv->log_time_ms = moment->log_time_ms;
    snapshot->length_bytes = length_bytes;
    snapshot->log_time_ms = kv->log_time_ms;
    kv_stage_head(kv, snapshot, moment->index);
    kv->parity ^= KV_EMITTED;
    kv->snapshot = snapshot;
    return 0;
}

static void kv_snapshot_unpin(struct kv *kv) {
    for (uint32_t i = 0; i < kv->partition_count; i++) {
        struct kv_pinned *pinned = &kv->snapshot->pinned[i];
        if (!pinned->is_pinned)
            continue;
        memory_retire(&pinned->space.memory, &kv->partition[i].retired);
        pinned->is_pinned = false;
        kv->flushing = 1;
    }
}

static void kv_snapshot_free(struct kv *kv) {
    kv->host.pages_give(kv->host.context, kv->snapshot, kv->snapshot->length_bytes);
    kv->snapshot = NULL;
}

void kv_snapshot_end(struct machine *machine) {
    struct kv *kv = (struct kv *)machine;
    struct kv_snapshot *snapshot = kv->snapshot;
    ASSERT(snapshot != NULL && snapshot->phase != KV_PHASE_SWEEP);
    if (snapshot->current != NULL)
        kv_item_abandon(&snapshot->item);
    kv_snapshot_unpin(kv);
    if (snapshot->phase == KV_PHASE_RECORDS) {
        snapshot->phase = KV_PHASE_SWEEP;
        snapshot->current = NULL;
    } else {
        kv_snapshot_free(kv);
    }
}

void kv_snapshot_discard(struct kv *kv) {
    if (kv->snapshot == NULL)
        return;
    kv_snapshot_unpin(kv);
    kv_snapshot_free(kv);
}

bool kv_snapshot_sweep(struct kv *kv, uint32_t *budget) {
    struct kv_snapshot *snapshot = kv->snapshot;
    if (snapshot == NULL || snapshot->phase != KV_PHASE_SWEEP)
        return false;
    struct kv_record *records[KV_SEGMENT_RECORDS_MAX];
    while (snapshot->partition < kv->partition_count) {
        if (*budget == 0)
            return true;
        const struct kv_table *table = &kv->partition[snapshot->partition].space.table;
        const uint32_t count = kv_table_walk(table, &snapshot->position, records);
        for (uint32_t i = 0; i < count; i++)
            kv_mark(kv, records[i]);
        *budget -= count + 1 < *budget ? count + 1 : *budget;
        if (snapshot->position == KV_POSITION_END) {
            snapshot->partition++;
            snapshot->position = 0;
        }
    }
    kv_snapshot_free(kv);
    return false;
}

uint64_t kv_snapshot_bytes(const struct kv *kv) {
    if (kv->snapshot == NULL)
        return 0;
    uint64_t bytes = kv->snapshot->length_bytes;
    for (uint32_t i = 0; i < kv->partition_count; i++)
        if (kv->snapshot->pinned[i].is_pinned)
            bytes += kv->snapshot->pinned[i].space.memory.used_bytes;
    return bytes;
}

/* ---- One record ------------------------------------------------------------------------------ */

enum kv_written { KV_WRITTEN, KV_NO_ROOM, KV_IN_PIECES };

static void kv_count_written(struct kv *kv, const struct kv_item *item) {
    kv->snapshot->digest_sum += item->digest;
    kv->snapshot->record_count++;
    kv_mark(kv, item->record);
}

/* Writes an unmarked record to the stage and marks it; a long one is only begun. */
static enum kv_written kv_write(struct kv *kv, struct kv_record *record) {
    struct kv_snapshot *snapshot = kv->snapshot;
    ASSERT_HOT(snapshot->current == NULL && !kv_is_marked(kv, record));
    if (kv_deadline_ms(record) <= snapshot->log_time_ms) {
        kv_mark(kv, record);
        return KV_WRITTEN;
    }
    if (!kv_item_is_short(record)) {
        snapshot->current = record;
        kv_item_begin(&snapshot->item, record);
        return KV_IN_PIECES;
    }
    if (kv_item_bytes(record) > KV_STAGE_BYTES - snapshot->staged_bytes)
        return KV_NO_ROOM;
    struct kv_item item;
    kv_item_begin(&item, record);
    while (!kv_item_is_done(&item)) {
        uint32_t unlimited = UINT32_MAX;
        const uint32_t room = KV_STAGE_BYTES - snapshot->staged_bytes;
        snapshot->staged_bytes +=
            kv_item_write(&item, snapshot->stage + snapshot->staged_bytes, room, &unlimited);
    }
    kv_count_written(kv, &item);
    return KV_WRITTEN;
}

bool kv_snapshot_protect(struct kv *kv, struct kv_partition *partition, struct kv_record *record) {
    struct kv_snapshot *snapshot = kv->snapshot;
    (void)partition;
    if (snapshot == NULL || kv_is_marked(kv, record))
        return true;
    if (snapshot->phase == KV_PHASE_SWEEP) {
        kv_mark(kv, record);
        return true;
    }
    ASSERT(snapshot->phase == KV_PHASE_RECORDS);
    return snapshot->current == NULL && kv_write(kv, record) == KV_WRITTEN;
}

/* Ends the long record if all of it is staged. */
static void kv_end_item(struct kv *kv) {
    struct kv_snapshot *snapshot = kv->snapshot;
    if (!kv_item_is_done(&snapshot->item))
        return;
    kv_count_written(kv, &snapshot->item);
    snapshot->current = NULL;
}

bool kv_snapshot_is_writing(const struct kv *kv, const struct kv_record *record) {
    return kv->snapshot != NULL && kv->snapshot->current == record;
}

bool kv_snapshot_protect_element(struct kv *kv, struct kv_record *record,
                                 struct kv_record *element) {
    struct kv_snapshot *snapshot = kv->snapshot;
    if (!kv_snapshot_is_writing(kv, record) && kv_snapshot_protect(kv, NULL, record))
        return true;
    if (!kv_snapshot_is_writing(kv, record))
        return false; /* another one is, or there is no room */
    uint32_t written;
    const bool may =
        kv_item_protect(&snapshot->item, element, snapshot->stage + snapshot->staged_bytes,
                        KV_STAGE_BYTES - snapshot->staged_bytes, &written);
    snapshot->staged_bytes += written;
    kv_end_item(kv);
    return may;
}

void kv_snapshot_flush(struct kv *kv, struct kv_partition *partition) {
    struct kv_snapshot *snapshot = kv->snapshot;
    struct kv_space *space = &partition->space;
    const uint32_t index = (uint32_t)(partition - kv->partition);
    const bool needed = snapshot != NULL && snapshot->phase == KV_PHASE_RECORDS &&
                        index >= snapshot->partition && !snapshot->pinned[index].is_pinned;
    if (needed) {
        snapshot->pinned[index] = (struct kv_pinned){.is_pinned = true, .space = *space};
        memory_begin(&space->memory, &kv->host, &kv->fresh_pages);
    } else {
        memory_retire(&space->memory, &partition->retired);
        kv->flushing = 1;
    }
    space->table = (struct kv_table){0};
    space->expiry = (struct kv_expiry){0};
    space->graveyard = NULL;
}

/* ---- Emitting -------------------------------------------------------------------------------- */

static void kv_spend_units(uint32_t *budget, uint64_t units) {
    *budget -= units < *budget ? (uint32_t)units : *budget;
}

/* Hands the stage to the sink. False: the sink is full, or the budget used up. */
static bool kv_drain(struct kv_snapshot *snapshot, const struct machine_sink *sink,
                     uint32_t *budget) {
    while (snapshot->drained_bytes < snapshot->staged_bytes) {
        const uint32_t left = snapshot->staged_bytes - snapshot->drained_bytes;
        const uint32_t length =
            left < MACHINE_SINK_BYTES_MAX ? left : (uint32_t)MACHINE_SINK_BYTES_MAX;
        uint8_t *to = sink->reserve(sink->context, length);
        if (to == NULL)
            return false;
        memcpy(to, snapshot->stage + snapshot->drained_bytes, length);
        sink->commit(sink->context, length);
        snapshot->drained_bytes += length;
        kv_spend_units(budget, 1 + length / KV_UNIT_BYTES);
        if (*budget == 0 && snapshot->drained_bytes < snapshot->staged_bytes)
            return false;
    }
    snapshot->drained_bytes = snapshot->staged_bytes = 0;
    return true;
}

/* One step at the long record. */
static enum kv_written kv_write_piece(struct kv *kv, uint32_t *budget) {
    struct kv_snapshot *snapshot = kv->snapshot;
    uint32_t room = KV_STAGE_BYTES - snapshot->staged_bytes;
    if (room == 0)
        return KV_NO_ROOM;
    room = room < KV_SLICE_BYTES ? room : KV_SLICE_BYTES;
    snapshot->staged_bytes +=
        kv_item_write(&snapshot->item, snapshot->stage + snapshot->staged_bytes, room, budget);
    kv_spend_units(budget, 1);
    kv_end_item(kv);
    return KV_WRITTEN;
}

/* One step of the walk: the records of one home. If one of them has to wait, the step is done
 * again; those written are marked by then. */
static enum kv_written kv_write_home(struct kv *kv, uint32_t *budget) {
    struct kv_snapshot *snapshot = kv->snapshot;
    const uint32_t index = snapshot->partition;
    const struct kv_table *table = snapshot->pinned[index].is_pinned
                                       ? &snapshot->pinned[index].space.table
                                       : &kv->partition[index].space.table;
    struct kv_record *records[KV_SEGMENT_RECORDS_MAX];
    uint64_t position = snapshot->position;
    const uint32_t count = kv_table_walk(table, &position, records);
    kv_spend_units(budget, 1);
    for (uint32_t i = 0; i < count; i++) {
        if (kv_is_marked(kv, records[i]))
            continue;
        kv_spend_units(budget, 1 + kv_item_bytes(records[i]) / KV_UNIT_BYTES);
        const enum kv_written written = kv_write(kv, records[i]);
        if (written != KV_WRITTEN)
            return written;
    }
    snapshot->position = position;
    if (position == KV_POSITION_END) {
        snapshot->position = 0;
        if (++snapshot->partition == kv->partition_count)
            snapshot->phase = KV_PHASE_TAIL;
    }
    return KV_WRITTEN;
}

static enum kv_written kv_write_tail(struct kv_snapshot *snapshot) {
    if (KV_STAGE_BYTES - snapshot->staged_bytes < KV_ITEM_BYTES)
        return KV_NO_ROOM;
    uint8_t *to = snapshot->stage + snapshot->staged_bytes;
    bytes_put_u64(to, snapshot->record_count);
    bytes_put_u64(to + 8, snapshot->digest_sum);
    bytes_put_u32(to + 16, KV_TAIL_MARK);
    memset(to + 20, 0, KV_ITEM_BYTES - 20);
    snapshot->staged_bytes += KV_ITEM_BYTES;
    snapshot->phase = KV_PHASE_WRITTEN;
    return KV_WRITTEN;
}

enum machine_progress kv_snapshot_emit(struct machine *machine, const struct machine_sink *sink,
                                       uint32_t budget) {
    struct kv *kv = (struct kv *)machine;
    struct kv_snapshot *snapshot = kv->snapshot;
    ASSERT(snapshot != NULL && snapshot->phase != KV_PHASE_SWEEP);
    while (snapshot->phase != KV_PHASE_WRITTEN) {
        if (budget == 0)
            return MACHINE_MORE;
        enum kv_written written;
        if (snapshot->current != NULL)
            written = kv_write_piece(kv, &budget);
        else if (snapshot->phase == KV_PHASE_RECORDS)
            written = kv_write_home(kv, &budget);
        else
            written = kv_write_tail(snapshot);
        if (written == KV_NO_ROOM && !kv_drain(snapshot, sink, &budget))
            return MACHINE_MORE;
    }
    return kv_drain(snapshot, sink, &budget) ? MACHINE_DONE : MACHINE_MORE;
}
