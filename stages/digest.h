#ifndef WEIR_STAGES_DIGEST_H
#define WEIR_STAGES_DIGEST_H

/*
 * Digests of the machine at an index, on their way from apply, which computes them, to replicate,
 * which logs them if this node leads, and talks to other members when they differ.
 *
 *   digest_box        what may be logged.  It holds one record.  Apply fills it while it is empty,
 *                     replicate empties it when it has logged the record or has no use for it;
 *                     nobody waits.  If it is still full when apply has the next one, that one is
 *                     not logged: the log says less often what it would have said anyway.
 *   digest_hashes     one hash for each index at which apply had digests: a table that apply writes
 *                     and replicate looks things up in.
 *   digest_doubt_box  that the log has other digests at an index.  It holds one record, like the
 *                     first; apply keeps the newest that found it full, and tries again.
 *
 * Whoever puts a record in also sends the other a note.
 */

#include <stdbool.h>
#include <stddef.h>
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

/* How a replica's digests at an index differ from those in the log. */
struct digest_difference {
    uint64_t agreed_index; /* the last one before, at which they did not; 0: none was compared */
    uint64_t own;          /* digest of the first partition that differs, */
    uint64_t logged;       /* and what the log has */
    uint32_t first;        /* that partition */
    uint32_t count;        /* of partitions that differ; 0: nothing is known of a difference */
    uint32_t partitions;   /* of all */
};

/* ---- hashes: apply to replicate ------------------------------------------------------------- */

enum {
    /* So many intervals back a member can say what it had: 262,144 entries, in 4 KiB. */
    DIGEST_HASHES_KEPT = 256,
};
_Static_assert(IS_POWER_OF_TWO(DIGEST_HASHES_KEPT), "an index finds its place");

struct digest_hash {
    uint64_t index; /* 0: nothing, or about to change */
    uint64_t hash;  /* over the digests of all partitions */
};

/* Zeroed: empty. */
struct digest_hashes {
    CACHE_ALIGNED struct digest_hash slots[DIGEST_HASHES_KEPT]; /* by index / DIGEST_INTERVAL */
};

/* Notes a hash, in the place of an older one.  Apply only. */
static inline void digest_hashes_put(struct digest_hashes *hashes, uint64_t index, uint64_t hash) {
    struct digest_hash *slot = &hashes->slots[index / DIGEST_INTERVAL % DIGEST_HASHES_KEPT];
    /* Each fence's partner: the fence on the same side of the hash in digest_hashes_find.  Whoever
       sees the new hash sees that the old index is gone; whoever sees the new index, the new
       hash. */
    atomic_store_relaxed_u64(&slot->index, 0);
    atomic_fence_full();
    atomic_store_relaxed_u64(&slot->hash, hash);
    atomic_fence_full();
    atomic_store_relaxed_u64(&slot->index, index);
}

/* Forgets all: the machine that they were of is gone.  Apply only. */
static inline void digest_hashes_clear(struct digest_hashes *hashes) {
    for (uint32_t i = 0; i < DIGEST_HASHES_KEPT; i++) {
        atomic_store_relaxed_u64(&hashes->slots[i].index, 0);
    }
}

/* Looks an index up; false if it is not, or no longer, there.  Replicate only. */
static inline bool digest_hashes_find(const struct digest_hashes *hashes, uint64_t index,
                                      uint64_t *hash) {
    const struct digest_hash *slot = &hashes->slots[index / DIGEST_INTERVAL % DIGEST_HASHES_KEPT];
    if (atomic_load_relaxed_u64(&slot->index) != index) {
        return false;
    }
    atomic_fence_full(); /* partner: the second one in digest_hashes_put */
    *hash = atomic_load_relaxed_u64(&slot->hash);
    atomic_fence_full(); /* partner: the first one there */
    return atomic_load_relaxed_u64(&slot->index) == index;
}

/* ---- doubts: apply to replicate -------------------------------------------------------------- */

struct digest_doubt {
    uint64_t index; /* 0: there is none */
    struct digest_difference difference;
};

/* Zeroed: empty. */
struct digest_doubt_box {
    CACHE_ALIGNED uint32_t full; /* set by apply, cleared by replicate */
    struct digest_doubt doubt;   /* apply's while `full` is 0, replicate's while it is 1 */
};

/* Fills the box with a copy; false if it is full.  Apply only. */
static inline bool digest_doubt_put(struct digest_doubt_box *box,
                                    const struct digest_doubt *doubt) {
    /* Partner: replicate's release in digest_doubt_clear, after its last look at the record. */
    if (atomic_load_acquire_u32(&box->full) != 0) {
        return false;
    }
    box->doubt = *doubt;
    /* Partner: the acquire in digest_doubt_look. */
    atomic_store_release_u32(&box->full, 1);
    return true;
}

/* The record in the box, valid until digest_doubt_clear; NULL: it is empty.  Replicate only. */
static inline const struct digest_doubt *digest_doubt_look(const struct digest_doubt_box *box) {
    return atomic_load_acquire_u32(&box->full) != 0 ? &box->doubt : NULL;
}

/* Empties the box.  Replicate only. */
static inline void digest_doubt_clear(struct digest_doubt_box *box) {
    atomic_store_release_u32(&box->full, 0);
}

/* ---- doubts: replicate to apply -------------------------------------------------------------- */

/* What is held of this node's data (node_signals.digest_doubt). */
enum digest_doubt_state {
    DIGEST_TRUSTED = 0,
    DIGEST_DISPUTED, /* a member has others, and it is not decided whose are right */
    DIGEST_REJECTED, /* final: not these */
};

#endif
