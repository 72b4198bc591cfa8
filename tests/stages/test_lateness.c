/* How late something was is counted, bounded from above, and never said to be less than it was. */

#include "stages/lateness.h"

#include "tests/cmocka_wrapper.h"
#include "tests/death.h"

#define MS_NS UINT64_C(1000000)

static void ask(void *context) {
    static const struct lateness nothing;
    (void)lateness_bound_ns(&nothing, *(const uint32_t *)context);
}

static void a_share_that_is_none_aborts(void **state) {
    (void)state;
    uint32_t shares[] = {0, 1001};
    death_expect_abort(ask, &shares[0], "per_mille");
    death_expect_abort(ask, &shares[1], "per_mille");
}

static void of_nothing_nothing_is_said(void **state) {
    (void)state;
    struct lateness lateness = {0};
    assert_int_equal(lateness_count(&lateness), 0);
    assert_int_equal(lateness_bound_ns(&lateness, 1), 0);
    assert_int_equal(lateness_bound_ns(&lateness, 1000), 0);
}

static void the_largest_is_exact_and_shares_are_bounds(void **state) {
    (void)state;
    struct lateness lateness = {0};
    for (uint32_t i = 0; i < 990; i++) {
        lateness_add(&lateness, 3 * MS_NS);
    }
    for (uint32_t i = 0; i < 10; i++) {
        lateness_add(&lateness, 150 * MS_NS);
    }
    assert_int_equal(lateness_count(&lateness), 1000);
    assert_int_equal(lateness.max_ns, 150 * MS_NS);
    uint64_t most_ns = lateness_bound_ns(&lateness, 990);
    assert_true(most_ns >= 3 * MS_NS && most_ns <= 6 * MS_NS);
    assert_int_equal(lateness_bound_ns(&lateness, 991), 150 * MS_NS);
    assert_int_equal(lateness_bound_ns(&lateness, 1000), 150 * MS_NS);
    assert_true(lateness_bound_ns(&lateness, 1) <= most_ns);
}

static void a_few_are_enough_for_the_last_share(void **state) {
    (void)state;
    struct lateness lateness = {0};
    lateness_add(&lateness, 0);
    lateness_add(&lateness, 7 * MS_NS);
    assert_int_equal(lateness_bound_ns(&lateness, 990), 7 * MS_NS); /* 2 of 2, not 1 */
    assert_true(lateness_bound_ns(&lateness, 500) < MS_NS);
}

static void the_latest_of_all_have_a_bucket(void **state) {
    (void)state;
    struct lateness lateness = {0};
    lateness_add(&lateness, UINT64_MAX);
    assert_int_equal(lateness.max_ns, UINT64_MAX);
    assert_int_equal(lateness_count(&lateness), 1);
    assert_true(lateness_bound_ns(&lateness, 990) == UINT64_MAX);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_share_that_is_none_aborts),
        cmocka_unit_test(of_nothing_nothing_is_said),
        cmocka_unit_test(the_largest_is_exact_and_shares_are_bounds),
        cmocka_unit_test(a_few_are_enough_for_the_last_share),
        cmocka_unit_test(the_latest_of_all_have_a_bucket),
    };
    return cmocka_run_group_tests_name("stages_lateness", tests, NULL, NULL);
}
