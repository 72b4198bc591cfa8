/* The lengths of the last entries: what is known, what was forgotten, and how many fit. */

#include "raft/window.h"

#include "base/bytes.h"

#include "tests/cmocka_wrapper.h"
#include "tests/death.h"

enum { CAPACITY = 8 };

static uint64_t sums[CAPACITY];
static struct window window;

/* Entries 101 to 100 + count of 1, 2, 3 ... bytes. */
static void fill(uint32_t count) {
    window_init(&window, sums, CAPACITY, 100);
    for (uint32_t i = 1; i <= count; i++) {
        window_append(&window, i);
    }
}

static void expect_bytes(uint64_t after, uint64_t index, uint64_t expected) {
    uint64_t bytes = UINT64_MAX;
    assert_true(window_bytes(&window, after, index, &bytes));
    assert_int_equal(bytes, expected);
}

static void expect_unknown(uint64_t after, uint64_t index) {
    uint64_t bytes = 77;
    assert_false(window_bytes(&window, after, index, &bytes));
    assert_int_equal(bytes, 77);
}

static void expect_fit(uint64_t first, uint32_t count_max, uint64_t bytes_max, uint32_t count,
                       uint64_t expected) {
    uint64_t bytes = UINT64_MAX;
    assert_int_equal(window_fit(&window, first, count_max, bytes_max, &bytes), count);
    assert_int_equal(bytes, expected);
}

static void init_without_a_power_of_two(void *context) {
    (void)context;
    window_init(&window, sums, 6, 0);
}

static void append_an_empty_entry(void *context) {
    (void)context;
    window_append(&window, 0);
}

static void truncate_behind_the_last(void *context) {
    (void)context;
    window_truncate(&window, window.last + 1);
}

static void ask_behind_the_last(void *context) {
    (void)context;
    uint64_t bytes;
    window_bytes(&window, window.last, window.last + 1, &bytes);
}

static void fit_from_far_behind(void *context) {
    (void)context;
    uint64_t bytes;
    window_fit(&window, window.last + 2, 1, 1, &bytes);
}

static void misuse_aborts(void **state) {
    (void)state;
    fill(3);
    death_expect_abort(init_without_a_power_of_two, NULL, "IS_POWER_OF_TWO");
    death_expect_abort(append_an_empty_entry, NULL, "length_bytes > 0");
    death_expect_abort(truncate_behind_the_last, NULL, "window->last");
    death_expect_abort(ask_behind_the_last, NULL, "window->last");
    death_expect_abort(fit_from_far_behind, NULL, "window->last");
}

static void what_was_before_it_began_is_unknown(void **state) {
    (void)state;
    fill(3);
    expect_unknown(99, 101);
    expect_unknown(0, 100);
    expect_fit(100, 50, 1000, 4, 1000);
    expect_fit(1, 50, 1000, 50, 1000);
}

static void an_empty_window_has_nothing(void **state) {
    (void)state;
    fill(0);
    expect_bytes(100, 100, 0);
    expect_fit(101, 10, 10, 0, 0);
}

static void lengths_add_up(void **state) {
    (void)state;
    fill(4);
    expect_bytes(100, 104, 1 + 2 + 3 + 4);
    expect_bytes(101, 103, 2 + 3);
    expect_bytes(104, 104, 0);
}

static void a_full_ring_forgets_the_oldest(void **state) {
    (void)state;
    fill(CAPACITY - 1);
    expect_bytes(100, 107, 28);
    window_append(&window, 8);
    expect_unknown(100, 108);
    expect_bytes(101, 108, 35);
    fill(3 * CAPACITY + 1);
    expect_unknown(117, 118);
    expect_bytes(118, 125, 19 + 20 + 21 + 22 + 23 + 24 + 25);
}

static void a_truncation_keeps_what_is_before_it(void **state) {
    (void)state;
    fill(5);
    window_truncate(&window, 103);
    window_append(&window, 100);
    expect_bytes(100, 104, 1 + 2 + 3 + 100);
    window_truncate(&window, 100);
    expect_bytes(100, 100, 0);
}

static void a_truncation_before_what_is_known_begins_anew(void **state) {
    (void)state;
    fill(3);
    window_truncate(&window, 50);
    assert_int_equal(window.last, 50);
    expect_bytes(50, 50, 0);
    expect_unknown(49, 50);
    window_append(&window, 7);
    expect_bytes(50, 51, 7);
}

static void as_many_fit_as_the_bytes_allow(void **state) {
    (void)state;
    fill(7); /* 1 2 3 4 5 6 7 */
    expect_fit(101, 10, 28, 7, 28);
    expect_fit(101, 10, 27, 6, 21);
    expect_fit(101, 10, 21, 6, 21);
    expect_fit(101, 10, 20, 5, 15);
    expect_fit(101, 10, 1, 1, 1);
    expect_fit(101, 4, 28, 4, 10);
    expect_fit(106, 10, UINT64_MAX, 2, 13);
}

static void one_entry_always_fits(void **state) {
    (void)state;
    fill(7);
    expect_fit(107, 10, 1, 1, 7);
    expect_fit(105, 10, 0, 1, 5);
}

static void a_reset_forgets_everything(void **state) {
    (void)state;
    fill(7);
    window_reset(&window, 500);
    expect_unknown(499, 500);
    window_append(&window, UINT32_MAX);
    window_append(&window, UINT32_MAX);
    expect_bytes(500, 502, 2 * (uint64_t)UINT32_MAX);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(misuse_aborts),
        cmocka_unit_test(what_was_before_it_began_is_unknown),
        cmocka_unit_test(an_empty_window_has_nothing),
        cmocka_unit_test(lengths_add_up),
        cmocka_unit_test(a_full_ring_forgets_the_oldest),
        cmocka_unit_test(a_truncation_keeps_what_is_before_it),
        cmocka_unit_test(a_truncation_before_what_is_known_begins_anew),
        cmocka_unit_test(as_many_fit_as_the_bytes_allow),
        cmocka_unit_test(one_entry_always_fits),
        cmocka_unit_test(a_reset_forgets_everything),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
