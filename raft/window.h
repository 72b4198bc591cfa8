#ifndef WEIR_RAFT_WINDOW_H
#define WEIR_RAFT_WINDOW_H

/*
 * How long the last entries are.
 *
 * For limits in bytes (a message, what is in flight to a peer, what is uncommitted) the core
 * remembers running sums of the lengths of the last entries, `capacity` of them, in a ring by
 * index, and so the lengths of the last capacity - 1:
 *
 *   sum[i] - sum[j] = bytes of the entries (j, i],   first_known <= j <= i <= last
 *
 * Entries before that are on disk and known only there; whoever sends them limits the bytes
 * itself (RAFT_EVENT_SHORTENED).  Memory: 8 bytes an entry.  Owner: the core.
 */

#include <stdbool.h>
#include <stdint.h>

struct window {
    uint64_t *sums;       /* [index & (capacity - 1)] */
    uint64_t capacity;    /* power of two */
    uint64_t first_known; /* the sum of this index and later ones, up to last, is known */
    uint64_t last;
};

/* An empty window behind an index.  `sums` has room for `capacity` numbers and belongs to the
 * window until the owner frees it. */
void window_init(struct window *window, uint64_t *sums, uint64_t capacity, uint64_t last);

/* Forgets everything; the next entry is last + 1. */
void window_reset(struct window *window, uint64_t last);

/* The entry after the last has this length. */
void window_append(struct window *window, uint32_t length_bytes);

/* Removes what is after index.  What was known before stays known. */
void window_truncate(struct window *window, uint64_t index);

/* Bytes of the entries (after, index], after <= index <= last.  False, and nothing written, if that
 * is not known. */
bool window_bytes(const struct window *window, uint64_t after, uint64_t index, uint64_t *bytes);

/*
 * How many entries from `first` on, at most `count_max` and up to the last (first <= last + 1),
 * have together at most
 * `bytes_max`; at least 1 if there is one.  *bytes is their sum; if the lengths are not known,
 * the number is as limited by count_max alone and *bytes is bytes_max.
 */
uint32_t window_fit(const struct window *window, uint64_t first, uint32_t count_max,
                    uint64_t bytes_max, uint64_t *bytes);

#endif
