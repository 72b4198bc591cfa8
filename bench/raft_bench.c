/*
 * What the consensus core costs, alone: three of it in one process, no disk, no network.
 *
 *   raft_bench [--seconds N] [--runs N] [--json]
 *
 * One entry of 100 bytes is proposed, replicated, stored on all three, answered and committed,
 * before the next; then the same with 16 proposals under way, and with messages of 16 entries.
 * Printed for each: calls of raft_step a second, entries committed a second, calls an entry; the
 * median of the runs, of this thread's CPU time.  Allocations after the start are counted by the
 * linker's wrap and must be none; exit status 1 otherwise.
 */

#include "bench/raft_bench.h"

#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/decimal.h"

enum { RUNS_MAX = 101, BETWEEN_LOOKS = 1000 };

/* ---- allocations ----------------------------------------------------------------------------- */

static uint64_t allocations;

void *__real_malloc(size_t bytes);
void *__real_calloc(size_t count, size_t bytes);
void *__real_realloc(void *memory, size_t bytes);
void *__real_aligned_alloc(size_t alignment, size_t bytes);
void *__wrap_malloc(size_t bytes);
void *__wrap_calloc(size_t count, size_t bytes);
void *__wrap_realloc(void *memory, size_t bytes);
void *__wrap_aligned_alloc(size_t alignment, size_t bytes);

void *__wrap_malloc(size_t bytes) {
    allocations++;
    return __real_malloc(bytes);
}

void *__wrap_calloc(size_t count, size_t bytes) {
    allocations++;
    return __real_calloc(count, bytes);
}

void *__wrap_realloc(void *memory, size_t bytes) {
    allocations++;
    return __real_realloc(memory, bytes);
}

void *__wrap_aligned_alloc(size_t alignment, size_t bytes) {
    allocations++;
    return __real_aligned_alloc(alignment, bytes);
}

/* ---- measuring ------------------------------------------------------------------------------- */

struct shape {
    const char *name;
    uint32_t proposals; /* under way at a time */
    uint32_t entries;   /* of one proposal */
};

struct figure {
    double calls_per_s;
    double entries_per_s;
    double calls_per_entry;
    uint64_t allocations;
};

static struct figure measure(const struct shape *shape, uint64_t duration_ns) {
    struct raft_bench_nodes *nodes = raft_bench_open();
    ASSERT(nodes != NULL);
    uint64_t calls = raft_bench_calls(nodes);
    uint64_t committed = raft_bench_committed(nodes);
    uint64_t allocations_before = allocations;
    uint64_t begin_ns = clock_thread_cpu_ns();
    uint64_t passed_ns;
    do {
        for (uint32_t i = 0; i < BETWEEN_LOOKS; i++) {
            for (uint32_t p = 0; p < shape->proposals; p++) {
                raft_bench_propose(nodes, shape->entries);
            }
            raft_bench_settle(nodes);
        }
        passed_ns = clock_thread_cpu_ns() - begin_ns;
    } while (passed_ns < duration_ns);
    struct figure figure = {.allocations = allocations - allocations_before};
    calls = raft_bench_calls(nodes) - calls;
    committed = raft_bench_committed(nodes) - committed;
    double seconds = (double)passed_ns / 1e9;
    figure.calls_per_s = (double)calls / seconds;
    figure.entries_per_s = (double)committed / seconds;
    figure.calls_per_entry = (double)calls / (double)committed;
    ASSERT(committed > 0);
    ASSERT(raft_bench_committed_everywhere(nodes) + (uint64_t)shape->proposals * shape->entries >=
           raft_bench_committed(nodes));
    raft_bench_close(nodes);
    return figure;
}

static int by_calls(const void *a, const void *b) {
    const struct figure *left = a;
    const struct figure *right = b;
    return (left->calls_per_s > right->calls_per_s) - (left->calls_per_s < right->calls_per_s);
}

static void usage(FILE *out) {
    fputs("usage: raft_bench [--seconds N] [--runs N] [--json]\n"
          "Calls of the consensus core's step a second, three nodes in one process.\n"
          "  --seconds N   CPU time of a run, [1, 3600], default 1\n"
          "  --runs N      runs of each shape, the median counts, [1, 101], default 5\n",
          out);
}

static bool number_read(const char *text, uint64_t max, uint64_t *out) {
    return text != NULL && decimal_parse_u64(text, strlen(text), out) == 0 && *out >= 1 &&
           *out <= max;
}

int main(int argc, char **argv) {
    uint64_t seconds = 1;
    uint64_t runs = 5;
    bool json = false;
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--help") == 0) {
            usage(stdout);
            return 0;
        } else if (strcmp(argv[i], "--json") == 0) {
            json = true;
        } else if (strcmp(argv[i], "--seconds") == 0 && number_read(argv[i + 1], 3600, &seconds)) {
            i++;
        } else if (strcmp(argv[i], "--runs") == 0 && number_read(argv[i + 1], RUNS_MAX, &runs)) {
            i++;
        } else {
            fprintf(stderr, "raft_bench: do not know \"%s\", or its value\n", argv[i]);
            usage(stderr);
            return 2;
        }
    }
    static const struct shape shapes[] = {
        {"one entry at a time", 1, 1},
        {"16 entries under way", 16, 1},
        {"messages of 16 entries", 1, 16},
    };
    bool clean = true;
    for (size_t s = 0; s < sizeof(shapes) / sizeof(shapes[0]); s++) {
        struct figure figures[RUNS_MAX] = {0};
        for (uint64_t r = 0; r < runs; r++) {
            figures[r] = measure(&shapes[s], seconds * UINT64_C(1000000000));
            clean = clean && figures[r].allocations == 0;
        }
        qsort(figures, runs, sizeof(figures[0]), by_calls);
        const struct figure *median = &figures[runs / 2];
        printf(json ? "{\"shape\": \"%s\", \"calls_per_s\": %.0f, \"entries_per_s\": %.0f, "
                      "\"calls_per_entry\": %.2f}\n"
                    : "%-24s %11.0f calls/s %11.0f entries/s  %5.2f calls an entry\n",
               shapes[s].name, median->calls_per_s, median->entries_per_s, median->calls_per_entry);
    }
    if (!clean) {
        fputs("raft_bench: the core allocated memory after its start\n", stderr);
        return 1;
    }
    return 0;
}
