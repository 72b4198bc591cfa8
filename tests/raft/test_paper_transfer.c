/*
 * Handing leadership over: the dissertation's 3.10.
 */

#include "tests/raft/support.h"

static bool proposals_are_taken(void) {
    uint64_t index;
    uint64_t term;
    return raft_propose(core->raft, 1, 1, &index, &term) == 0;
}

static void hear_timeout_now(uint64_t from, uint64_t term) {
    core_hear((struct raft_message){.kind = RAFT_MESSAGE_TIMEOUT_NOW, .from = from, .term = term});
}

/* ---- the leader ------------------------------------------------------------------------------ */

/* 3.10, steps 1 to 3: no more proposals; a target that has the whole log is told at once. */
TEST(a_target_with_the_whole_log_is_told_at_once) {
    START("1v 2v 3v", .term = 4);
    core_serve();
    core_transfer(2);
    assert_int_equal(core_message(RAFT_MESSAGE_TIMEOUT_NOW, 2)->term, 5);
    assert_null(core_sent(RAFT_MESSAGE_TIMEOUT_NOW, 3));
    assert_false(proposals_are_taken());
    assert_true(core_is(RAFT_LEADER));
}

/* 3.10, step 2: one that has not is brought up to date first. */
TEST(a_target_is_told_when_it_has_the_whole_log) {
    START("1v 2v 3v", .term = 4);
    core_serve();
    core_append(1);
    core_append(1);
    core_transfer(2);
    assert_true(core_silent());
    core_hear_granted(3, 3);
    assert_null(core_sent(RAFT_MESSAGE_TIMEOUT_NOW, 2));
    core_hear_granted(2, 2);
    assert_null(core_sent(RAFT_MESSAGE_TIMEOUT_NOW, 2));
    core_hear_granted(2, 3);
    assert_non_null(core_sent(RAFT_MESSAGE_TIMEOUT_NOW, 2));
}

/* It is told once. */
TEST(a_target_is_told_once) {
    START("1v 2v 3v", .term = 4);
    core_serve();
    core_append(1);
    core_transfer(2);
    core_hear_granted(2, 2);
    assert_non_null(core_sent(RAFT_MESSAGE_TIMEOUT_NOW, 2));
    core_hear_granted(2, 2);
    core_stored(2);
    core_hear_granted(3, 2);
    assert_null(core_sent(RAFT_MESSAGE_TIMEOUT_NOW, 2));
}

/* 3.10: if it has not become leader after about a time-out, the transfer is given up. */
TEST(a_transfer_is_given_up_after_a_time_out) {
    START("1v 2v 3v", .term = 4);
    core_serve();
    core_transfer(2);
    for (uint32_t i = 0; i < T_NS / HEARTBEAT_NS - 1; i++) {
        core_pass(HEARTBEAT_NS);
        core_hear_heartbeat_answer(3);
        assert_false(proposals_are_taken());
    }
    core_pass(HEARTBEAT_NS);
    assert_int_equal(core_action(RAFT_ACTION_TRANSFER_FAILED)->node_id, 2);
    assert_true(proposals_are_taken());
    assert_true(core_is(RAFT_LEADER));
    core_transfer(2);
    assert_int_equal(core_refusal(), RAFT_REFUSAL_NONE);
}

/* The target's election ends it, and the leader gives its vote. */
TEST(a_leader_votes_for_its_target) {
    START("1v 2v 3v", .term = 4);
    core_serve();
    core_transfer(2);
    core_hear((struct raft_message){.kind = RAFT_MESSAGE_VOTE,
                                    .from = 2,
                                    .term = 6,
                                    .last_index = 1,
                                    .last_term = 5,
                                    .transfer = true});
    assert_true(core_is(RAFT_FOLLOWER));
    assert_true(core_gave_vote(2));
    assert_null(core_did(RAFT_ACTION_TRANSFER_FAILED));
}

/* A change of membership on its way may remove the target: then it is given up at once. */
TEST(a_transfer_to_who_is_removed_is_given_up) {
    START("1v 2v 3v", .term = 4);
    core_serve();
    core_configure("1v 3v");
    core_append_configuration();
    core_transfer(2);
    assert_int_equal(core_refusal(), RAFT_REFUSAL_NONE);
    core_stored(2);
    core_hear_granted(3, 2);
    core_append_configuration();
    assert_int_equal(core_action(RAFT_ACTION_TRANSFER_FAILED)->node_id, 2);
    core_transfer(3);
    assert_int_equal(core_refusal(), RAFT_REFUSAL_NONE);
}

/* And goes on with a target that stays. */
TEST(a_transfer_to_who_stays_survives_a_change) {
    START("1v 2v 3v", .term = 4);
    core_serve();
    core_configure("1v 3v");
    core_append_configuration();
    core_transfer(3);
    core_stored(2);
    core_hear_granted(3, 2);
    assert_non_null(core_sent(RAFT_MESSAGE_TIMEOUT_NOW, 3));
    core_append_configuration();
    assert_null(core_did(RAFT_ACTION_TRANSFER_FAILED));
}

/* A transfer ends with the leadership; the next term begins without one. */
TEST(a_transfer_ends_with_the_leadership) {
    START("1v 2v 3v", .term = 4);
    core_serve();
    core_transfer(2);
    core_silence(T_NS);
    assert_true(core_is(RAFT_FOLLOWER));
    core_serve();
    assert_true(proposals_are_taken());
}

/* ---- refusals -------------------------------------------------------------------------------- */

TEST(only_a_leader_hands_over) {
    START("1v 2v 3v", .term = 4);
    core_transfer(2);
    assert_int_equal(core_refusal(), RAFT_REFUSAL_NOT_LEADER);
}

TEST(a_transfer_to_who_cannot_lead_is_refused) {
    START("1v 2v 3v 4l", .term = 4);
    core_serve();
    core_transfer(1);
    assert_int_equal(core_refusal(), RAFT_REFUSAL_TARGET);
    core_transfer(4);
    assert_int_equal(core_refusal(), RAFT_REFUSAL_TARGET);
    core_transfer(9);
    assert_int_equal(core_refusal(), RAFT_REFUSAL_TARGET);
    assert_true(proposals_are_taken());
}

TEST(a_second_transfer_is_refused) {
    START("1v 2v 3v", .term = 4);
    core_serve();
    core_transfer(2);
    core_transfer(3);
    assert_int_equal(core_refusal(), RAFT_REFUSAL_TRANSFERRING);
    assert_null(core_sent(RAFT_MESSAGE_TIMEOUT_NOW, 3));
}

/* ---- the target ------------------------------------------------------------------------------ */

/* 3.10, step 3: it campaigns at once, without pre-vote, and its votes say who asked. */
TEST(the_target_campaigns_at_once) {
    START("1v 2v 3v", .term = 4);
    core_follow(2, 4);
    hear_timeout_now(2, 4);
    assert_true(core_is(RAFT_CANDIDATE));
    assert_int_equal(raft_term(core->raft), 5);
    assert_true(core_message(RAFT_MESSAGE_VOTE, 3)->transfer);
    assert_true(core_message(RAFT_MESSAGE_VOTE, 2)->transfer);
    core_store_vote();
    core_hear_vote_answer(3, true);
    assert_true(core_is(RAFT_LEADER));
}

/* But its next election is one like any other. */
TEST(the_targets_next_election_is_an_ordinary_one) {
    START("1v 2v 3v", .term = 4);
    core_follow(2, 4);
    hear_timeout_now(2, 4);
    core_store_vote();
    core_time_out();
    assert_true(core_is(RAFT_PRE_CANDIDATE));
    core_hear_pre_vote_answer(3, true);
    assert_false(core_message(RAFT_MESSAGE_VOTE, 3)->transfer);
}

/* Voters give it their votes though they hear the leader (4.2.3). */
TEST(voters_vote_for_the_target_though_they_hear_the_leader) {
    START("1v 2v 3v", .term = 4);
    core_follow(2, 4);
    core_hear(
        (struct raft_message){.kind = RAFT_MESSAGE_VOTE, .from = 3, .term = 5, .transfer = true});
    assert_true(core_gave_vote(3));
}

/* The word of somebody else, or one that comes at the wrong time, is not followed. */
TEST(only_the_leaders_word_makes_a_candidate) {
    START("1v 2v 3v", .term = 4);
    hear_timeout_now(2, 4);
    assert_true(core_silent());
    core_follow(2, 4);
    hear_timeout_now(3, 4);
    assert_true(core_silent());
    core_time_out();
    hear_timeout_now(2, 4);
    assert_true(core_is(RAFT_PRE_CANDIDATE));
    core_stop(NULL);
    START("1l 2v 3v", .term = 4);
    core_follow(2, 4);
    hear_timeout_now(2, 4);
    assert_true(core_silent());
}

/* Nor with a log or a term that is still being written. */
TEST(a_target_that_is_still_writing_does_not_campaign) {
    START("1v 2v 3v", .term = 4);
    HEAR_APPEND(.from = 2, .term = 4, .terms = "4");
    hear_timeout_now(2, 4);
    assert_true(core_is(RAFT_FOLLOWER));
    core_stored(1);
    hear_timeout_now(2, 4);
    assert_true(core_is(RAFT_CANDIDATE));
    core_stop(NULL);
    START("1v 2v 3v", .term = 4);
    hear_timeout_now(2, 7);
    assert_true(core_is(RAFT_FOLLOWER));
    assert_int_equal(raft_term(core->raft), 7);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        CORE_TEST(a_target_with_the_whole_log_is_told_at_once),
        CORE_TEST(a_target_is_told_when_it_has_the_whole_log),
        CORE_TEST(a_target_is_told_once),
        CORE_TEST(a_transfer_is_given_up_after_a_time_out),
        CORE_TEST(a_leader_votes_for_its_target),
        CORE_TEST(a_transfer_to_who_is_removed_is_given_up),
        CORE_TEST(a_transfer_to_who_stays_survives_a_change),
        CORE_TEST(a_transfer_ends_with_the_leadership),
        CORE_TEST(only_a_leader_hands_over),
        CORE_TEST(a_transfer_to_who_cannot_lead_is_refused),
        CORE_TEST(a_second_transfer_is_refused),
        CORE_TEST(the_target_campaigns_at_once),
        CORE_TEST(the_targets_next_election_is_an_ordinary_one),
        CORE_TEST(voters_vote_for_the_target_though_they_hear_the_leader),
        CORE_TEST(only_the_leaders_word_makes_a_candidate),
        CORE_TEST(a_target_that_is_still_writing_does_not_campaign),
    };
    return cmocka_run_group_tests_name("raft_paper_transfer", tests, NULL, NULL);
}
