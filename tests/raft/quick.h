#ifndef WEIR_TESTS_RAFT_QUICK_H
#define WEIR_TESTS_RAFT_QUICK_H

/*
 * Quick-checks: many small cases, each answered by the code and by a twin that is too dumb to be
 * wrong in the same way.  A quick-check says how many cases it had, and fails if there were fewer
 * than it was written for: a generator that has run dry would otherwise pass for ever.
 */

#include <inttypes.h>
#include <stdio.h>

#include "base/decimal.h"
#include "base/random.h"

#include <stdlib.h>
#include <string.h>

#include "tests/cmocka_wrapper.h"

struct quick {
    const char *sentence;
    uint64_t seed;
    uint64_t cases;
    struct random random;
};

/* The seed is always the same, or that of WEIR_QUICK_SEED. */
static inline struct quick quick_begin(const char *sentence) {
    struct quick quick = {.sentence = sentence, .seed = 20140814};
    const char *text = getenv("WEIR_QUICK_SEED");
    if (text != NULL && decimal_parse_u64(text, strlen(text), &quick.seed) != 0) {
        fail_msg("WEIR_QUICK_SEED is no number: %s", text);
    }
    random_seed(&quick.random, quick.seed);
    return quick;
}

/* A number in [low, high]. */
static inline uint64_t quick_between(struct quick *quick, uint64_t low, uint64_t high) {
    return low + random_below(&quick->random, high - low + 1);
}

static inline void quick_end(const struct quick *quick, uint64_t cases_min) {
    printf("quick: %s: %" PRIu64 " cases, seed %" PRIu64 "\n", quick->sentence, quick->cases,
           quick->seed);
    if (quick->cases < cases_min) {
        fail_msg("only %" PRIu64 " cases, %" PRIu64 " were meant", quick->cases, cases_min);
    }
}

#endif
