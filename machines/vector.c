/* Nothing here can fail: memory_take does not. */

#include "machines/vector.h"

#include "base/assert.h"

#include <string.h>

enum { VECTOR_DIRECTORY_FIRST = 8 };

static void vector_directory_double(struct vector *vector, struct memory *memory) {
    const uint32_t old_capacity = vector->leaf_capacity;
    const uint32_t capacity = old_capacity == 0 ? VECTOR_DIRECTORY_FIRST : old_capacity * 2;
    struct vector_element **leaves =
        memory_take(memory, capacity * sizeof(struct vector_element *));
    if (old_capacity != 0) {
        memcpy(leaves, vector->leaves, old_capacity * sizeof(struct vector_element *));
        memory_give(memory, vector->leaves, old_capacity * sizeof(struct vector_element *));
    }
    vector->leaves = leaves;
    vector->leaf_capacity = capacity;
}

struct vector_element *vector_push(struct vector *vector, struct memory *memory) {
    const uint64_t index = vector->count;
    if (index >> VECTOR_LEAF_SHIFT == vector->leaf_count) {
        if (vector->leaf_count == vector->leaf_capacity)
            vector_directory_double(vector, memory);
        vector->leaves[vector->leaf_count++] = memory_take(memory, VECTOR_LEAF_BYTES);
    }
    vector->count++;
    return vector_at(vector, index);
}

void vector_pop(struct vector *vector, struct memory *memory) {
    ASSERT(vector->count > 0);
    vector->count--;
    const uint64_t needed = (vector->count + VECTOR_LEAF_COUNT - 1) >> VECTOR_LEAF_SHIFT;
    if (vector->leaf_count > needed + 1)
        memory_give(memory, vector->leaves[--vector->leaf_count], VECTOR_LEAF_BYTES);
}
