#ifndef WEIR_MACHINES_KV_TREE_H
#define WEIR_MACHINES_KV_TREE_H

/*
 * The ordered structure: a sequence of 16-byte entries in a counted B+ tree of pages.
 *
 * Concepts
 *
 *   entry   Two words; what they mean is the user's. A list's entry is an element, a sorted set's
 *           a score and the address of a member.
 *   rank    The place of an entry in the sequence, from 0.
 *   leaf    A page of up to 254 entries in order.
 *   inner   A page of up to 127 children, with the number of entries below each (so a rank is
 *           found without touching siblings) and the first of them (so an ordered search touches
 *           one node a level).
 *   height  Leaves are at level 0, all of them; the root at height - 1.
 *
 *                       [ child, below, first | child, below, first | ... ]        level 1
 *                           |                     |
 *               [ entry entry entry ... ]   [ entry entry ... ]                    level 0
 *
 * Nodes are filled to the last place. A full one is split in halves, but at an end of the sequence
 * where it grows: there one entry goes, and what is built by appending is packed. After a removal
 * a node is joined with a neighbour if both fit in three quarters of one. So two neighbours hold
 * more than a half of one page together: the worst is 64 bytes an entry, and the height is at most
 * KV_TREE_HEIGHT_MAX.
 *
 * The shape depends on the history; nothing that a reply or a digest shows may depend on it.
 *
 * Every operation is O(log n), with at most one page moved at a level: 0.5 us at worst, a constant
 * number of units. Nothing here fails (machines/memory.h says why). One thread at a time.
 */

#include "machines/memory.h"

/* What a tree holds. */
struct kv_tree_entry {
    uint64_t word[2];
};

struct kv_tree_node; /* kv_tree.c */

enum {
    /* A page less the 32 bytes of its head, in entries of 16 bytes and children of 32. */
    KV_TREE_LEAF_ENTRIES = (MEMORY_PAGE_BYTES - 32) / 16,
    KV_TREE_INNER_CHILDREN = (MEMORY_PAGE_BYTES - 32) / 32,
    /* Two neighbours hold more than 127 entries, or more than 63 children, which are 31 pairs of
     * neighbours: a root of height 8 has more than 127 * 31^6, 1e11 entries, 1.8 TB, below it. */
    KV_TREE_HEIGHT_MAX = 8,
};

/* Zeroed: empty, and without memory. May be copied to another place; its memory is that of the
 * `memory` it is given, always the same. */
struct kv_tree {
    struct kv_tree_node *root;
    uint64_t count;  /* entries */
    uint32_t height; /* 0: no root */
};

/* Entries that lie together: a leaf's. Valid until the next change of the tree. */
struct kv_tree_run {
    const struct kv_tree_entry *entries;
    uint64_t rank; /* of the first one */
    uint32_t count;
};

/* Puts an entry at `rank`, at most the count; those from there on move up by one. */
void kv_tree_insert(struct kv_tree *tree, struct memory *memory, uint64_t rank,
                    const struct kv_tree_entry *entry);

/* Removes `count` >= 1 entries from `rank` on, or as many of them as lie in the first one's leaf,
 * and returns how many it removed. What they point to is the caller's. */
uint32_t kv_tree_remove(struct kv_tree *tree, struct memory *memory, uint64_t rank, uint64_t count);

/* The leaf that holds `rank`, which is below the count: a walk in either direction goes on with
 * the rank behind the run, or in front of it. */
struct kv_tree_run kv_tree_run(const struct kv_tree *tree, uint64_t rank);

/* The entry of a rank below the count. Valid until the next change of the tree. */
const struct kv_tree_entry *kv_tree_at(const struct kv_tree *tree, uint64_t rank);

/* Another entry in the place of that of `rank`, below the count. If the tree is searched by
 * kv_tree_rank, the new one stands in the same order to the others. */
void kv_tree_set(struct kv_tree *tree, uint64_t rank, const struct kv_tree_entry *entry);

/* How many entries come before what is sought. `before` says whether an entry does; all that do
 * stand in front of all that do not. Pure: it is asked about log2(count) + 1 entries, at most 7
 * at a level above the leaves and 8 in the leaf. */
uint64_t kv_tree_rank(const struct kv_tree *tree,
                      bool (*before)(const void *context, const struct kv_tree_entry *entry),
                      const void *context);

/* Gives the nodes back, a unit of the budget for each. Returns whether some are left: then the tree
 * can only be given back further. At the end it is empty, as if zeroed. The entries are the
 * caller's: what they point to has been given back before. */
bool kv_tree_give_step(struct kv_tree *tree, struct memory *memory, uint32_t *budget);

#endif
