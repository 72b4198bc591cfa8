/*
 * The record ring: records of any length come out as they went in, wherever the ring's memory ends,
 * also across two threads.
 */

#include "queues/record_ring.h"

#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include "base/random.h"
#include "queues/ring.h"
#include "tests/cmocka_wrapper.h"
#include "tests/death.h"

enum { CAPACITY_BYTES = 1024, RECORD_BYTES_MAX = CAPACITY_BYTES / 2 - 8 };

static struct record_ring *ring;

static int set_up(void **state) {
    (void)state;
    size_t bytes = record_ring_bytes(CAPACITY_BYTES);
    void *memory = aligned_alloc(CACHE_LINE_BYTES, bytes);
    if (memory == NULL) {
        return -1;
    }
    ring = record_ring_init(memory, CAPACITY_BYTES, RING_SEQUENCE_FIRST);
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    free(ring);
    return 0;
}

/* The bytes of record `number` are told by its number. */
static void fill(uint8_t *bytes, uint32_t length_bytes, uint64_t number) {
    for (uint32_t i = 0; i < length_bytes; i++) {
        bytes[i] = (uint8_t)(number * 31 + i);
    }
}

static bool is_filled(const uint8_t *bytes, uint32_t length_bytes, uint64_t number) {
    for (uint32_t i = 0; i < length_bytes; i++) {
        if (bytes[i] != (uint8_t)(number * 31 + i)) {
            return false;
        }
    }
    return true;
}

static bool put(uint32_t length_bytes, uint64_t number) {
    uint8_t *room = record_ring_reserve(ring, length_bytes);
    if (room == NULL) {
        return false;
    }
    assert_int_equal((uintptr_t)room % 8, 0);
    fill(room, length_bytes, number);
    record_ring_commit(ring, length_bytes);
    return true;
}

static void a_capacity_is_a_power_of_two_within_its_range(void **state) {
    (void)state;
    assert_int_equal(record_ring_bytes(0), 0);
    assert_int_equal(record_ring_bytes(RECORD_RING_CAPACITY_MIN_BYTES / 2), 0);
    assert_int_equal(record_ring_bytes(1000), 0);
    assert_int_equal(record_ring_bytes(2 * RECORD_RING_CAPACITY_MAX_BYTES), 0);
    assert_int_equal(record_ring_bytes(1024), sizeof(struct record_ring) + 1024);
}

static void reserve_nothing(void *context) {
    record_ring_reserve(context, 0);
}

static void reserve_more_than_half(void *context) {
    record_ring_reserve(context, RECORD_BYTES_MAX + 1);
}

static void commit_more_than_was_reserved(void *context) {
    (void)record_ring_reserve(context, 8);
    record_ring_commit(context, 9);
}

static void consume_what_was_not_looked_at(void *context) {
    record_ring_consume(context);
}

static void misuse_is_asserted(void **state) {
    (void)state;
    death_expect_abort(reserve_nothing, ring, "length_bytes > 0");
    death_expect_abort(reserve_more_than_half, ring, "record_ring_record_bytes_max");
    death_expect_abort(commit_more_than_was_reserved, ring, "reserved_bytes");
    death_expect_abort(consume_what_was_not_looked_at, ring, "peeked_units > 0");
}

static void an_empty_ring_has_no_record(void **state) {
    (void)state;
    uint32_t length_bytes = 77;
    assert_null(record_ring_peek(ring, &length_bytes));
    assert_int_equal(length_bytes, 77);
    assert_int_equal(record_ring_used_bytes(ring), 0);
}

static void what_is_reserved_is_not_there_before_its_commit(void **state) {
    (void)state;
    uint32_t length_bytes;
    assert_non_null(record_ring_reserve(ring, 100));
    assert_null(record_ring_peek(ring, &length_bytes));
    uint8_t *again = record_ring_reserve(ring, 10); /* instead */
    fill(again, 10, 1);
    record_ring_commit(ring, 10);
    const uint8_t *record = record_ring_peek(ring, &length_bytes);
    assert_non_null(record);
    assert_int_equal(length_bytes, 10);
    assert_ptr_equal(record, record_ring_peek(ring, &length_bytes));
    record_ring_consume(ring);
    assert_null(record_ring_peek(ring, &length_bytes));
}

static void the_longest_record_fits_an_empty_ring_wherever_it_stands(void **state) {
    (void)state;
    for (uint32_t offset = 0; offset < 3 * CAPACITY_BYTES / 16; offset++) {
        uint32_t length_bytes;
        assert_true(put(1, offset));
        assert_non_null(record_ring_peek(ring, &length_bytes));
        record_ring_consume(ring);
        assert_true(put(RECORD_BYTES_MAX, offset));
        const uint8_t *record = record_ring_peek(ring, &length_bytes);
        assert_int_equal(length_bytes, RECORD_BYTES_MAX);
        assert_true(is_filled(record, length_bytes, offset));
        record_ring_consume(ring);
    }
}

static void a_full_ring_takes_nothing_until_something_is_consumed(void **state) {
    (void)state;
    uint64_t count = 0;
    while (put(56, count)) {
        count++;
    }
    assert_int_equal(count, CAPACITY_BYTES / 64);
    assert_int_equal(record_ring_used_bytes(ring), CAPACITY_BYTES);
    uint32_t length_bytes;
    assert_non_null(record_ring_peek(ring, &length_bytes));
    assert_false(put(56, count));
    record_ring_consume(ring);
    assert_true(put(56, count));
    assert_false(put(1, count));
}

static void records_come_out_as_they_went_in(void **state) {
    (void)state;
    struct random random;
    random_seed(&random, 20261128);
    uint32_t lengths[CAPACITY_BYTES / 16];
    uint64_t in = 0;
    uint64_t out = 0;
    uint32_t refused = 0;
    while (out < 200000) {
        uint32_t want = 1 + (uint32_t)random_below(
                                &random, random_below(&random, 4) == 0 ? RECORD_BYTES_MAX : 60);
        if (random_below(&random, 2) == 0) {
            if (put(want, in)) {
                lengths[in++ % ARRAY_COUNT(lengths)] = want;
            } else {
                refused++;
                assert_true(in > out);
            }
            continue;
        }
        uint32_t length_bytes;
        const uint8_t *record = record_ring_peek(ring, &length_bytes);
        assert_int_equal(record != NULL, in > out);
        if (record != NULL) {
            assert_int_equal(length_bytes, lengths[out % ARRAY_COUNT(lengths)]);
            assert_true(is_filled(record, length_bytes, out++));
            record_ring_consume(ring);
        }
    }
    assert_true(refused > 1000);
}

/* Goes through all that are there, then gives back some of them, in random places of the ring. */
static void a_walk_shows_every_record_and_gives_back_as_many_as_wanted(void **state) {
    (void)state;
    struct random random;
    random_seed(&random, 7);
    uint64_t in = 0;
    uint64_t out = 0;
    while (out < 20000) {
        while (put(8 + (uint32_t)random_below(&random, 100), in)) {
            in++;
        }
        uint32_t position = record_ring_first(ring);
        uint64_t back = out + random_below(&random, in - out + 1);
        uint32_t until = position;
        for (uint64_t number = out; number < in; number++) {
            uint32_t length_bytes;
            const uint8_t *record = record_ring_walk(ring, &position, &length_bytes);
            assert_non_null(record);
            assert_true(is_filled(record, length_bytes, number));
            until = number < back ? position : until;
        }
        uint32_t length_bytes;
        uint32_t end = position;
        assert_null(record_ring_walk(ring, &position, &length_bytes));
        assert_int_equal(position, end);
        record_ring_consume_to(ring, until);
        out = back;
    }
}

enum { THREAD_RECORDS = 200000 };

static void *produce(void *context) {
    struct random random;
    random_seed(&random, 1);
    for (uint64_t number = 0; number < THREAD_RECORDS;) {
        uint32_t length_bytes = 1 + (uint32_t)(number % 97);
        uint8_t *room = record_ring_reserve(context, length_bytes);
        if (room == NULL) {
            sched_yield();
            continue;
        }
        fill(room, length_bytes, number++);
        record_ring_commit(context, length_bytes);
    }
    return NULL;
}

static void two_threads_pass_every_record_whole(void **state) {
    (void)state;
    pthread_t producer;
    assert_int_equal(pthread_create(&producer, NULL, produce, ring), 0);
    uint32_t wrong = 0;
    for (uint64_t number = 0; number < THREAD_RECORDS;) {
        uint32_t length_bytes;
        const uint8_t *record = record_ring_peek(ring, &length_bytes);
        if (record == NULL) {
            sched_yield();
            continue;
        }
        wrong += length_bytes != 1 + number % 97 || !is_filled(record, length_bytes, number);
        number++;
        record_ring_consume(ring);
    }
    pthread_join(producer, NULL);
    assert_int_equal(wrong, 0);
    assert_int_equal(record_ring_used_bytes(ring), 0);
}

int main(void) {
#define RING_TEST(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_capacity_is_a_power_of_two_within_its_range),
        RING_TEST(misuse_is_asserted),
        RING_TEST(an_empty_ring_has_no_record),
        RING_TEST(what_is_reserved_is_not_there_before_its_commit),
        RING_TEST(the_longest_record_fits_an_empty_ring_wherever_it_stands),
        RING_TEST(a_full_ring_takes_nothing_until_something_is_consumed),
        RING_TEST(records_come_out_as_they_went_in),
        RING_TEST(a_walk_shows_every_record_and_gives_back_as_many_as_wanted),
        RING_TEST(two_threads_pass_every_record_whole),
    };
    return cmocka_run_group_tests_name("queues_record_ring", tests, NULL, NULL);
}
