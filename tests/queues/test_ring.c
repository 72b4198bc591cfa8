/* One ring, one thread: its edges, its counters, and what it refuses. */

#include "queues/ring.h"

#include "tests/cmocka_wrapper.h"
#include "tests/death.h"
#include "tests/queues/ring_fixture.h"

static void no_memory_is_asked_for_a_capacity_that_is_no_power_of_two(void **state) {
    (void)state;
    assert_int_equal(ring_bytes(0, 4), 0);
    assert_int_equal(ring_bytes(3, 4), 0);
    assert_int_equal(ring_bytes(RING_CAPACITY_MAX + 1, 4), 0);
    assert_int_equal(ring_bytes(RING_CAPACITY_MAX * 2, 4), 0);
}

static void no_memory_is_asked_for_an_item_of_a_wrong_size(void **state) {
    (void)state;
    assert_int_equal(ring_bytes(8, 0), 0);
    assert_int_equal(ring_bytes(8, 2), 0);
    assert_int_equal(ring_bytes(8, 12), 0);
    assert_int_equal(ring_bytes(8, RING_ITEM_BYTES_MAX * 2), 0);
}

static void memory_is_the_ring_and_whole_lines_of_slots(void **state) {
    (void)state;
    assert_int_equal(ring_bytes(1, 4), sizeof(struct ring) + 64);
    assert_int_equal(ring_bytes(16, 4), sizeof(struct ring) + 64);
    assert_int_equal(ring_bytes(32, 4), sizeof(struct ring) + 128);
    assert_int_equal(ring_bytes(RING_CAPACITY_MAX, RING_ITEM_BYTES_MAX),
                     sizeof(struct ring) + ((size_t)RING_CAPACITY_MAX * RING_ITEM_BYTES_MAX));
}

static void init_with_capacity_three(void *context) {
    (void)context;
    struct gauge_ring gauge = {0};
    struct ring_setup setup = {.name = "a_b", .capacity = 3, .item_bytes = 4, .gauge = &gauge};
    ring_init(aligned_zero(4096), &setup);
}

static void init_without_a_gauge(void *context) {
    (void)context;
    struct ring_setup setup = {.name = "a_b", .capacity = 4, .item_bytes = 4};
    ring_init(aligned_zero(4096), &setup);
}

static void enqueue_u32_into_a_ring_of_larger_items(void *context) {
    (void)context;
    struct ring *ring = ring_fixture_new(4, 16, 0);
    uint32_t item = 1;
    ring_u32_enqueue(ring, &item, 1);
}

static void a_wrong_setup_aborts(void **state) {
    (void)state;
    death_expect_abort(init_with_capacity_three, NULL, "ring_bytes");
    death_expect_abort(init_without_a_gauge, NULL, "gauge");
    if (WEIR_ASSERT_HOT) {
        death_expect_abort(enqueue_u32_into_a_ring_of_larger_items, NULL, "item_bytes");
    }
}

static void an_empty_ring_gives_nothing_and_leaves_the_array_alone(void **state) {
    (void)state;
    struct ring *ring = ring_fixture_new(4, 4, 0);
    uint32_t items[4] = {7, 7, 7, 7};
    assert_int_equal(ring_u32_dequeue(ring, items, 4), 0);
    assert_int_equal(items[0], 7);
    assert_int_equal(ring_ready(ring, 1), 0);
    assert_int_equal(ring_depth(ring), 0);
    assert_string_equal(ring_name(ring), "left_right");
    ring_fixture_free(ring);
}

static void nothing_offered_or_wanted_is_nothing_done(void **state) {
    (void)state;
    struct ring *ring = ring_fixture_new(4, 4, 0);
    uint32_t item = 5;
    assert_int_equal(ring_u32_enqueue(ring, &item, 0), 0);
    assert_int_equal(ring_u32_enqueue(ring, &item, 1), 1);
    assert_int_equal(ring_u32_dequeue(ring, &item, 0), 0);
    assert_int_equal(ring->gauge->producer.publishes, 1);
    assert_int_equal(ring->gauge->producer.refusals, 0);
    assert_int_equal(ring->gauge->consumer.drains, 0);
    ring_fixture_free(ring);
}

static void every_slot_is_usable_and_a_full_ring_takes_nothing(void **state) {
    (void)state;
    for (uint32_t capacity = 1; capacity <= 64; capacity *= 2) {
        struct ring *ring = ring_fixture_new(capacity, 4, 0);
        assert_int_equal(ring_capacity(ring), capacity);
        for (uint32_t i = 0; i < capacity; i++) {
            assert_int_equal(ring_room(ring, capacity), capacity - i);
            assert_int_equal(ring_u32_enqueue(ring, &i, 1), 1);
            assert_int_equal(ring_depth(ring), i + 1);
        }
        uint32_t item = 99;
        assert_int_equal(ring_u32_enqueue(ring, &item, 1), 0);
        assert_int_equal(ring_room(ring, 1), 0);
        for (uint32_t i = 0; i < capacity; i++) {
            assert_int_equal(ring_u32_dequeue(ring, &item, 1), 1);
            assert_int_equal(item, i);
        }
        assert_int_equal(ring_u32_dequeue(ring, &item, 1), 0);
        ring_fixture_free(ring);
    }
}

static void a_batch_that_does_not_fit_is_taken_in_part(void **state) {
    (void)state;
    struct ring *ring = ring_fixture_new(8, 4, 0);
    const uint32_t in[12] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11};
    uint32_t out[12] = {0};
    assert_int_equal(ring_u32_enqueue(ring, in, 5), 5);
    assert_int_equal(ring_u32_enqueue(ring, in + 5, 7), 3);
    assert_int_equal(ring_u32_dequeue(ring, out, 3), 3);
    assert_int_equal(ring_u32_enqueue(ring, in + 8, 4), 3);
    assert_int_equal(ring_u32_dequeue(ring, out + 3, 9), 8);
    assert_memory_equal(out, in, 11 * sizeof(in[0]));
    ring_fixture_free(ring);
}

/* Passes `count` items in batches of every size up to the capacity, from a given sequence on. */
static void pass_items(uint32_t capacity, uint32_t sequence_first, uint32_t count) {
    struct ring *ring = ring_fixture_new(capacity, 4, sequence_first);
    uint32_t array[64];
    uint32_t sent = 0;
    uint32_t received = 0;
    for (uint32_t step = 0; received < count; step++) {
        uint32_t batch = 1 + step % capacity;
        for (uint32_t i = 0; i < batch; i++) {
            array[i] = sent + i;
        }
        sent += ring_u32_enqueue(ring, array, batch);
        assert_int_equal(ring_depth(ring), sent - received);
        uint32_t got = ring_u32_dequeue(ring, array, 1 + (step * 7) % capacity);
        for (uint32_t i = 0; i < got; i++) {
            assert_int_equal(array[i], received + i);
        }
        received += got;
    }
    assert_int_equal(ring->gauge->producer.enqueued, sent);
    assert_int_equal(ring->gauge->consumer.dequeued, received);
    ring_fixture_free(ring);
}

static void sequences_wrap_at_any_moment(void **state) {
    (void)state;
    for (uint32_t capacity = 1; capacity <= 64; capacity *= 2) {
        for (uint32_t before = 0; before <= 2 * capacity; before++) {
            pass_items(capacity, UINT32_MAX - before, 5 * capacity);
        }
        pass_items(capacity, RING_SEQUENCE_FIRST, 5000);
        pass_items(capacity, UINT32_C(1) << 31, 300);
    }
}

struct job {
    uint64_t first;
    uint64_t last;
    uint32_t batch;
    uint32_t parts[3];
};
_Static_assert(sizeof(struct job) == 32, "the size of an apply job");

static void larger_items_arrive_whole(void **state) {
    (void)state;
    struct ring *ring = ring_fixture_new(4, sizeof(struct job), UINT32_MAX - 2);
    for (uint32_t i = 0; i < 100; i++) {
        struct job in[3];
        struct job out[3];
        memset(in, (int)i, sizeof(in));
        in[0].first = i;
        in[2].parts[2] = ~i;
        assert_int_equal(ring_enqueue(ring, in, 3), 3);
        assert_int_equal(ring_dequeue(ring, out, 3), 3);
        assert_memory_equal(in, out, sizeof(in));
    }
    ring_fixture_free(ring);
}

static void items_of_every_size_wrap_without_touching_their_neighbours(void **state) {
    (void)state;
    for (uint32_t bytes = RING_ITEM_BYTES_MIN; bytes <= RING_ITEM_BYTES_MAX; bytes *= 2) {
        struct ring *ring = ring_fixture_new(4, bytes, 1);
        uint8_t in[4 * RING_ITEM_BYTES_MAX];
        uint8_t out[4 * RING_ITEM_BYTES_MAX];
        for (uint32_t round = 0; round < 40; round++) {
            uint32_t count = 1 + round % 4;
            for (size_t i = 0; i < (size_t)count * bytes; i++) {
                in[i] = (uint8_t)(i * 7 + round);
            }
            assert_int_equal(ring_enqueue(ring, in, count), count);
            assert_int_equal(ring_dequeue(ring, out, 4), count);
            assert_memory_equal(in, out, (size_t)count * bytes);
        }
        ring_fixture_free(ring);
    }
}

static void each_end_looks_at_the_other_only_when_it_must(void **state) {
    (void)state;
    struct ring *ring = ring_fixture_new(4, 4, 0);
    uint32_t items[4] = {1, 2, 3, 4};
    assert_int_equal(ring_u32_enqueue(ring, items, 4), 4);
    assert_int_equal(ring_u32_dequeue(ring, items, 4), 4);
    assert_int_equal(ring->head_seen, 0); /* the producer has had no reason to look */
    assert_int_equal(ring_room(ring, 0), 0);
    assert_int_equal(ring->head_seen, 0);
    assert_int_equal(ring_room(ring, 1), 4); /* now it has */
    assert_int_equal(ring->head_seen, 4);
    assert_int_equal(ring_u32_enqueue(ring, items, 2), 2);
    assert_int_equal(ring_ready(ring, 0), 0);
    assert_int_equal(ring_ready(ring, 1), 2);
    ring_fixture_free(ring);
}

static void both_ends_count(void **state) {
    (void)state;
    struct ring *ring = ring_fixture_new(8, 4, 0);
    uint32_t items[16] = {0};
    ring_u32_enqueue(ring, items, 3);
    ring_u32_enqueue(ring, items, 3);
    ring_u32_dequeue(ring, items, 4);
    ring_u32_enqueue(ring, items, 16);
    ring_u32_dequeue(ring, items, 16);
    ring_u32_dequeue(ring, items, 16);
    assert_int_equal(ring->gauge->producer.enqueued, 12);
    assert_int_equal(ring->gauge->producer.publishes, 3);
    assert_int_equal(ring->gauge->producer.refusals, 1);
    assert_int_equal(ring->gauge->consumer.dequeued, 12);
    assert_int_equal(ring->gauge->consumer.drains, 2);
    assert_int_equal(ring->gauge->consumer.high_water, 8);
    ring_fixture_free(ring);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_memory_is_asked_for_a_capacity_that_is_no_power_of_two),
        cmocka_unit_test(no_memory_is_asked_for_an_item_of_a_wrong_size),
        cmocka_unit_test(memory_is_the_ring_and_whole_lines_of_slots),
        cmocka_unit_test(a_wrong_setup_aborts),
        cmocka_unit_test(an_empty_ring_gives_nothing_and_leaves_the_array_alone),
        cmocka_unit_test(nothing_offered_or_wanted_is_nothing_done),
        cmocka_unit_test(every_slot_is_usable_and_a_full_ring_takes_nothing),
        cmocka_unit_test(a_batch_that_does_not_fit_is_taken_in_part),
        cmocka_unit_test(sequences_wrap_at_any_moment),
        cmocka_unit_test(larger_items_arrive_whole),
        cmocka_unit_test(items_of_every_size_wrap_without_touching_their_neighbours),
        cmocka_unit_test(each_end_looks_at_the_other_only_when_it_must),
        cmocka_unit_test(both_ends_count),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
