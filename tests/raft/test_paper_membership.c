/*
 * Changes of membership: the extended Raft paper, section 6; the dissertation's chapter 4 in its
 * form of joint consensus (4.3), with the erratum to 4.1.
 */

#include "tests/raft/support.h"

/* Everybody of the list (0 ends it) and we ourselves have the log. */
static void all_have_the_log(const uint64_t *peers) {
    uint64_t last_index = raft_last_index(core->raft);
    core_stored(last_index);
    for (; *peers != 0; peers++) {
        core_hear_granted(*peers, last_index);
    }
}

/* A serving leader of 1, 2, 3 whose learner 4 has caught up. */
static void serve_with_a_learner(void) {
    START("1v 2v 3v 4l", .term = 4);
    core_serve();
}

static bool is_configuration(const struct configuration *configuration, const char *text) {
    struct configuration expected = configuration_of(text);
    bool same = configuration->member_count == expected.member_count;
    for (uint32_t i = 0; same && i < expected.member_count; i++) {
        same = configuration->members[i].node_id == expected.members[i].node_id &&
               configuration->members[i].roles == expected.members[i].roles;
    }
    return same;
}

/* ---- the way of a change --------------------------------------------------------------------- */

/* Section 6: a change goes through a joint configuration. */
TEST(a_change_of_voters_begins_with_the_joint_configuration) {
    serve_with_a_learner();
    core_configure("1v 2v 4v");
    struct configuration joint = core_append_configuration();
    assert_true(is_configuration(&joint, "1vo 2vo 3o 4v"));
}

/* Section 6: it is in force as soon as it is in the log, committed or not. */
TEST(a_configuration_is_in_force_when_it_is_appended) {
    serve_with_a_learner();
    core_configure("1v 2v 4v");
    core_expect_members("1v 2v 3v 4l");
    core_append_configuration();
    core_expect_members("1vo 2vo 3o 4v");
    core_stop(NULL);
    START("1v 2v 3v", .term = 4);
    HEAR_APPEND(.from = 2, .term = 4, .terms = "4", .configuration = "1vo 2vo 3o 4v");
    core_expect_members("1vo 2vo 3o 4v");
}

/* Section 6: entries go to all members of both. */
TEST(entries_go_to_the_members_of_both_configurations) {
    serve_with_a_learner();
    core_configure("1v 4v");
    core_append_configuration();
    core_append(1);
    for (uint64_t peer = 2; peer <= 4; peer++) {
        assert_non_null(core_sent(RAFT_MESSAGE_APPEND, peer));
    }
}

/* Section 6: agreement needs a majority of the old and one of the new. */
TEST(a_joint_configuration_commits_by_both_majorities) {
    START("1v 2v 3v 4l 5l", .term = 4);
    core_serve();
    core_configure("1v 4v 5v");
    core_append_configuration();
    core_stored(2);
    core_hear_granted(2, 2);
    core_hear_granted(3, 2);
    assert_int_equal(raft_commit_index(core->raft), 1);
    core_hear_granted(4, 2);
    assert_int_equal(raft_commit_index(core->raft), 2);
    core_stop(NULL);
    START("1v 2v 3v 4l 5l", .term = 4);
    core_serve();
    core_configure("1v 4v 5v");
    core_append_configuration();
    core_stored(2);
    core_hear_granted(4, 2);
    core_hear_granted(5, 2);
    assert_int_equal(raft_commit_index(core->raft), 1);
    core_hear_granted(2, 2);
    assert_int_equal(raft_commit_index(core->raft), 2);
}

/* Section 6: so do elections. */
TEST(a_joint_configuration_elects_by_both_majorities) {
    START("1vo 2o 3o 4v 5v", .term = 4);
    core_stand();
    core_hear_vote_answer(4, true);
    core_hear_vote_answer(5, true);
    assert_true(core_is(RAFT_CANDIDATE));
    core_hear_vote_answer(3, true);
    assert_true(core_is(RAFT_LEADER));
    core_stop(NULL);
    START("1vo 2o 3o 4v 5v", .term = 4);
    core_stand();
    core_hear_vote_answer(2, true);
    core_hear_vote_answer(3, true);
    assert_true(core_is(RAFT_CANDIDATE));
    core_hear_vote_answer(4, true);
    assert_true(core_is(RAFT_LEADER));
}

/* And a leader keeps its place by both: one half cannot hold it. */
TEST(a_joint_configuration_is_heard_by_both_majorities) {
    START("1v 2v 3v 4l 5l", .term = 4);
    core_serve();
    core_configure("1v 4v 5v");
    core_append_configuration();
    for (uint32_t i = 0; i < 9; i++) {
        core_pass(HEARTBEAT_NS);
        core_hear_heartbeat_answer(2);
        core_hear_heartbeat_answer(3);
    }
    core_pass(HEARTBEAT_NS);
    assert_true(core_is(RAFT_FOLLOWER));
}

/* Section 6: only when the joint configuration is committed is the new one appended. */
TEST(the_new_configuration_waits_for_the_commit_of_the_joint_one) {
    serve_with_a_learner();
    core_configure("1v 2v 4v");
    core_append_configuration();
    assert_null(core_did(RAFT_ACTION_APPEND_CONFIGURATION));
    core_stored(2);
    core_hear_granted(3, 2);
    assert_null(core_did(RAFT_ACTION_APPEND_CONFIGURATION));
    core_hear_granted(2, 2);
    assert_int_equal(core_committed(), 2);
    struct configuration left = core_append_configuration();
    assert_true(is_configuration(&left, "1v 2v 4v"));
    core_expect_members("1v 2v 4v");
}

/* Section 6: the change is over when the new one is committed, by its own majority alone. */
TEST(a_change_is_over_when_the_new_configuration_is_committed) {
    serve_with_a_learner();
    core_configure("1v 4v");
    core_append_configuration();
    all_have_the_log((const uint64_t[]){2, 4, 0});
    core_append_configuration();
    core_stored(3);
    assert_null(core_did(RAFT_ACTION_CONFIGURED));
    core_hear_granted(4, 3);
    assert_int_equal(core_committed(), 3);
    assert_int_equal(core_action(RAFT_ACTION_CONFIGURED)->index, 3);
    assert_true(is_configuration(core_action(RAFT_ACTION_CONFIGURED)->configuration, "1v 4v"));
    core_configure("1v");
    assert_int_equal(core_refusal(), RAFT_REFUSAL_NONE);
}

/* 4.2.1: learners need no joint step: the majorities stay the same. */
TEST(learners_come_and_go_in_one_step) {
    START("1v 2v 3v", .term = 4);
    core_serve();
    core_configure("1v 2v 3v 4l");
    struct configuration next = core_append_configuration();
    assert_true(is_configuration(&next, "1v 2v 3v 4l"));
    assert_int_equal(core_message(RAFT_MESSAGE_APPEND, 4)->previous_index, 2);
    all_have_the_log((const uint64_t[]){2, 0});
    assert_int_equal(core_action(RAFT_ACTION_CONFIGURED)->index, 2);
    core_configure("1v 2v 3v");
    core_append_configuration();
    all_have_the_log((const uint64_t[]){2, 0});
    core_expect_members("1v 2v 3v");
    assert_int_equal(core_action(RAFT_ACTION_CONFIGURED)->index, 3);
}

/* From two voters to one, and the one commits alone. */
TEST(two_become_one) {
    START("1v 2v", .term = 4);
    core_serve();
    core_configure("1v");
    core_append_configuration();
    all_have_the_log((const uint64_t[]){2, 0});
    core_append_configuration();
    core_stored(3);
    assert_int_equal(core_committed(), 3);
    core_expect_members("1v");
    core_read(false);
    assert_non_null(core_did(RAFT_ACTION_READ_READY));
}

/* What is known of who stays is kept, whatever its place among the members. */
TEST(who_stays_is_known_as_before) {
    START("1l 2v 3v 5v", .node_id = 3, .term = 4);
    core_serve();
    core_append(3);
    core_hear_granted(5, 3);
    uint32_t session = core->said[5].session;
    core_configure("2v 3v 4l 5v");
    core_append_configuration();
    assert_int_equal(core_peer(5).match_index, 3);
    assert_string_equal(core_peer(5).state, "replicate");
    assert_int_equal(core->said[5].session, session);
    assert_int_equal(core_peer(4).match_index, 0);
    core_hear_granted(5, 4);
    assert_int_equal(core_peer(5).match_index, 4);
}

/* Who was removed and added again begins anew: late answers of its earlier time are dropped. */
TEST(who_was_removed_and_added_again_begins_anew) {
    serve_with_a_learner();
    uint32_t session = core->said[4].session;
    core_configure("1v 2v 3v");
    core_append_configuration();
    all_have_the_log((const uint64_t[]){2, 0});
    core_configure("1v 2v 3v 4l");
    core_append_configuration();
    assert_int_equal(core_peer(4).match_index, 0);
    core_hear((struct raft_message){.kind = RAFT_MESSAGE_APPEND_ANSWER,
                                    .from = 4,
                                    .term = 5,
                                    .session = session,
                                    .granted = true,
                                    .match_index = 1});
    assert_int_equal(core_peer(4).match_index, 0);
}

/* ---- a leader that is not in the new configuration ------------------------------------------- */

/* Section 6, 4.2.2: it leads until the new configuration is committed, not counting itself. */
TEST(a_leader_that_removes_itself_leads_until_that_is_committed) {
    START("1v 2v 3v", .term = 4);
    core_serve();
    core_configure("2v 3v");
    core_append_configuration();
    all_have_the_log((const uint64_t[]){2, 3, 0});
    core_append_configuration();
    core_expect_members("2v 3v");
    core_stored(3);
    core_hear_granted(2, 3);
    assert_true(core_is(RAFT_LEADER));
    assert_int_equal(raft_commit_index(core->raft), 2);
    core_hear_granted(3, 3);
    assert_int_equal(core_committed(), 3);
    assert_non_null(core_did(RAFT_ACTION_CONFIGURED));
    assert_true(core_is(RAFT_FOLLOWER));
    assert_int_equal(core_message(RAFT_MESSAGE_HEARTBEAT, 2)->commit, 3);
    assert_int_equal(raft_deadline_ns(core->raft), UINT64_MAX);
}

/* It still looks after its quorum meanwhile, though it is no member. */
TEST(a_leader_that_is_no_member_still_steps_down_without_a_quorum) {
    START("1v 2v", .term = 4);
    core_serve();
    core_configure("2v");
    core_append_configuration();
    all_have_the_log((const uint64_t[]){2, 0});
    core_append_configuration();
    core_expect_members("2v");
    assert_true(raft_deadline_ns(core->raft) != UINT64_MAX);
    core_pass(HEARTBEAT_NS);
    assert_non_null(core_sent(RAFT_MESSAGE_HEARTBEAT, 2));
    core_silence(T_NS);
    assert_true(core_is(RAFT_FOLLOWER));
}

/* 4.2.2: a removed leader that is a learner from now on follows. */
TEST(a_leader_that_becomes_a_learner_steps_down) {
    START("1v 2v 3v", .term = 4);
    core_serve();
    core_configure("1l 2v 3v");
    core_append_configuration();
    all_have_the_log((const uint64_t[]){2, 3, 0});
    core_append_configuration();
    all_have_the_log((const uint64_t[]){2, 3, 0});
    assert_true(core_is(RAFT_FOLLOWER));
    core_expect_members("1l 2v 3v");
}

/* 4.2.2: as long as its removal is not known to be committed, a removed node may have to win: it
 * may be the only one that has the entry. */
TEST(a_node_campaigns_until_its_removal_is_committed) {
    START("1v 2v 3v", .term = 4);
    HEAR_APPEND(.from = 2, .term = 4, .terms = "4", .configuration = "2v 3v");
    core_stored(1);
    core_time_out();
    assert_true(core_is(RAFT_PRE_CANDIDATE));
    core_stop(NULL);
    START("1v 2v 3v", .term = 4);
    HEAR_APPEND(.from = 2, .term = 4, .terms = "4", .configuration = "2v 3v", .commit = 1);
    core_stored(1);
    assert_int_equal(raft_deadline_ns(core->raft), UINT64_MAX);
    core_pass(10 * T_NS);
    assert_true(core_is(RAFT_FOLLOWER));
}

/* ---- when a change is refused ---------------------------------------------------------------- */

/* Only a leader changes anything. */
TEST(a_change_is_refused_by_who_does_not_lead) {
    START("1v 2v 3v", .term = 4);
    core_configure("1v 2v");
    assert_int_equal(core_refusal(), RAFT_REFUSAL_NOT_LEADER);
}

/* The erratum to 4.1: not before an entry of this term is committed. */
TEST(a_change_is_refused_before_the_first_commit_of_the_term) {
    START("1v 2v 3v", .term = 4, .terms = "1");
    core_lead();
    core_configure("1v 2v");
    assert_int_equal(core_refusal(), RAFT_REFUSAL_NOT_SERVING);
}

/* One at a time: while it is to be appended, while it is joint, while it is not committed. */
TEST(a_second_change_is_refused_until_the_first_is_over) {
    START("1v 2v 3v", .term = 4);
    core_serve();
    core_configure("1v 2v");
    core_configure("1v 3v");
    assert_int_equal(core_refusal(), RAFT_REFUSAL_CHANGING);
    core_stop(NULL);
    START("1v 2v 3v", .term = 4);
    core_serve();
    core_configure("1v 2v");
    core_append_configuration();
    core_configure("1v 3v");
    assert_int_equal(core_refusal(), RAFT_REFUSAL_CHANGING);
    core_stored(2);
    core_hear_granted(2, 2);
    core_append_configuration();
    core_configure("1v 3v");
    assert_int_equal(core_refusal(), RAFT_REFUSAL_CHANGING);
    core_stored(3);
    core_hear_granted(2, 3);
    core_configure("1v");
    assert_int_equal(core_refusal(), RAFT_REFUSAL_NONE);
}

/* Not while leadership is being handed over. */
TEST(a_change_is_refused_during_a_transfer) {
    START("1v 2v 3v", .term = 4);
    core_serve();
    core_append(1);
    core_transfer(2);
    core_configure("1v 2v");
    assert_int_equal(core_refusal(), RAFT_REFUSAL_TRANSFERRING);
}

/* What is no set of voters and learners, or no change, is refused. */
TEST(what_is_no_change_is_refused) {
    START("1v 2v 3v", .term = 4);
    core_serve();
    static const char *const wrong[] = {"1v 2v 3v", "1v 2o 3v", "1l 2l", "1vl 2v", "", "2v 1v"};
    for (uint32_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        core_configure(wrong[i]);
        assert_int_equal(core_refusal(), RAFT_REFUSAL_CONFIGURATION);
    }
    core_expect_members("1v 2v 3v");
}

/* 4.2.1: who shall vote must have the log first: a stranger, a learner that is being looked for, a
 * learner that is far behind. */
TEST(a_voter_that_has_not_caught_up_is_refused) {
    START("1v 2v 3v", .term = 4);
    core_serve();
    core_configure("1v 2v 3v 4v");
    assert_int_equal(core_refusal(), RAFT_REFUSAL_LAGGING);
    core_configure("1v 2v 3v 4l");
    core_append_configuration();
    all_have_the_log((const uint64_t[]){2, 0});
    core_configure("1v 2v 3v 4v");
    assert_int_equal(core_refusal(), RAFT_REFUSAL_LAGGING);
    core_hear_granted(4, 2);
    for (uint32_t i = 0; i < 11; i++) {
        core_append(100);
        all_have_the_log((const uint64_t[]){2, 0});
    }
    core_configure("1v 2v 3v 4v");
    assert_int_equal(core_refusal(), RAFT_REFUSAL_LAGGING);
    core_hear_granted(4, 1000);
    core_configure("1v 2v 3v 4v");
    assert_int_equal(core_refusal(), RAFT_REFUSAL_NONE);
}

/* ---- changes that others began, or that are undone ------------------------------------------- */

/* Section 6: a new leader that finds a joint configuration in its log goes on with it, when it has
 * committed an entry of its own. */
TEST(a_new_leader_leaves_the_joint_configuration_that_it_finds) {
    START("1vo 2vo 3o 4v", .term = 4, .terms = "4");
    core_lead();
    assert_null(core_did(RAFT_ACTION_APPEND_CONFIGURATION));
    core_stored(2);
    core_hear_granted(2, 1);
    core_hear_granted(4, 1);
    assert_null(core_did(RAFT_ACTION_APPEND_CONFIGURATION));
    core_configure("1v 2v");
    assert_int_equal(core_refusal(), RAFT_REFUSAL_NOT_SERVING);
    core_hear_granted(2, 2);
    assert_int_equal(core_committed(), 2);
    struct configuration left = core_append_configuration();
    assert_true(is_configuration(&left, "1v 2v 4v"));
}

/* Also one that it knows to be committed. */
TEST(a_new_leader_leaves_a_committed_joint_configuration) {
    START("1v 2v 3v", .term = 4);
    HEAR_APPEND(.from = 2, .term = 4, .terms = "4", .configuration = "1vo 2vo 3o", .commit = 1);
    core_stored(1);
    core_lead();
    core_stored(2);
    assert_null(core_did(RAFT_ACTION_APPEND_CONFIGURATION));
    core_hear_granted(2, 2);
    struct configuration left = core_append_configuration();
    assert_true(is_configuration(&left, "1v 2v"));
}

/* A simple one, begun by another leader, is over when it is committed. */
TEST(a_new_leader_ends_a_change_that_it_finds) {
    START("1v 2v 3v", .term = 4);
    HEAR_APPEND(.from = 2, .term = 4, .terms = "4", .configuration = "1v 2v 3v 4l");
    core_stored(1);
    core_serve();
    core_configure("1v 2v 3v");
    assert_int_equal(core_refusal(), RAFT_REFUSAL_NONE);
}

/* A commit before the configuration, or before the caller had room for the next one, does not go
 * on with the change. */
TEST(a_change_goes_on_when_its_own_entry_is_committed) {
    START("1v 2v 3v", .term = 4);
    core_serve();
    core_append(1);
    core_configure("1v 2v");
    core_append_configuration();
    core_stored(3);
    core_hear_granted(2, 2);
    assert_int_equal(core_committed(), 2);
    assert_null(core_did(RAFT_ACTION_APPEND_CONFIGURATION));
    core_hear_granted(2, 3);
    assert_non_null(core_did(RAFT_ACTION_APPEND_CONFIGURATION));
    core_replicate((const uint64_t[]){2, 0});
    assert_int_equal(core_committed(), 4);
    assert_null(core_did(RAFT_ACTION_APPEND_CONFIGURATION));
    core_expect_members("1vo 2vo 3o");
}

/* A learner with another disk begins anew; a voter with another disk is no change that is taken:
 * it would be counted for what its old disk had. */
TEST(a_member_with_another_disk_is_another_one) {
    serve_with_a_learner();
    struct configuration wanted = *raft_configuration(core->raft);
    wanted.members[2].incarnation = 777;
    core_step((struct raft_event){.kind = RAFT_EVENT_CONFIGURE, .configuration = &wanted});
    assert_int_equal(core_refusal(), RAFT_REFUSAL_CONFIGURATION);
    wanted = *raft_configuration(core->raft);
    wanted.members[3].incarnation = 777;
    core_step((struct raft_event){.kind = RAFT_EVENT_CONFIGURE, .configuration = &wanted});
    core_append_configuration();
    assert_int_equal(core_peer(4).match_index, 0);
    assert_int_equal(core_peer(3).match_index, 1);
}

/* Section 6: a configuration whose entry is truncated is in force no longer. */
TEST(a_truncated_configuration_gives_way_to_the_one_before) {
    START("1v 2v 3v", .term = 4);
    HEAR_APPEND(.from = 2, .term = 4, .terms = "4 4", .configuration = "1vo 2vo 3o 4v");
    core_expect_members("1vo 2vo 3o 4v");
    HEAR_APPEND(.from = 3, .term = 5, .previous_index = 1, .previous_term = 4, .terms = "5");
    assert_int_equal(core_action(RAFT_ACTION_TRUNCATE)->index, 1);
    core_expect_members("1v 2v 3v");
}

/* But a truncation behind it leaves it. */
TEST(a_truncation_behind_a_configuration_leaves_it) {
    START("1v 2v 3v", .term = 4);
    HEAR_APPEND(.from = 2, .term = 4, .terms = "4", .configuration = "1vo 2vo 3o 4v");
    HEAR_APPEND(.from = 2, .term = 4, .previous_index = 1, .previous_term = 4, .terms = "4");
    HEAR_APPEND(.from = 3, .term = 5, .previous_index = 1, .previous_term = 4, .terms = "5");
    assert_int_equal(core_action(RAFT_ACTION_TRUNCATE)->index, 1);
    core_expect_members("1vo 2vo 3o 4v");
}

/* A leader that is deposed before the caller appended its configuration does not append it. */
TEST(a_change_that_was_not_appended_ends_with_the_leadership) {
    START("1v 2v 3v", .term = 4);
    core_serve();
    core_configure("1v 2v");
    assert_non_null(core_did(RAFT_ACTION_APPEND_CONFIGURATION));
    core_silence(T_NS);
    assert_true(core_is(RAFT_FOLLOWER));
    core_serve();
    core_configure("1v 2v");
    assert_int_equal(core_refusal(), RAFT_REFUSAL_NONE);
}

/* 4.2.3: a node that was removed, and never told so, cannot depose a leader that works. */
TEST(a_removed_node_cannot_disturb) {
    START("1v 2v 3v", .term = 4);
    core_follow(2, 4);
    core_hear_vote(9, 8, 50, 4);
    assert_true(core_silent());
    core_hear_pre_vote(9, 8, 50, 4);
    assert_false(core_gave_pre_vote(9));
    assert_int_equal(raft_term(core->raft), 4);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        CORE_TEST(a_change_of_voters_begins_with_the_joint_configuration),
        CORE_TEST(a_configuration_is_in_force_when_it_is_appended),
        CORE_TEST(entries_go_to_the_members_of_both_configurations),
        CORE_TEST(a_joint_configuration_commits_by_both_majorities),
        CORE_TEST(a_joint_configuration_elects_by_both_majorities),
        CORE_TEST(a_joint_configuration_is_heard_by_both_majorities),
        CORE_TEST(the_new_configuration_waits_for_the_commit_of_the_joint_one),
        CORE_TEST(a_change_is_over_when_the_new_configuration_is_committed),
        CORE_TEST(learners_come_and_go_in_one_step),
        CORE_TEST(two_become_one),
        CORE_TEST(who_stays_is_known_as_before),
        CORE_TEST(who_was_removed_and_added_again_begins_anew),
        CORE_TEST(a_leader_that_removes_itself_leads_until_that_is_committed),
        CORE_TEST(a_leader_that_is_no_member_still_steps_down_without_a_quorum),
        CORE_TEST(a_leader_that_becomes_a_learner_steps_down),
        CORE_TEST(a_node_campaigns_until_its_removal_is_committed),
        CORE_TEST(a_change_is_refused_by_who_does_not_lead),
        CORE_TEST(a_change_is_refused_before_the_first_commit_of_the_term),
        CORE_TEST(a_second_change_is_refused_until_the_first_is_over),
        CORE_TEST(a_change_is_refused_during_a_transfer),
        CORE_TEST(what_is_no_change_is_refused),
        CORE_TEST(a_voter_that_has_not_caught_up_is_refused),
        CORE_TEST(a_new_leader_leaves_the_joint_configuration_that_it_finds),
        CORE_TEST(a_new_leader_leaves_a_committed_joint_configuration),
        CORE_TEST(a_new_leader_ends_a_change_that_it_finds),
        CORE_TEST(a_change_goes_on_when_its_own_entry_is_committed),
        CORE_TEST(a_member_with_another_disk_is_another_one),
        CORE_TEST(a_truncated_configuration_gives_way_to_the_one_before),
        CORE_TEST(a_truncation_behind_a_configuration_leaves_it),
        CORE_TEST(a_change_that_was_not_appended_ends_with_the_leadership),
        CORE_TEST(a_removed_node_cannot_disturb),
    };
    return cmocka_run_group_tests_name("raft_paper_membership", tests, NULL, NULL);
}
