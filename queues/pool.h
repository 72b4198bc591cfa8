#ifndef WEIR_QUEUES_POOL_H
#define WEIR_QUEUES_POOL_H

/*
 * A pool of ids: which of 0 to capacity - 1 are free. read has two, of connection slots and of the
 * batches that mark a connection's end. (Batches with a receive buffer are the kernel's to give:
 * stages/read_buffers.h.)
 *
 * Last in, first out: the id given back last is the one whose memory is still in the cache, so it
 * goes out first, and a lightly loaded node touches few. One thread owns a pool and is the only one
 * to take and to give; ids that end their journey on another core come home through a ring, and the
 * owner gives them. So there is nothing atomic here.
 *
 * A bit for each id says whether it is free. It catches the two mistakes that otherwise show up
 * much later as two owners of one thing: giving an id that is free already, and giving one that
 * does not exist. Both abort.
 *
 *      take ◄── ids[free_count - 1]          give ──► ids[free_count]
 *
 * All functions: the owner's thread only, no blocking, no allocation.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/assert.h"
#include "base/bytes.h"

/* "No id": what pool_take returns when none is free. Never an id. */
#define POOL_NONE UINT32_MAX

/* Most ids of one pool: far above any that memory could back, and 4 bytes each cannot overflow. */
#define POOL_CAPACITY_MAX (UINT32_C(1) << 24)

/* Lives, with its arrays behind it, in memory that the caller gave to pool_init. */
struct pool {
    uint32_t capacity;       /* ids, free and taken */
    uint32_t free_count;     /* ids in the stack */
    uint32_t free_count_min; /* fewest that were ever free; 0: the pool was exhausted once */
    uint32_t *ids;           /* the stack: the lowest free_count are valid */
    uint64_t *free_bits;     /* bit id % 64 of word id / 64: id is in the stack */
};

/* Bytes that pool_init needs for `capacity` ids, or 0 if that is 0 or over POOL_CAPACITY_MAX. */
size_t pool_bytes(uint32_t capacity);

/*
 * Makes a pool of `capacity` ids, all free, in `memory`: pool_bytes(capacity) bytes at the start of
 * a cache line, which the caller keeps and which the pool borrows for its lifetime. Id 0 is the
 * first to be taken. Returns the pool, which is `memory`. Asserts that pool_bytes is not 0.
 */
struct pool *pool_init(void *memory, uint32_t capacity);

/* How many ids are free now. */
static inline uint32_t pool_free_count(const struct pool *pool) {
    return pool->free_count;
}

/* Whether `id`, which exists, is free. */
static inline bool pool_is_free(const struct pool *pool, uint32_t id) {
    ASSERT(id < pool->capacity);
    return (pool->free_bits[id / 64] >> (id % 64) & 1) != 0;
}

/* Takes a free id, which is the caller's until pool_give; POOL_NONE if none is free. */
static inline uint32_t pool_take(struct pool *pool) {
    if (pool->free_count == 0) {
        return POOL_NONE;
    }
    pool->free_count--;
    if (pool->free_count < pool->free_count_min) {
        pool->free_count_min = pool->free_count;
    }
    uint32_t id = pool->ids[pool->free_count];
    ASSERT(pool_is_free(pool, id));
    pool->free_bits[id / 64] &= ~(UINT64_C(1) << (id % 64));
    return id;
}

/* Gives back an id that pool_take returned. Aborts if it is free already or does not exist. */
static inline void pool_give(struct pool *pool, uint32_t id) {
    ASSERT(!pool_is_free(pool, id));
    ASSERT(pool->free_count < pool->capacity);
    pool->free_bits[id / 64] |= UINT64_C(1) << (id % 64);
    pool->ids[pool->free_count] = id;
    pool->free_count++;
}

#endif
