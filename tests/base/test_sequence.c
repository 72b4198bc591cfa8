/* Order and distance of counters that wrap, at and around the wrap. */

#include "base/sequence.h"

#include "tests/cmocka_wrapper.h"

static void nothing_comes_before_itself(void **state) {
    (void)state;
    assert_false(sequence_less(0, 0));
    assert_false(sequence_less(UINT32_MAX, UINT32_MAX));
    assert_false(sequence_less(SEQUENCE_DISTANCE_LIMIT, SEQUENCE_DISTANCE_LIMIT));
}

static void order_holds_across_the_wrap(void **state) {
    (void)state;
    assert_true(sequence_less(UINT32_MAX, 0));
    assert_false(sequence_less(0, UINT32_MAX));
    assert_true(sequence_less(UINT32_MAX - 5, 5));
    assert_false(sequence_less(5, UINT32_MAX - 5));
}

static void order_holds_up_to_the_limit_from_any_start(void **state) {
    (void)state;
    static const uint32_t starts[] = {0, 1, 0x7fffffff, 0x80000000, 0x80000001, UINT32_MAX};
    for (size_t i = 0; i < sizeof(starts) / sizeof(starts[0]); i++) {
        const uint32_t start = starts[i];
        const uint32_t last = start + SEQUENCE_DISTANCE_LIMIT - 1;
        assert_true(sequence_less(start, start + 1));
        assert_false(sequence_less(start + 1, start));
        assert_true(sequence_less(start, last));
        assert_false(sequence_less(last, start));
    }
}

static void distance_is_the_number_of_steps(void **state) {
    (void)state;
    assert_int_equal(sequence_distance(7, 7), 0);
    assert_int_equal(sequence_distance(7, 10), 3);
    assert_int_equal(sequence_distance(UINT32_MAX, 0), 1);
    assert_int_equal(sequence_distance(UINT32_MAX - 1, 2), 4);
    assert_int_equal(sequence_distance(1, 0), UINT32_MAX);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_comes_before_itself),
        cmocka_unit_test(order_holds_across_the_wrap),
        cmocka_unit_test(order_holds_up_to_the_limit_from_any_start),
        cmocka_unit_test(distance_is_the_number_of_steps),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
