#ifndef WEIR_QUEUES_WAIT_H
#define WEIR_QUEUES_WAIT_H

/*
 * How a core waits when none of its shards had work: as data.
 *
 * A policy is a number of empty rounds to spin, then a number of rounds with a CPU pause in each,
 * then to park or not:
 *
 *      work ──► SPIN × spins ──► PAUSE × pauses ──► PARK        (parks)
 *       ▲                                     └───► PAUSE …     (never parks; SPIN … if no pauses)
 *       └────────────── any work: wait_reset ──────────┘
 *
 * Spinning answers fastest and burns a CPU; parking costs the parker a system call (and, see
 * doorbell.h, a membarrier of about 3 us) and its waker another. It pays to spin for about as
 * long as a park and wake take, and no longer; and when threads outnumber CPUs it never pays,
 * since the one who spins holds the CPU that the one waited for needs.
 *
 * The state belongs to one core and is touched by its thread only. Nothing blocks or allocates:
 * wait_next() only says what to do; doing it is the runner's.
 */

#include <stdbool.h>
#include <stdint.h>

#include "queues/atomic.h"

/* What to do before the next round of polling. */
enum wait_action {
    WAIT_SPIN,  /* poll again at once */
    WAIT_PAUSE, /* wait_pause(), then poll again */
    WAIT_PARK,  /* park by the doorbell's protocol, with the next timer as limit */
};

/* A policy: constant data, see wait_policies. */
struct wait_policy {
    const char *name;   /* what the operator writes, e.g. "balanced" */
    uint32_t spins;     /* empty rounds polled again at once, 0 to 2^31 */
    uint32_t pauses;    /* empty rounds after these with a pause in each, 0 to 2^31 */
    uint32_t gather_us; /* a busy core may sleep on for so long behind what would wake it */
    bool parks; /* whether to park then; otherwise the last kind of round goes on for ever */
};

/* The built-in policies, indices into wait_policies. */
enum wait_policy_index {
    WAIT_BUSY,     /* never parks: a CPU of its own, lowest latency */
    WAIT_BALANCED, /* spins for about as long as a park would cost, then parks */
    WAIT_FRUGAL,   /* parks at once: fewest CPU cycles; when threads outnumber CPUs */
    WAIT_POLICY_COUNT,
};

/* The built-in policies; constant data, any thread. */
extern const struct wait_policy wait_policies[WAIT_POLICY_COUNT];

/* How many empty rounds in a row one core has had; zero-initialized is "just had work". */
struct wait_state {
    uint32_t empty_rounds; /* saturates at spins + pauses */
};

/* The policy of that name, or NULL if there is none. */
const struct wait_policy *wait_policy_find(const char *name);

/* A round had work: waiting starts over. */
static inline void wait_reset(struct wait_state *state) {
    state->empty_rounds = 0;
}

/* A round had no work: what to do now. After WAIT_PARK it says WAIT_PARK until wait_reset(). */
static inline enum wait_action wait_next(const struct wait_policy *policy,
                                         struct wait_state *state) {
    uint32_t round = state->empty_rounds;
    if (round < policy->spins) {
        state->empty_rounds = round + 1;
        return WAIT_SPIN;
    }
    if (round - policy->spins < policy->pauses) {
        state->empty_rounds = round + 1;
        return WAIT_PAUSE;
    }
    if (policy->parks) {
        return WAIT_PARK;
    }
    return policy->pauses > 0 ? WAIT_PAUSE : WAIT_SPIN;
}

/* The pause of WAIT_PAUSE: tens of nanoseconds. */
static inline void wait_pause(void) {
    atomic_pause();
}

#endif
