#ifndef WEIR_MACHINES_VECTOR_H
#define WEIR_MACHINES_VECTOR_H

/*
 * A vector of 16-byte elements that grows without moving them.
 *
 * Elements lie in leaves of 1024, found through a directory of pointers. Growing by one takes a
 * leaf at most, and now and then a directory twice as long: copying it costs 8 bytes for each
 * 16 KiB of elements, 40 us at 60 million elements, where copying a flat array would be a stall.
 */

#include "machines/memory.h"

/* The length of a leaf, a power of two. */
enum {
    VECTOR_LEAF_SHIFT = 10,
    VECTOR_LEAF_COUNT = 1 << VECTOR_LEAF_SHIFT,
};

/* What a vector holds; the words' meaning is the user's. */
struct vector_element {
    uint64_t word[2];
};

#define VECTOR_LEAF_BYTES (VECTOR_LEAF_COUNT * sizeof(struct vector_element))

/* Zeroed: empty. May be copied to another place; its memory is that of the `memory` it is given. */
struct vector {
    struct vector_element **leaves;
    uint32_t leaf_count;
    uint32_t leaf_capacity;
    uint64_t count;
};

/* The element of an index below `count`. Its address stays until it is popped. */
static inline struct vector_element *vector_at(const struct vector *vector, uint64_t index) {
    return &vector->leaves[index >> VECTOR_LEAF_SHIFT][index & (VECTOR_LEAF_COUNT - 1)];
}

/* Appends an element with undefined content and returns it. */
struct vector_element *vector_push(struct vector *vector, struct memory *memory);

/* Removes the last element. Keeps one leaf more than needed, so that push and pop in turn cost
 * nothing. */
void vector_pop(struct vector *vector, struct memory *memory);

#endif
