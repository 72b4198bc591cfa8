/* The open loop's schedule: exact, without drift, and the same whether one thread asks or seven. */

#include "base/random.h"
#include "bench/schedule.h"

#include "tests/cmocka_wrapper.h"

static const uint64_t RATES[] = {1, 3, 7, 1000, 99999, 1000000, 999999937, 1000000000};
enum { RATE_COUNT = sizeof RATES / sizeof *RATES };

static void arrivals_stand_at_their_place_without_drift(void **state) {
    (void)state;
    struct schedule schedule = {.start_ns = 500, .rate_per_second = 3, .first = 0, .stride = 1};
    assert_int_equal(schedule_intended_ns(&schedule, 0), 500);
    assert_int_equal(schedule_intended_ns(&schedule, 1), 500 + 333333333);
    assert_int_equal(schedule_intended_ns(&schedule, 2), 500 + 666666666);
    /* After a year, on the second. */
    uint64_t year_s = UINT64_C(365) * 86400;
    assert_int_equal(schedule_intended_ns(&schedule, 3 * year_s), 500 + year_s * 1000000000);
}

static void nothing_is_due_before_the_start(void **state) {
    (void)state;
    struct schedule schedule = {.start_ns = 500, .rate_per_second = 10, .first = 0, .stride = 2};
    assert_int_equal(schedule_due_count(&schedule, 499), 0);
    assert_int_equal(schedule_due_count(&schedule, 500), 1);
    schedule.first = 1;
    assert_int_equal(schedule_due_count(&schedule, 500), 0);
    assert_int_equal(schedule_due_count(&schedule, 100000499), 0);
    assert_int_equal(schedule_due_count(&schedule, 100000500), 1);
}

/* Each arrival becomes due at exactly its intended nanosecond, not one earlier. */
static void an_arrival_is_due_at_its_intended_moment(void **state) {
    (void)state;
    struct random random;
    random_seed(&random, 3);
    for (int rate = 0; rate < RATE_COUNT; rate++) {
        for (uint64_t stride = 1; stride <= 7; stride++) {
            struct schedule schedule = {.start_ns = 12345,
                                        .rate_per_second = RATES[rate],
                                        .first = random_below(&random, stride),
                                        .stride = stride};
            for (int i = 0; i < 1000; i++) {
                uint64_t index = i < 100 ? (uint64_t)i : random_below(&random, 1u << 30);
                uint64_t intended_ns = schedule_intended_ns(&schedule, index);
                assert_true(schedule_due_count(&schedule, intended_ns) >= index + 1);
                if (intended_ns > schedule.start_ns)
                    assert_true(schedule_due_count(&schedule, intended_ns - 1) <= index);
            }
        }
    }
}

static void threads_share_the_arrivals_of_one_schedule(void **state) {
    (void)state;
    enum { THREADS = 7 };
    struct random random;
    random_seed(&random, 5);
    for (int rate = 0; rate < RATE_COUNT; rate++) {
        struct schedule whole = {.rate_per_second = RATES[rate], .first = 0, .stride = 1};
        for (int i = 0; i < 200; i++) {
            uint64_t now_ns = random_below(&random, UINT64_C(100) * 1000000000);
            uint64_t sum = 0;
            for (uint64_t thread = 0; thread < THREADS; thread++) {
                struct schedule part = whole;
                part.first = thread;
                part.stride = THREADS;
                sum += schedule_due_count(&part, now_ns);
            }
            assert_int_equal(sum, schedule_due_count(&whole, now_ns));
        }
    }
}

static void a_second_holds_exactly_the_rate(void **state) {
    (void)state;
    for (int rate = 0; rate < RATE_COUNT; rate++) {
        struct schedule schedule = {.start_ns = 9, .rate_per_second = RATES[rate], .stride = 1};
        for (uint64_t second = 1; second <= 100; second++)
            assert_int_equal(schedule_due_count(&schedule, 9 + second * 1000000000 - 1),
                             second * RATES[rate]);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(arrivals_stand_at_their_place_without_drift),
        cmocka_unit_test(nothing_is_due_before_the_start),
        cmocka_unit_test(an_arrival_is_due_at_its_intended_moment),
        cmocka_unit_test(threads_share_the_arrivals_of_one_schedule),
        cmocka_unit_test(a_second_holds_exactly_the_rate),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
