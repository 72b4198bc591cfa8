/*
 * Real threads, real sleeps: one consumer that sleeps whenever it finds nothing, one or two
 * producers with a ring each. A producer sends its next item as soon as its last one was taken,
 * which is just when the consumer looks again and lies down: the moment that the doorbell is
 * about. With one producer a lost wake-up is final; with two, both must be lost, but they race for
 * the exchange.
 *
 * A lost wake-up is a process that stands still. The main thread is the watchdog: it waits with a
 * limit far above what the run takes, and aborts with the state of the word and the rings.
 */

#include <errno.h>
#include <linux/futex.h>
#include <linux/membarrier.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/random.h"
#include "queues/doorbell.h"
#include "queues/ring.h"

#include "tests/cmocka_wrapper.h"
#include "tests/queues/ring_fixture.h"

#define PRODUCERS_MAX 2
#define WATCHDOG_S    120
/* Sleeps of one run. The sanitizer's build is a tenth as fast and looks for races, not for luck. */
#define SLEEPS        (WEIR_TSAN ? 10000 : 200000)

struct town {
    struct doorbell doorbell;
    struct ring *rings[PRODUCERS_MAX];
    uint32_t producers;
    CACHE_ALIGNED uint32_t stop; /* published by the consumer after its last sleep */
    CACHE_ALIGNED uint32_t taken[PRODUCERS_MAX]; /* published by the consumer */
    /* Consumer. */
    CACHE_ALIGNED uint64_t sleeps; /* parks entered */
    uint64_t rung;                 /* sleeps that a doorbell ended, or would have */
    /* Producers, one each. */
    CACHE_ALIGNED uint64_t sent[PRODUCERS_MAX];
    uint64_t wakes[PRODUCERS_MAX];
    sem_t ended;
};

struct producer {
    struct town *town;
    uint32_t number;
};

static long futex(uint32_t *word, int operation, uint32_t value) {
    return syscall(SYS_futex, word, operation | FUTEX_PRIVATE_FLAG, value, NULL, NULL, 0);
}

#if !WEIR_TSAN
static int real_membarrier(int command) {
    int result = (int)syscall(SYS_membarrier, command, 0, 0);
    return result < 0 ? -errno : result;
}
#endif

static void wake_by_futex(void *context) {
    struct town *town = context;
    ASSERT(futex(doorbell_word(&town->doorbell), FUTEX_WAKE, 1) >= 0);
}

/* Sticky: the kernel looks whether the word is still 1, and a producer has made it 0 first. */
static void park_by_futex(struct town *town) {
    long result = futex(doorbell_word(&town->doorbell), FUTEX_WAIT, 1);
    ASSERT(result == 0 || errno == EAGAIN || errno == EINTR);
}

/* So that both meet at any of the moments around lying down; most often within some 100 ns. */
static void dawdle(struct random *random) {
    uint64_t range = random_chance(random, 1, 16) ? 1000 : 40;
    for (uint64_t i = random_below(random, range); i > 0; i--) {
        __asm__ __volatile__(""); /* so that the compiler leaves the loop */
    }
}

/* Returns when the consumer has taken `items` of this producer's, or has stopped. */
static void town_await_taken(struct town *town, uint32_t number, uint32_t items) {
    /* Partner: the releases in town_look and town_consume. */
    for (uint32_t round = 1; atomic_load_acquire_u32(&town->taken[number]) != items &&
                             atomic_load_acquire_u32(&town->stop) == 0;
         round++) {
        if (round % 256 == 0) {
            sched_yield();
        }
    }
}

static void *town_produce(void *context) {
    const struct producer *producer = context;
    struct town *town = producer->town;
    uint32_t number = producer->number;
    struct random random;
    uint32_t item = 0;
    random_seed(&random, number);
    while (atomic_load_acquire_u32(&town->stop) == 0) {
        ASSERT(ring_u32_enqueue(town->rings[number], &item, 1) == 1);
        town->wakes[number] += doorbell_ring(&town->doorbell);
        item++;
        town_await_taken(town, number, item);
        dawdle(&random);
    }
    town->sent[number] = item;
    return NULL;
}

/* Takes what there is; whether that was anything. */
static bool town_look(struct town *town) {
    bool found = false;
    for (uint32_t i = 0; i < town->producers; i++) {
        uint32_t item;
        if (ring_u32_dequeue(town->rings[i], &item, 1) == 1) {
            ASSERT(item == town->taken[i]);
            atomic_store_release_u32(&town->taken[i], item + 1);
            found = true;
        }
    }
    return found;
}

static bool town_is_empty(struct town *town) {
    for (uint32_t i = 0; i < town->producers; i++) {
        if (ring_ready(town->rings[i], 1) > 0) {
            return false;
        }
    }
    return true;
}

static void *town_consume(void *context) {
    struct town *town = context;
    struct random random;
    random_seed(&random, PRODUCERS_MAX);
    while (town->sleeps < SLEEPS) {
        if (town_look(town)) {
            dawdle(&random);
        }
        if (!town_is_empty(town) || !doorbell_prepare(&town->doorbell)) {
            continue;
        }
        if (town_is_empty(town)) {
            park_by_futex(town);
            town->sleeps++;
        }
        town->rung += doorbell_finish(&town->doorbell);
    }
    atomic_store_release_u32(&town->stop, 1);
    sem_post(&town->ended);
    return NULL;
}

static void town_watch(struct town *town) {
    struct timespec limit;
    clock_gettime(CLOCK_REALTIME, &limit);
    limit.tv_sec += WATCHDOG_S;
    while (sem_timedwait(&town->ended, &limit) != 0) {
        if (errno == ETIMEDOUT) {
            fprintf(stderr, "lost wake-up: sleeping %u, depth %u, %u producers, %llu sleeps\n",
                    atomic_load_relaxed_u32(doorbell_word(&town->doorbell)),
                    ring_depth(town->rings[0]), town->producers, (unsigned long long)town->sleeps);
            abort();
        }
    }
}

static void town_run(const struct doorbell_barrier *barrier, uint32_t producer_count) {
    struct town *town = aligned_zero(sizeof(*town));
    struct producer producers[PRODUCERS_MAX];
    pthread_t threads[PRODUCERS_MAX + 1];
    uint64_t start_ns = clock_monotonic_ns();
    town->producers = producer_count;
    doorbell_init(&town->doorbell, barrier, wake_by_futex, town);
    assert_int_equal(sem_init(&town->ended, 0, 0), 0);
    for (uint32_t i = 0; i < producer_count; i++) {
        town->rings[i] = ring_fixture_new(4, 4, RING_SEQUENCE_FIRST);
    }
    assert_int_equal(pthread_create(&threads[producer_count], NULL, town_consume, town), 0);
    for (uint32_t i = 0; i < producer_count; i++) {
        producers[i] = (struct producer){town, i};
        assert_int_equal(pthread_create(&threads[i], NULL, town_produce, &producers[i]), 0);
    }
    town_watch(town);
    for (uint32_t i = 0; i <= producer_count; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    }
    uint64_t wakes = 0;
    uint64_t sent = 0;
    for (uint32_t i = 0; i < producer_count; i++) {
        /* All that was sent was taken, but for the one that the end overtook. */
        assert_true(town->sent[i] - town->taken[i] <= 1);
        wakes += town->wakes[i];
        sent += town->sent[i];
        ring_fixture_free(town->rings[i]);
    }
    assert_true(town->sleeps >= SLEEPS);
    assert_true(sent >= wakes);
    assert_true(wakes > SLEEPS / 2);     /* that many sleeps were ended by a doorbell */
    assert_int_equal(wakes, town->rung); /* exactly one wake for a sleep that was rung */
    print_message("%llu sleeps, %llu wakes, %.1f us a sleep\n", (unsigned long long)town->sleeps,
                  (unsigned long long)wakes,
                  (double)(clock_monotonic_ns() - start_ns) / 1e3 / (double)town->sleeps);
    sem_destroy(&town->ended);
    free(town);
}

static void no_wake_up_is_lost_with_fences(void **state) {
    (void)state;
    struct doorbell_barrier barrier;
    assert_int_equal(doorbell_barrier_choose(&barrier, NULL), DOORBELL_FENCE);
    town_run(&barrier, 1);
    town_run(&barrier, 2);
}

#if !WEIR_TSAN /* there the mode is always that of fences */
static void no_wake_up_is_lost_with_membarrier(void **state) {
    (void)state;
    struct doorbell_barrier barrier;
    /* Asked without our own choice, which is what is tested. */
    long commands = syscall(SYS_membarrier, MEMBARRIER_CMD_QUERY, 0, 0);
    if (commands < 0 || (commands & MEMBARRIER_CMD_PRIVATE_EXPEDITED) == 0) {
        print_message("SKIP: no membarrier under this kernel\n");
        skip();
    }
    assert_int_equal(doorbell_barrier_choose(&barrier, real_membarrier), DOORBELL_MEMBARRIER);
    town_run(&barrier, 1);
    town_run(&barrier, 2);
}
#endif

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_wake_up_is_lost_with_fences),
#if !WEIR_TSAN
        cmocka_unit_test(no_wake_up_is_lost_with_membarrier),
#endif
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
