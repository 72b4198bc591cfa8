/*
 * Votes: the extended Raft paper, figure 2 (RequestVote, receiver) and sections 5.2, 5.4.1; the
 * dissertation's 4.2.3 (stickiness) and 9.6 (pre-vote).
 */

#include "base/bytes.h"
#include "tests/raft/support.h"

/* ---- RequestVote, receiver ------------------------------------------------------------------- */

/* Figure 2: one vote a term, first come first served. */
TEST(a_second_candidate_of_the_term_gets_no_vote) {
    START("1v 2v 3v", .term = 4);
    core_hear_vote(2, 5, 0, 0);
    assert_true(core_gave_vote(2));
    core_hear_vote(3, 5, 9, 4);
    assert_true(core_refused_vote(3));
    assert_null(core_did(RAFT_ACTION_STORE_VOTE));
}

/* Figure 2: the same candidate gets it again: its answer may have been lost. */
TEST(the_same_candidate_gets_the_vote_again) {
    START("1v 2v 3v", .term = 4);
    core_hear_vote(2, 5, 0, 0);
    core_hear_vote(2, 5, 0, 0);
    assert_true(core_gave_vote(2));
    assert_null(core_did(RAFT_ACTION_STORE_VOTE));
}

/* Figure 2, persistent state: what was voted before a restart still binds. */
TEST(a_vote_survives_a_restart) {
    START("1v 2v 3v", .term = 5, .voted_for = 2);
    core_hear_vote(3, 5, 9, 4);
    assert_true(core_refused_vote(3));
    core_hear_vote(2, 5, 0, 0);
    assert_true(core_gave_vote(2));
}

/* 5.2: in the next term the vote is free again. */
TEST(in_a_later_term_the_vote_is_free) {
    START("1v 2v 3v", .term = 5, .voted_for = 2);
    core_hear_vote(3, 6, 0, 0);
    assert_true(core_gave_vote(3));
    assert_int_equal(core_action(RAFT_ACTION_STORE_VOTE)->term, 6);
    assert_int_equal(core_action(RAFT_ACTION_STORE_VOTE)->node_id, 3);
}

/* A candidate has voted for itself, and stays with it. */
TEST(a_candidate_gives_no_vote_in_its_term) {
    START("1v 2v 3v", .term = 4);
    core_stand();
    core_hear_vote(2, 5, 9, 4);
    assert_true(core_refused_vote(2));
    assert_true(core_is(RAFT_CANDIDATE));
}

/* Also after it has stepped down in the same term: it would elect a second leader. */
TEST(a_leader_that_stepped_down_keeps_its_vote) {
    START("1v 2v 3v", .term = 4);
    core_serve();
    core_silence(T_NS);
    assert_true(core_is(RAFT_FOLLOWER));
    assert_int_equal(raft_term(core->raft), 5);
    core_hear_vote(2, 5, 9, 5);
    assert_true(core_refused_vote(2));
}

/* A pre-candidate that has its vote of this term still gives it to who is up to date. */
TEST(a_pre_candidate_votes_for_a_candidate_of_its_term) {
    START("1v 2v 3v", .term = 5);
    core_time_out();
    core_hear_vote(2, 5, 0, 0);
    assert_true(core_gave_vote(2));
    assert_true(core_is(RAFT_FOLLOWER));
    core_hear_pre_vote_answer(3, true);
    assert_true(core_is(RAFT_FOLLOWER));
}

/* Who follows a leader of this term gives no vote in it, though it has not voted. */
TEST(a_follower_of_a_leader_gives_no_vote_in_its_term) {
    START("1v 2v 3v", .term = 5);
    core_follow(2, 5);
    core_hear_vote(3, 5, 9, 4);
    assert_true(core_refused_vote(3));
}

/* Figure 2 and 5.4.1: the later last term is the more up-to-date log; with equal terms, the longer
 * one; an equal log is enough. */
TEST(votes_go_to_logs_at_least_as_up_to_date) {
    static const struct {
        uint64_t last_index, last_term;
        bool granted;
    } cases[] = {
        {3, 4, true},  {4, 4, true},  {1, 5, true},  {2, 4, false},
        {9, 3, false}, {0, 0, false}, {3, 3, false}, {4, 3, false},
    };
    for (uint32_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        START("1v 2v 3v", .term = 5, .terms = "1 4 4");
        core_hear_pre_vote(2, 6, cases[i].last_index, cases[i].last_term);
        assert_int_equal(core_gave_pre_vote(2), cases[i].granted);
        core_hear_vote(2, 6, cases[i].last_index, cases[i].last_term);
        assert_int_equal(core_gave_vote(2), cases[i].granted);
        assert_int_equal(raft_term(core->raft), 6);
        core_stop(NULL);
    }
}

/* ---- answers that come late ------------------------------------------------------------------ */

/* 5.1: a vote of an earlier term is not counted in this one. */
TEST(a_vote_of_an_earlier_term_is_not_counted) {
    START("1v 2v 3v", .term = 4);
    core_stand();
    uint64_t attempt = core->said[2].attempt;
    core_time_out();
    core_stand();
    assert_int_equal(raft_term(core->raft), 6);
    core_hear((struct raft_message){
        .kind = RAFT_MESSAGE_VOTE_ANSWER, .from = 2, .term = 5, .round = attempt, .granted = true});
    assert_true(core_is(RAFT_CANDIDATE));
}

/* A vote of another attempt is not counted, whatever its term. */
TEST(a_vote_of_another_attempt_is_not_counted) {
    START("1v 2v 3v", .term = 4);
    core_stand();
    core_hear((struct raft_message){.kind = RAFT_MESSAGE_VOTE_ANSWER,
                                    .from = 2,
                                    .term = 5,
                                    .round = core->said[2].attempt - 1,
                                    .granted = true});
    assert_true(core_is(RAFT_CANDIDATE));
}

/* A vote that comes when the election is over changes nothing. */
TEST(a_vote_after_the_election_is_dropped) {
    START("1v 2v 3v", .term = 4);
    core_win();
    core_hear_vote_answer(3, true);
    assert_true(core_silent());
    core_stop(NULL);
    START("1v 2v 3v", .term = 4);
    core_stand();
    core_hear_heartbeat(3, 5, 0);
    core_hear_vote_answer(2, true);
    assert_true(core_is(RAFT_FOLLOWER));
}

/* 9.6: consent to a pre-vote is no vote. */
TEST(a_pre_vote_is_not_counted_as_a_vote) {
    START("1v 2v 3v", .term = 4);
    core_time_out();
    core_hear_pre_vote_answer(2, true);
    core_store_vote();
    assert_true(core_is(RAFT_CANDIDATE));
    core_hear((struct raft_message){.kind = RAFT_MESSAGE_PRE_VOTE_ANSWER,
                                    .from = 3,
                                    .term = 5,
                                    .round = core->said[3].attempt,
                                    .granted = true});
    assert_true(core_is(RAFT_CANDIDATE));
}

/* 9.6: nor is the consent to an earlier attempt, or to another term. */
TEST(a_late_pre_vote_is_dropped) {
    START("1v 2v 3v", .term = 4);
    core_time_out();
    struct core_said first = core->said[2];
    core_time_out();
    core_hear((struct raft_message){.kind = RAFT_MESSAGE_PRE_VOTE_ANSWER,
                                    .from = 2,
                                    .term = 5,
                                    .round = first.attempt,
                                    .granted = true});
    assert_true(core_is(RAFT_PRE_CANDIDATE));
    core_hear((struct raft_message){.kind = RAFT_MESSAGE_PRE_VOTE_ANSWER,
                                    .from = 2,
                                    .term = 4,
                                    .round = core->said[2].attempt,
                                    .granted = true});
    assert_true(core_is(RAFT_PRE_CANDIDATE));
}

/* ---- pre-vote (9.6) and stickiness (4.2.3) --------------------------------------------------- */

/* 9.6: asking for pre-votes changes neither term nor vote, here or there. */
TEST(a_pre_vote_changes_nothing) {
    START("1v 2v 3v", .term = 4);
    core_time_out();
    assert_int_equal(raft_term(core->raft), 4);
    assert_null(core_did(RAFT_ACTION_STORE_VOTE));
    core_hear_pre_vote(2, 9, 0, 0);
    assert_true(core_gave_pre_vote(2));
    assert_int_equal(core_message(RAFT_MESSAGE_PRE_VOTE_ANSWER, 2)->term, 9);
    assert_int_equal(raft_term(core->raft), 4);
    assert_null(core_did(RAFT_ACTION_STORE_VOTE));
}

/* 9.6: only a term later than ours gets consent; otherwise the answer has our own. */
TEST(a_pre_vote_for_a_term_that_is_over_is_refused) {
    START("1v 2v 3v", .term = 9);
    core_hear_pre_vote(2, 9, 0, 0);
    assert_false(core_gave_pre_vote(2));
    assert_int_equal(core_message(RAFT_MESSAGE_PRE_VOTE_ANSWER, 2)->term, 9);
    core_hear_pre_vote(2, 5, 0, 0);
    assert_false(core_gave_pre_vote(2));
}

/* Two who ask at the same time would consent to each other, both raise the term, both vote for
 * themselves, and neither would win.  So one of them gives way: who cannot win the other's vote,
 * or else the one with the higher id. */
TEST(of_two_who_ask_at_once_one_gives_way) {
    static const struct {
        uint64_t own_id;
        uint64_t other_id;
        uint64_t last_index; /* the other's log; ours ends with 2 of term 3 */
        uint64_t last_term;
        bool consents;
        bool gives_way;
    } cases[] = {
        {2, 1, 2, 3, true, true},   /* equal logs */
        {1, 2, 2, 3, true, false},  /* it gives way */
        {1, 2, 3, 3, true, true},   /* the other's is longer, */
        {1, 2, 1, 4, true, true},   /* or later */
        {2, 1, 1, 3, false, false}, /* shorter, */
        {2, 1, 9, 2, false, false}, /* or earlier */
    };
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        START("1v 2v 3v", .node_id = cases[i].own_id, .term = 4, .terms = "1 3");
        core_time_out();
        uint64_t deadline_ns = raft_deadline_ns(core->raft);
        core_hear_pre_vote(cases[i].other_id, 5, cases[i].last_index, cases[i].last_term);
        assert_int_equal(core_gave_pre_vote(cases[i].other_id), cases[i].consents);
        assert_true(core_is(cases[i].gives_way ? RAFT_FOLLOWER : RAFT_PRE_CANDIDATE));
        assert_int_equal(raft_deadline_ns(core->raft), deadline_ns); /* it tries again */
        core_hear_pre_vote_answer(3, true);
        assert_true(core_is(cases[i].gives_way ? RAFT_FOLLOWER : RAFT_CANDIDATE));
        core_stop(NULL);
    }
}

/* But not for somebody who has no vote to win with: a removed member may ask for ever. */
TEST(nobody_gives_way_to_one_who_is_no_voter) {
    START("1l 2v 3v", .node_id = 2, .term = 4);
    core_time_out();
    core_hear_pre_vote(1, 5, 1, 1);
    assert_true(core_is(RAFT_PRE_CANDIDATE));
}

/* Nor does a candidate: it has raised the term, and consents to none of that term any more. */
TEST(a_candidate_gives_way_to_no_question) {
    START("1v 2v 3v", .node_id = 2, .term = 4);
    core_time_out();
    core_hear_pre_vote_answer(3, true);
    core_store_vote();
    core_hear_pre_vote(1, 5, 1, 1);
    assert_false(core_gave_pre_vote(1));
    assert_true(core_is(RAFT_CANDIDATE));
}

/* 9.6: who is refused by a majority waits. */
TEST(a_majority_of_refused_pre_votes_ends_the_attempt) {
    START("1v 2v 3v", .term = 4);
    core_time_out();
    core_hear_pre_vote_answer(2, false);
    core_hear_pre_vote_answer(3, false);
    assert_true(core_is(RAFT_FOLLOWER));
    assert_int_equal(raft_term(core->raft), 4);
}

/* And learns of a later term by it: so a log that is behind in terms catches up and can win. */
TEST(a_refused_pre_vote_tells_a_later_term) {
    START("1v 2v 3v", .term = 4);
    core_time_out();
    core_hear((struct raft_message){.kind = RAFT_MESSAGE_PRE_VOTE_ANSWER,
                                    .from = 2,
                                    .term = 8,
                                    .round = core->said[2].attempt});
    assert_true(core_is(RAFT_FOLLOWER));
    assert_int_equal(raft_term(core->raft), 8);
    assert_int_equal(core_action(RAFT_ACTION_STORE_VOTE)->term, 8);
    assert_int_equal(core_action(RAFT_ACTION_STORE_VOTE)->node_id, 0);
}

/* 4.2.3: as long as we hear a leader, an election is refused, and not even its term is taken. */
TEST(who_hears_a_leader_refuses_elections) {
    START("1v 2v 3v", .term = 4);
    core_follow(2, 4);
    core_pass(T_NS - 1);
    core_hear_pre_vote(3, 9, 9, 4);
    assert_false(core_gave_pre_vote(3));
    core_hear_vote(3, 9, 9, 4);
    assert_true(core_silent());
    assert_int_equal(raft_term(core->raft), 4);
    core->now_ns += 1;
    core_hear_pre_vote(3, 9, 9, 4);
    assert_true(core_gave_pre_vote(3));
    core_hear_vote(3, 9, 9, 4);
    assert_true(core_gave_vote(3));
}

/* 4.2.3: nor does a leader give way to a candidate; it looks after its quorum itself. */
TEST(a_leader_refuses_elections) {
    START("1v 2v 3v", .term = 4);
    core_serve();
    core_hear_pre_vote(2, 9, 9, 5);
    assert_false(core_gave_pre_vote(2));
    core_hear_vote(2, 9, 9, 5);
    assert_true(core_silent());
    assert_true(core_is(RAFT_LEADER));
}

/* A candidate with a later term and a log that cannot win would be shut out for ever: but it
 * answers our heartbeat with its term, and then we take it. */
TEST(a_leader_takes_the_term_of_a_member_that_cannot_follow_it) {
    START("1v 2v 3v", .term = 4);
    core_serve();
    core_hear((struct raft_message){.kind = RAFT_MESSAGE_HEARTBEAT_ANSWER, .from = 3, .term = 9});
    assert_true(core_is(RAFT_FOLLOWER));
    assert_int_equal(raft_term(core->raft), 9);
    core_store_vote();
    core_time_out();
    assert_int_equal(core_message(RAFT_MESSAGE_PRE_VOTE, 2)->term, 10);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        CORE_TEST(a_second_candidate_of_the_term_gets_no_vote),
        CORE_TEST(the_same_candidate_gets_the_vote_again),
        CORE_TEST(a_vote_survives_a_restart),
        CORE_TEST(in_a_later_term_the_vote_is_free),
        CORE_TEST(a_candidate_gives_no_vote_in_its_term),
        CORE_TEST(a_leader_that_stepped_down_keeps_its_vote),
        CORE_TEST(a_pre_candidate_votes_for_a_candidate_of_its_term),
        CORE_TEST(a_follower_of_a_leader_gives_no_vote_in_its_term),
        CORE_TEST(votes_go_to_logs_at_least_as_up_to_date),
        CORE_TEST(a_vote_of_an_earlier_term_is_not_counted),
        CORE_TEST(a_vote_of_another_attempt_is_not_counted),
        CORE_TEST(a_vote_after_the_election_is_dropped),
        CORE_TEST(a_pre_vote_is_not_counted_as_a_vote),
        CORE_TEST(a_late_pre_vote_is_dropped),
        CORE_TEST(a_pre_vote_changes_nothing),
        CORE_TEST(a_pre_vote_for_a_term_that_is_over_is_refused),
        CORE_TEST(of_two_who_ask_at_once_one_gives_way),
        CORE_TEST(nobody_gives_way_to_one_who_is_no_voter),
        CORE_TEST(a_candidate_gives_way_to_no_question),
        CORE_TEST(a_majority_of_refused_pre_votes_ends_the_attempt),
        CORE_TEST(a_refused_pre_vote_tells_a_later_term),
        CORE_TEST(who_hears_a_leader_refuses_elections),
        CORE_TEST(a_leader_refuses_elections),
        CORE_TEST(a_leader_takes_the_term_of_a_member_that_cannot_follow_it),
    };
    return cmocka_run_group_tests_name("raft_paper_vote", tests, NULL, NULL);
}
