/*
 * Cores driven at random (sim/raft_cluster_random.h), seed after seed.
 *
 *   test_raft_random                runs WEIR_RAFT_SEEDS seeds (default 300) of WEIR_RAFT_STEPS
 *                                   things each (default 3000)
 *   test_raft_random SEED [STEPS]   runs one seed and prints its whole trace
 *
 * What happened is counted and printed, and a minimum of each thing is demanded: a run in which
 * nobody was elected proves nothing.
 */

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/bytes.h"
#include "base/decimal.h"
#include "sim/raft_cluster_random.h"

/* Said when an assertion of the core ends the process: whose seed it was. */
static char epitaph[64];
static size_t epitaph_length;

/* From now on this seed is at work. */
static void seed_begin(uint64_t seed) {
    int length = snprintf(epitaph, sizeof(epitaph), "raft_random: aborted in seed %llu\n",
                          (unsigned long long)seed);
    ASSERT(length > 0 && (size_t)length < sizeof(epitaph));
    epitaph_length = (size_t)length;
}

static void say_seed(int number) {
    ssize_t written = write(STDERR_FILENO, epitaph, epitaph_length);
    (void)written;
    signal(number, SIG_DFL);
}

static void print(void *context, const char *line) {
    (void)context;
    puts(line);
    fflush(stdout);
}

/* A number from the environment. */
static uint64_t environment(const char *name, uint64_t otherwise) {
    const char *text = getenv(name);
    uint64_t number = otherwise;
    if (text != NULL && decimal_parse_u64(text, strlen(text), &number) != 0) {
        fprintf(stderr, "raft_random: %s=%s is not a number\n", name, text);
        exit(2);
    }
    return number;
}

/* Prints what happened; returns the number of things that happened too rarely. */
static int judge(const struct cluster_counts *counts, uint64_t seeds) {
    struct {
        const char *name;
        uint64_t count;
        uint64_t per_hundred_seeds_min;
    } const lines[] = {
        {"steps", counts->steps, 100000},
        {"elections", counts->elections, 200},
        {"proposals", counts->proposals, 2000},
        {"commits", counts->commits, 2000},
        {"reads answered", counts->reads_done, 500},
        {"reads refused", counts->reads_failed, 100},
        {"changes of membership", counts->changes, 100},
        {"transfers", counts->transfers, 20},
        {"snapshots installed", counts->installs, 20},
        {"truncations", counts->truncations, 10},
        {"crashes", counts->crashes, 50},
        {"messages delivered", counts->delivered, 50000},
        {"messages lost", counts->dropped, 1000},
    };
    int rare = 0;
    for (size_t i = 0; i < ARRAY_COUNT(lines); i++) {
        uint64_t wanted = lines[i].per_hundred_seeds_min * seeds / 100;
        printf("%12llu %s (at least %llu)\n", (unsigned long long)lines[i].count, lines[i].name,
               (unsigned long long)wanted);
        if (lines[i].count < wanted) {
            fprintf(stderr, "raft_random: too few %s\n", lines[i].name);
            rare++;
        }
    }
    return rare;
}

int main(int argument_count, char **arguments) {
    uint64_t steps = environment("WEIR_RAFT_STEPS", 3000);
    uint64_t seeds = environment("WEIR_RAFT_SEEDS", 300);
    uint64_t first = environment("WEIR_RAFT_FIRST_SEED", 1);
    struct cluster_counts counts = {0};
    signal(SIGABRT, say_seed);
    if (argument_count > 1) {
        const char *text = arguments[1];
        uint64_t seed = 0;
        if (decimal_parse_u64(text, strlen(text), &seed) != 0 ||
            (argument_count > 2 &&
             decimal_parse_u64(arguments[2], strlen(arguments[2]), &steps) != 0)) {
            fprintf(stderr, "usage: test_raft_random [SEED [STEPS]]\n");
            return 2;
        }
        seed_begin(seed);
        return cluster_random(seed, (uint32_t)steps, &counts, print, NULL) ? 0 : 1;
    }
    int failures = 0;
    for (uint64_t i = 0; i < seeds && failures == 0; i++) {
        uint64_t seed = first + i;
        seed_begin(seed);
        if (!cluster_random(seed, (uint32_t)steps, &counts, NULL, NULL)) {
            fprintf(stderr, "raft_random: seed %llu fails: tests/test_raft_random %llu %llu\n",
                    (unsigned long long)seed, (unsigned long long)seed, (unsigned long long)steps);
            failures++;
        }
    }
    failures += judge(&counts, failures == 0 ? seeds : 0);
    return failures > 0 ? 1 : 0;
}
