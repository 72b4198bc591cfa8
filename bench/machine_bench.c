/*
 * What the kv machine costs, without network, parsing or log.
 *
 *   machine_bench [--keys N] [--runs N] [--partition-bits N] [--pages single|pool]
 *
 * Keys of 16 bytes, values of 64, chosen uniformly; operations in runs of 32, as a batch brings
 * them, their hashes computed before (parse does that). Printed: nanoseconds of this thread's CPU
 * for an operation, the median of N runs of a million; bytes a key, of memory_bytes.
 *
 * The host gives pages out of one mapping with huge pages (pool), or maps each block by itself
 * (single): what a host is worth is seen by the difference.
 */

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/assert.h"
#include "base/bytes.h"
#include "base/clock.h"
#include "base/decimal.h"
#include "base/random.h"
#include "machines/machine.h"

enum {
    RUN_OPERATIONS = 32,
    RUNS_PREPARED =
        64, /* 2048 operations are made, then measured, in turns: cached, as parse leaves
                           them */
    OPERATIONS = RUN_OPERATIONS * RUNS_PREPARED,
    KEY_BYTES = 16,
    VALUE_BYTES = 64,
    PAGE_BYTES = 4096,
    CALL_BUDGET = 1000, /* 100 us */
    RUNS_MAX = 64,
};

/* ---- A host --------------------------------------------------------------------------------- */

/* One mapping, handed out from its front; single pages given back are handed out again. */
struct pool {
    uint8_t *base;
    size_t length_bytes;
    size_t used_bytes;
    void *free_pages; /* linked through their first bytes */
};

static void *pool_take(void *context, size_t length_bytes) {
    struct pool *pool = context;
    if (length_bytes == PAGE_BYTES && pool->free_pages != NULL) {
        void *page = pool->free_pages;
        memcpy(&pool->free_pages, page, sizeof(pool->free_pages));
        memset(page, 0, PAGE_BYTES);
        return page;
    }
    if (length_bytes > pool->length_bytes - pool->used_bytes)
        return NULL;
    void *pages = pool->base + pool->used_bytes;
    pool->used_bytes += length_bytes;
    return pages;
}

static void pool_give(void *context, void *pages, size_t length_bytes) {
    struct pool *pool = context;
    if (length_bytes != PAGE_BYTES)
        return; /* the bench takes few of those, and the process ends soon */
    memcpy(pages, &pool->free_pages, sizeof(pool->free_pages));
    pool->free_pages = pages;
}

static void pool_open(struct pool *pool, size_t length_bytes) {
    *pool = (struct pool){.length_bytes = length_bytes};
    pool->base = mmap(NULL, length_bytes, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    ASSERT(pool->base != MAP_FAILED);
    madvise(pool->base, length_bytes, MADV_HUGEPAGE);
}

static void *single_take(void *context, size_t length_bytes) {
    (void)context;
    void *pages =
        mmap(NULL, length_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return pages == MAP_FAILED ? NULL : pages;
}

static void single_give(void *context, void *pages, size_t length_bytes) {
    (void)context;
    ASSERT(munmap(pages, length_bytes) == 0);
}

/* ---- Operations ----------------------------------------------------------------------------- */

struct bench {
    struct machine *machine;
    struct machine_options options;
    struct random random;
    uint64_t key_count;
    uint64_t index;
    uint8_t (*keys)[KEY_BYTES]; /* of the prepared operations */
    uint8_t value[VALUE_BYTES];
    struct machine_argument (*arguments)[2];
    uint64_t *hashes;
    struct machine_operation *operations;
    uint8_t *region;
    size_t region_bytes;
    uint64_t longest_ns; /* of all calls so far: growth shows in inserting ones */
};

static uint32_t row_of(const char *name) {
    static struct machine_name_index index;
    machine_name_index_build(&index, &machine_kv);
    const int32_t row =
        machine_name_find(&index, &machine_kv, (const uint8_t *)name, (uint32_t)strlen(name));
    ASSERT(row >= 0);
    return (uint32_t)row;
}

static void prepare_one(struct bench *bench, uint32_t i, uint32_t row, uint64_t number) {
    char key[KEY_BYTES + 1];
    snprintf(key, sizeof(key), "key:%012" PRIu64, number % UINT64_C(1000000000000));
    memcpy(bench->keys[i], key, KEY_BYTES);
    bench->arguments[i][0] = (struct machine_argument){bench->keys[i], KEY_BYTES};
    bench->arguments[i][1] = (struct machine_argument){bench->value, VALUE_BYTES};
    bench->hashes[i] = machine_key_hash(bench->keys[i], KEY_BYTES, bench->options.hash_seed);
    const bool has_value = machine_kv.commands[row].arity != 2;
    bench->operations[i] = (struct machine_operation){.arguments = bench->arguments[i],
                                                      .key_hashes = &bench->hashes[i],
                                                      .argument_count = has_value ? 2 : 1,
                                                      .key_count = 1,
                                                      .command_id = machine_kv.commands[row].id,
                                                      .row = (uint16_t)row};
}

/* Executes what is prepared, run by run; the nanoseconds it took. */
static uint64_t execute(struct bench *bench) {
    const uint64_t begin_ns = clock_thread_cpu_ns();
    uint64_t call_begin_ns = begin_ns;
    for (uint32_t r = 0; r < RUNS_PREPARED; r++) {
        struct reply_writer reply;
        reply_begin(&reply, bench->region, bench->region_bytes);
        struct machine_run run = {.operations = &bench->operations[r * RUN_OPERATIONS],
                                  .count = RUN_OPERATIONS,
                                  .moment = {.index = ++bench->index, .log_time_ms = 1000},
                                  .reply = &reply};
        enum machine_progress progress;
        do {
            run.budget = CALL_BUDGET;
            progress = machine_kv.execute(bench->machine, &run);
            const uint64_t call_end_ns = clock_thread_cpu_ns();
            if (bench->longest_ns < call_end_ns - call_begin_ns)
                bench->longest_ns = call_end_ns - call_begin_ns;
            call_begin_ns = call_end_ns;
        } while (progress == MACHINE_MORE);
        ASSERT(progress == MACHINE_DONE && reply.overflow_bytes == 0);
    }
    return clock_thread_cpu_ns() - begin_ns;
}

static double insert_all(struct bench *bench) {
    const uint32_t row = row_of("set");
    uint64_t total_ns = 0;
    uint64_t number = 0;
    while (number < bench->key_count) {
        for (uint32_t i = 0; i < OPERATIONS; i++)
            prepare_one(bench, i, row, number++ % bench->key_count);
        total_ns += execute(bench);
    }
    return (double)total_ns / (double)number;
}

static int compare_doubles(const void *a, const void *b) {
    const double x = *(const double *)a;
    const double y = *(const double *)b;
    return (x > y) - (x < y);
}

static double measure(struct bench *bench, const char *name, uint32_t runs) {
    ASSERT(runs > 0 && runs <= RUNS_MAX);
    double ns[RUNS_MAX] = {0};
    const uint32_t parts = 1000000 / OPERATIONS;
    const uint32_t row = row_of(name);
    for (uint32_t run = 0; run < runs; run++) {
        uint64_t total_ns = 0;
        for (uint32_t part = 0; part < parts; part++) {
            for (uint32_t i = 0; i < OPERATIONS; i++)
                prepare_one(bench, i, row, random_below(&bench->random, bench->key_count));
            total_ns += execute(bench);
        }
        ns[run] = (double)total_ns / ((double)parts * OPERATIONS);
    }
    qsort(ns, runs, sizeof(ns[0]), compare_doubles);
    return ns[runs / 2];
}

static void bench_open(struct bench *bench, const struct machine_host *host) {
    random_seed(&bench->random, 1);
    memset(bench->value, 'v', VALUE_BYTES);
    bench->keys = calloc(OPERATIONS, sizeof(*bench->keys));
    bench->arguments = calloc(OPERATIONS, sizeof(*bench->arguments));
    bench->hashes = calloc(OPERATIONS, sizeof(*bench->hashes));
    bench->operations = calloc(OPERATIONS, sizeof(*bench->operations));
    bench->region_bytes = RUN_OPERATIONS * (VALUE_BYTES + 64);
    bench->region = malloc(bench->region_bytes);
    ASSERT(bench->keys != NULL && bench->arguments != NULL && bench->hashes != NULL &&
           bench->operations != NULL && bench->region != NULL);
    const int error = machine_kv.create(&bench->machine, host, &bench->options);
    ASSERT(error == 0);
}

static int usage(void) {
    fprintf(stderr, "usage: machine_bench [--keys N] [--runs N] [--partition-bits N] "
                    "[--pages single|pool]\n");
    return 2;
}

int main(int argc, char **argv) {
    uint64_t key_count = 100000;
    uint64_t runs = 9;
    uint64_t partition_bits = 4;
    const char *pages = "pool";
    for (int i = 1; i < argc; i += 2) {
        if (i + 1 == argc)
            return usage();
        uint64_t *number = strcmp(argv[i], "--keys") == 0             ? &key_count
                           : strcmp(argv[i], "--runs") == 0           ? &runs
                           : strcmp(argv[i], "--partition-bits") == 0 ? &partition_bits
                                                                      : NULL;
        if (strcmp(argv[i], "--pages") == 0)
            pages = argv[i + 1];
        else if (number == NULL || decimal_parse_u64(argv[i + 1], strlen(argv[i + 1]), number) != 0)
            return usage();
    }
    const bool single = strcmp(pages, "single") == 0;
    if (key_count == 0 || runs == 0 || runs > RUNS_MAX || partition_bits > 8 ||
        (!single && strcmp(pages, "pool") != 0))
        return usage();

    struct pool pool;
    pool_open(&pool, (size_t)256 << 30);
    struct machine_host host = {&pool, pool_take, pool_give};
    if (single)
        host = (struct machine_host){NULL, single_take, single_give};
    struct bench bench = {.key_count = key_count,
                          .options = {.partition_bits = (uint32_t)partition_bits,
                                      .hash_seed = 42,
                                      .value_bytes_max = 1 << 20}};
    bench_open(&bench, &host);
    const double insert_ns = insert_all(&bench);
    const double bytes = (double)machine_kv.memory_bytes(bench.machine) / (double)key_count;
    const double longest_us = (double)bench.longest_ns / 1000.0;
    const double set_ns = measure(&bench, "set", (uint32_t)runs);
    const double get_ns = measure(&bench, "get", (uint32_t)runs);
    printf("keys %" PRIu64 "  partitions %u  pages %s  insert %.1f ns  set %.1f ns  get %.1f ns  "
           "%.1f bytes a key  longest inserting call %.0f us\n",
           key_count, 1u << partition_bits, pages, insert_ns, set_ns, get_ns, bytes, longest_us);
    return 0;
}
