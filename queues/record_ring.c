/*
 * Record rings.  See queues/record_ring.h.
 *
 * Happy path: reserve looks how much is free behind tail, commit writes the length and publishes;
 * peek looks whether tail has moved, consume publishes head.
 *
 * Failure modes: no room, or no record, which are answers.
 */

#include "queues/record_ring.h"

#include "base/assert.h"

/* Every record begins with its length. */
enum { LENGTH_UNITS = 1 };

static uint32_t units_of(uint64_t bytes) {
    return (uint32_t)((bytes + RECORD_RING_UNIT_BYTES - 1) / RECORD_RING_UNIT_BYTES);
}

static uint8_t *unit_at(const struct record_ring *ring, uint32_t position) {
    return ring->bytes + (size_t)(position & (ring->units - 1)) * RECORD_RING_UNIT_BYTES;
}

static uint32_t length_at(const struct record_ring *ring, uint32_t position) {
    return bytes_get_u32(unit_at(ring, position));
}

static void length_set(struct record_ring *ring, uint32_t position, uint32_t length) {
    bytes_put_u32(unit_at(ring, position), length);
    bytes_put_u32(unit_at(ring, position) + sizeof(uint32_t), 0);
}

size_t record_ring_bytes(uint64_t capacity_bytes) {
    if (!IS_POWER_OF_TWO(capacity_bytes) || capacity_bytes < RECORD_RING_CAPACITY_MIN_BYTES ||
        capacity_bytes > RECORD_RING_CAPACITY_MAX_BYTES) {
        return 0;
    }
    return sizeof(struct record_ring) + (size_t)capacity_bytes;
}

struct record_ring *record_ring_init(void *memory, uint64_t capacity_bytes, uint32_t unit_first) {
    ASSERT(record_ring_bytes(capacity_bytes) > 0);
    ASSERT((uintptr_t)memory % CACHE_LINE_BYTES == 0);
    struct record_ring *ring = memory;
    *ring = (struct record_ring){
        .bytes = (uint8_t *)memory + sizeof(*ring),
        .units = (uint32_t)(capacity_bytes / RECORD_RING_UNIT_BYTES),
        .tail = unit_first,
        .tail_own = unit_first,
        .head = unit_first,
        .head_own = unit_first,
    };
    return ring;
}

uint64_t record_ring_record_bytes_max(const struct record_ring *ring) {
    return (uint64_t)(ring->units / 2 - LENGTH_UNITS) * RECORD_RING_UNIT_BYTES;
}

uint8_t *record_ring_reserve(struct record_ring *ring, uint32_t length_bytes) {
    ASSERT(length_bytes > 0 && length_bytes <= record_ring_record_bytes_max(ring));
    uint32_t need = LENGTH_UNITS + units_of(length_bytes);
    /* Partner: the release in record_ring_consume, after the consumer has left the bytes. */
    uint32_t used = ring->tail_own - atomic_load_acquire_u32(&ring->head);
    ASSERT_HOT(used <= ring->units);
    uint32_t left = ring->units - (ring->tail_own & (ring->units - 1)); /* up to the end */
    uint32_t skipped = need <= left ? 0 : left;
    ring->reserved_bytes = 0;
    if (need + skipped > ring->units - used) {
        return NULL;
    }
    ring->reserved_at = ring->tail_own + skipped;
    ring->reserved_bytes = length_bytes;
    return unit_at(ring, ring->reserved_at + LENGTH_UNITS);
}

void record_ring_commit(struct record_ring *ring, uint32_t length_bytes) {
    ASSERT(length_bytes > 0 && length_bytes <= ring->reserved_bytes);
    if (ring->reserved_at != ring->tail_own) {
        length_set(ring, ring->tail_own, RECORD_RING_SKIP);
    }
    length_set(ring, ring->reserved_at, length_bytes);
    ring->tail_own = ring->reserved_at + LENGTH_UNITS + units_of(length_bytes);
    ring->reserved_bytes = 0;
    /* Partner: the acquire in record_ring_peek. */
    atomic_store_release_u32(&ring->tail, ring->tail_own);
}

uint32_t record_ring_first(const struct record_ring *ring) {
    return ring->head_own;
}

const uint8_t *record_ring_walk(struct record_ring *ring, uint32_t *position,
                                uint32_t *length_bytes) {
    /* Partner: the release in record_ring_commit, after the record was written. */
    if (*position == atomic_load_acquire_u32(&ring->tail)) {
        return NULL;
    }
    uint32_t at = *position;
    if (length_at(ring, at) == RECORD_RING_SKIP) {
        at += ring->units - (at & (ring->units - 1));
    }
    *length_bytes = length_at(ring, at);
    ASSERT(*length_bytes > 0 && *length_bytes <= record_ring_record_bytes_max(ring));
    *position = at + LENGTH_UNITS + units_of(*length_bytes);
    return unit_at(ring, at + LENGTH_UNITS);
}

void record_ring_consume_to(struct record_ring *ring, uint32_t position) {
    ASSERT(ring->peeked_units == 0 && position - ring->head_own <= ring->units);
    ring->head_own = position;
    /* Partner: the acquire in record_ring_reserve. */
    atomic_store_release_u32(&ring->head, ring->head_own);
}

const uint8_t *record_ring_peek(struct record_ring *ring, uint32_t *length_bytes) {
    uint32_t position = ring->head_own;
    const uint8_t *record = record_ring_walk(ring, &position, length_bytes);
    ring->peeked_units = position - ring->head_own;
    return record;
}

void record_ring_consume(struct record_ring *ring) {
    ASSERT(ring->peeked_units > 0);
    uint32_t position = ring->head_own + ring->peeked_units;
    ring->peeked_units = 0;
    record_ring_consume_to(ring, position);
}

uint64_t record_ring_used_bytes(const struct record_ring *ring) {
    uint32_t head = atomic_load_relaxed_u32(&ring->head);
    uint32_t used = atomic_load_relaxed_u32(&ring->tail) - head;
    return (uint64_t)(used > ring->units ? ring->units : used) * RECORD_RING_UNIT_BYTES;
}
