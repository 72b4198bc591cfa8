/*
 * tree_bench: what does an operation of the ordered structure cost, by the number of entries?
 *
 *     tree_bench
 *
 * For trees of 1 to a million entries, built by appending and then made uneven by replacing a
 * quarter of them at random: nanoseconds for an entry pushed at the front and popped from the end
 * (half of the pair), for one inserted at a random rank and removed from another (half of the
 * pair), for a look at a random rank, for a search of a value, and bytes of memory an entry. Each
 * is the best of several runs.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/bytes.h"
#include "base/clock.h"
#include "base/random.h"
#include "machines/kv_tree.h"

enum { RUNS = 7, CALLS = 20000 };

struct bench {
    struct memory memory;
    struct kv_tree tree;
    struct random random;
    uint64_t sink; /* is printed, so that the work is not left out */
};

static void *host_take(void *context, size_t length_bytes) {
    (void)context;
    void *pages = aligned_alloc(MEMORY_PAGE_BYTES, length_bytes);
    ASSERT(pages != NULL);
    memset(pages, 0, length_bytes);
    return pages;
}

static void host_give(void *context, void *pages, size_t length_bytes) {
    (void)context;
    (void)length_bytes;
    free(pages);
}

static void insert(struct bench *bench, uint64_t rank) {
    const struct kv_tree_entry entry = {{random_u64(&bench->random), rank}};
    kv_tree_insert(&bench->tree, &bench->memory, rank, &entry);
}

static void work_ends(struct bench *bench) {
    insert(bench, 0);
    (void)kv_tree_remove(&bench->tree, &bench->memory, bench->tree.count - 1, 1);
}

static void work_anywhere(struct bench *bench) {
    insert(bench, random_below(&bench->random, bench->tree.count + 1));
    (void)kv_tree_remove(&bench->tree, &bench->memory,
                         random_below(&bench->random, bench->tree.count), 1);
}

static void work_at(struct bench *bench) {
    const uint64_t rank = random_below(&bench->random, bench->tree.count);
    bench->sink += kv_tree_at(&bench->tree, rank)->word[0];
}

static bool is_below(const void *context, const struct kv_tree_entry *entry) {
    return entry->word[0] < *(const uint64_t *)context;
}

static void work_search(struct bench *bench) {
    const uint64_t value = random_u64(&bench->random);
    bench->sink += kv_tree_rank(&bench->tree, is_below, &value);
}

/* The best run's nanoseconds a call. */
static double measure(struct bench *bench, void (*work)(struct bench *bench)) {
    uint64_t best_ns = UINT64_MAX;
    for (uint32_t run = 0; run < RUNS; run++) {
        const uint64_t begin_ns = clock_monotonic_ns();
        for (uint32_t i = 0; i < CALLS; i++)
            work(bench);
        const uint64_t run_ns = clock_monotonic_ns() - begin_ns;
        best_ns = run_ns < best_ns ? run_ns : best_ns;
    }
    return (double)best_ns / CALLS;
}

/* Values evenly spread in ascending order, for the search. */
static void renumber(struct bench *bench) {
    const uint64_t step = UINT64_MAX / bench->tree.count;
    for (uint64_t rank = 0; rank < bench->tree.count; rank++) {
        const struct kv_tree_entry entry = {{rank * step, rank}};
        kv_tree_set(&bench->tree, rank, &entry);
    }
}

int main(void) {
    static const uint64_t counts[] = {1, 100, 10000, 1000000};
    static struct machine_host host = {NULL, host_take, host_give};
    static struct bench bench;
    memory_begin(&bench.memory, &host, NULL);
    random_seed(&bench.random, 1);
    (void)printf("%10s %10s %10s %10s %10s %10s\n", "entries", "ends ns", "random ns", "at ns",
                 "search ns", "bytes");
    for (size_t i = 0; i < ARRAY_COUNT(counts); i++) {
        while (bench.tree.count < counts[i])
            insert(&bench, bench.tree.count);
        for (uint64_t j = 0; j < counts[i] / 4; j++)
            work_anywhere(&bench);
        const double ends_ns = measure(&bench, work_ends) / 2;
        const double anywhere_ns = measure(&bench, work_anywhere) / 2;
        const double at_ns = measure(&bench, work_at);
        renumber(&bench);
        const double search_ns = measure(&bench, work_search);
        (void)printf("%10llu %10.1f %10.1f %10.1f %10.1f %10.1f\n", (unsigned long long)counts[i],
                     ends_ns, anywhere_ns, at_ns, search_ns,
                     (double)bench.memory.used_bytes / (double)bench.tree.count);
    }
    (void)printf("sum %llu\n", (unsigned long long)bench.sink);
    return 0;
}
