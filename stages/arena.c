/*
 * A buddy allocator over reserved address space.
 *
 * The happy path: a request is rounded up to a block of 2^order units; the smallest free block of
 * at least that order is taken off its list and halved until it fits, each upper half going to the
 * list of its order.  Giving joins a block with its buddy (the block whose offset differs in one
 * bit) as long as that is free and whole.
 *
 *     order 2   |               0               |
 *     order 1   |       0       |       2       |     buddy of block b at order o: b ^ (1 << o)
 *     order 0   |   0   |   1   |   2   |   3   |
 *
 * What is known of a unit stands beside the memory, not in it, so that a free block's pages can go
 * back to the system: `state` says for the first unit of a block its order and whether it is free,
 * `next` and `previous` link free blocks of an order.
 *
 * Failure modes: no room is an answer, not an error.  Giving twice, or giving what was never taken,
 * is caught by the state and aborts.
 *
 * Trimming works on spans of ARENA_TRIM_BYTES.  A span is CLEAN (given back, or never used), USED
 * (touched since the last sweep, or part of it is taken), or IDLE (free at the last sweep):
 *
 *     CLEAN -> USED   arena_take
 *     USED  -> IDLE   arena_trim, a sweep finds it wholly free
 *     IDLE  -> USED   arena_take
 *     IDLE  -> CLEAN  arena_trim, the next sweep finds it still so, and gives it back
 */

#include "stages/arena.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/assert.h"
#include "base/error.h"

enum {
    ARENA_UNIT_LOG2 = 10,
    ARENA_ORDERS_MAX = ARENA_BYTES_MAX_LOG2 - ARENA_UNIT_LOG2 + 1,
    ARENA_STATE_FREE = 0x40,  /* with the order in the low bits */
    ARENA_STATE_TAKEN = 0x80, /* likewise */
    ARENA_STATE_ORDER = 0x3f, /* mask; a unit that begins no block has state 0 */
    ARENA_SWEEP_SPANS = 256,  /* spans looked at by one arena_trim: about a microsecond */
};
_Static_assert(1 << ARENA_UNIT_LOG2 == ARENA_BLOCK_BYTES_MIN, "a unit is the smallest block");
_Static_assert(ARENA_ORDERS_MAX <= ARENA_STATE_ORDER, "an order fits its bits");
_Static_assert(ARENA_TRIM_BYTES % ARENA_BLOCK_BYTES_MIN == 0, "a span holds whole units");

enum arena_span_state { SPAN_CLEAN = 0, SPAN_USED, SPAN_IDLE };

#define ARENA_NONE UINT32_MAX
_Static_assert(ARENA_NONE == BATCH_NO_BLOCK, "no link and no block are one value");

struct arena {
    uint8_t *memory;
    uint8_t *state;     /* of each unit */
    uint32_t *next;     /* of a free block's first unit */
    uint32_t *previous; /* likewise */
    uint64_t reserved_bytes;
    uint64_t bytes_max;
    uint64_t used_bytes;
    uint64_t tables_bytes;     /* of the one mapping that holds state, next and previous */
    uint32_t order_max;        /* of the block that is everything */
    uint32_t free_orders_bits; /* bit o: the list of order o is not empty */
    uint32_t free_head[ARENA_ORDERS_MAX];

    uint32_t span_count;
    uint32_t sweep_next; /* span */
    uint64_t sweep_due_ns;
    uint32_t *span_used_units;
    uint8_t *span_state; /* enum arena_span_state */
};

/* ---- lists of free blocks ------------------------------------------------------------------ */

static void arena_list_push(struct arena *arena, uint32_t unit, uint32_t order) {
    ASSERT_HOT(order <= arena->order_max && unit % (1u << order) == 0);
    uint32_t head = arena->free_head[order];
    arena->next[unit] = head;
    arena->previous[unit] = ARENA_NONE;
    if (head != ARENA_NONE) {
        arena->previous[head] = unit;
    }
    arena->free_head[order] = unit;
    arena->free_orders_bits |= 1u << order;
    arena->state[unit] = (uint8_t)(ARENA_STATE_FREE | order);
}

static void arena_list_remove(struct arena *arena, uint32_t unit, uint32_t order) {
    ASSERT_HOT(arena->state[unit] == (ARENA_STATE_FREE | order));
    uint32_t next = arena->next[unit];
    uint32_t previous = arena->previous[unit];
    if (next != ARENA_NONE) {
        arena->previous[next] = previous;
    }
    if (previous != ARENA_NONE) {
        arena->next[previous] = next;
    } else {
        ASSERT_HOT(arena->free_head[order] == unit);
        arena->free_head[order] = next;
        if (next == ARENA_NONE) {
            arena->free_orders_bits &= ~(1u << order);
        }
    }
    arena->state[unit] = 0;
}

/* ---- spans --------------------------------------------------------------------------------- */

/* Counts the units of a block in the spans that it touches: one, or whole ones. */
static void arena_spans_count(struct arena *arena, uint32_t unit, uint32_t order, bool taken) {
    const uint32_t units_of_span = ARENA_TRIM_BYTES >> ARENA_UNIT_LOG2;
    uint32_t units = 1u << order;
    uint32_t each = units < units_of_span ? units : units_of_span;
    for (uint32_t done = 0; done < units; done += each) {
        uint32_t span = (unit + done) / units_of_span;
        ASSERT_HOT(span < arena->span_count);
        if (taken) {
            arena->span_used_units[span] += each;
            arena->span_state[span] = SPAN_USED;
        } else {
            ASSERT_HOT(arena->span_used_units[span] >= each);
            arena->span_used_units[span] -= each;
        }
        ASSERT_HOT(arena->span_used_units[span] <= units_of_span);
    }
}

bool arena_trim(struct arena *arena, uint64_t now_ns) {
    if (now_ns < arena->sweep_due_ns) {
        return false;
    }
    uint32_t sweep_end = arena->sweep_next + ARENA_SWEEP_SPANS;
    if (sweep_end > arena->span_count) {
        sweep_end = arena->span_count;
    }
    while (arena->sweep_next < sweep_end) {
        uint32_t span = arena->sweep_next++;
        if (arena->span_used_units[span] != 0 || arena->span_state[span] == SPAN_CLEAN) {
            continue;
        }
        if (arena->span_state[span] == SPAN_USED) {
            arena->span_state[span] = SPAN_IDLE;
            continue;
        }
        arena->span_state[span] = SPAN_CLEAN;
        uint64_t offset = (uint64_t)span * ARENA_TRIM_BYTES;
        uint64_t left = arena->reserved_bytes - offset;
        uint64_t length = left < ARENA_TRIM_BYTES ? left : ARENA_TRIM_BYTES;
        /* If the kernel refuses, the pages merely stay. */
        (void)madvise(arena->memory + offset, length, MADV_DONTNEED);
        return true;
    }
    if (arena->sweep_next == arena->span_count) {
        arena->sweep_next = 0;
        arena->sweep_due_ns = now_ns + ARENA_TRIM_NS;
    }
    return false;
}

/* ---- blocks -------------------------------------------------------------------------------- */

/* The order of the smallest block of length_bytes; may exceed every order there is. */
static uint32_t arena_order(uint64_t length_bytes) {
    uint64_t units = (length_bytes + ARENA_BLOCK_BYTES_MIN - 1) >> ARENA_UNIT_LOG2;
    return units <= 1 ? 0 : 64 - (uint32_t)__builtin_clzll(units - 1);
}

uint32_t arena_take(struct arena *arena, uint64_t length_bytes) {
    if (length_bytes > arena->bytes_max) {
        return BATCH_NO_BLOCK;
    }
    uint32_t order = arena_order(length_bytes);
    uint64_t block_bytes = (uint64_t)ARENA_BLOCK_BYTES_MIN << order;
    if (order > arena->order_max || block_bytes > arena->bytes_max - arena->used_bytes) {
        return BATCH_NO_BLOCK;
    }
    uint32_t fitting_bits = arena->free_orders_bits & ~((1u << order) - 1);
    if (fitting_bits == 0) {
        return BATCH_NO_BLOCK;
    }
    uint32_t found = (uint32_t)__builtin_ctz(fitting_bits);
    uint32_t unit = arena->free_head[found];
    arena_list_remove(arena, unit, found);
    while (found > order) {
        found--;
        arena_list_push(arena, unit + (1u << found), found);
    }
    arena->state[unit] = (uint8_t)(ARENA_STATE_TAKEN | order);
    arena->used_bytes += block_bytes;
    arena_spans_count(arena, unit, order, true);
    return unit;
}

/* The order of a block that is taken. */
static uint32_t arena_taken_order(const struct arena *arena, uint32_t block) {
    ASSERT(block < arena->reserved_bytes >> ARENA_UNIT_LOG2);
    ASSERT((arena->state[block] & ARENA_STATE_TAKEN) != 0);
    return arena->state[block] & ARENA_STATE_ORDER;
}

void arena_give(struct arena *arena, uint32_t block) {
    uint32_t order = arena_taken_order(arena, block);
    arena_spans_count(arena, block, order, false);
    arena->used_bytes -= (uint64_t)ARENA_BLOCK_BYTES_MIN << order;
    arena->state[block] = 0;
    uint32_t unit = block;
    while (order < arena->order_max) {
        uint32_t buddy = unit ^ (1u << order);
        if (arena->state[buddy] != (ARENA_STATE_FREE | order)) {
            break;
        }
        arena_list_remove(arena, buddy, order);
        unit &= ~(1u << order);
        order++;
    }
    arena_list_push(arena, unit, order);
}

void arena_shrink(struct arena *arena, uint32_t block, uint64_t length_bytes) {
    uint32_t order = arena_taken_order(arena, block);
    uint32_t wanted = arena_order(length_bytes);
    ASSERT(wanted <= order);
    while (order > wanted) {
        order--;
        /* Its buddy, the lower half, is taken: there is nothing to join it with. */
        uint32_t upper = block + (1u << order);
        arena_spans_count(arena, upper, order, false);
        arena->used_bytes -= (uint64_t)ARENA_BLOCK_BYTES_MIN << order;
        arena_list_push(arena, upper, order);
    }
    arena->state[block] = (uint8_t)(ARENA_STATE_TAKEN | order);
}

uint8_t *arena_memory(const struct arena *arena, uint32_t block) {
    (void)arena_taken_order(arena, block);
    return arena->memory + ((uint64_t)block << ARENA_UNIT_LOG2);
}

uint64_t arena_block_bytes(const struct arena *arena, uint32_t block) {
    return (uint64_t)ARENA_BLOCK_BYTES_MIN << arena_taken_order(arena, block);
}

uint64_t arena_used_bytes(const struct arena *arena) {
    return arena->used_bytes;
}

/* ---- making and unmaking ------------------------------------------------------------------- */

/* Address space that is backed when it is touched; NULL if there is none. */
static void *arena_map(uint64_t length_bytes) {
    void *memory = mmap(NULL, length_bytes, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    return memory == MAP_FAILED ? NULL : memory;
}

int arena_create(struct arena **out, uint64_t bytes_max) {
    ASSERT(bytes_max >= ARENA_BLOCK_BYTES_MIN);
    ASSERT(bytes_max <= UINT64_C(1) << ARENA_BYTES_MAX_LOG2);
    struct arena *arena = calloc(1, sizeof(*arena));
    if (arena == NULL) {
        return WEIR_ENOMEM;
    }
    arena->bytes_max = bytes_max;
    arena->order_max = arena_order(bytes_max);
    arena->reserved_bytes = (uint64_t)ARENA_BLOCK_BYTES_MIN << arena->order_max;
    uint64_t units = arena->reserved_bytes >> ARENA_UNIT_LOG2;
    uint64_t spans = (arena->reserved_bytes + ARENA_TRIM_BYTES - 1) / ARENA_TRIM_BYTES;
    arena->span_count = (uint32_t)spans;
    arena->tables_bytes = units * (2 * sizeof(uint32_t) + 1) + spans * (sizeof(uint32_t) + 1);
    arena->memory = arena_map(arena->reserved_bytes);
    uint8_t *tables = arena_map(arena->tables_bytes);
    if (arena->memory == NULL || tables == NULL) {
        if (arena->memory != NULL) {
            (void)munmap(arena->memory, arena->reserved_bytes);
        }
        free(arena);
        return WEIR_ENOMEM;
    }
    /* The words first: each table begins where the one before it ends. */
    arena->next = (uint32_t *)(void *)tables;
    arena->previous = arena->next + units;
    arena->span_used_units = arena->previous + units;
    arena->span_state = (uint8_t *)(arena->span_used_units + spans);
    arena->state = arena->span_state + spans;
    for (uint32_t order = 0; order < ARENA_ORDERS_MAX; order++) {
        arena->free_head[order] = ARENA_NONE;
    }
    arena_list_push(arena, 0, arena->order_max);
    *out = arena;
    return 0;
}

void arena_destroy(struct arena *arena) {
    if (arena == NULL) {
        return;
    }
    (void)munmap(arena->memory, arena->reserved_bytes);
    (void)munmap(arena->next, arena->tables_bytes);
    free(arena);
}
