/* A pool of ids: order, exhaustion, and the two mistakes that it catches. */

#include "queues/pool.h"

#include "base/random.h"

#include "tests/cmocka_wrapper.h"
#include "tests/death.h"
#include "tests/queues/ring_fixture.h"

static struct pool *pool_new(uint32_t capacity) {
    return pool_init(aligned_zero(pool_bytes(capacity)), capacity);
}

static void give_twice(void *context) {
    struct pool *pool = context;
    uint32_t id = pool_take(pool);
    pool_give(pool, id);
    pool_give(pool, id);
}

static void give_what_was_never_taken(void *context) {
    pool_give(context, 3);
}

static void give_what_does_not_exist(void *context) {
    pool_give(context, 100);
}

static void give_none(void *context) {
    pool_give(context, POOL_NONE);
}

static void init_of_nothing(void *context) {
    pool_init(context, 0);
}

static void mistakes_abort(void **state) {
    (void)state;
    struct pool *pool = pool_new(100);
    death_expect_abort(give_twice, pool, "!pool_is_free");
    death_expect_abort(give_what_was_never_taken, pool, "!pool_is_free");
    death_expect_abort(give_what_does_not_exist, pool, "id < pool->capacity");
    death_expect_abort(give_none, pool, "id < pool->capacity");
    death_expect_abort(init_of_nothing, pool, "pool_bytes");
    free(pool);
}

static void sizes_out_of_range_need_no_memory(void **state) {
    (void)state;
    assert_int_equal(pool_bytes(0), 0);
    assert_int_equal(pool_bytes(POOL_CAPACITY_MAX + 1), 0);
    assert_int_equal(pool_bytes(1), 64 + 64 + 64);
    assert_int_equal(pool_bytes(1024), 64 + 4096 + 128);
}

static void a_new_pool_gives_every_id_once_beginning_with_zero(void **state) {
    (void)state;
    static const uint32_t capacities[] = {1, 63, 64, 65, 1000};
    for (size_t c = 0; c < ARRAY_COUNT(capacities); c++) {
        struct pool *pool = pool_new(capacities[c]);
        for (uint32_t id = 0; id < capacities[c]; id++) {
            assert_true(pool_is_free(pool, id));
            assert_int_equal(pool_take(pool), id);
            assert_false(pool_is_free(pool, id));
        }
        assert_int_equal(pool_take(pool), POOL_NONE);
        assert_int_equal(pool_free_count(pool), 0);
        free(pool);
    }
}

static void the_id_given_last_is_taken_first(void **state) {
    (void)state;
    struct pool *pool = pool_new(8);
    for (int i = 0; i < 5; i++) {
        pool_take(pool);
    }
    pool_give(pool, 1);
    pool_give(pool, 4);
    pool_give(pool, 2);
    assert_int_equal(pool_take(pool), 2);
    assert_int_equal(pool_take(pool), 4);
    assert_int_equal(pool_take(pool), 1);
    assert_int_equal(pool_take(pool), 5);
    assert_int_equal(pool->free_count_min, 2);
    free(pool);
}

static void no_id_is_ever_out_twice(void **state) {
    (void)state;
    enum { CAPACITY = 130 };
    struct pool *pool = pool_new(CAPACITY);
    struct random random;
    bool out[CAPACITY] = {false};
    uint32_t out_count = 0;
    random_seed(&random, 1);
    for (int i = 0; i < 100000; i++) {
        if (random_chance(&random, 1, 2)) {
            uint32_t id = pool_take(pool);
            assert_int_equal(id == POOL_NONE, out_count == CAPACITY);
            if (id != POOL_NONE) {
                assert_false(out[id]);
                out[id] = true;
                out_count++;
            }
        } else {
            uint32_t id = (uint32_t)random_below(&random, CAPACITY);
            assert_int_equal(pool_is_free(pool, id), !out[id]);
            if (out[id]) {
                pool_give(pool, id);
                out[id] = false;
                out_count--;
            }
        }
        assert_int_equal(pool_free_count(pool), CAPACITY - out_count);
    }
    free(pool);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(mistakes_abort),
        cmocka_unit_test(sizes_out_of_range_need_no_memory),
        cmocka_unit_test(a_new_pool_gives_every_id_once_beginning_with_zero),
        cmocka_unit_test(the_id_given_last_is_taken_first),
        cmocka_unit_test(no_id_is_ever_out_twice),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
