/* The build that removes the hot tier: its conditions are compiled and never evaluated. */

#undef WEIR_ASSERT_HOT
#define WEIR_ASSERT_HOT 0
#include "base/assert.h"

#include "tests/cmocka_wrapper.h"
#include "tests/death.h"

static int evaluation_count;

static int evaluate(int value) {
    evaluation_count++;
    return value;
}

static void assert_one_is_two(void *context) {
    const int *one = context;
    ASSERT(*one == 2);
}

static void a_removed_hot_assertion_neither_evaluates_nor_aborts(void **state) {
    (void)state;
    evaluation_count = 0;
    ASSERT_HOT(evaluate(0));
    assert_int_equal(evaluation_count, 0);
    assert_int_equal(evaluate(1), 1); /* the count would have moved */
    assert_int_equal(evaluation_count, 1);
}

static void the_other_tier_stays(void **state) {
    (void)state;
    int one = 1;
    death_expect_abort(assert_one_is_two, &one, "assertion failed: *one == 2\n");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_removed_hot_assertion_neither_evaluates_nor_aborts),
        cmocka_unit_test(the_other_tier_stays),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
