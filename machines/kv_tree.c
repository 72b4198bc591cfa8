/*
 * Happy path: insert and remove go down once, by the counts, and change the leaf. Insert splits
 * every full node before it enters it, so that there is always room for one more child above.
 * Remove remembers its way, and joins on the way back.
 *
 * All moves of entries or children, in a node or between two, are kv_tree_move. Between two calls
 * no node is empty, no inner root has a single child, and `first` is the first entry below.
 */

#include "machines/kv_tree.h"

#include "base/assert.h"

#include <string.h>

struct kv_tree_node {
    struct memory_block block; /* the memory's */
    uint32_t count;            /* of entries, or children */
    uint32_t unused;
    union {
        struct kv_tree_entry entry[KV_TREE_LEAF_ENTRIES]; /* at level 0 */
        struct {
            struct kv_tree_node *child[KV_TREE_INNER_CHILDREN];
            uint64_t below[KV_TREE_INNER_CHILDREN]; /* entries below that child */
            struct kv_tree_entry first[KV_TREE_INNER_CHILDREN];
        };
    };
};

_Static_assert(sizeof(struct kv_tree_node) == MEMORY_PAGE_BYTES, "a node is a page");

/* How many entries or children a node can have. */
static uint32_t kv_tree_capacity(uint32_t level) {
    return level == 0 ? KV_TREE_LEAF_ENTRIES : KV_TREE_INNER_CHILDREN;
}

/* The first entry in or below a node that is not empty. */
static const struct kv_tree_entry *kv_tree_first(const struct kv_tree_node *node, uint32_t level) {
    ASSERT_HOT(node->count > 0);
    return level == 0 ? &node->entry[0] : &node->first[0];
}

/* Copies `count` entries or children; the places may overlap. */
static void kv_tree_move(struct kv_tree_node *to, uint32_t to_index,
                         const struct kv_tree_node *from, uint32_t from_index, uint32_t count,
                         uint32_t level) {
    ASSERT_HOT(to_index + count <= kv_tree_capacity(level));
    ASSERT_HOT(from_index + count <= kv_tree_capacity(level));
    if (level == 0) {
        memmove(&to->entry[to_index], &from->entry[from_index], count * sizeof(to->entry[0]));
        return;
    }
    memmove(&to->child[to_index], &from->child[from_index], count * sizeof(to->child[0]));
    memmove(&to->below[to_index], &from->below[from_index], count * sizeof(to->below[0]));
    memmove(&to->first[to_index], &from->first[from_index], count * sizeof(to->first[0]));
}

/* Takes `count` entries or children out of a node. */
static void kv_tree_close(struct kv_tree_node *node, uint32_t index, uint32_t count,
                          uint32_t level) {
    ASSERT_HOT(index + count <= node->count);
    kv_tree_move(node, index, node, index + count, node->count - index - count, level);
    node->count -= count;
}

/* The child below which *rank lies, of `total` entries below all; *rank becomes the rank below that
 * child. Counts from the nearer end: at the ends of a sequence it looks at one child. */
static uint32_t kv_tree_child(const struct kv_tree_node *node, uint64_t total, uint64_t *rank) {
    ASSERT_HOT(node->count > 0 && *rank < total);
    if (*rank < total / 2) {
        uint32_t index = 0;
        for (; *rank >= node->below[index]; index++)
            *rank -= node->below[index];
        return index;
    }
    uint32_t index = node->count - 1;
    uint64_t begin = total - node->below[index];
    while (*rank < begin)
        begin -= node->below[--index];
    *rank -= begin;
    return index;
}

/* ---- Insertion ------------------------------------------------------------------------------- */

/* Splits the full child `index` of a node at `level`, which has room for one more. `cut`: what
 * stays in the left half. */
static void kv_tree_split(struct memory *memory, struct kv_tree_node *node, uint32_t index,
                          uint32_t level, uint32_t cut) {
    struct kv_tree_node *left = node->child[index];
    struct kv_tree_node *right = memory_take_page(memory);
    ASSERT(cut > 0 && cut < left->count && node->count < KV_TREE_INNER_CHILDREN);
    kv_tree_move(right, 0, left, cut, left->count - cut, level - 1);
    right->count = left->count - cut;
    left->count = cut;

    uint64_t right_below = right->count;
    if (level > 1) {
        right_below = 0;
        for (uint32_t i = 0; i < right->count; i++)
            right_below += right->below[i];
    }
    ASSERT_HOT(right_below > 0 && right_below < node->below[index]);
    kv_tree_move(node, index + 2, node, index + 1, node->count - index - 1, level);
    node->count++;
    node->below[index] -= right_below;
    node->child[index + 1] = right;
    node->below[index + 1] = right_below;
    node->first[index + 1] = *kv_tree_first(right, level - 1);
}

/* Makes sure that there is a root, and that it has room. */
static void kv_tree_grow(struct kv_tree *tree, struct memory *memory) {
    struct kv_tree_node *old = tree->root;
    if (old != NULL && old->count < kv_tree_capacity(tree->height - 1))
        return;
    tree->root = memory_take_page(memory);
    if (old != NULL) {
        tree->root->count = 1; /* it is split at once */
        tree->root->child[0] = old;
        tree->root->below[0] = tree->count;
        tree->root->first[0] = *kv_tree_first(old, tree->height - 1);
    }
    tree->height++;
    ASSERT(tree->height <= KV_TREE_HEIGHT_MAX);
}

void kv_tree_insert(struct kv_tree *tree, struct memory *memory, uint64_t rank,
                    const struct kv_tree_entry *entry) {
    ASSERT(rank <= tree->count);
    kv_tree_grow(tree, memory);
    struct kv_tree_node *node = tree->root;
    uint64_t total = tree->count;
    /* It goes behind the entry of this rank: so no `first` changes, unless it is the first of all.
     */
    uint64_t behind = rank == 0 ? 0 : rank - 1;
    for (uint32_t level = tree->height - 1; level > 0; level--) {
        uint32_t index = kv_tree_child(node, total, &behind);
        const uint32_t capacity = kv_tree_capacity(level - 1);
        if (node->child[index]->count == capacity) {
            kv_tree_split(memory, node, index, level,
                          rank == 0             ? 1
                          : rank == tree->count ? capacity - 1
                                                : capacity / 2);
            if (behind >= node->below[index])
                behind -= node->below[index++];
        }
        if (rank == 0)
            node->first[index] = *entry;
        total = node->below[index]++;
        node = node->child[index];
    }
    const uint32_t place = (uint32_t)behind + (rank > 0);
    ASSERT_HOT(node->count < KV_TREE_LEAF_ENTRIES && place <= node->count);
    kv_tree_move(node, place + 1, node, place, node->count - place, 0);
    node->entry[place] = *entry;
    node->count++;
    tree->count++;
}

/* ---- Removal --------------------------------------------------------------------------------- */

/* How many entries or children a child has; a leaf's number is known without touching it. */
static uint32_t kv_tree_child_count(const struct kv_tree_node *node, uint32_t index,
                                    uint32_t level) {
    return level == 1 ? (uint32_t)node->below[index] : node->child[index]->count;
}

/* Joins the children `index` and the next one of a node at `level`, if both are well below a page.
 * Returns whether it did. */
static bool kv_tree_join(struct memory *memory, struct kv_tree_node *node, uint32_t index,
                         uint32_t level) {
    const uint32_t limit = kv_tree_capacity(level - 1) / 4 * 3;
    const uint32_t left_count = kv_tree_child_count(node, index, level);
    const uint32_t right_count = kv_tree_child_count(node, index + 1, level);
    if (left_count + right_count > limit)
        return false;
    struct kv_tree_node *left = node->child[index];
    struct kv_tree_node *right = node->child[index + 1];
    ASSERT_HOT(left->count == left_count && right->count == right_count);
    kv_tree_move(left, left_count, right, 0, right_count, level - 1);
    left->count += right_count;
    node->below[index] += node->below[index + 1];
    kv_tree_close(node, index + 1, 1, level);
    memory_give_page(memory, right);
    return true;
}

/* Puts a node in order whose child `index` has lost something. Returns whether it lost a child. */
static bool kv_tree_mend(struct memory *memory, struct kv_tree_node *node, uint32_t index,
                         uint32_t level) {
    struct kv_tree_node *child = node->child[index];
    bool lost = false;
    if (child->count == 0) {
        ASSERT_HOT(node->below[index] == 0);
        memory_give_page(memory, child);
        kv_tree_close(node, index, 1, level); /* `index` is the next one now, if there is one */
        lost = true;
    } else if (index + 1 < node->count) {
        lost = kv_tree_join(memory, node, index, level);
    }
    if (index > 0 && index < node->count && kv_tree_join(memory, node, index - 1, level))
        lost = true;
    return lost;
}

/* Drops roots that lead to one child only, or to nothing. */
static void kv_tree_shrink(struct kv_tree *tree, struct memory *memory) {
    while (tree->height > 1 && tree->root->count == 1) {
        struct kv_tree_node *old = tree->root;
        tree->root = old->child[0];
        tree->height--;
        memory_give_page(memory, old);
    }
    ASSERT_HOT((tree->count == 0) == (tree->root->count == 0));
    if (tree->count == 0) {
        memory_give_page(memory, tree->root);
        *tree = (struct kv_tree){0};
    }
}

uint32_t kv_tree_remove(struct kv_tree *tree, struct memory *memory, uint64_t rank,
                        uint64_t count) {
    ASSERT(count >= 1 && count <= tree->count && rank <= tree->count - count);
    struct kv_tree_node *way[KV_TREE_HEIGHT_MAX];
    uint32_t index[KV_TREE_HEIGHT_MAX];
    struct kv_tree_node *node = tree->root;
    uint64_t total = tree->count;
    for (uint32_t level = tree->height - 1; level > 0; level--) {
        way[level] = node;
        index[level] = kv_tree_child(node, total, &rank);
        total = node->below[index[level]];
        node = node->child[index[level]];
    }
    ASSERT_HOT(rank < node->count && total == node->count);
    const uint64_t here = node->count - rank;
    const uint32_t removed = (uint32_t)(count < here ? count : here);
    kv_tree_close(node, (uint32_t)rank, removed, 0);

    tree->count -= removed;
    bool lost = true; /* whether the child has fewer entries or children than before */
    for (uint32_t level = 1; level < tree->height; level++) {
        node = way[level];
        const uint32_t i = index[level];
        node->below[i] -= removed;
        if (node->below[i] > 0)
            node->first[i] = *kv_tree_first(node->child[i], level - 1);
        lost = lost && kv_tree_mend(memory, node, i, level);
    }
    kv_tree_shrink(tree, memory);
    return removed;
}

/* ---- Looking --------------------------------------------------------------------------------- */

struct kv_tree_run kv_tree_run(const struct kv_tree *tree, uint64_t rank) {
    ASSERT(rank < tree->count);
    const struct kv_tree_node *node = tree->root;
    uint64_t total = tree->count;
    uint64_t inside = rank;
    for (uint32_t level = tree->height - 1; level > 0; level--) {
        const uint32_t index = kv_tree_child(node, total, &inside);
        total = node->below[index];
        node = node->child[index];
    }
    ASSERT_HOT(inside < node->count && total == node->count);
    return (struct kv_tree_run){node->entry, rank - inside, node->count};
}

const struct kv_tree_entry *kv_tree_at(const struct kv_tree *tree, uint64_t rank) {
    const struct kv_tree_run run = kv_tree_run(tree, rank);
    return &run.entries[rank - run.rank];
}

void kv_tree_set(struct kv_tree *tree, uint64_t rank, const struct kv_tree_entry *entry) {
    ASSERT(rank < tree->count);
    struct kv_tree_node *node = tree->root;
    uint64_t total = tree->count;
    for (uint32_t level = tree->height - 1; level > 0; level--) {
        const uint32_t index = kv_tree_child(node, total, &rank);
        if (rank == 0)
            node->first[index] = *entry;
        total = node->below[index];
        node = node->child[index];
    }
    ASSERT_HOT(rank < node->count);
    node->entry[rank] = *entry;
}

/* How many of the entries from `low` on, of `count` in all, come before; those below `low` do. */
static uint32_t kv_tree_search(const struct kv_tree_entry *entries, uint32_t low, uint32_t count,
                               bool (*before)(const void *context,
                                              const struct kv_tree_entry *entry),
                               const void *context) {
    uint32_t high = count;
    while (low < high) {
        const uint32_t middle = (low + high) / 2;
        if (before(context, &entries[middle]))
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

uint64_t kv_tree_rank(const struct kv_tree *tree,
                      bool (*before)(const void *context, const struct kv_tree_entry *entry),
                      const void *context) {
    const struct kv_tree_node *node = tree->root;
    uint64_t rank = 0;
    if (node == NULL)
        return 0;
    for (uint32_t level = tree->height - 1; level > 0; level--) {
        /* The last child whose first entry comes before; the first child, if none. */
        const uint32_t index = kv_tree_search(node->first, 1, node->count, before, context) - 1;
        for (uint32_t i = 0; i < index; i++)
            rank += node->below[i];
        node = node->child[index];
    }
    rank += kv_tree_search(node->entry, 0, node->count, before, context);
    ASSERT_HOT(rank <= tree->count);
    return rank;
}

/* ---- Giving back ----------------------------------------------------------------------------- */

bool kv_tree_give_step(struct kv_tree *tree, struct memory *memory, uint32_t *budget) {
    for (; tree->root != NULL && *budget > 0; (*budget)--) {
        struct kv_tree_node *parent = NULL;
        struct kv_tree_node *node = tree->root;
        for (uint32_t level = tree->height - 1; level > 0 && node->count > 0; level--) {
            parent = node;
            node = node->child[node->count - 1];
        }
        memory_give_page(memory, node);
        if (parent != NULL)
            parent->count--;
        else
            *tree = (struct kv_tree){0};
    }
    return tree->root != NULL;
}
