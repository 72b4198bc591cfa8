/*
 * Who has no room for entries where its log is stored (raft/raft.h, RAFT_EVENT_ROOM): what it says,
 * how long it waits before it campaigns, and what a leader makes of it.
 */

#include "tests/raft/support.h"

static void room(bool full) {
    core_step((struct raft_event){.kind = RAFT_EVENT_ROOM, .full = full});
}

/* An answer to the last heartbeat. */
static void hear_room(uint64_t from, bool full) {
    core_hear((struct raft_message){.kind = RAFT_MESSAGE_HEARTBEAT_ANSWER,
                                    .from = from,
                                    .term = raft_term(core->raft),
                                    .session = core->said[from].session,
                                    .round = core->said[from].round,
                                    .granted = true,
                                    .full = full});
}

/* Heartbeats, which all answer: whether it still leads after so many time-outs. */
static bool leads_after(uint32_t timeouts, bool full_2, bool full_3) {
    for (uint32_t i = 0; i < timeouts * (T_NS / HEARTBEAT_NS) && core_is(RAFT_LEADER); i++) {
        core_pass(HEARTBEAT_NS);
        if (core_is(RAFT_LEADER)) {
            hear_room(2, full_2);
            hear_room(3, full_3);
        }
    }
    return core_is(RAFT_LEADER);
}

/* ---- who has none ---------------------------------------------------------------------------- */

TEST(who_has_no_room_says_so_in_its_answers) {
    START("1v 2v 3v", .term = 4);
    core_follow(2, 5);
    core_hear_heartbeat(2, 5, 0);
    assert_false(core_message(RAFT_MESSAGE_HEARTBEAT_ANSWER, 2)->full);
    room(true);
    assert_true(core_silent());
    core_hear_heartbeat(2, 5, 0);
    assert_true(core_message(RAFT_MESSAGE_HEARTBEAT_ANSWER, 2)->full);
    room(false);
    core_hear_heartbeat(2, 5, 0);
    assert_false(core_message(RAFT_MESSAGE_HEARTBEAT_ANSWER, 2)->full);
}

/* All others have timed out before, and had time to be elected. */
TEST(who_has_no_room_lets_others_campaign_first) {
    START("1v 2v 3v", .term = 4);
    for (uint32_t i = 0; i < 100; i++) {
        room(i % 2 == 0);
        core_follow(2, 5);
        uint64_t wait_ns = raft_deadline_ns(core->raft) - core->now_ns;
        assert_in_range(wait_ns, i % 2 == 0 ? 3 * T_NS : T_NS, i % 2 == 0 ? 4 * T_NS : 2 * T_NS);
        core_disconnect(2);
        wait_ns = raft_deadline_ns(core->raft) - core->now_ns;
        assert_in_range(wait_ns, i % 2 == 0 ? 2 * T_NS : 0, i % 2 == 0 ? 3 * T_NS : T_NS);
    }
}

/* Its log may be the only one that has everything. */
TEST(who_has_no_room_leads_if_nobody_else_does) {
    START("1v 2v 3v", .term = 4);
    room(true);
    core_serve();
    assert_true(core_is(RAFT_LEADER));
    assert_true(raft_serving(core->raft));
}

TEST(who_has_no_room_is_asked_to_campaign_in_vain) {
    START("1v 2v 3v", .term = 4);
    core_follow(2, 5);
    room(true);
    core_hear((struct raft_message){.kind = RAFT_MESSAGE_TIMEOUT_NOW, .from = 2, .term = 5});
    assert_true(core_is(RAFT_FOLLOWER));
    room(false);
    core_hear((struct raft_message){.kind = RAFT_MESSAGE_TIMEOUT_NOW, .from = 2, .term = 5});
    assert_true(core_is(RAFT_CANDIDATE));
}

/* ---- what was accepted, and the log could not take ------------------------------------------- */

/* The log ends at index. */
static void room_up_to(uint64_t index) {
    core_step((struct raft_event){.kind = RAFT_EVENT_ROOM,
                                  .full = true,
                                  .index = index,
                                  .epoch = raft_log_epoch(core->raft)});
}

/* Of 1 to 3, of which the log has all, and 4 to 6, of which it has 4 at the most. */
static void accept_six(uint64_t commit) {
    START("1v 2v 3v", .term = 4, .terms = "1 1 2");
    HEAR_APPEND(.from = 2, .term = 5, .previous_index = 3, .previous_term = 2, .terms = "5 5 5",
                .commit = commit);
    assert_int_equal(raft_last_index(core->raft), 6);
    core_vote_stored(5, 0);
}

TEST(what_the_log_could_not_take_is_forgotten) {
    accept_six(3);
    uint64_t epoch = raft_log_epoch(core->raft);
    core_time_out();
    assert_true(core_is(RAFT_FOLLOWER)); /* not as long as it has accepted what is not stored */
    room_up_to(4);
    assert_int_equal(raft_last_index(core->raft), 4);
    assert_int_equal(raft_log_epoch(core->raft), epoch); /* nothing was written there */
    assert_null(core_did(RAFT_ACTION_TRUNCATE));
    core_stored(4);
    for (uint32_t i = 0; i < 4 && core_is(RAFT_FOLLOWER); i++) {
        core_time_out();
    }
    assert_true(core_is(RAFT_PRE_CANDIDATE));
    assert_int_equal(core_message(RAFT_MESSAGE_PRE_VOTE, 2)->last_index, 4);
}

TEST(who_has_forgotten_votes_for_who_has_as_much) {
    accept_six(3);
    core_stored(3);
    room_up_to(3);
    core_silence(2 * T_NS);
    core_hear_vote(3, 6, 3, 2);
    assert_true(core_message(RAFT_MESSAGE_VOTE_ANSWER, 3)->granted);
}

/* The others have it, and whoever lacks it cannot win. */
TEST(what_is_committed_is_not_forgotten) {
    accept_six(5);
    room_up_to(4);
    assert_int_equal(raft_last_index(core->raft), 5);
    core_silence(2 * T_NS);
    core_hear_vote(3, 6, 4, 5);
    assert_false(core_message(RAFT_MESSAGE_VOTE_ANSWER, 3)->granted);
}

TEST(an_answer_that_was_owed_for_what_is_forgotten_is_given_for_the_rest) {
    accept_six(3);
    core_stored(4); /* and nothing is owed for that alone */
    assert_true(core_granted(4));
    room_up_to(4);
    assert_true(core_granted(4));
    HEAR_APPEND(.from = 2, .term = 5, .previous_index = 6, .previous_term = 5, .terms = "5");
    assert_true(core_refused_append());
}

TEST(a_configuration_that_was_not_taken_is_forgotten_as_well) {
    START("1v 2v 3v", .term = 4, .terms = "1 1 2");
    HEAR_APPEND(.from = 2, .term = 5, .previous_index = 3, .previous_term = 2, .terms = "5 5",
                .configuration = "1v 2v 3v 4l");
    assert_int_equal(raft_configuration(core->raft)->member_count, 4);
    room_up_to(4);
    assert_int_equal(raft_configuration(core->raft)->member_count, 3);
}

TEST(what_is_said_of_another_epoch_is_not_of_this_log) {
    accept_six(3);
    core_step((struct raft_event){.kind = RAFT_EVENT_ROOM,
                                  .full = true,
                                  .index = 4,
                                  .epoch = raft_log_epoch(core->raft) + 1});
    assert_int_equal(raft_last_index(core->raft), 6);
}

/* ---- what a leader makes of it --------------------------------------------------------------- */

TEST(a_leader_knows_who_has_no_room) {
    START("1v 2v 3v", .term = 4);
    core_serve();
    hear_room(2, true);
    assert_true(core_peer(2).full);
    assert_false(core_peer(3).full);
    hear_room(2, false);
    assert_false(core_peer(2).full);
}

TEST(a_quorum_has_room_until_it_is_known_to_have_none) {
    START("1v 2v 3v", .term = 4);
    assert_true(raft_quorum_has_room(core->raft, false));
    room(true);
    assert_true(raft_quorum_has_room(core->raft, false)); /* who follows does not judge */
    room(false);
    core_serve();
    assert_true(raft_quorum_has_room(core->raft, false));
    hear_room(2, true);
    assert_true(raft_quorum_has_room(core->raft, false));
    hear_room(3, true);
    assert_false(raft_quorum_has_room(core->raft, false));
    hear_room(2, false);
    assert_true(raft_quorum_has_room(core->raft, false));
    room(true);
    assert_false(raft_quorum_has_room(core->raft, false));
}

/* Of a joint configuration both halves need room; a learner's does not matter. */
TEST(both_halves_need_room) {
    START("1v 2v 3v 4o 5o 6o 7l", .term = 4);
    core_serve();
    hear_room(7, true);
    hear_room(4, true);
    assert_true(raft_quorum_has_room(core->raft, false));
    hear_room(5, true);
    assert_false(raft_quorum_has_room(core->raft, false));
}

/* Who hands over wants to know that it helps. */
TEST(who_is_silent_is_not_known_to_have_room) {
    START("1v 2v 3v", .term = 4);
    core_serve();
    room(true);
    core_pass(HEARTBEAT_NS);
    hear_room(2, false);
    hear_room(3, false);
    assert_true(raft_quorum_has_room(core->raft, true));
    for (uint32_t i = 0; i < T_NS / HEARTBEAT_NS; i++) {
        core_pass(HEARTBEAT_NS);
        hear_room(2, false);
    }
    assert_true(raft_quorum_has_room(core->raft, false));
    assert_false(raft_quorum_has_room(core->raft, true));
}

/* It may be one that is taken though there is no room: what a term begins with. */
TEST(who_has_no_room_is_offered_one_entry_at_a_time) {
    START("1v 2v 3v", .term = 4);
    core_serve();
    uint64_t first = raft_last_index(core->raft);
    hear_room(2, true);
    core_append(3);
    assert_int_equal(core_message(RAFT_MESSAGE_APPEND, 2)->entry_count, 1);
    assert_int_equal(core_message(RAFT_MESSAGE_APPEND, 3)->entry_count, 3);
    core_append(1);
    assert_null(core_sent(RAFT_MESSAGE_APPEND, 2));
    core_hear_granted(2, first + 1); /* it had room for it */
    assert_int_equal(core_message(RAFT_MESSAGE_APPEND, 2)->entry_count, 1);
    assert_int_equal(core_message(RAFT_MESSAGE_APPEND, 2)->previous_index, first + 1);
}

TEST(what_was_not_taken_is_offered_again_after_a_time_out) {
    START("1v 2v 3v", .term = 4);
    core_serve();
    uint64_t first = raft_last_index(core->raft);
    hear_room(2, true);
    core_append(3);
    uint32_t offered = core_sent(RAFT_MESSAGE_APPEND, 2) != NULL;
    for (uint32_t i = 0; i < 4 * (T_NS / HEARTBEAT_NS); i++) {
        core_pass(HEARTBEAT_NS);
        hear_room(3, false);
        hear_room(2, true);
        const struct raft_message *append = core_sent(RAFT_MESSAGE_APPEND, 2);
        /* What follows says where its log ends, one question at a time. */
        for (uint32_t j = 0; append != NULL && append->entry_count == 0; j++) {
            assert_true(j < 3);
            if (append->previous_index == first) {
                core_hear_granted(2, first);
            } else {
                core_hear_refused(2, append->previous_index, first, 5);
            }
            append = core_sent(RAFT_MESSAGE_APPEND, 2);
        }
        assert_true(append == NULL || append->entry_count == 1);
        offered += append != NULL;
    }
    assert_in_range(offered, 4, 5);
}

TEST(who_has_room_again_is_sent_the_rest) {
    START("1v 2v 3v", .term = 4);
    core_serve();
    uint64_t first = raft_last_index(core->raft);
    hear_room(2, true);
    core_append(3);
    hear_room(2, false); /* and forgot what came meanwhile */
    assert_int_equal(core_message(RAFT_MESSAGE_APPEND, 2)->previous_index, first + 1);
    assert_int_equal(core_message(RAFT_MESSAGE_APPEND, 2)->entry_count, 2);
    core_hear_refused(2, first + 1, first, 5);
    assert_int_equal(core_message(RAFT_MESSAGE_APPEND, 2)->previous_index, first);
    assert_int_equal(core_message(RAFT_MESSAGE_APPEND, 2)->entry_count, 3);
}

/* ---- what does not get through for want of room ---------------------------------------------- */

/* As before: one is not enough to be the cause. */
TEST(a_leader_that_cannot_commit_steps_down_though_one_has_no_room) {
    START("1v 2v 3v", .term = 4);
    core_serve();
    core_append(1);
    assert_false(leads_after(5, true, false));
}

TEST(a_leader_that_cannot_commit_for_want_of_room_leads_on) {
    START("1v 2v 3v", .term = 4);
    core_serve();
    core_append(1);
    assert_true(leads_after(20, true, true));
    core_read(false);
    assert_non_null(core_did(RAFT_ACTION_READ_WAIT));
    /* There is room: what waits has as long as ever to get through. */
    assert_true(leads_after(3, false, true));
    assert_false(leads_after(2, false, true));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        CORE_TEST(who_has_no_room_says_so_in_its_answers),
        CORE_TEST(who_has_no_room_lets_others_campaign_first),
        CORE_TEST(who_has_no_room_leads_if_nobody_else_does),
        CORE_TEST(who_has_no_room_is_asked_to_campaign_in_vain),
        CORE_TEST(what_the_log_could_not_take_is_forgotten),
        CORE_TEST(who_has_forgotten_votes_for_who_has_as_much),
        CORE_TEST(what_is_committed_is_not_forgotten),
        CORE_TEST(an_answer_that_was_owed_for_what_is_forgotten_is_given_for_the_rest),
        CORE_TEST(a_configuration_that_was_not_taken_is_forgotten_as_well),
        CORE_TEST(what_is_said_of_another_epoch_is_not_of_this_log),
        CORE_TEST(who_has_no_room_is_offered_one_entry_at_a_time),
        CORE_TEST(what_was_not_taken_is_offered_again_after_a_time_out),
        CORE_TEST(who_has_room_again_is_sent_the_rest),
        CORE_TEST(a_leader_knows_who_has_no_room),
        CORE_TEST(a_quorum_has_room_until_it_is_known_to_have_none),
        CORE_TEST(both_halves_need_room),
        CORE_TEST(who_is_silent_is_not_known_to_have_room),
        CORE_TEST(a_leader_that_cannot_commit_steps_down_though_one_has_no_room),
        CORE_TEST(a_leader_that_cannot_commit_for_want_of_room_leads_on),
    };
    return cmocka_run_group_tests_name("raft_core_room", tests, NULL, NULL);
}
