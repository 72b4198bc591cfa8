#ifndef WEIR_MACHINES_KV_EXPIRY_H
#define WEIR_MACHINES_KV_EXPIRY_H

/*
 * Deadlines of a partition's records, the earliest first: a heap of four children a node over a
 * vector. A record knows its place in the heap, so that it can leave it when the key is deleted.
 * Adding, changing and removing cost O(log n); looking at the earliest costs nothing.
 *
 * Whether a key is there is decided by its deadline alone: the heap only finds what can be removed.
 */

#include "machines/kv_record.h"
#include "machines/vector.h"

/* Zeroed: empty. May be copied to another place. */
struct kv_expiry {
    struct vector heap; /* word 0: deadline_ms; word 1: the record's address */
};

/* The earliest deadline; UINT64_MAX if there is none. */
static inline uint64_t kv_expiry_next_ms(const struct kv_expiry *expiry) {
    return expiry->heap.count == 0 ? UINT64_MAX : vector_at(&expiry->heap, 0)->word[0];
}

/* The record of the earliest deadline; NULL if there is none. */
static inline struct kv_record *kv_expiry_first(const struct kv_expiry *expiry) {
    if (expiry->heap.count == 0)
        return NULL;
    return (struct kv_record *)(uintptr_t)vector_at(&expiry->heap, 0)->word[1];
}

/* Gives a record, which has room for one (KV_DEADLINED), this deadline, or KV_DEADLINE_NONE. */
void kv_expiry_set(struct kv_expiry *expiry, struct memory *memory, struct kv_record *record,
                   uint64_t deadline_ms);

/* Tells that a record with its deadline now lies at another address. */
void kv_expiry_moved(struct kv_expiry *expiry, struct kv_record *record);

/*
 * How many deadlines are <= now_ms: those keys are absent though their records are not yet
 * removed. Walks only over those; *index is the heap index to go on from (0 first; UINT64_MAX:
 * finished) and *budget falls by one each.
 */
uint64_t kv_expiry_count_due(const struct kv_expiry *expiry, uint64_t now_ms, uint64_t *index,
                             uint32_t *budget);

#endif
