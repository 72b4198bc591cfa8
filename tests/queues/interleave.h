#ifndef WEIR_TESTS_QUEUES_INTERLEAVE_H
#define WEIR_TESTS_QUEUES_INTERLEAVE_H

/*
 * Two ends of something lock-free, stepped through every interleaving on one thread.
 *
 * Both ends run as coroutines. Each atomic operation of queues/atomic.h is a step: before it (and
 * after a publish) the running end yields, and the schedule says who goes on. Every schedule is
 * tried, in depth-first order, so a failure comes back at the same place every time. The order of
 * memory is not part of it (all is in program order here): for that there are the models and the
 * thread sanitizer.
 *
 * The build includes this header before everything else, in the test and in the sources of
 * queues/ that it compiles once more (CMakeLists.txt): so that ATOMIC_STEP is defined when
 * atomic.h is read.
 */

#include <stdbool.h>
#include <stdint.h>

#ifdef WEIR_QUEUES_ATOMIC_H
#error "this header comes before anything of queues/"
#endif
#define ATOMIC_STEP() interleave_step()

/* What to interleave. Each function gets `context`. */
struct interleave {
    void (*reset)(void *context);        /* before each schedule */
    void (*ends[2])(void *context);      /* the two coroutines; each must return */
    void (*check)(void *context);        /* after each schedule, when both have returned */
    bool (*blocked)(void *context, int); /* whether that end waits now; NULL: it never does */
    void *context;
};

/*
 * Tries all schedules, and returns how many there were. Aborts if one is longer than
 * 128 steps, or if both ends wait (a deadlock: the schedule is printed). One thread.
 */
uint64_t interleave_all(const struct interleave *interleave);

/* Tries `count` schedules drawn from `seed`, where all would be too many. As interleave_all. */
void interleave_some(const struct interleave *interleave, uint64_t seed, uint64_t count);

/* A step of the end that runs; outside of the two above, nothing. */
void interleave_step(void);

#endif
