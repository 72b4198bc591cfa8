/* Each clock runs in its own unit: compared with clock_gettime and time(), never with a wait. */

#include "base/clock.h"

#include "tests/cmocka_wrapper.h"

#include <time.h>

static uint64_t host_ns(clockid_t id) {
    struct timespec now;
    assert_int_equal(clock_gettime(id, &now), 0);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static void the_monotonic_clock_lies_between_two_readings_of_the_host(void **state) {
    (void)state;
    for (int i = 0; i < 1000; i++) {
        const uint64_t before_ns = host_ns(CLOCK_MONOTONIC);
        const uint64_t now_ns = clock_monotonic_ns();
        const uint64_t after_ns = host_ns(CLOCK_MONOTONIC);
        assert_true(before_ns <= now_ns && now_ns <= after_ns);
    }
}

/* The wall clock may be set back between two readings: then the round says nothing. */
static void the_wall_clock_counts_milliseconds_since_1970(void **state) {
    (void)state;
    int judged_count = 0;
    for (int i = 0; i < 1000; i++) {
        const uint64_t before_ms = host_ns(CLOCK_REALTIME) / 1000000;
        const uint64_t now_ms = clock_wall_ms();
        const uint64_t after_ms = host_ns(CLOCK_REALTIME) / 1000000;
        if (before_ms > after_ms)
            continue;
        judged_count++;
        assert_true(before_ms <= now_ms && now_ms <= after_ms);
    }
    assert_true(judged_count > 900);
}

static void the_thread_clock_counts_this_threads_work(void **state) {
    (void)state;
    const uint64_t before_ns = host_ns(CLOCK_THREAD_CPUTIME_ID);
    const uint64_t now_ns = clock_thread_cpu_ns();
    assert_true(before_ns <= now_ns);
    while (clock_thread_cpu_ns() == now_ns) { /* reading is work too: it must move by itself */
    }
    assert_true(clock_thread_cpu_ns() <= host_ns(CLOCK_THREAD_CPUTIME_ID));
}

static void the_units_relate(void **state) {
    (void)state;
    assert_true(CLOCK_NS_PER_S == 1000 * CLOCK_NS_PER_MS);
    assert_true(CLOCK_NS_PER_MS == 1000 * CLOCK_NS_PER_US);
    assert_true(CLOCK_NS_PER_US == 1000);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_monotonic_clock_lies_between_two_readings_of_the_host),
        cmocka_unit_test(the_wall_clock_counts_milliseconds_since_1970),
        cmocka_unit_test(the_thread_clock_counts_this_threads_work),
        cmocka_unit_test(the_units_relate),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
