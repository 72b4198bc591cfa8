/*
 * Who has voted for whom, as seen from outside: what is told, and what must not be.
 */

#include "sim/swarm_votes.h"

#include <string.h>

#include "tests/cmocka_wrapper.h"

static struct swarm_votes votes[1];

/* Nodes by index; candidates by id, as nodes say it. */
enum { A, B, C, A_ID = A + 1, B_ID, C_ID };

static int nobody_has_voted(void **state) {
    (void)state;
    memset(votes, 0, sizeof(votes));
    return 0;
}

static void stored(uint32_t node, uint64_t term, uint64_t voted_for) {
    assert_true(swarm_votes_saw(votes, node, term, voted_for, true));
}

/* ---- within a process ------------------------------------------------------------------------ */

static void a_second_vote_in_a_term_is_told(void **state) {
    (void)state;
    stored(A, 3, B_ID);
    assert_false(swarm_votes_saw(votes, A, 3, C_ID, false));
}

static void a_vote_that_is_forgotten_in_its_term_is_told(void **state) {
    (void)state;
    stored(A, 3, A_ID);
    assert_false(swarm_votes_saw(votes, A, 3, 0, true));
}

static void a_vote_in_each_term_is_right(void **state) {
    (void)state;
    stored(A, 3, 0);
    stored(A, 3, B_ID);
    stored(A, 3, B_ID);
    stored(A, 4, C_ID);
    stored(A, 5, 0);
}

/* ---- over restarts --------------------------------------------------------------------------- */

static void a_stored_vote_that_a_start_does_not_find_is_told(void **state) {
    (void)state;
    stored(A, 3, B_ID);
    assert_false(swarm_votes_started(votes, A, 3, 0));
    assert_false(swarm_votes_started(votes, A, 3, C_ID));
    assert_true(swarm_votes_started(votes, A, 3, B_ID));
}

static void a_stored_term_that_a_start_does_not_find_is_told(void **state) {
    (void)state;
    stored(A, 3, 0);
    assert_false(swarm_votes_started(votes, A, 2, B_ID));
    assert_true(swarm_votes_started(votes, A, 3, 0));
}

static void a_vote_that_was_not_stored_may_be_there_or_not(void **state) {
    (void)state;
    stored(A, 3, 0);
    assert_true(swarm_votes_saw(votes, A, 3, B_ID, false));
    assert_true(swarm_votes_started(votes, A, 3, 0));
    assert_true(swarm_votes_saw(votes, A, 3, C_ID, false));
    assert_true(swarm_votes_started(votes, A, 3, C_ID));
    assert_true(swarm_votes_saw(votes, A, 4, A_ID, false));
    assert_true(swarm_votes_started(votes, A, 4, A_ID));
}

static void of_a_lost_disk_nothing_is_demanded(void **state) {
    (void)state;
    stored(A, 3, B_ID);
    swarm_votes_lost(votes, A);
    assert_true(swarm_votes_started(votes, A, 0, 0));
}

/* ---- whose votes a leader can have ----------------------------------------------------------- */

static void who_voted_for_another_or_for_nobody_cannot_have_voted_for_the_leader(void **state) {
    (void)state;
    stored(A, 3, A_ID);
    stored(B, 3, B_ID);
    stored(C, 3, 0);
    assert_int_equal(swarm_votes_for(votes, 3, A), 1U << A);
    assert_int_equal(swarm_votes_for(votes, 3, B), 1U << B);
    assert_int_equal(swarm_votes_for(votes, 3, C), 0);
}

static void a_vote_of_an_earlier_term_is_none(void **state) {
    (void)state;
    stored(B, 3, A_ID);
    stored(A, 4, A_ID);
    assert_int_equal(swarm_votes_for(votes, 4, A), 1U << A);
}

static void a_vote_that_was_seen_counts_whatever_comes_later(void **state) {
    (void)state;
    stored(A, 3, A_ID);
    stored(B, 3, A_ID);
    stored(B, 4, B_ID);
    swarm_votes_lost(votes, B);
    assert_true(swarm_votes_started(votes, B, 0, 0));
    assert_int_equal(swarm_votes_for(votes, 3, A), 1U << A | 1U << B);
}

/* It may have given its vote and taken a later term before anybody looked. */
static void who_passed_the_term_unseen_may_have_voted(void **state) {
    (void)state;
    stored(A, 3, A_ID);
    stored(B, 2, 0);
    assert_int_equal(swarm_votes_for(votes, 3, A), 1U << A);
    stored(B, 4, 0);
    assert_int_equal(swarm_votes_for(votes, 3, A), 1U << A | 1U << B);
}

static void of_terms_beyond_the_table_nothing_is_known(void **state) {
    (void)state;
    stored(A, SWARM_VOTES_TERMS_MAX, B_ID);
    assert_int_equal(swarm_votes_for(votes, SWARM_VOTES_TERMS_MAX, A),
                     (1U << SWARM_VOTES_NODES_MAX) - 1);
}

#define CASE(name) cmocka_unit_test_setup(name, nobody_has_voted)

int main(void) {
    const struct CMUnitTest tests[] = {
        CASE(a_second_vote_in_a_term_is_told),
        CASE(a_vote_that_is_forgotten_in_its_term_is_told),
        CASE(a_vote_in_each_term_is_right),
        CASE(a_stored_vote_that_a_start_does_not_find_is_told),
        CASE(a_stored_term_that_a_start_does_not_find_is_told),
        CASE(a_vote_that_was_not_stored_may_be_there_or_not),
        CASE(of_a_lost_disk_nothing_is_demanded),
        CASE(who_voted_for_another_or_for_nobody_cannot_have_voted_for_the_leader),
        CASE(a_vote_of_an_earlier_term_is_none),
        CASE(a_vote_that_was_seen_counts_whatever_comes_later),
        CASE(who_passed_the_term_unseen_may_have_voted),
        CASE(of_terms_beyond_the_table_nothing_is_known),
    };
    return cmocka_run_group_tests_name("sim_swarm_votes", tests, NULL, NULL);
}
