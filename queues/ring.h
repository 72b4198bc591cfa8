#ifndef WEIR_QUEUES_RING_H
#define WEIR_QUEUES_RING_H

/*
 * Rings: bounded queues between exactly one producer and one consumer.
 *
 * queues/ is what lies between the stages. Everything that moves from one core to another moves
 * through a ring, and what moves is ownership: before ring_enqueue the item, and the batch that
 * it names, is the producer's, after ring_dequeue it is the consumer's, in between it is nobody's
 * and nobody may touch it. A ring is named "producer_consumer" after its two ends.
 *
 *        head                     tail
 *         ▼                        ▼
 *   ┌────┬────┬────┬────┬────┬────┬────┬────┐     depth    = tail - head, 0 to capacity
 *   │    │ b2 │ b3 │ b4 │ b5 │ b6 │    │    │     slot     = sequence mod capacity
 *   └────┴────┴────┴────┴────┴────┴────┴────┘     producer writes [tail, head + capacity)
 *                                                 consumer reads  [head, tail)
 *
 * Promised: items come out in the order in which they went in, each exactly once, whole, and with
 * everything that the producer wrote before it enqueued them. head and tail are u32 sequences that
 * count items for ever and wrap (base/sequence.h), so all `capacity` slots are usable: full and
 * empty differ by capacity, and are not the same remainder. A ring never blocks, waits or
 * allocates: the producer is told how many items were taken, the consumer how many it got. Who
 * wants to sleep when there are none uses doorbell.h.
 *
 * What makes it fast: items move in batches, so that a line which both sides write moves between
 * two caches once a batch; and each side remembers the other's sequence as it last saw it (the
 * producer `head_seen`, the consumer `tail_seen`) and looks again only when what it remembers
 * leaves no room, or too few items. What is remembered is never too optimistic: head and tail only
 * grow. And each side keeps its own sequence twice, so that it never loads from a line that the
 * other side pulls away: without that a round trip takes half as long again.
 *
 * What can be lost: on a crash, whatever is in rings. Nothing that weir acknowledges is only there.
 *
 * Counting. Each end counts in a block of a gauge file (gauge.h), one store or two a batch: what
 * is seen from outside, while the ring runs and after a crash.
 *
 * Who may call what, at the same time as anybody else:
 *   producer    ring_enqueue, ring_room, the typed enqueue: one thread at a time
 *   consumer    ring_dequeue, ring_ready, the typed dequeue: one thread at a time
 *   anybody     ring_depth, ring_capacity, ring_name
 * An end may pass to another thread if something (another ring, a join) orders the two.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/assert.h"
#include "base/bytes.h"
#include "base/sequence.h"
#include "queues/atomic.h"
#include "queues/gauge.h"

/* Most items a ring can hold: sequences stay comparable, and sizes far from overflow. */
#define RING_CAPACITY_MAX (UINT32_C(1) << 24)
_Static_assert(RING_CAPACITY_MAX < SEQUENCE_DISTANCE_LIMIT, "head and tail must be comparable");

/* Items are a power of two of bytes, from an id to a few cache lines. */
#define RING_ITEM_BYTES_MIN 4
#define RING_ITEM_BYTES_MAX 256

/*
 * Where production rings begin to count: the u32 wraps within the first moments of every run,
 * on every ring, so that a mistake about it cannot wait for a busy week.
 */
#define RING_SEQUENCE_FIRST (UINT32_MAX - UINT32_C(1023))

/* One ring. Its slots follow it in the same memory. Grouped by who writes. */
struct ring {
    /* Constant after ring_init; read by both. */
    CACHE_ALIGNED uint8_t *slots;
    struct gauge_ring *gauge;
    const char *name;
    uint32_t mask;       /* capacity - 1 */
    uint32_t capacity;   /* items */
    uint32_t item_bytes; /* of one item */

    /* Producer publishes: stored by it and never loaded, loaded by the consumer. */
    CACHE_ALIGNED uint32_t tail; /* partner of its release: the acquire in ring_ready */

    /* Producer only. */
    CACHE_ALIGNED uint32_t tail_own; /* the same number as tail */
    uint32_t head_seen;              /* head when the producer last looked */

    /* Consumer publishes: stored by it and never loaded, loaded by the producer. */
    CACHE_ALIGNED uint32_t head; /* partner of its release: the acquire in ring_room */

    /* Consumer only. */
    CACHE_ALIGNED uint32_t head_own; /* the same number as head */
    uint32_t tail_seen;              /* tail when the consumer last looked */
};

_Static_assert(sizeof(struct ring) == 5 * CACHE_LINE_BYTES, "the five groups");

/* What ring_init is told. */
struct ring_setup {
    const char *name;         /* "producer_consumer"; borrowed for the ring's lifetime */
    uint32_t capacity;        /* items: a power of two, 1 to RING_CAPACITY_MAX */
    uint32_t item_bytes;      /* a power of two, RING_ITEM_BYTES_MIN to RING_ITEM_BYTES_MAX */
    uint32_t sequence_first;  /* where head and tail begin; RING_SEQUENCE_FIRST in production */
    struct gauge_ring *gauge; /* where both ends count; zeroed, and borrowed like the name */
};

/* Bytes that ring_init needs, a multiple of a cache line; 0 if a value is out of its range. */
size_t ring_bytes(uint32_t capacity, uint32_t item_bytes);

/*
 * Makes an empty ring in `memory`: ring_bytes() bytes at the start of a cache line, the caller's
 * for as long as it likes and the ring's until then. Returns the ring, which is `memory`; there is
 * nothing to undo. Asserts that the setup is in range. Before the ends' threads start.
 */
struct ring *ring_init(void *memory, const struct ring_setup *setup);

/* Anybody: items waiting, 0 to capacity. A moment's truth; exact when both ends are still. */
uint32_t ring_depth(const struct ring *ring);

/* Anybody: how many items the ring can hold. */
static inline uint32_t ring_capacity(const struct ring *ring) {
    return ring->capacity;
}

/* Anybody: "producer_consumer". */
static inline const char *ring_name(const struct ring *ring) {
    return ring->name;
}

/*
 * Producer: how many items ring_enqueue would take now. Looks at the consumer's end only if what
 * it remembers leaves room for fewer than `wanted`; so the answer may be less than the truth, but
 * not if that is less than `wanted`.
 */
static inline uint32_t ring_room(struct ring *ring, uint32_t wanted) {
    uint32_t room = ring->capacity - sequence_distance(ring->head_seen, ring->tail_own);
    if (room < wanted) {
        /* Partner: the release of head. The consumer has finished reading all slots before it. */
        ring->head_seen = atomic_load_acquire_u32(&ring->head);
        room = ring->capacity - sequence_distance(ring->head_seen, ring->tail_own);
    }
    ASSERT(room <= ring->capacity);
    return room;
}

/*
 * Consumer: how many items ring_dequeue would give now, by the same rule: never more than there
 * are, and less than there are only if it is `wanted` or more. ring_ready(ring, 1) == 0 is "empty",
 * the check between doorbell_prepare and parking.
 */
static inline uint32_t ring_ready(struct ring *ring, uint32_t wanted) {
    uint32_t ready = sequence_distance(ring->head_own, ring->tail_seen);
    if (ready < wanted) {
        /* Partner: the release of tail. The producer has finished writing all slots before it. */
        ring->tail_seen = atomic_load_acquire_u32(&ring->tail);
        ready = sequence_distance(ring->head_own, ring->tail_seen);
        gauge_max(&ring->gauge->consumer.high_water, ready);
    }
    ASSERT(ready <= ring->capacity);
    return ready;
}

/*
 * Copies `count` items of `item_bytes` between `array` and the slots from `sequence` on: in two
 * pieces where they wrap. Inlined into callers that know item_bytes, one item is one move.
 */
static inline __attribute__((always_inline)) void ring_copy_in(struct ring *ring, uint32_t sequence,
                                                               const void *array, uint32_t count,
                                                               size_t item_bytes) {
    uint32_t slot = sequence & ring->mask;
    if (count == 1) {
        memcpy(ring->slots + slot * item_bytes, array, item_bytes);
        return;
    }
    uint32_t until_end = ring->capacity - slot;
    uint32_t first = count < until_end ? count : until_end;
    memcpy(ring->slots + slot * item_bytes, array, first * item_bytes);
    if (first < count) {
        memcpy(ring->slots, (const uint8_t *)array + first * item_bytes,
               (count - first) * item_bytes);
    }
}

/* As ring_copy_in, the other way. */
static inline __attribute__((always_inline)) void ring_copy_out(const struct ring *ring,
                                                                uint32_t sequence, void *array,
                                                                uint32_t count, size_t item_bytes) {
    uint32_t slot = sequence & ring->mask;
    if (count == 1) {
        memcpy(array, ring->slots + slot * item_bytes, item_bytes);
        return;
    }
    uint32_t until_end = ring->capacity - slot;
    uint32_t first = count < until_end ? count : until_end;
    memcpy(array, ring->slots + slot * item_bytes, first * item_bytes);
    if (first < count) {
        memcpy((uint8_t *)array + first * item_bytes, ring->slots, (count - first) * item_bytes);
    }
}

/* The body of every enqueue; item_bytes is the ring's. */
static inline __attribute__((always_inline)) uint32_t ring_enqueue_sized(struct ring *ring,
                                                                         const void *items,
                                                                         uint32_t count,
                                                                         size_t item_bytes) {
    ASSERT_HOT(item_bytes == ring->item_bytes);
    uint32_t room = ring_room(ring, count);
    uint32_t taken = count < room ? count : room;
    if (taken > 0) {
        uint32_t tail = ring->tail_own;
        ring_copy_in(ring, tail, items, taken, item_bytes);
        /* Publishes the slots. Partner: the acquire in ring_ready. */
        atomic_store_release_u32(&ring->tail, tail + taken);
        ring->tail_own = tail + taken;
        gauge_add(&ring->gauge->producer.enqueued, taken);
        gauge_add(&ring->gauge->producer.publishes, 1);
    }
    if (taken < count) {
        gauge_add(&ring->gauge->producer.refusals, 1);
    }
    return taken;
}

/* The body of every dequeue; item_bytes is the ring's. */
static inline __attribute__((always_inline)) uint32_t ring_dequeue_sized(struct ring *ring,
                                                                         void *items, uint32_t max,
                                                                         size_t item_bytes) {
    ASSERT_HOT(item_bytes == ring->item_bytes);
    uint32_t ready = ring_ready(ring, max);
    uint32_t count = max < ready ? max : ready;
    if (count > 0) {
        uint32_t head = ring->head_own;
        ring_copy_out(ring, head, items, count, item_bytes);
        /* Gives the slots back. Partner: the acquire in ring_room. */
        atomic_store_release_u32(&ring->head, head + count);
        ring->head_own = head + count;
        gauge_add(&ring->gauge->consumer.dequeued, count);
        gauge_add(&ring->gauge->consumer.drains, 1);
    }
    return count;
}

/*
 * Producer: enqueues the first of `count` items at `items`, as many as there is room for, in
 * order. `items` is read during the call only. Returns how many were taken, 0 to count; those
 * are no longer the caller's, the others still are.
 */
uint32_t ring_enqueue(struct ring *ring, const void *items, uint32_t count);

/*
 * Consumer: dequeues up to `max` items, the oldest first, into `items`, which has room for max.
 * Returns how many: 0 if the ring is empty. They are now the caller's.
 */
uint32_t ring_dequeue(struct ring *ring, void *items, uint32_t max);

/*
 * RING_TYPED(ring_jobs, struct job) defines ring_jobs_enqueue and ring_jobs_dequeue: as
 * ring_enqueue and ring_dequeue, typed, inline, and with the size known to the compiler.
 * sizeof(struct job) must be the ring's item_bytes. For headers: in a .c file clang warns of the
 * end that is not used.
 */
#define RING_TYPED(prefix, type)                                                            \
    _Static_assert(IS_POWER_OF_TWO(sizeof(type)) && sizeof(type) >= RING_ITEM_BYTES_MIN &&  \
                       sizeof(type) <= RING_ITEM_BYTES_MAX,                                 \
                   "an item is a power of two of bytes");                                   \
    static inline uint32_t prefix##_enqueue(struct ring *ring, const type *items,           \
                                            uint32_t count) {                               \
        return ring_enqueue_sized(ring, items, count, sizeof(type));                        \
    }                                                                                       \
    static inline uint32_t prefix##_dequeue(struct ring *ring, type *items, uint32_t max) { \
        return ring_dequeue_sized(ring, items, max, sizeof(type));                          \
    }                                                                                       \
    _Static_assert(1, "a semicolon follows")

/* ring_u32_enqueue, ring_u32_dequeue: rings of batch ids. */
RING_TYPED(ring_u32, uint32_t);

#endif
