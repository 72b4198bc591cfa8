/* Which term an index has: what is unknown, what is forgotten, and what a hint is made of. */

#include "raft/terms.h"

#include "tests/cmocka_wrapper.h"
#include "tests/death.h"

static struct terms terms;

static void expect_term(uint64_t index, uint64_t expected) {
    uint64_t term = UINT64_MAX;
    assert_true(terms_at(&terms, index, &term));
    assert_int_equal(term, expected);
}

static void expect_unknown(uint64_t index) {
    uint64_t term = 77;
    assert_false(terms_at(&terms, index, &term));
    assert_int_equal(term, 77);
}

/* base (10, 3)  11..14 of 3  15..20 of 5  21 of 9 */
static void fill(void) {
    terms_reset(&terms, 10, 3);
    terms_append(&terms, 4, 3);
    terms_append(&terms, 6, 5);
    terms_append(&terms, 1, 9);
    terms_check(&terms);
}

/* One run more than can be remembered: entry i of term i. */
static void fill_beyond_memory(void) {
    terms_reset(&terms, 0, 0);
    for (uint64_t i = 1; i <= RAFT_TERM_RUNS_MAX + 1; i++) {
        terms_append(&terms, 1, i);
    }
    terms_check(&terms);
}

static void append_an_older_term(void *context) {
    (void)context;
    terms_append(&terms, 1, 8);
}

static void append_nothing(void *context) {
    (void)context;
    terms_append(&terms, 0, 9);
}

static void truncate_before_the_base(void *context) {
    (void)context;
    terms_truncate(&terms, 9);
}

static void truncate_behind_the_last(void *context) {
    (void)context;
    terms_truncate(&terms, 22);
}

static void compact_to_an_unknown(void *context) {
    (void)context;
    terms_compact(&terms, 1);
}

static void truncate_to_a_forgotten(void *context) {
    (void)context;
    terms_truncate(&terms, 1);
}

static void misuse_aborts(void **state) {
    (void)state;
    fill();
    death_expect_abort(append_an_older_term, NULL, "terms_last");
    death_expect_abort(append_nothing, NULL, "count >= 1");
    death_expect_abort(truncate_before_the_base, NULL, "base_index");
    death_expect_abort(truncate_behind_the_last, NULL, "last_index");
    fill_beyond_memory();
    death_expect_abort(compact_to_an_unknown, NULL, "known");
    death_expect_abort(truncate_to_a_forgotten, NULL, "base_index");
}

static void outside_the_log_nothing_is_known(void **state) {
    (void)state;
    fill();
    expect_unknown(0);
    expect_unknown(9);
    expect_unknown(22);
    expect_unknown(UINT64_MAX);
}

static void before_the_first_entry_is_term_0(void **state) {
    (void)state;
    terms_reset(&terms, 0, 0);
    expect_term(0, 0);
    expect_unknown(1);
    assert_int_equal(terms_last(&terms), 0);
    terms_check(&terms);
}

static void every_entry_and_the_base_have_their_term(void **state) {
    (void)state;
    fill();
    static const uint64_t expected[] = {3, 3, 3, 3, 3, 5, 5, 5, 5, 5, 5, 9};
    for (uint64_t i = 0; i < 12; i++) {
        expect_term(10 + i, expected[i]);
    }
    assert_int_equal(terms_last(&terms), 9);
}

static void a_truncation_goes_back_to_the_run_before(void **state) {
    (void)state;
    fill();
    terms_truncate(&terms, 17);
    terms_check(&terms);
    expect_term(17, 5);
    expect_unknown(18);
    terms_truncate(&terms, 14);
    expect_term(14, 3);
    assert_int_equal(terms_last(&terms), 3);
    terms_truncate(&terms, 10);
    terms_check(&terms);
    expect_term(10, 3);
    assert_int_equal(terms_last(&terms), 3);
    terms_append(&terms, 2, 4);
    terms_check(&terms);
    expect_term(12, 4);
}

static void compaction_within_a_run_keeps_its_rest(void **state) {
    (void)state;
    fill();
    terms_compact(&terms, 17);
    terms_check(&terms);
    expect_unknown(16);
    expect_term(17, 5);
    expect_term(18, 5);
    expect_term(21, 9);
}

static void compaction_to_the_end_of_a_run_drops_it(void **state) {
    (void)state;
    fill();
    terms_compact(&terms, 20);
    terms_check(&terms);
    assert_int_equal(terms.count, 1);
    expect_term(20, 5);
    expect_term(21, 9);
}

static void compaction_of_everything_leaves_the_base(void **state) {
    (void)state;
    fill();
    terms_compact(&terms, 21);
    terms_check(&terms);
    assert_int_equal(terms_last(&terms), 9);
    terms_compact(&terms, 21);
    terms_check(&terms);
    terms_append(&terms, 1, 9);
    terms_check(&terms);
    expect_term(22, 9);
}

static void the_oldest_run_is_forgotten(void **state) {
    (void)state;
    fill_beyond_memory();
    expect_term(0, 0);
    expect_unknown(1);
    expect_term(2, 2);
    expect_term(RAFT_TERM_RUNS_MAX + 1, RAFT_TERM_RUNS_MAX + 1);
    assert_int_equal(terms_last_not_above(&terms, 1, 100), 0);
    assert_int_equal(terms_last_not_above(&terms, 100, 1), 0);
    assert_int_equal(terms_first_known(&terms), 2);
    terms_compact(&terms, 2);
    terms_check(&terms);
    expect_term(2, 2);
    expect_unknown(0);
}

static void from_the_oldest_run_on_all_is_known(void **state) {
    (void)state;
    terms_reset(&terms, 10, 3);
    assert_int_equal(terms_first_known(&terms), 10);
    terms_append(&terms, 4, 3);
    assert_int_equal(terms_first_known(&terms), 11);
}

static void the_base_moves_over_forgotten_runs(void **state) {
    (void)state;
    fill_beyond_memory();
    terms_compact(&terms, 0); /* where it is: nothing is lost */
    terms_check(&terms);
    expect_term(2, 2);
    expect_unknown(1);
}

static void a_hint_is_the_last_entry_not_above_a_term(void **state) {
    (void)state;
    fill();
    assert_int_equal(terms_last_not_above(&terms, 21, 9), 21);
    assert_int_equal(terms_last_not_above(&terms, 99, 9), 21);
    assert_int_equal(terms_last_not_above(&terms, 21, 8), 20);
    assert_int_equal(terms_last_not_above(&terms, 21, 5), 20);
    assert_int_equal(terms_last_not_above(&terms, 21, 4), 14);
    assert_int_equal(terms_last_not_above(&terms, 17, 7), 17);
    assert_int_equal(terms_last_not_above(&terms, 12, 7), 12);
    assert_int_equal(terms_last_not_above(&terms, 17, 2), 10);
    assert_int_equal(terms_last_not_above(&terms, 4, 9), 10);
    terms_reset(&terms, 10, 3);
    assert_int_equal(terms_last_not_above(&terms, 10, 9), 10);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(misuse_aborts),
        cmocka_unit_test(outside_the_log_nothing_is_known),
        cmocka_unit_test(before_the_first_entry_is_term_0),
        cmocka_unit_test(every_entry_and_the_base_have_their_term),
        cmocka_unit_test(a_truncation_goes_back_to_the_run_before),
        cmocka_unit_test(compaction_within_a_run_keeps_its_rest),
        cmocka_unit_test(compaction_to_the_end_of_a_run_drops_it),
        cmocka_unit_test(compaction_of_everything_leaves_the_base),
        cmocka_unit_test(the_oldest_run_is_forgotten),
        cmocka_unit_test(from_the_oldest_run_on_all_is_known),
        cmocka_unit_test(the_base_moves_over_forgotten_runs),
        cmocka_unit_test(a_hint_is_the_last_entry_not_above_a_term),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
