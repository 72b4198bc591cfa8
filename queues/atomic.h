#ifndef WEIR_QUEUES_ATOMIC_H
#define WEIR_QUEUES_ATOMIC_H

/*
 * The five operations with which the threads of a node meet, wrapped once. Nothing else touches
 * memory that another of them writes at the same time, but for base/log.c, which lies below and
 * keeps its level, its descriptor and its limits in C11 atomics. (So does the load generator in
 * bench/, which is no part of a node.)
 *
 *   operation       functions                          its partner
 *   --------------- ---------------------------------- ----------------------------------------
 *   publish         atomic_store_release_u32           atomic_load_acquire_u32 of the same word:
 *   consume         atomic_load_acquire_u32            whoever loads the value that was stored sees
 *                                                      everything the storer did before. They order
 *                                                      neither side's store with its LATER load.
 *   fence           atomic_fence_full                  another full fence, or a membarrier issued
 *                                                      by the other side: everything before it,
 *                                                      stores too, is visible before any load
 *                                                      after it is done.
 *   exchange        atomic_exchange_u32                itself: of several who exchange, one gets
 *                                                      the old value. A full fence as well.
 *   glance, note    atomic_load_relaxed_u32, _u64      each other: the value is whole and some time
 *                   atomic_store_relaxed_u32, _u64     arrives. They order nothing; they are
 *                                                      compiler barriers all the same.
 *
 * In production they are Concurrency Kit's (ck_pr). Its loads and stores are assembly, which the
 * thread sanitizer cannot see: it would report every ring as a race, or, were the ring suppressed,
 * find no race ever. So under that sanitizer (and under nothing else) the same five are the
 * compiler's C11 atomics on the same plain words. There is no suppression file;
 * tests/queues/ring_race.c proves that a misplaced publish is reported.
 *
 * Any thread, no blocking, no failure. All pointers are naturally aligned.
 */

#include <stdint.h>

#if !defined(WEIR_TSAN) && defined(__SANITIZE_THREAD__)
#define WEIR_TSAN 1
#endif
#if !defined(WEIR_TSAN) && defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define WEIR_TSAN 1
#endif
#endif
#ifndef WEIR_TSAN
#define WEIR_TSAN 0
#endif

/*
 * Where a thread may be interrupted, for the test that steps two ends by hand through every
 * interleaving (tests/queues/interleave.h). Nothing otherwise. The two of 8 bytes have none: they
 * count, and nobody waits for a count.
 */
#ifndef ATOMIC_STEP
#define ATOMIC_STEP() ((void)0)
#endif

#if WEIR_TSAN

/* Consume: the value that another thread published, and with it all that was done before. */
static inline uint32_t atomic_load_acquire_u32(const uint32_t *word) {
    ATOMIC_STEP();
    return __atomic_load_n(word, __ATOMIC_ACQUIRE);
}

/* Publish: all that this thread did so far becomes visible before `value` does. */
static inline void atomic_store_release_u32(uint32_t *word, uint32_t value) {
    ATOMIC_STEP();
    __atomic_store_n(word, value, __ATOMIC_RELEASE);
    ATOMIC_STEP();
}

/* Consume, of 8 bytes. */
static inline uint64_t atomic_load_acquire_u64(const uint64_t *word) {
    ATOMIC_STEP();
    return __atomic_load_n(word, __ATOMIC_ACQUIRE);
}

/* Publish, of 8 bytes. */
static inline void atomic_store_release_u64(uint64_t *word, uint64_t value) {
    ATOMIC_STEP();
    __atomic_store_n(word, value, __ATOMIC_RELEASE);
    ATOMIC_STEP();
}

/* Fence: see above. The sanitizer knows no fences and gcc warns of that; nothing is lost, since
 * a fence here orders a store with a later load, which is no happens-before edge in its model. */
static inline void atomic_fence_full(void) {
    ATOMIC_STEP();
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wtsan"
#endif
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic pop
#endif
}

/* Exchange: stores `value`, returns what was there; exactly one thread gets each old value. */
static inline uint32_t atomic_exchange_u32(uint32_t *word, uint32_t value) {
    ATOMIC_STEP();
    return __atomic_exchange_n(word, value, __ATOMIC_SEQ_CST);
}

/* Glance: some whole value that the word had, not older than what this thread saw before. */
static inline uint32_t atomic_load_relaxed_u32(const uint32_t *word) {
    ATOMIC_STEP();
    return __atomic_load_n(word, __ATOMIC_RELAXED);
}

/* Glance, of 8 bytes. */
static inline uint64_t atomic_load_relaxed_u64(const uint64_t *word) {
    return __atomic_load_n(word, __ATOMIC_RELAXED);
}

/* Note: others will see the value, whole, some time. */
static inline void atomic_store_relaxed_u32(uint32_t *word, uint32_t value) {
    ATOMIC_STEP();
    __atomic_store_n(word, value, __ATOMIC_RELAXED);
}

/* Note, of 8 bytes. */
static inline void atomic_store_relaxed_u64(uint64_t *word, uint64_t value) {
    __atomic_store_n(word, value, __ATOMIC_RELAXED);
}

#else

#include <ck_pr.h>

/* Consume: the value that another thread published, and with it all that was done before. */
static inline uint32_t atomic_load_acquire_u32(const uint32_t *word) {
    ATOMIC_STEP();
    uint32_t value = ck_pr_load_32(word);
    ck_pr_fence_acquire(); /* partner: the release of atomic_store_release_u32 */
    return value;
}

/* Publish: all that this thread did so far becomes visible before `value` does. */
static inline void atomic_store_release_u32(uint32_t *word, uint32_t value) {
    ATOMIC_STEP();
    ck_pr_fence_release(); /* partner: the acquire of atomic_load_acquire_u32 */
    ck_pr_store_32(word, value);
    ATOMIC_STEP();
}

/* Consume, of 8 bytes. */
static inline uint64_t atomic_load_acquire_u64(const uint64_t *word) {
    ATOMIC_STEP();
    uint64_t value = ck_pr_load_64(word);
    ck_pr_fence_acquire(); /* partner: the release of atomic_store_release_u64 */
    return value;
}

/* Publish, of 8 bytes. */
static inline void atomic_store_release_u64(uint64_t *word, uint64_t value) {
    ATOMIC_STEP();
    ck_pr_fence_release(); /* partner: the acquire of atomic_load_acquire_u64 */
    ck_pr_store_64(word, value);
    ATOMIC_STEP();
}

/* Fence: see above. */
static inline void atomic_fence_full(void) {
    ATOMIC_STEP();
    ck_pr_fence_memory(); /* partner: the fence, or the membarrier, of the other side */
}

/* Exchange: stores `value`, returns what was there; exactly one thread gets each old value. */
static inline uint32_t atomic_exchange_u32(uint32_t *word, uint32_t value) {
    ATOMIC_STEP();
    return ck_pr_fas_32(word, value);
}

/* Glance: some whole value that the word had, not older than what this thread saw before. */
static inline uint32_t atomic_load_relaxed_u32(const uint32_t *word) {
    ATOMIC_STEP();
    return ck_pr_load_32(word);
}

/* Glance, of 8 bytes. */
static inline uint64_t atomic_load_relaxed_u64(const uint64_t *word) {
    return ck_pr_load_64(word);
}

/* Note: others will see the value, whole, some time. */
static inline void atomic_store_relaxed_u32(uint32_t *word, uint32_t value) {
    ATOMIC_STEP();
    ck_pr_store_32(word, value);
}

/* Note, of 8 bytes. */
static inline void atomic_store_relaxed_u64(uint64_t *word, uint64_t value) {
    ck_pr_store_64(word, value);
}

#endif

/* Tells the CPU that this thread is waiting in a loop: cheaper for the sibling, orders nothing. */
static inline void atomic_pause(void) {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ __volatile__("yield");
#endif
}

#endif
