#ifndef WEIR_QUEUES_DOORBELL_H
#define WEIR_QUEUES_DOORBELL_H

/*
 * The doorbell: how a core that found all its rings empty may sleep, and no work is ever left
 * lying with nobody awake.
 *
 * A core has one doorbell, however many rings it consumes and however many cores produce into
 * them. The doorbell is one word, `sleeping`. This file has the protocol of that word and nothing
 * else: sleeping itself, and waking, are functions of the runner's, and so is the one system call
 * (membarrier); queues/ makes none.
 *
 * THE PROTOCOL
 *
 *      consumer                                  producer
 *      doorbell_prepare:  sleeping = 1           ring_enqueue: items, tail (release)
 *                         BARRIER                doorbell_ring: BARRIER
 *      check every ring again                                  if sleeping was 1
 *      all empty: park                                           and exchange(sleeping, 0) is 1:
 *      doorbell_finish:   sleeping = 0                             wake
 *
 * Why a barrier. Each side stores one word and then loads the other's. Acquire and release order
 * neither: a CPU may keep its store in its store buffer while it does the load. Without barriers
 * the producer's new tail waits in its buffer while it reads "not sleeping", the consumer's
 * "sleeping" waits in its buffer while it reads the old tail; then both buffers drain, and the
 * consumer sleeps beside a full ring. With them, whoever comes second sees the other's store:
 * either the producer sees "sleeping" and wakes, or the consumer sees the items and stays up.
 * tests/models/ has the protocol with a store buffer for each process, with and without barriers.
 *
 * Which barrier. There are two modes, one for the whole process, chosen at start:
 *
 *   DOORBELL_FENCE       both sides execute a full fence. Correct everywhere; but the producer
 *                        pays it, tens of nanoseconds, for every doorbell_ring, asleep or not.
 *   DOORBELL_MEMBARRIER  the producer has a compiler barrier only, and the consumer calls
 *                        membarrier(2) PRIVATE_EXPEDITED, which makes every running thread of the
 *                        process execute a full fence at some moment during the call. If the
 *                        producer loaded `sleeping` before its moment, then its tail, stored
 *                        earlier, is out before the call returns and the consumer sees it; if
 *                        after, then it sees `sleeping`, since the caller itself is fenced first.
 *                        About 3 us a park, nothing a publication. The default where the kernel
 *                        has it.
 *
 * Exactly one wake a sleep. Of many producers that see `sleeping`, the exchange gives the 1 to
 * one; the others go on. A wake can be late: its producer may be held up between the exchange and
 * the wake function, while the consumer has got up by itself (a timer, a completion) and lain
 * down again. Therefore two conditions on the runner's functions:
 *
 *   1. A wake is sticky. If wake runs between doorbell_prepare and the park, that park returns
 *      at once (an eventfd, an io_uring message, futex_wait on doorbell_word() for the value 1).
 *   2. A park may return for no reason, and the runner then polls and parks again.
 *
 * What is lost if the process dies: nothing, a doorbell holds no work.
 *
 * Ownership and threads: `sleeping` is set by the consumer's thread and cleared by anybody, the
 * rest is constant after doorbell_init. doorbell_prepare and _finish are the consumer's;
 * doorbell_ring is any other thread's. A core never rings its own doorbell: it is awake.
 * Nothing here allocates; what can block is said.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/assert.h"
#include "base/bytes.h"
#include "queues/atomic.h"

/* How the two sides' stores and loads are ordered; one mode for all doorbells of a process. */
enum doorbell_mode {
    DOORBELL_FENCE,
    DOORBELL_MEMBARRIER,
};

/*
 * The runner's door to membarrier(2): must return what
 * syscall(SYS_membarrier, command, 0, 0) does, or -errno where that sets errno.
 */
struct doorbell_barrier {
    enum doorbell_mode mode;
    int (*membarrier)(int command); /* called in DOORBELL_MEMBARRIER mode only */
};

/* The word, the constants beside it: producers read this line and write it only to wake. */
struct doorbell {
    /* Shared. Set by the consumer, cleared by an exchange of whoever comes first. */
    CACHE_ALIGNED uint32_t sleeping;

    /* Constant after doorbell_init. */
    enum doorbell_mode mode;
    int (*membarrier)(int command);
    void (*wake)(void *context);
    void *context;
};

_Static_assert(sizeof(struct doorbell) == CACHE_LINE_BYTES, "one line a doorbell, and no other's");

/*
 * Chooses the mode, once, before the first core starts, and stores it in *barrier.
 * `membarrier`: see struct doorbell_barrier; NULL asks for fence mode. It is called to query and
 * to register the process. The mode is DOORBELL_MEMBARRIER if both succeed, and otherwise
 * DOORBELL_FENCE: an older kernel, a seccomp filter, and always under the thread sanitizer.
 * Returns the mode. The registration is the process's; after a fork the child chooses again.
 */
enum doorbell_mode doorbell_barrier_choose(struct doorbell_barrier *barrier,
                                           int (*membarrier)(int command));

/*
 * Makes *doorbell the doorbell of a consumer that is awake. `barrier` is copied. `wake(context)`
 * makes the consumer's park return (conditions above); producers call it on their own threads, so
 * it must be safe there and should not block. `context` stays the caller's and outlives the
 * doorbell. The doorbell is not freed: it holds nothing.
 */
void doorbell_init(struct doorbell *doorbell, const struct doorbell_barrier *barrier,
                   void (*wake)(void *context), void *context);

/*
 * Consumer: "I am about to sleep". After true: look into every ring; if one has items do not park;
 * in either case end with doorbell_finish. After false (membarrier failed, which its manual allows
 * for want of memory): do not park, poll again; nothing is to be finished.
 * Membarrier mode: a system call of some microseconds.
 */
bool doorbell_prepare(struct doorbell *doorbell);

/*
 * Consumer: "I am awake", after the park or instead of it. Returns whether a producer has rung
 * since doorbell_prepare: its wake was, or will be, delivered.
 */
static inline bool doorbell_finish(struct doorbell *doorbell) {
    /* Partner: the exchange of doorbell_ring. One of the two gets the 1. */
    uint32_t was = atomic_exchange_u32(&doorbell->sleeping, 0);
    ASSERT(was <= 1);
    return was == 0;
}

/* The second half of doorbell_ring: somebody said that it sleeps. Rare, so not inline. */
bool doorbell_ring_sleeper(struct doorbell *doorbell);

/*
 * Producer, after publishing (once for any number of rings of that consumer): wakes the consumer
 * if it sleeps. Returns whether it called wake, for the caller's count. Awake, membarrier mode: one
 * load of a line that seldom changes; fence mode: a full fence too.
 */
static inline bool doorbell_ring(struct doorbell *doorbell) {
    if (doorbell->mode == DOORBELL_FENCE) {
        atomic_fence_full(); /* partner: the fence in doorbell_prepare */
    } else {
        __asm__ __volatile__("" ::: "memory"); /* partner: the membarrier in doorbell_prepare */
    }
    if (__builtin_expect(atomic_load_relaxed_u32(&doorbell->sleeping) == 0, 1)) {
        return false;
    }
    return doorbell_ring_sleeper(doorbell);
}

/*
 * The word itself, for a runner that sleeps with futex(2): FUTEX_WAIT for the value 1 is a
 * sticky park, since a producer's exchange has made it 0 before its FUTEX_WAKE. Not to be written.
 */
static inline uint32_t *doorbell_word(struct doorbell *doorbell) {
    return &doorbell->sleeping;
}

#endif
