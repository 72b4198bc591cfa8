#ifndef WEIR_STAGES_ARENA_H
#define WEIR_STAGES_ARENA_H

/*
 * The arena: bounded memory for what exceeds a batch's slots.
 *
 * A reserved range of address space of which at most `bytes_max` is handed out, in blocks of a
 * power of two from ARENA_BLOCK_BYTES_MIN up (a buddy allocator).  One thread owns an arena and is
 * the only one to take, grow and free; a block that travelled with a batch comes home over a ring
 * as its number.  Memory that has lain free for a while is given back to the system by arena_trim,
 * so that an idle node does not keep the memory of its busiest moment.
 *
 * A block's number is its offset in units of ARENA_BLOCK_BYTES_MIN.  Its memory is not cleared.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "stages/batch.h"

enum {
    ARENA_BLOCK_BYTES_MIN = 1024,
    ARENA_BYTES_MAX_LOG2 = 40, /* block numbers stay far below BATCH_NO_BLOCK */
    /* What one arena_trim gives back at most: 256 pages, some tens of microseconds. */
    ARENA_TRIM_BYTES = 1024 * 1024,
};

/* Memory free for this long is given back, at the latest after twice this long. */
#define ARENA_TRIM_NS UINT64_C(1000000000)

struct arena;

/*
 * Reserves address space (bytes_max, at least ARENA_BLOCK_BYTES_MIN, rounded up to a power of two);
 * start-up; blocks.  The system backs it only where it is touched.
 * Errors: WEIR_ENOMEM if the address space is not to be had.  *out is then unchanged.
 */
int arena_create(struct arena **out, uint64_t bytes_max);

/* Gives everything back, blocks still taken included.  NULL is allowed. */
void arena_destroy(struct arena *arena);

/*
 * Takes a block of at least length_bytes (0 counts as 1), which is the caller's until arena_give;
 * its number, or BATCH_NO_BLOCK if there is no room: bytes_max would be exceeded, or no free range
 * is long enough.  O(log bytes_max), no system call.
 */
uint32_t arena_take(struct arena *arena, uint64_t length_bytes);

/* Gives a block back; asserts that it is taken.  O(log bytes_max), no system call. */
void arena_give(struct arena *arena, uint32_t block);

/*
 * Gives back what a block has beyond length_bytes, as far as halves of it can be: the block keeps
 * its number and its beginning.  O(log bytes_max), no system call.
 */
void arena_shrink(struct arena *arena, uint32_t block, uint64_t length_bytes);

/* The block's first byte: aligned to its size, up to a page. */
uint8_t *arena_memory(const struct arena *arena, uint32_t block);

/* A power of two, at least what was asked for: all of it may be used. */
uint64_t arena_block_bytes(const struct arena *arena, uint32_t block);

/* The sum of the blocks taken now. */
uint64_t arena_used_bytes(const struct arena *arena);

/*
 * Gives up to ARENA_TRIM_BYTES that lay free since the last sweep, ARENA_TRIM_NS or longer, back
 * to the system: for a poll that had nothing else to do.  At most one system call (madvise), and
 * none while nothing is due.  True if it gave something back: there may be more.
 */
bool arena_trim(struct arena *arena, uint64_t now_ns);

#endif
