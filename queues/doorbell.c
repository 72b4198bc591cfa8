/*
 * The seldom half of the doorbell.
 *
 * Happy path: prepare sets the word and passes the barrier; the consumer finds its rings empty
 * and parks; a producer publishes, sees the word, gets the 1 by exchange and wakes; the consumer
 * finishes.
 *
 * Failure modes:
 *   - The kernel has no membarrier, or refuses to register: fence mode, for the whole process.
 *   - membarrier fails later: the consumer does not sleep this time. It has said that it sleeps,
 *     so a producer may ring meanwhile; that wake ends a later park early, which is allowed.
 *   - Two producers see the word: one gets the 1.
 *   - The consumer gets up by itself while a producer is between exchange and wake: the wake comes
 *     late and ends a later park early.
 */

#include "queues/doorbell.h"

#include <linux/membarrier.h>

enum doorbell_mode doorbell_barrier_choose(struct doorbell_barrier *barrier,
                                           int (*membarrier)(int command)) {
    ASSERT(barrier != NULL);
    *barrier = (struct doorbell_barrier){.mode = DOORBELL_FENCE, .membarrier = membarrier};
    if (WEIR_TSAN || membarrier == NULL) {
        return DOORBELL_FENCE;
    }
    int offered = membarrier(MEMBARRIER_CMD_QUERY);
    if (offered < 0 || (offered & MEMBARRIER_CMD_PRIVATE_EXPEDITED) == 0 ||
        membarrier(MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED) != 0) {
        return DOORBELL_FENCE;
    }
    barrier->mode = DOORBELL_MEMBARRIER;
    return DOORBELL_MEMBARRIER;
}

void doorbell_init(struct doorbell *doorbell, const struct doorbell_barrier *barrier,
                   void (*wake)(void *context), void *context) {
    ASSERT((uintptr_t)doorbell % CACHE_LINE_BYTES == 0);
    ASSERT(wake != NULL);
    ASSERT(barrier->mode == DOORBELL_FENCE || barrier->membarrier != NULL);
    *doorbell = (struct doorbell){
        .sleeping = 0,
        .mode = barrier->mode,
        .membarrier = barrier->membarrier,
        .wake = wake,
        .context = context,
    };
}

bool doorbell_prepare(struct doorbell *doorbell) {
    ASSERT(atomic_load_relaxed_u32(&doorbell->sleeping) == 0);
    atomic_store_relaxed_u32(&doorbell->sleeping, 1); /* partner: the load in doorbell_ring */
    if (doorbell->mode == DOORBELL_FENCE) {
        atomic_fence_full(); /* partner: the fence in doorbell_ring */
        return true;
    }
    /* Partner: the compiler barrier in doorbell_ring; the kernel makes it a fence. */
    if (doorbell->membarrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED) == 0) {
        return true;
    }
    doorbell_finish(doorbell);
    return false;
}

bool doorbell_ring_sleeper(struct doorbell *doorbell) {
    /* Partner: itself on other threads, and doorbell_finish. One of them gets the 1. */
    uint32_t was = atomic_exchange_u32(&doorbell->sleeping, 0);
    ASSERT(was <= 1);
    if (was == 0) {
        return false;
    }
    doorbell->wake(doorbell->context);
    return true;
}
