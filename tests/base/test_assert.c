/* The assertions themselves: what holds passes, what does not ends the process and says where. */

#include "base/assert.h"

#include "tests/cmocka_wrapper.h"
#include "tests/death.h"

#include <signal.h>
#include <string.h>

static int evaluation_count;

static int evaluate(int value) {
    evaluation_count++;
    return value;
}

static void assert_one_is_two(void *context) {
    const int *one = context;
    ASSERT(*one == 2);
}

static void assert_hot_one_is_two(void *context) {
    const int *one = context;
    ASSERT_HOT(*one == 2);
}

static void reach_the_unreachable(void *context) {
    (void)context;
    UNREACHABLE("no such state");
}

static void fail_with_a_long_condition(void *context) {
    assert_failed("file.c", 7, "function", context);
}

static void do_nothing(void *context) {
    (void)context;
}

static void a_false_assertion_aborts_with_place_and_condition(void **state) {
    (void)state;
    int one = 1;
    death_expect_abort(assert_one_is_two, &one,
                       ": assert_one_is_two: assertion failed: *one == 2\n");
    death_expect_abort(assert_one_is_two, &one, "tests/base/test_assert.c:");
}

static void the_place_is_relative_to_the_source_directory(void **state) {
    (void)state;
    struct death death;
    int one = 1;
    death_run(assert_one_is_two, &one, &death);
    assert_ptr_equal(strstr(death.text, "tests/base/test_assert.c:"), death.text);
}

static void a_false_hot_assertion_aborts_in_every_build_that_keeps_the_tier(void **state) {
    (void)state;
    int one = 1;
    death_expect_abort(assert_hot_one_is_two, &one, "assertion failed: *one == 2\n");
}

static void unreachable_aborts_with_its_text(void **state) {
    (void)state;
    death_expect_abort(reach_the_unreachable, NULL,
                       ": reach_the_unreachable: unreachable: no such state\n");
}

static void a_condition_longer_than_the_line_is_cut_and_still_ends_in_a_newline(void **state) {
    (void)state;
    char condition[2000];
    memset(condition, 'x', sizeof(condition) - 1);
    condition[sizeof(condition) - 1] = '\0';
    struct death death;
    death_run(fail_with_a_long_condition, condition, &death);
    assert_int_equal(death.signal_number, SIGABRT);
    assert_int_equal(strlen(death.text), 511);
    assert_string_equal(death.text + 508, "xx\n");
}

static void a_child_that_does_not_assert_is_seen_to_live(void **state) {
    (void)state;
    struct death death;
    death_run(do_nothing, NULL, &death);
    assert_int_equal(death.signal_number, 0);
    assert_int_equal(death.exit_status, 0);
    assert_string_equal(death.text, "");
}

static void a_true_assertion_evaluates_once_and_passes(void **state) {
    (void)state;
    evaluation_count = 0;
    ASSERT(evaluate(1));
    assert_int_equal(evaluation_count, 1);
    ASSERT_HOT(evaluate(2));
    assert_int_equal(evaluation_count, 2);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_false_assertion_aborts_with_place_and_condition),
        cmocka_unit_test(the_place_is_relative_to_the_source_directory),
        cmocka_unit_test(a_false_hot_assertion_aborts_in_every_build_that_keeps_the_tier),
        cmocka_unit_test(unreachable_aborts_with_its_text),
        cmocka_unit_test(a_condition_longer_than_the_line_is_cut_and_still_ends_in_a_newline),
        cmocka_unit_test(a_child_that_does_not_assert_is_seen_to_live),
        cmocka_unit_test(a_true_assertion_evaluates_once_and_passes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
