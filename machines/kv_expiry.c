/*
 * Happy path: a new deadline is later than most, so it is appended and stays near the end.
 * Invariant: no node is earlier than its parent, and each record's heap_index is its node's index.
 */

#include "machines/kv_expiry.h"

enum { KV_HEAP_CHILDREN = 4 };

static struct kv_record *kv_heap_record(const struct vector_element *element) {
    return (struct kv_record *)(uintptr_t)element->word[1];
}

/* Writes a node, and its index into its record. */
static void kv_heap_put(struct kv_expiry *expiry, uint64_t index, struct vector_element element) {
    *vector_at(&expiry->heap, index) = element;
    kv_deadline_of(kv_heap_record(&element))->heap_index = (uint32_t)index;
}

static void kv_heap_up(struct kv_expiry *expiry, uint64_t index, struct vector_element element) {
    while (index > 0) {
        const uint64_t parent = (index - 1) / KV_HEAP_CHILDREN;
        const struct vector_element above = *vector_at(&expiry->heap, parent);
        if (above.word[0] <= element.word[0])
            break;
        kv_heap_put(expiry, index, above);
        index = parent;
    }
    kv_heap_put(expiry, index, element);
}

static void kv_heap_down(struct kv_expiry *expiry, uint64_t index, struct vector_element element) {
    const uint64_t count = expiry->heap.count;
    for (;;) {
        const uint64_t first = index * KV_HEAP_CHILDREN + 1;
        if (first >= count)
            break;
        const uint64_t end = first + KV_HEAP_CHILDREN < count ? first + KV_HEAP_CHILDREN : count;
        uint64_t earliest = first;
        for (uint64_t child = first + 1; child < end; child++)
            if (vector_at(&expiry->heap, child)->word[0] <
                vector_at(&expiry->heap, earliest)->word[0])
                earliest = child;
        const struct vector_element below = *vector_at(&expiry->heap, earliest);
        if (element.word[0] <= below.word[0])
            break;
        kv_heap_put(expiry, index, below);
        index = earliest;
    }
    kv_heap_put(expiry, index, element);
}

/* Puts an element where a node was removed or changed: it may have to go either way. */
static void kv_heap_settle(struct kv_expiry *expiry, uint64_t index,
                           struct vector_element element) {
    const uint64_t parent = (index - 1) / KV_HEAP_CHILDREN;
    if (index > 0 && element.word[0] < vector_at(&expiry->heap, parent)->word[0])
        kv_heap_up(expiry, index, element);
    else
        kv_heap_down(expiry, index, element);
}

static void kv_heap_remove(struct kv_expiry *expiry, struct memory *memory, uint64_t index) {
    const struct vector_element last = *vector_at(&expiry->heap, expiry->heap.count - 1);
    vector_pop(&expiry->heap, memory);
    if (index < expiry->heap.count)
        kv_heap_settle(expiry, index, last);
}

void kv_expiry_set(struct kv_expiry *expiry, struct memory *memory, struct kv_record *record,
                   uint64_t deadline_ms) {
    struct kv_deadline *deadline = kv_deadline_of(record);
    ASSERT(deadline != NULL);
    const uint64_t old_ms = deadline->deadline_ms;
    deadline->deadline_ms = deadline_ms;
    const struct vector_element element = {{deadline_ms, (uintptr_t)record}};
    if (old_ms == deadline_ms)
        return;
    if (deadline_ms == KV_DEADLINE_NONE) {
        kv_heap_remove(expiry, memory, deadline->heap_index);
    } else if (old_ms == KV_DEADLINE_NONE) {
        ASSERT(expiry->heap.count < UINT32_MAX); /* 4 G records: 100 GB of heads alone */
        vector_push(&expiry->heap, memory);
        kv_heap_up(expiry, expiry->heap.count - 1, element);
    } else {
        kv_heap_settle(expiry, deadline->heap_index, element);
    }
}

void kv_expiry_moved(struct kv_expiry *expiry, struct kv_record *record) {
    const struct kv_deadline *deadline = kv_deadline_of(record);
    if (deadline == NULL || deadline->deadline_ms == KV_DEADLINE_NONE)
        return;
    struct vector_element *element = vector_at(&expiry->heap, deadline->heap_index);
    ASSERT_HOT(element->word[0] == deadline->deadline_ms);
    element->word[1] = (uintptr_t)record;
}

/* The node after `index` and all below it, in the order parent, children; UINT64_MAX at the end. */
static uint64_t kv_heap_after(uint64_t index, uint64_t count) {
    while (index > 0) {
        const bool last_child = index % KV_HEAP_CHILDREN == 0;
        if (!last_child && index + 1 < count)
            return index + 1;
        index = (index - 1) / KV_HEAP_CHILDREN;
    }
    return UINT64_MAX;
}

uint64_t kv_expiry_count_due(const struct kv_expiry *expiry, uint64_t now_ms, uint64_t *index,
                             uint32_t *budget) {
    const uint64_t count = expiry->heap.count;
    uint64_t due = 0;
    if (count == 0)
        *index = UINT64_MAX;
    while (*index != UINT64_MAX && *budget > 0) {
        (*budget)--;
        const bool is_due = vector_at(&expiry->heap, *index)->word[0] <= now_ms;
        const uint64_t child = *index * KV_HEAP_CHILDREN + 1;
        due += is_due;
        *index = is_due && child < count ? child : kv_heap_after(*index, count);
    }
    return due;
}
