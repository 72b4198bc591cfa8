/* Wait policies: the steps that each takes, and that work starts them over. */

#include "queues/wait.h"

#include "tests/cmocka_wrapper.h"

static void an_unknown_name_is_no_policy(void **state) {
    (void)state;
    assert_null(wait_policy_find(""));
    assert_null(wait_policy_find("Busy"));
    assert_null(wait_policy_find("busyy"));
}

static void every_policy_is_found_by_its_name(void **state) {
    (void)state;
    for (int i = 0; i < WAIT_POLICY_COUNT; i++) {
        assert_ptr_equal(wait_policy_find(wait_policies[i].name), &wait_policies[i]);
    }
    assert_string_equal(wait_policies[WAIT_BUSY].name, "busy");
    assert_string_equal(wait_policies[WAIT_BALANCED].name, "balanced");
    assert_string_equal(wait_policies[WAIT_FRUGAL].name, "frugal");
}

static void busy_never_parks(void **state) {
    (void)state;
    struct wait_state wait = {0};
    for (int i = 0; i < 100000; i++) {
        assert_int_equal(wait_next(&wait_policies[WAIT_BUSY], &wait), WAIT_SPIN);
    }
}

static void frugal_parks_at_once(void **state) {
    (void)state;
    struct wait_state wait = {0};
    assert_int_equal(wait_next(&wait_policies[WAIT_FRUGAL], &wait), WAIT_PARK);
    assert_int_equal(wait_next(&wait_policies[WAIT_FRUGAL], &wait), WAIT_PARK);
}

static void expect_rounds(const struct wait_policy *policy, struct wait_state *wait,
                          enum wait_action action, uint32_t count) {
    for (uint32_t i = 0; i < count; i++) {
        assert_int_equal(wait_next(policy, wait), action);
    }
}

static void spins_then_pauses_then_parks_and_work_starts_over(void **state) {
    (void)state;
    const struct wait_policy *policy = &wait_policies[WAIT_BALANCED];
    struct wait_state wait = {0};
    for (int round = 0; round < 3; round++) {
        expect_rounds(policy, &wait, WAIT_SPIN, policy->spins);
        expect_rounds(policy, &wait, WAIT_PAUSE, policy->pauses);
        expect_rounds(policy, &wait, WAIT_PARK, 5);
        wait_reset(&wait);
    }
    expect_rounds(policy, &wait, WAIT_SPIN, policy->spins - 1);
    wait_reset(&wait);
    expect_rounds(policy, &wait, WAIT_SPIN, policy->spins);
    assert_int_equal(wait_next(policy, &wait), WAIT_PAUSE);
}

static void a_policy_that_does_not_park_goes_on_with_its_last_kind_of_round(void **state) {
    (void)state;
    const struct wait_policy gentle = {.name = "gentle", .spins = 2, .pauses = 3, .parks = false};
    struct wait_state wait = {0};
    expect_rounds(&gentle, &wait, WAIT_SPIN, 2);
    expect_rounds(&gentle, &wait, WAIT_PAUSE, 1000);
    wait_pause();
    assert_int_equal(wait.empty_rounds, 5);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_unknown_name_is_no_policy),
        cmocka_unit_test(every_policy_is_found_by_its_name),
        cmocka_unit_test(busy_never_parks),
        cmocka_unit_test(frugal_parks_at_once),
        cmocka_unit_test(spins_then_pauses_then_parks_and_work_starts_over),
        cmocka_unit_test(a_policy_that_does_not_park_goes_on_with_its_last_kind_of_round),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
