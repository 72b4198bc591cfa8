/* Gaps and the time line around them. */

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "bench/load_gaps.h"
#include "tests/cmocka_wrapper.h"

#define MS(number) ((uint64_t)(number)*CLOCK_NS_PER_MS)

static struct load_timeline *timeline;

static int set_up(void **state) {
    (void)state;
    timeline = calloc(1, sizeof *timeline);
    return timeline == NULL;
}

static int tear_down(void **state) {
    (void)state;
    free(timeline);
    return 0;
}

static void without_gaps_none_is_left(void **state) {
    (void)state;
    struct load_gaps gaps = {0};
    load_gaps_finish(&gaps, MS(100));
    assert_int_equal(gaps.count, 0);
}

static void the_longest_ones_are_kept_and_given_in_the_order_of_time(void **state) {
    (void)state;
    struct load_gaps gaps = {0};
    for (uint64_t i = 1; i <= 100; i++) /* the later ones are shorter */
        load_gaps_note(&gaps, MS(1000 * i), MS(1000 * i + 210 - i));
    load_gaps_note(&gaps, MS(500), MS(900));
    load_gaps_finish(&gaps, MS(100));
    assert_int_equal(gaps.count, LOAD_GAPS_MAX);
    assert_int_equal(gaps.items[0].begin_ns, MS(500));
    for (uint32_t i = 1; i < LOAD_GAPS_MAX; i++)
        assert_int_equal(gaps.items[i].begin_ns, MS(1000 * (uint64_t)i));
}

static void short_ones_are_left_out_but_for_the_longest(void **state) {
    (void)state;
    struct load_gaps gaps = {0};
    struct load_gaps others = {0};
    load_gaps_note(&gaps, MS(10), MS(20));
    load_gaps_note(&others, MS(30), MS(70));
    load_gaps_merge(&gaps, &others);
    load_gaps_finish(&gaps, MS(100));
    assert_int_equal(gaps.count, 1);
    assert_int_equal(gaps.items[0].end_ns, MS(70));
    load_gaps_note(&gaps, MS(100), MS(300));
    load_gaps_note(&gaps, MS(400), MS(500));
    load_gaps_finish(&gaps, MS(100));
    assert_int_equal(gaps.count, 2);
}

static void a_short_gap_is_shown_in_hundredths_of_a_second(void **state) {
    (void)state;
    const struct load_gap gap = {MS(1000 + 252), MS(1000 + 297)};
    for (uint64_t at = 0; at < 1000; at += 5)
        if (at <= 252 || at >= 297)
            load_timeline_add(timeline, MS(at), 3);
    const struct load_timeline_rows rows = load_timeline_around(timeline, &gap, MS(1000), MS(1000));
    assert_int_equal(rows.row_ms, 10);
    assert_int_equal(rows.first, 20);
    assert_int_equal(rows.count, 29 + 1 + 5 - 20);
    assert_int_equal(rows.served[0], 6);
    assert_int_equal(rows.served[5], 3); /* 250 to 260 ms */
    for (uint32_t i = 6; i < 9; i++)
        assert_int_equal(rows.served[i], 0);
    assert_int_equal(rows.served[14], 6);
}

static void a_long_gap_is_shown_in_tenths_and_ends_with_the_run(void **state) {
    (void)state;
    const struct load_gap gap = {MS(1300), MS(2000)};
    load_timeline_add(timeline, MS(290), 7);
    load_timeline_add(timeline, MS(299), 1);
    const struct load_timeline_rows rows = load_timeline_around(timeline, &gap, MS(1000), MS(1000));
    assert_int_equal(rows.row_ms, 100);
    assert_int_equal(rows.first, 0);
    assert_int_equal(rows.count, 10);
    assert_int_equal(rows.served[2], 8);
    assert_int_equal(rows.served[3], 0);
}

static void what_is_beyond_the_time_line_or_too_wide_is_cut(void **state) {
    (void)state;
    const struct load_gap wide = {MS(0), MS(3600 * 1000)};
    load_timeline_add(timeline, MS(10 * (uint64_t)LOAD_TIMELINE_STEPS_MAX), 1);
    struct load_timeline_rows rows = load_timeline_around(timeline, &wide, 0, MS(7200 * 1000));
    assert_int_equal(rows.count, LOAD_TIMELINE_SHOWN_MAX);
    const struct load_gap late = {MS(7000 * 1000), MS(7001 * 1000)};
    rows = load_timeline_around(timeline, &late, 0, MS(7200 * 1000));
    assert_int_equal(rows.count, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_gaps_none_is_left),
        cmocka_unit_test(the_longest_ones_are_kept_and_given_in_the_order_of_time),
        cmocka_unit_test(short_ones_are_left_out_but_for_the_longest),
        cmocka_unit_test_setup_teardown(a_short_gap_is_shown_in_hundredths_of_a_second, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_long_gap_is_shown_in_tenths_and_ends_with_the_run, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(what_is_beyond_the_time_line_or_too_wide_is_cut, set_up,
                                        tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
