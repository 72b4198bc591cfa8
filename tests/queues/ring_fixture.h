#ifndef WEIR_TESTS_QUEUES_RING_FIXTURE_H
#define WEIR_TESTS_QUEUES_RING_FIXTURE_H

/* A ring in memory of exactly its size, with its gauge: so that a sanitizer sees the edges. */

#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "queues/ring.h"

/* A zeroed block of whole cache lines. The caller frees it. */
static inline void *aligned_zero(size_t bytes) {
    size_t whole = ALIGN_UP(bytes, (size_t)CACHE_LINE_BYTES);
    void *memory = aligned_alloc(CACHE_LINE_BYTES, whole);
    ASSERT(memory != NULL);
    memset(memory, 0, whole);
    return memory;
}

/* An empty ring named "left_right"; ring_fixture_free frees it and its gauge. */
static inline struct ring *ring_fixture_new(uint32_t capacity, uint32_t item_bytes,
                                            uint32_t sequence_first) {
    struct ring_setup setup = {
        .name = "left_right",
        .capacity = capacity,
        .item_bytes = item_bytes,
        .sequence_first = sequence_first,
        .gauge = aligned_zero(sizeof(struct gauge_ring)),
    };
    return ring_init(aligned_zero(ring_bytes(capacity, item_bytes)), &setup);
}

static inline void ring_fixture_free(struct ring *ring) {
    free(ring->gauge);
    free(ring);
}

#endif
