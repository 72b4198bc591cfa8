/*
 * Layout of a pool in the memory given: the struct, the stack of ids, the bits, each from the
 * start of a cache line. Nothing here fails at run time; a capacity out of range is the caller's
 * mistake, found by pool_bytes() returning 0.
 */

#include "queues/pool.h"

#include <string.h>

#define POOL_HEAD_BYTES ALIGN_UP(sizeof(struct pool), (size_t)CACHE_LINE_BYTES)

static size_t pool_ids_bytes(uint32_t capacity) {
    return ALIGN_UP((size_t)capacity * sizeof(uint32_t), (size_t)CACHE_LINE_BYTES);
}

static size_t pool_bits_bytes(uint32_t capacity) {
    return ALIGN_UP(((size_t)capacity + 63) / 64 * sizeof(uint64_t), (size_t)CACHE_LINE_BYTES);
}

size_t pool_bytes(uint32_t capacity) {
    if (capacity == 0 || capacity > POOL_CAPACITY_MAX) {
        return 0;
    }
    return POOL_HEAD_BYTES + pool_ids_bytes(capacity) + pool_bits_bytes(capacity);
}

struct pool *pool_init(void *memory, uint32_t capacity) {
    ASSERT(pool_bytes(capacity) != 0);
    ASSERT((uintptr_t)memory % CACHE_LINE_BYTES == 0);
    struct pool *pool = memory;
    uint8_t *arrays = (uint8_t *)memory + POOL_HEAD_BYTES;
    pool->capacity = capacity;
    pool->free_count = 0;
    pool->free_count_min = capacity;
    pool->ids = (void *)arrays;
    pool->free_bits = (void *)(arrays + pool_ids_bytes(capacity));
    memset(pool->free_bits, 0, pool_bits_bytes(capacity));
    for (uint32_t id = capacity; id > 0; id--) {
        pool_give(pool, id - 1);
    }
    ASSERT(pool->free_count == capacity);
    return pool;
}
