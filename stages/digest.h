#ifndef WEIR_STAGES_DIGEST_H
#define WEIR_STAGES_DIGEST_H

/*
 * Digests of the machine at an index, on their way from apply, which computes them, to replicate,
 * which logs them if this node leads.
 *
 * The box holds one record.  Apply fills it while it is empty, replicate empties it when it has
 * logged the record or has no use for it; nobody waits.  If it is still full when apply has the
 * next one, that one is not logged: the log says less often what it would have said anyway.
 *
 * Whoever puts a record in also sends the other a note; whoever finds the box full does nothing
 * about it.
 */

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "entry/entry.h"
#include "queues/atomic.h"

enum {
    /* Every replica has digests of its own at the multiples of this index, and the leader logs
       those of them up to which there was something to digest. */
    DIGEST_INTERVAL = 1024,
};
_Static_assert(IS_POWER_OF_TWO(DIGEST_INTERVAL), "entries are counted off by their index");

/* What each partition had come to right after the entry at index. */
struct digest_record {
    uint64_t index; /* 0: there is none */
    uint32_t count; /* of partitions: of the genesis, as far as the machine has them */
    uint64_t digests[ENTRY_PARTITIONS_MAX];
};

/* Zeroed: empty. */
struct digest_box {
    CACHE_ALIGNED uint32_t full; /* set by apply, cleared by replicate */
    struct digest_record record; /* apply's while `full` is 0, replicate's while it is 1 */
};

/* Fills the box with a copy; false if it is full.  Apply only. */
static inline bool digest_box_put(struct digest_box *box, const struct digest_record *record) {
    /* Partner: replicate's release in digest_box_clear, after its last look at the record. */
    if (atomic_load_acquire_u32(&box->full) != 0) {
        return false;
    }
    box->record = *record;
    /* Partner: the acquire in digest_box_look. */
    atomic_store_release_u32(&box->full, 1);
    return true;
}

/* The record in the box, valid until digest_box_clear; NULL: it is empty.  Replicate only. */
static inline const struct digest_record *digest_box_look(const struct digest_box *box) {
    return atomic_load_acquire_u32(&box->full) != 0 ? &box->record : NULL;
}

/* Empties the box.  Replicate only. */
static inline void digest_box_clear(struct digest_box *box) {
    atomic_store_release_u32(&box->full, 0);
}

#endif
