/*
 * Two threads and one ring, for about a second: order kept, nothing lost, nothing twice, every
 * item whole and what it points to visible. A third thread reads depth and gauges all the while.
 */

#include <pthread.h>
#include <sched.h>

#include "base/clock.h"
#include "base/random.h"
#include "queues/ring.h"

#include "tests/cmocka_wrapper.h"
#include "tests/queues/ring_fixture.h"

#define STRESS_NS        (200 * CLOCK_NS_PER_MS) /* of each of the configurations */
#define STRESS_BATCH_MAX 24

/* An item carries its number, its hash, and the index of a cell written before it was sent. */
struct parcel {
    uint64_t number;
    uint64_t hash;
};
RING_TYPED(ring_parcel, struct parcel);

struct stress {
    struct ring *ring;
    uint32_t capacity;
    uint64_t seed;
    uint64_t *cells; /* 4 * capacity, plain memory: what the ring's ordering protects */
    uint64_t sent;
    uint64_t received;
    uint32_t done; /* published by the producer */
};

static uint64_t parcel_hash(uint64_t number) {
    return (number + 1) * UINT64_C(0x9e3779b97f4a7c15);
}

static void *stress_produce(void *context) {
    struct stress *stress = context;
    struct random random;
    random_seed(&random, stress->seed);
    uint64_t number = 0;
    uint64_t until_ns = clock_monotonic_ns() + STRESS_NS;
    while (number % 64 != 0 || clock_monotonic_ns() < until_ns) {
        struct parcel parcels[STRESS_BATCH_MAX];
        uint32_t count = 1 + (uint32_t)random_below(&random, STRESS_BATCH_MAX);
        for (uint32_t i = 0; i < count; i++) {
            parcels[i] = (struct parcel){number + i, parcel_hash(number + i)};
        }
        for (uint32_t done = 0; done < count;) {
            /* A cell is written again only when its last reader is known to be done with it. */
            uint32_t room = ring_room(stress->ring, 1);
            uint32_t now = count - done < room ? count - done : room;
            for (uint32_t i = 0; i < now; i++) {
                uint64_t of = number + done + i;
                stress->cells[of % (4 * stress->capacity)] = ~of;
            }
            uint32_t taken = ring_parcel_enqueue(stress->ring, parcels + done, now);
            ASSERT(taken == now);
            done += taken;
            if (taken == 0) {
                sched_yield();
            }
        }
        number += count;
    }
    stress->sent = number;
    atomic_store_release_u32(&stress->done, 1); /* partner: the acquire in stress_consume */
    return NULL;
}

static void *stress_consume(void *context) {
    struct stress *stress = context;
    struct random random;
    random_seed(&random, ~stress->seed);
    uint64_t number = 0;
    for (;;) {
        struct parcel parcels[STRESS_BATCH_MAX];
        uint32_t finished = atomic_load_acquire_u32(&stress->done);
        uint32_t max = 1 + (uint32_t)random_below(&random, STRESS_BATCH_MAX);
        uint32_t ready = ring_ready(stress->ring, max);
        uint32_t of = ready < max ? ready : max;
        for (uint32_t i = 0; i < of; i++) {
            ASSERT(stress->cells[(number + i) % (4 * stress->capacity)] == ~(number + i));
        }
        uint32_t count = ring_parcel_dequeue(stress->ring, parcels, of);
        ASSERT(count == of);
        for (uint32_t i = 0; i < count; i++) {
            ASSERT(parcels[i].number == number + i);
            ASSERT(parcels[i].hash == parcel_hash(number + i));
        }
        number += count;
        if (count == 0) {
            if (finished != 0) {
                break;
            }
            sched_yield();
        }
    }
    stress->received = number;
    return NULL;
}

/* What a monitor may rely on while the ring runs. */
static void *stress_monitor(void *context) {
    struct stress *stress = context;
    uint64_t dequeued_before = 0;
    while (atomic_load_acquire_u32(&stress->done) == 0) {
        ASSERT(ring_depth(stress->ring) <= stress->capacity);
        uint64_t dequeued = gauge_read(&stress->ring->gauge->consumer.dequeued);
        ASSERT(dequeued >= dequeued_before);
        dequeued_before = dequeued;
        sched_yield();
    }
    return NULL;
}

static void stress_run(uint32_t capacity, uint32_t sequence_first) {
    struct stress stress = {
        .ring = ring_fixture_new(capacity, sizeof(struct parcel), sequence_first),
        .capacity = capacity,
        .seed = capacity,
        .cells = aligned_zero((size_t)4 * capacity * sizeof(uint64_t)),
    };
    pthread_t threads[3];
    assert_int_equal(pthread_create(&threads[0], NULL, stress_produce, &stress), 0);
    assert_int_equal(pthread_create(&threads[1], NULL, stress_consume, &stress), 0);
    assert_int_equal(pthread_create(&threads[2], NULL, stress_monitor, &stress), 0);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    }
    assert_true(stress.sent > 1000);
    assert_int_equal(stress.received, stress.sent);
    assert_int_equal(stress.ring->gauge->producer.enqueued, stress.sent);
    assert_int_equal(stress.ring->gauge->consumer.dequeued, stress.sent);
    assert_int_equal(ring_depth(stress.ring), 0);
    free(stress.cells);
    ring_fixture_free(stress.ring);
}

static void nothing_is_lost_reordered_or_torn(void **state) {
    (void)state;
    stress_run(1, UINT32_MAX - 5);
    stress_run(2, UINT32_MAX - 100);
    stress_run(16, UINT32_MAX - 1000);
    stress_run(64, RING_SEQUENCE_FIRST);
    stress_run(1024, RING_SEQUENCE_FIRST);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_is_lost_reordered_or_torn),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
