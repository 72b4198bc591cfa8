#ifndef WEIR_STAGES_SNAPSHOT_BOX_H
#define WEIR_STAGES_SNAPSHOT_BOX_H

/*
 * That a snapshot is complete, on its way from apply, which has taken it, to replicate, which may
 * then drop the log before it, and can send it to others.
 *
 * The box holds one record, like that of digests (stages/digest.h): apply fills it while it is
 * empty, replicate empties it.  If it is still full when apply has the next one, apply tries again
 * at its next turns; only the newest is of interest.  Whoever puts a record in also sends the other
 * a note.
 */

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "queues/atomic.h"

/* One snapshot file. */
struct snapshot_record {
    uint64_t index; /* of the last entry that it covers; 0: none */
    uint64_t term;  /* of that entry */
    uint64_t size_bytes;
};

/* Zeroed: empty. */
struct snapshot_box {
    CACHE_ALIGNED uint32_t full;   /* set by apply, cleared by replicate */
    struct snapshot_record record; /* apply's while `full` is 0, replicate's while it is 1 */
};

/* Fills the box with a copy; false if it is full.  Apply only. */
static inline bool snapshot_box_put(struct snapshot_box *box,
                                    const struct snapshot_record *record) {
    /* Partner: replicate's release in snapshot_box_take, after it has copied the record. */
    if (atomic_load_acquire_u32(&box->full) != 0) {
        return false;
    }
    box->record = *record;
    /* Partner: the acquire in snapshot_box_take. */
    atomic_store_release_u32(&box->full, 1);
    return true;
}

/* Empties the box; false if it was empty.  Replicate only. */
static inline bool snapshot_box_take(struct snapshot_box *box, struct snapshot_record *out) {
    if (atomic_load_acquire_u32(&box->full) == 0) {
        return false;
    }
    *out = box->record;
    atomic_store_release_u32(&box->full, 0);
    return true;
}

#endif
