/*
 * The ring and two twins that are too simple to be wrong in the same way: an array that is never
 * reused, and Concurrency Kit's own ring. Random operations; all three must always agree.
 */

#include <ck_ring.h>

#include "base/random.h"
#include "queues/ring.h"

#include "tests/cmocka_wrapper.h"
#include "tests/queues/ring_fixture.h"

#define TWIN_OPERATIONS 20000
#define TWIN_BATCH_MAX  80

struct plain_item {
    uint32_t value;
};
CK_RING_PROTOTYPE(plain, plain_item)

struct twin {
    struct ring *ring;
    uint32_t capacity;
    ck_ring_t plain;
    struct plain_item plain_slots[256]; /* twice the largest capacity: ck_ring wastes a slot */
    uint32_t array[TWIN_OPERATIONS * TWIN_BATCH_MAX];
    uint32_t array_in; /* items ever enqueued */
    uint32_t array_out;
};

static void twin_enqueue(struct twin *twin, struct random *random) {
    uint32_t items[TWIN_BATCH_MAX];
    uint32_t count = (uint32_t)random_below(random, TWIN_BATCH_MAX + 1);
    uint32_t room = twin->capacity - (twin->array_in - twin->array_out);
    uint32_t expected = count < room ? count : room;
    for (uint32_t i = 0; i < count; i++) {
        items[i] = (uint32_t)random_u64(random);
    }
    if (random_chance(random, 1, 2)) {
        uint32_t claimed = ring_room(twin->ring, count);
        assert_true(claimed <= room);
        assert_true(claimed >= expected);
    }
    assert_int_equal(ring_u32_enqueue(twin->ring, items, count), expected);
    for (uint32_t i = 0; i < expected; i++) {
        struct plain_item item = {items[i]};
        twin->array[twin->array_in] = items[i];
        twin->array_in++;
        assert_true(CK_RING_ENQUEUE_SPSC(plain, &twin->plain, twin->plain_slots, &item));
    }
}

static void twin_dequeue(struct twin *twin, struct random *random) {
    uint32_t items[TWIN_BATCH_MAX];
    uint32_t max = (uint32_t)random_below(random, TWIN_BATCH_MAX + 1);
    uint32_t depth = twin->array_in - twin->array_out;
    uint32_t expected = max < depth ? max : depth;
    if (random_chance(random, 1, 2)) {
        uint32_t claimed = ring_ready(twin->ring, max);
        assert_true(claimed <= depth);
        assert_true(claimed >= expected);
    }
    assert_int_equal(ring_u32_dequeue(twin->ring, items, max), expected);
    for (uint32_t i = 0; i < expected; i++) {
        struct plain_item item = {0};
        assert_true(CK_RING_DEQUEUE_SPSC(plain, &twin->plain, twin->plain_slots, &item));
        assert_int_equal(items[i], item.value);
        assert_int_equal(items[i], twin->array[twin->array_out]);
        twin->array_out++;
    }
}

static void ring_agrees_with_an_array_and_with_ck_ring(void **state) {
    (void)state;
    for (uint32_t capacity = 1; capacity <= 128; capacity *= 2) {
        struct random random;
        random_seed(&random, capacity);
        struct twin *twin = aligned_zero(sizeof(*twin));
        twin->capacity = capacity;
        twin->ring = ring_fixture_new(capacity, 4, UINT32_MAX - capacity);
        ck_ring_init(&twin->plain, 256);
        for (uint32_t i = 0; i < TWIN_OPERATIONS; i++) {
            /* Phases that fill and phases that empty, so that both edges are met. */
            if (random_chance(&random, i / 100 % 2 == 0 ? 3 : 1, 4)) {
                twin_enqueue(twin, &random);
            } else {
                twin_dequeue(twin, &random);
            }
            assert_int_equal(ring_depth(twin->ring), twin->array_in - twin->array_out);
        }
        assert_true(twin->ring->gauge->producer.refusals > 0);
        assert_true(twin->array_in > 20 * capacity);
        ring_fixture_free(twin->ring);
        free(twin);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ring_agrees_with_an_array_and_with_ck_ring),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
