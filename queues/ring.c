/*
 * What of a ring is not inline: its layout and the untyped ends.
 *
 * Happy path: the producer finds room by what it remembers, writes slots, publishes tail; the
 * consumer finds items by what it remembers, or looks, reads slots, publishes head.
 *
 * Failure modes: full, the producer is told that fewer were taken; empty, the consumer gets 0. A
 * side that dies leaves the ring as it last published it, never half an item. There is no other.
 */

#include "queues/ring.h"

size_t ring_bytes(uint32_t capacity, uint32_t item_bytes) {
    if (!IS_POWER_OF_TWO(capacity) || capacity > RING_CAPACITY_MAX) {
        return 0;
    }
    if (!IS_POWER_OF_TWO(item_bytes) || item_bytes < RING_ITEM_BYTES_MIN ||
        item_bytes > RING_ITEM_BYTES_MAX) {
        return 0;
    }
    return sizeof(struct ring) + ALIGN_UP((size_t)capacity * item_bytes, (size_t)CACHE_LINE_BYTES);
}

struct ring *ring_init(void *memory, const struct ring_setup *setup) {
    ASSERT(ring_bytes(setup->capacity, setup->item_bytes) != 0);
    ASSERT((uintptr_t)memory % CACHE_LINE_BYTES == 0);
    ASSERT(setup->name != NULL && setup->gauge != NULL);
    struct ring *ring = memory;
    *ring = (struct ring){
        .slots = (uint8_t *)memory + sizeof(struct ring),
        .gauge = setup->gauge,
        .name = setup->name,
        .mask = setup->capacity - 1,
        .capacity = setup->capacity,
        .item_bytes = setup->item_bytes,
        .tail = setup->sequence_first,
        .tail_own = setup->sequence_first,
        .head_seen = setup->sequence_first,
        .head = setup->sequence_first,
        .head_own = setup->sequence_first,
        .tail_seen = setup->sequence_first,
    };
    memset(ring->slots, 0, (size_t)setup->capacity * setup->item_bytes);
    return ring;
}

uint32_t ring_depth(const struct ring *ring) {
    /* Head first: the tail read after it is not behind it, but may be a whole ring further. */
    uint32_t head = atomic_load_acquire_u32(&ring->head);
    uint32_t tail = atomic_load_relaxed_u32(&ring->tail);
    uint32_t depth = sequence_distance(head, tail);
    return depth < ring->capacity ? depth : ring->capacity;
}

uint32_t ring_enqueue(struct ring *ring, const void *items, uint32_t count) {
    return ring_enqueue_sized(ring, items, count, ring->item_bytes);
}

uint32_t ring_dequeue(struct ring *ring, void *items, uint32_t max) {
    return ring_dequeue_sized(ring, items, max, ring->item_bytes);
}
