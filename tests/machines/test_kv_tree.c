/*
 * The ordered structure against an array: random insertions and removals of shapes that split and
 * join nodes at every level, every rank looked at, every page back at the end.
 */

#include "base/assert.h"
#include "base/bytes.h"
#include "base/random.h"
#include "machines/kv_tree.h"
#include "tests/cmocka_wrapper.h"

#include <stdlib.h>
#include <string.h>

enum {
    MODEL_MAX = 200000,
    LEAF = KV_TREE_LEAF_ENTRIES,
    INNER = KV_TREE_INNER_CHILDREN,
    LOOKS = 200,
};

static void *host_take(void *context, size_t length_bytes) {
    *(uint64_t *)context += length_bytes;
    void *pages = aligned_alloc(MEMORY_PAGE_BYTES, length_bytes);
    ASSERT(pages != NULL);
    memset(pages, 0, length_bytes);
    return pages;
}

/* Blocks are at most a chunk long here, so they come back whole. */
static void host_give(void *context, void *pages, size_t length_bytes) {
    *(uint64_t *)context -= length_bytes;
    free(pages);
}

/* A tree, and what it must hold. */
struct twin {
    struct machine_host host;
    uint64_t host_bytes;
    struct memory memory;
    struct kv_tree tree;
    struct random random;
    uint64_t count;
    uint64_t next_value;
    struct kv_tree_entry entry[MODEL_MAX];
};

static struct twin *twin_create(uint64_t seed) {
    struct twin *twin = calloc(1, sizeof(*twin));
    ASSERT(twin != NULL);
    twin->host = (struct machine_host){&twin->host_bytes, host_take, host_give};
    memory_begin(&twin->memory, &twin->host, NULL);
    random_seed(&twin->random, seed);
    return twin;
}

static void twin_insert(struct twin *twin, uint64_t rank) {
    ASSERT(twin->count < MODEL_MAX && rank <= twin->count);
    const struct kv_tree_entry entry = {{twin->next_value, ~twin->next_value}};
    twin->next_value++;
    kv_tree_insert(&twin->tree, &twin->memory, rank, &entry);
    memmove(&twin->entry[rank + 1], &twin->entry[rank], (twin->count - rank) * sizeof(entry));
    twin->entry[rank] = entry;
    twin->count++;
}

/* Removes as many of `count` as one call does, and returns how many. */
static uint64_t twin_remove(struct twin *twin, uint64_t rank, uint64_t count) {
    const uint32_t removed = kv_tree_remove(&twin->tree, &twin->memory, rank, count);
    assert_in_range(removed, 1, count);
    twin->count -= removed;
    memmove(&twin->entry[rank], &twin->entry[rank + removed],
            (twin->count - rank) * sizeof(twin->entry[0]));
    return removed;
}

static bool entries_equal(const struct kv_tree_entry *a, const struct kv_tree_entry *b) {
    return a->word[0] == b->word[0] && a->word[1] == b->word[1];
}

/* Two neighbours hold more than half a page together, and every node of the way up more than half
 * of two as well: so many pages at most. Counted, not looked up. */
static uint64_t pages_max(uint64_t count) {
    uint64_t nodes = 2 * (count / (LEAF / 2) + 1);
    uint64_t pages = nodes;
    while (nodes > 1) {
        nodes = nodes > INNER / 2 ? 2 * (nodes / (INNER / 2) + 1) : 1;
        pages += nodes;
    }
    return pages;
}

/* All entries by their runs, some by their ranks; sizes of the whole. */
static void twin_check(struct twin *twin) {
    assert_int_equal(twin->tree.count, twin->count);
    assert_int_equal(twin->tree.root == NULL, twin->count == 0);
    assert_int_equal(twin->tree.height == 0, twin->count == 0);
    for (uint64_t rank = 0; rank < twin->count;) {
        const struct kv_tree_run run = kv_tree_run(&twin->tree, rank);
        assert_int_equal(run.rank, rank);
        assert_true(run.count > 0 && run.count <= LEAF && rank + run.count <= twin->count);
        assert_memory_equal(run.entries, &twin->entry[rank], run.count * sizeof(run.entries[0]));
        rank += run.count;
    }
    for (uint32_t i = 0; i < LOOKS && twin->count > 0; i++) {
        const uint64_t rank = random_below(&twin->random, twin->count);
        assert_true(entries_equal(kv_tree_at(&twin->tree, rank), &twin->entry[rank]));
        const struct kv_tree_run run = kv_tree_run(&twin->tree, rank);
        assert_true(run.rank <= rank && rank < run.rank + run.count);
    }
    assert_in_range(twin->memory.used_bytes, 0, pages_max(twin->count) * MEMORY_PAGE_BYTES);
}

/* Gives the nodes back a few at a time, and what the host gave. */
static void twin_destroy(struct twin *twin) {
    uint32_t budget;
    bool more;
    do {
        const uint64_t used_bytes = twin->memory.used_bytes;
        budget = 3;
        more = kv_tree_give_step(&twin->tree, &twin->memory, &budget);
        const uint64_t given = (used_bytes - twin->memory.used_bytes) / MEMORY_PAGE_BYTES;
        assert_int_equal(given, 3 - budget);
        assert_true(!more || budget == 0);
    } while (more);
    assert_null(twin->tree.root);
    assert_int_equal(twin->tree.count + twin->tree.height, 0);
    assert_int_equal(twin->memory.used_bytes, 0);
    struct memory_retired retired = {0};
    memory_retire(&twin->memory, &retired);
    budget = UINT32_MAX;
    assert_false(memory_retired_give(&retired, &twin->host, &budget));
    assert_int_equal(twin->host_bytes, 0);
    free(twin);
}

static void an_empty_tree_has_no_memory(void **state) {
    (void)state;
    struct twin *twin = twin_create(1);
    twin_check(twin);
    for (uint32_t round = 0; round < 3; round++) {
        twin_insert(twin, 0);
        twin_check(twin);
        assert_int_equal(twin->memory.used_bytes, MEMORY_PAGE_BYTES);
        assert_int_equal(twin_remove(twin, 0, 1), 1);
        twin_check(twin);
        assert_int_equal(twin->memory.used_bytes, 0);
    }
    twin_destroy(twin);
}

/* Appending fills every node but the last ones, at both ends. */
static void what_is_built_at_an_end_is_packed(void **state) {
    (void)state;
    for (uint32_t at_front = 0; at_front < 2; at_front++) {
        struct twin *twin = twin_create(2);
        const uint64_t count = (uint64_t)LEAF * INNER + 2 * LEAF;
        for (uint64_t i = 0; i < count; i++)
            twin_insert(twin, at_front ? 0 : twin->count);
        twin_check(twin);
        assert_int_equal(twin->tree.height, 3);
        /* Each split leaves a node one short of full. */
        const uint64_t leaves = count / (LEAF - 1) + 1;
        assert_in_range(twin->memory.used_bytes / MEMORY_PAGE_BYTES, leaves, leaves + 3);
        twin_destroy(twin);
    }
}

/* The counts around each capacity, where a leaf or an inner node is split or joined: up and down
 * over it, at the front, in the middle, at the end. */
static void splits_and_joins_at_their_boundaries(void **state) {
    (void)state;
    static const uint64_t counts[] = {1,
                                      LEAF / 2,
                                      LEAF,
                                      LEAF + LEAF / 2,
                                      (uint64_t)LEAF * 3,
                                      (uint64_t)(LEAF / 2) * INNER,
                                      (uint64_t)(LEAF - 1) * INNER};
    for (uint32_t place = 0; place < 3; place++) {
        struct twin *twin = twin_create(3);
        for (size_t i = 0; i < ARRAY_COUNT(counts); i++) {
            while (twin->count < counts[i] + 3)
                twin_insert(twin, twin->count * place / 2);
            twin_check(twin);
            for (uint32_t round = 0; round < 4; round++) {
                for (uint32_t step = 0; step < 6 && twin->count > 0; step++)
                    twin_remove(twin, (twin->count - 1) * place / 2, 1);
                twin_check(twin);
                for (uint32_t step = 0; step < 6; step++)
                    twin_insert(twin, twin->count * place / 2);
                twin_check(twin);
            }
        }
        twin_destroy(twin);
    }
}

/* One step of a random history that grows or shrinks the tree. */
static void twin_step(struct twin *twin, bool growing) {
    struct random *random = &twin->random;
    if (twin->count == 0 || random_chance(random, growing ? 4 : 1, 5)) {
        const uint64_t rank = random_chance(random, 1, 4)   ? 0
                              : random_chance(random, 1, 3) ? twin->count
                                                            : random_below(random, twin->count + 1);
        twin_insert(twin, rank);
        return;
    }
    const uint64_t rank = random_below(random, twin->count);
    const uint64_t left = twin->count - rank;
    const uint64_t limit = random_chance(random, 1, 20) && left > 0 ? left : 1;
    twin_remove(twin, rank, 1 + random_below(random, limit));
}

static void a_random_history_equals_an_array(void **state) {
    (void)state;
    for (uint64_t seed = 1; seed <= 8; seed++) {
        struct twin *twin = twin_create(seed);
        for (uint32_t phase = 0; phase < 8; phase++) {
            const uint64_t steps = 1 + random_below(&twin->random, 6000);
            for (uint64_t step = 0; step < steps; step++)
                twin_step(twin, phase % 2 == 0);
            twin_check(twin);
        }
        twin_destroy(twin);
    }
}

/* Three levels, emptied from the middle, by runs: every node is joined or dropped. */
static void a_high_tree_comes_down_again(void **state) {
    (void)state;
    struct twin *twin = twin_create(4);
    while (twin->count < 60000)
        twin_insert(twin, random_below(&twin->random, 2) * twin->count / 2);
    assert_int_equal(twin->tree.height, 3);
    twin_check(twin);
    uint32_t checks = 0;
    while (twin->count > 0) {
        const uint64_t rank = random_below(&twin->random, twin->count);
        twin_remove(twin, rank, 1 + random_below(&twin->random, twin->count - rank));
        if (++checks % 50 == 0)
            twin_check(twin);
    }
    twin_check(twin);
    assert_int_equal(twin->memory.used_bytes, 0);
    twin_destroy(twin);
}

/* One entry in 100 is kept, forwards and backwards: what is left of a leaf goes to the neighbour
 * that was thinned out before, which is the left one, then the right one. */
static void thinned_out_leaves_are_joined_on_both_sides(void **state) {
    (void)state;
    for (uint32_t backwards = 0; backwards < 2; backwards++) {
        struct twin *twin = twin_create(6);
        for (uint32_t i = 0; i < 100 * 100; i++)
            twin_insert(twin, twin->count);
        for (uint32_t i = 0; i < 100; i++) {
            const uint64_t rank = backwards ? (99 - i) * 100 : i;
            for (uint64_t left = 99; left > 0;)
                left -= twin_remove(twin, rank, left);
        }
        assert_int_equal(twin->count, 100);
        twin_check(twin);
        assert_int_equal(twin->memory.used_bytes, MEMORY_PAGE_BYTES);
        twin_destroy(twin);
    }
}

static bool is_below(const void *context, const struct kv_tree_entry *entry) {
    return entry->word[0] < *(const uint64_t *)context;
}

/* Where a value belongs, in a tree kept in order of its first word, some of them equal. */
static void a_search_finds_the_first_that_is_not_before(void **state) {
    (void)state;
    struct twin *twin = twin_create(5);
    for (uint32_t step = 0; step < 40000; step++) {
        const uint64_t value = random_below(&twin->random, 20000) * 2;
        const uint64_t rank = kv_tree_rank(&twin->tree, is_below, &value);
        assert_true(rank == twin->count || twin->entry[rank].word[0] >= value);
        assert_true(rank == 0 || twin->entry[rank - 1].word[0] < value);
        if (rank < twin->count && random_chance(&twin->random, 2, 5)) {
            twin_remove(twin, rank, 1);
        } else if (rank < twin->count && random_chance(&twin->random, 1, 4)) {
            /* Another value that stands in the same order: the odd ones are never sought. */
            const bool fits = rank == 0 || twin->entry[rank - 1].word[0] <= value - 1;
            const struct kv_tree_entry entry = {{fits && value > 0 ? value - 1 : value, step}};
            kv_tree_set(&twin->tree, rank, &entry);
            twin->entry[rank] = entry;
        } else {
            twin->next_value = value;
            twin_insert(twin, rank);
        }
    }
    twin_check(twin);
    assert_true(twin->tree.height >= 2);
    const uint64_t above_all = UINT64_MAX;
    assert_int_equal(kv_tree_rank(&twin->tree, is_below, &above_all), twin->count);
    twin_destroy(twin);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_empty_tree_has_no_memory),
        cmocka_unit_test(what_is_built_at_an_end_is_packed),
        cmocka_unit_test(splits_and_joins_at_their_boundaries),
        cmocka_unit_test(a_random_history_equals_an_array),
        cmocka_unit_test(a_high_tree_comes_down_again),
        cmocka_unit_test(thinned_out_leaves_are_joined_on_both_sides),
        cmocka_unit_test(a_search_finds_the_first_that_is_not_before),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
