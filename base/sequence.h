#ifndef WEIR_BASE_SEQUENCE_H
#define WEIR_BASE_SEQUENCE_H

/*
 * Counters that wrap.
 *
 * A sequence is a u32 that only ever grows, and wraps from 2^32 - 1 to 0. Two sequences can be
 * compared as long as they are less than 2^31 apart, which each user must be able to say of its
 * own (a ring: its capacity is at most 2^31). `a < b` on such counters is the mistake that shows
 * after four thousand million operations; these two functions are the only comparison.
 */

#include <stdbool.h>
#include <stdint.h>

/* Sequences this far apart, or further, have no order. */
#define SEQUENCE_DISTANCE_LIMIT (UINT32_C(1) << 31)

/* Whether `a` comes before `b`. Requires that they are less than 2^31 apart. */
static inline bool sequence_less(uint32_t a, uint32_t b) {
    return (int32_t)(a - b) < 0;
}

/* How many steps lead from `from` to `to`, which does not come before it: 0 to 2^32 - 1. */
static inline uint32_t sequence_distance(uint32_t from, uint32_t to) {
    return to - from;
}

#endif
