/* Majorities, one sentence each.  test_quick_quorum.c has all the rest. */

#include "raft/quorum.h"

#include "tests/cmocka_wrapper.h"
#include "tests/death.h"
#include "tests/raft/configurations.h"

static uint64_t value(const char *text, uint64_t a, uint64_t b, uint64_t c, uint64_t d,
                      uint64_t e) {
    struct configuration configuration = configuration_of(text);
    uint64_t values[CONFIGURATION_MEMBERS_MAX] = {a, b, c, d, e};
    return quorum_value(&configuration, values);
}

/* g: granted, r: refused, -: not answered. */
static enum quorum_result votes(const char *text, const char *answers) {
    struct configuration configuration = configuration_of(text);
    enum quorum_vote given[CONFIGURATION_MEMBERS_MAX] = {QUORUM_VOTE_NONE};
    for (uint32_t i = 0; answers[i] != '\0'; i++) {
        given[i] = answers[i] == 'g'   ? QUORUM_VOTE_GRANTED
                   : answers[i] == 'r' ? QUORUM_VOTE_REFUSED
                                       : QUORUM_VOTE_NONE;
    }
    return quorum_votes(&configuration, given);
}

static void votes_without_a_voter(void *context) {
    (void)context;
    votes("1l", "g");
}

static void a_value_of_nobody(void *context) {
    (void)context;
    value("", 0, 0, 0, 0, 0);
}

static void a_configuration_that_is_not_valid_aborts(void **state) {
    (void)state;
    death_expect_abort(votes_without_a_voter, NULL, "configuration_valid");
    death_expect_abort(a_value_of_nobody, NULL, "member_count >= 1");
}

static void of_two_voters_both_are_needed(void **state) {
    (void)state;
    assert_int_equal(value("1v 2v", 9, 5, 0, 0, 0), 5);
    assert_int_equal(votes("1v 2v", "g-"), QUORUM_PENDING);
    assert_int_equal(votes("1v 2v", "gr"), QUORUM_LOST);
    assert_int_equal(votes("1v 2v", "gg"), QUORUM_WON);
}

static void half_of_four_is_not_a_majority(void **state) {
    (void)state;
    assert_int_equal(value("1v 2v 3v 4v", 9, 8, 3, 2, 0), 3);
    assert_int_equal(votes("1v 2v 3v 4v", "gg--"), QUORUM_PENDING);
    assert_int_equal(votes("1v 2v 3v 4v", "ggrr"), QUORUM_LOST);
    assert_int_equal(votes("1v 2v 3v 4v", "rr--"), QUORUM_LOST);
}

static void a_learner_counts_for_nothing(void **state) {
    (void)state;
    assert_int_equal(value("1v 2v 3v 4l 5l", 1, 2, 3, 9, 9), 2);
    assert_int_equal(votes("1v 2v 3v 4l 5l", "g--gg"), QUORUM_PENDING);
    assert_int_equal(votes("1v 2v 3v 4l 5l", "gg-rr"), QUORUM_WON);
}

static void one_voter_decides_alone(void **state) {
    (void)state;
    assert_int_equal(value("1v", 7, 0, 0, 0, 0), 7);
    assert_int_equal(votes("1v", "g"), QUORUM_WON);
    assert_int_equal(votes("1v", "-"), QUORUM_PENDING);
    assert_int_equal(votes("1v", "r"), QUORUM_LOST);
}

static void a_joint_configuration_needs_both_majorities(void **state) {
    (void)state;
    /* Incoming 1, 2, 3; outgoing 3, 4, 5. */
    assert_int_equal(value("1v 2v 3vo 4o 5o", 9, 9, 9, 1, 2), 2);
    assert_int_equal(value("1v 2v 3vo 4o 5o", 1, 2, 9, 9, 9), 2);
    assert_int_equal(votes("1v 2v 3vo 4o 5o", "ggg--"), QUORUM_PENDING);
    assert_int_equal(votes("1v 2v 3vo 4o 5o", "gg-gg"), QUORUM_WON);
    assert_int_equal(votes("1v 2v 3vo 4o 5o", "ggrr-"), QUORUM_LOST);
    assert_int_equal(votes("1v 2v 3vo 4o 5o", "rr-gg"), QUORUM_LOST);
    assert_int_equal(votes("1v 2v 3vo 4o 5o", "---gg"), QUORUM_PENDING);
}

static void an_outgoing_learner_still_votes(void **state) {
    (void)state;
    assert_int_equal(value("1v 2ol", 9, 3, 0, 0, 0), 3);
}

static void joint_is_what_has_outgoing_voters(void **state) {
    (void)state;
    struct configuration simple = configuration_of("1v 2l");
    struct configuration joint = configuration_of("1v 2v 3o");
    assert_false(quorum_is_joint(&simple));
    assert_true(quorum_is_joint(&joint));
}

static void voters_are_incoming_or_outgoing(void **state) {
    (void)state;
    struct configuration joint = configuration_of("1v 2o 3l 4ol");
    assert_true(quorum_is_voter(&joint, 1));
    assert_true(quorum_is_voter(&joint, 2));
    assert_false(quorum_is_voter(&joint, 3));
    assert_true(quorum_is_voter(&joint, 4));
    assert_false(quorum_is_voter(&joint, 5));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_configuration_that_is_not_valid_aborts),
        cmocka_unit_test(of_two_voters_both_are_needed),
        cmocka_unit_test(half_of_four_is_not_a_majority),
        cmocka_unit_test(a_learner_counts_for_nothing),
        cmocka_unit_test(one_voter_decides_alone),
        cmocka_unit_test(a_joint_configuration_needs_both_majorities),
        cmocka_unit_test(an_outgoing_learner_still_votes),
        cmocka_unit_test(joint_is_what_has_outgoing_voters),
        cmocka_unit_test(voters_are_incoming_or_outgoing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
