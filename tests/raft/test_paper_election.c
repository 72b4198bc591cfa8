/*
 * Terms and elections: the extended Raft paper, figure 2 (rules for servers) and sections 5.1, 5.2;
 * the dissertation's 6.2 (check-quorum).  Each comment says what the paper demands, in our words.
 */

#include "tests/raft/support.h"

/* ---- terms (5.1) ----------------------------------------------------------------------------- */

/* 5.1: whoever hears of a later term takes it over. */
TEST(a_follower_takes_a_later_term) {
    START("1v 2v 3v", .term = 2);
    core_hear_vote(2, 5, 0, 0);
    assert_int_equal(raft_term(core->raft), 5);
    assert_true(core_is(RAFT_FOLLOWER));
}

/* 5.1, rules for all servers: a candidate that learns of a later term becomes a follower. */
TEST(a_candidate_that_learns_of_a_later_term_follows) {
    START("1v 2v 3v", .term = 2);
    core_stand();
    core_hear((struct raft_message){.kind = RAFT_MESSAGE_VOTE_ANSWER, .from = 2, .term = 9});
    assert_true(core_is(RAFT_FOLLOWER));
    assert_int_equal(raft_term(core->raft), 9);
    assert_int_equal(raft_leader(core->raft), 0);
}

/* The same of a leader, from any answer. */
TEST(a_leader_that_learns_of_a_later_term_follows) {
    START("1v 2v 3v", .term = 2);
    core_serve();
    core_hear((struct raft_message){.kind = RAFT_MESSAGE_HEARTBEAT_ANSWER, .from = 2, .term = 9});
    assert_true(core_is(RAFT_FOLLOWER));
    assert_int_equal(raft_term(core->raft), 9);
    assert_int_equal(core_action(RAFT_ACTION_ROLE)->role, RAFT_FOLLOWER);
    assert_int_equal(core_action(RAFT_ACTION_ROLE)->term, 9);
}

/* 5.1: a request of an earlier term is refused; figure 2: the answer has our term. */
TEST(requests_of_an_earlier_term_are_answered_with_ours) {
    START("1v 2v 3v", .term = 7, .terms = "1");
    core_hear_vote(2, 6, 5, 5);
    assert_true(core_refused_vote(2));
    assert_int_equal(core_message(RAFT_MESSAGE_VOTE_ANSWER, 2)->term, 7);
    core_hear_heartbeat(2, 6, 1);
    assert_int_equal(core_message(RAFT_MESSAGE_HEARTBEAT_ANSWER, 2)->term, 7);
    HEAR_APPEND(.from = 2, .term = 6, .terms = "6", .commit = 1);
    assert_int_equal(core_message(RAFT_MESSAGE_HEARTBEAT_ANSWER, 2)->term, 7);
    core_hear_snapshot(2, 6, (struct raft_snapshot){9, 6, 10}, 0, 10);
    assert_int_equal(core_message(RAFT_MESSAGE_HEARTBEAT_ANSWER, 2)->term, 7);
    core_hear((struct raft_message){.kind = RAFT_MESSAGE_TIMEOUT_NOW, .from = 2, .term = 6});
    assert_int_equal(core_message(RAFT_MESSAGE_HEARTBEAT_ANSWER, 2)->term, 7);
    assert_true(core_is(RAFT_FOLLOWER));
    assert_int_equal(raft_last_index(core->raft), 1);
    assert_int_equal(raft_commit_index(core->raft), 0);
}

/* 5.1: answers of an earlier term are not answered, and count for nothing. */
TEST(answers_of_an_earlier_term_are_dropped) {
    START("1v 2v 3v", .term = 7);
    core_serve();
    core_append(1);
    core_hear((struct raft_message){.kind = RAFT_MESSAGE_APPEND_ANSWER,
                                    .from = 2,
                                    .term = 7,
                                    .session = core->said[2].session,
                                    .granted = true,
                                    .match_index = 2});
    assert_true(core_silent());
    assert_int_equal(core_peer(2).match_index, 1);
}

/* ---- followers (5.2) ------------------------------------------------------------------------- */

/* 5.2: servers begin as followers. */
TEST(a_server_starts_as_a_follower_of_nobody) {
    START("1v 2v 3v", .term = 4, .voted_for = 1);
    assert_true(core_is(RAFT_FOLLOWER));
    assert_int_equal(raft_leader(core->raft), 0);
    assert_int_equal(raft_term(core->raft), 4);
}

/* 5.2: a follower that hears nothing for an election time-out starts an election. */
TEST(a_follower_that_hears_nothing_asks_for_pre_votes) {
    START("1v 2v 3v", .term = 4, .terms = "1 3");
    core_time_out();
    assert_true(core_is(RAFT_PRE_CANDIDATE));
    for (uint64_t peer = 2; peer <= 3; peer++) {
        const struct raft_message *asked = core_message(RAFT_MESSAGE_PRE_VOTE, peer);
        assert_int_equal(asked->term, 5);
        assert_int_equal(asked->last_index, 2);
        assert_int_equal(asked->last_term, 3);
    }
}

/* 5.2: it stays a follower as long as it hears the leader. */
TEST(a_follower_that_hears_its_leader_does_not_campaign) {
    START("1v 2v 3v", .term = 4);
    for (uint32_t i = 0; i < 40; i++) {
        core_hear_heartbeat(2, 4, 0);
        core_pass(T_NS - 1);
        assert_true(core_is(RAFT_FOLLOWER));
    }
}

/* 5.2, rules for followers: having given a vote also puts the election off. */
TEST(giving_a_vote_puts_the_own_election_off) {
    START("1v 2v 3v", .term = 4);
    core->now_ns = raft_deadline_ns(core->raft) - 1;
    core_hear_vote(2, 5, 0, 0);
    assert_true(core_gave_vote(2));
    assert_true(raft_deadline_ns(core->raft) >= core->now_ns + T_NS);
}

/* And a refused one does not: who cannot win must not keep us from trying. */
TEST(refusing_a_vote_does_not_put_the_own_election_off) {
    START("1v 2v 3v", .term = 4, .terms = "4");
    uint64_t deadline_ns = raft_deadline_ns(core->raft);
    core_hear_vote(2, 5, 0, 0);
    assert_true(core_refused_vote(2));
    assert_int_equal(raft_deadline_ns(core->raft), deadline_ns);
}

/* A look before the deadline does nothing. */
TEST(a_tick_before_the_deadline_does_nothing) {
    START("1v 2v 3v", .term = 4);
    core->now_ns = raft_deadline_ns(core->raft) - 1;
    core_tick();
    assert_true(core_silent());
    assert_true(core_is(RAFT_FOLLOWER));
}

/* ---- candidates (5.2) ------------------------------------------------------------------------ */

/* 5.2, rules for candidates: the term rises, the vote is our own, the time-out is drawn anew, and
 * everybody is asked. */
TEST(a_campaign_raises_the_term_and_votes_for_itself) {
    START("1v 2v 3v", .term = 4);
    core_time_out();
    core_hear_pre_vote_answer(2, true);
    assert_true(core_is(RAFT_CANDIDATE));
    assert_int_equal(raft_term(core->raft), 5);
    assert_int_equal(core_action(RAFT_ACTION_STORE_VOTE)->term, 5);
    assert_int_equal(core_action(RAFT_ACTION_STORE_VOTE)->node_id, 1);
    assert_true(raft_deadline_ns(core->raft) >= core->now_ns + T_NS);
    assert_int_equal(core_message(RAFT_MESSAGE_VOTE, 2)->term, 5);
    assert_int_equal(core_message(RAFT_MESSAGE_VOTE, 3)->term, 5);
    assert_false(core_message(RAFT_MESSAGE_VOTE, 3)->transfer);
}

/* 5.2: the majority of the votes makes a leader, with its own. */
TEST(a_majority_of_votes_makes_a_leader) {
    START("1v 2v 3v 4v 5v", .term = 4);
    core_stand();
    core_hear_vote_answer(2, true);
    assert_true(core_is(RAFT_CANDIDATE));
    core_hear_vote_answer(4, true);
    assert_true(core_is(RAFT_LEADER));
    assert_int_equal(core_action(RAFT_ACTION_ROLE)->role, RAFT_LEADER);
    assert_int_equal(raft_leader(core->raft), 1);
}

/* 5.2: one vote each; a repeated answer counts once. */
TEST(a_vote_counts_once) {
    START("1v 2v 3v 4v 5v", .term = 4);
    core_stand();
    core_hear_vote_answer(2, true);
    core_hear_vote_answer(2, true);
    assert_true(core_is(RAFT_CANDIDATE));
}

/* 5.2: votes of who is no member, or no voter, count for nothing. */
TEST(only_the_votes_of_voters_count) {
    START("1v 2v 3v 4l 5l", .term = 4);
    core_stand();
    core->said[4] = core->said[5] = core->said[6] = core->said[2];
    core_hear_vote_answer(4, true);
    core_hear_vote_answer(5, true);
    core_hear_vote_answer(6, true);
    assert_true(core_is(RAFT_CANDIDATE));
    core_hear_vote_answer(3, true);
    assert_true(core_is(RAFT_LEADER));
}

/* 5.2: an election that cannot be won any more is over; the time-out that was drawn stands. */
TEST(a_majority_of_refusals_ends_the_election) {
    START("1v 2v 3v", .term = 4);
    core_stand();
    uint64_t deadline_ns = raft_deadline_ns(core->raft);
    core_hear_vote_answer(2, false);
    assert_true(core_is(RAFT_CANDIDATE));
    core_hear_vote_answer(3, false);
    assert_true(core_is(RAFT_FOLLOWER));
    assert_int_equal(raft_term(core->raft), 5);
    assert_int_equal(raft_deadline_ns(core->raft), deadline_ns);
}

/* 5.2: if the time-out passes without a winner, a new election begins. */
TEST(an_election_without_a_winner_is_begun_again) {
    START("1v 2v 3v", .term = 4);
    core_stand();
    core_time_out();
    assert_true(core_is(RAFT_PRE_CANDIDATE));
    assert_int_equal(core_message(RAFT_MESSAGE_PRE_VOTE, 2)->term, 6);
    core_time_out();
    assert_true(core_is(RAFT_PRE_CANDIDATE));
    assert_int_equal(raft_term(core->raft), 5);
}

/* 5.2: a candidate that hears a leader of its term follows it. */
TEST(a_candidate_follows_a_leader_of_its_term) {
    START("1v 2v 3v", .term = 4);
    core_stand();
    core_hear_heartbeat(3, 5, 0);
    assert_true(core_is(RAFT_FOLLOWER));
    assert_int_equal(raft_leader(core->raft), 3);
    assert_int_equal(raft_term(core->raft), 5);
}

/* 5.2: one of an earlier term it refuses, and goes on. */
TEST(a_candidate_does_not_follow_a_leader_of_an_earlier_term) {
    START("1v 2v 3v", .term = 4);
    core_stand();
    core_hear_heartbeat(3, 4, 0);
    assert_true(core_is(RAFT_CANDIDATE));
    assert_int_equal(core_message(RAFT_MESSAGE_HEARTBEAT_ANSWER, 3)->term, 5);
}

/* 5.2: a pre-candidate, too, follows who leads. */
TEST(a_pre_candidate_follows_a_leader_of_its_term) {
    START("1v 2v 3v", .term = 4);
    core_time_out();
    core_hear_heartbeat(3, 4, 0);
    assert_true(core_is(RAFT_FOLLOWER));
    assert_int_equal(raft_leader(core->raft), 3);
}

/* 5.2: time-outs are random, between T and 2 T, so that split votes are rare. */
TEST(time_outs_are_spread_between_one_and_two_t) {
    uint32_t early = 0;
    uint32_t differing = 0;
    uint64_t last_ns = 0;
    for (uint64_t seed = 1; seed <= 100; seed++) {
        START("1v 2v 3v", .term = 4, .seed = seed);
        uint64_t left_ns = raft_deadline_ns(core->raft) - core->now_ns;
        assert_true(left_ns >= T_NS && left_ns < 2 * T_NS);
        early += left_ns < T_NS + T_NS / 2 ? 1 : 0;
        differing += left_ns != last_ns ? 1 : 0;
        last_ns = left_ns;
        core_stop(NULL);
    }
    assert_true(early > 25 && early < 75);
    assert_true(differing > 95);
}

/* And drawn anew for every election. */
TEST(each_election_draws_its_own_time_out) {
    START("1v 2v 3v", .term = 4);
    core_time_out();
    uint64_t first_ns = raft_deadline_ns(core->raft) - core->now_ns;
    core_time_out();
    assert_true(raft_deadline_ns(core->raft) - core->now_ns != first_ns);
}

/* 5.2: the same seed gives the same time-outs: the core is a function. */
TEST(the_same_seed_gives_the_same_time_outs) {
    START("1v 2v 3v", .term = 4, .seed = 77);
    uint64_t deadline_ns = raft_deadline_ns(core->raft);
    core_stop(NULL);
    START("1v 2v 3v", .term = 4, .seed = 77);
    assert_int_equal(raft_deadline_ns(core->raft), deadline_ns);
}

/* Chapter 4: who is no voter never campaigns, and names no deadline. */
TEST(who_is_no_voter_never_campaigns) {
    START("2v 3v", .term = 4);
    assert_int_equal(raft_deadline_ns(core->raft), UINT64_MAX);
    core_pass(100 * (uint64_t)T_NS);
    assert_true(core_silent());
    core_stop(NULL);
    START("1l 2v 3v", .term = 4);
    core_pass(100 * (uint64_t)T_NS);
    assert_true(core_silent());
}

/* But it votes: it may have been made a voter and not know it yet (4.2.1). */
TEST(who_is_no_voter_yet_still_votes) {
    START("1l 2v 3v", .term = 4);
    core_hear_vote(2, 5, 0, 0);
    assert_true(core_gave_vote(2));
    core_stop(NULL);
    START("2v 3v", .term = 4);
    core_hear_pre_vote(2, 5, 0, 0);
    assert_true(core_gave_pre_vote(2));
    core_hear_vote(2, 5, 0, 0);
    assert_true(core_gave_vote(2));
}

/* The only voter needs nobody: it does not wait for a leader either. */
TEST(the_only_voter_leads_as_soon_as_its_vote_is_stored) {
    START("1v 2l", .term = 4);
    assert_int_equal(raft_deadline_ns(core->raft), core->now_ns);
    core_tick();
    assert_true(core_is(RAFT_CANDIDATE));
    assert_int_equal(core_sent_count(RAFT_MESSAGE_VOTE), 0);
    core_store_vote();
    assert_true(core_is(RAFT_LEADER));
}

/* A member that knows no other, and has no vote either, leads nobody. */
TEST(the_only_voter_is_somebody_else) {
    START("1l 2v", .term = 4);
    assert_int_equal(raft_deadline_ns(core->raft), UINT64_MAX);
}

/* ---- check-quorum (6.2) ---------------------------------------------------------------------- */

/* 6.2: a leader that hears no quorum for an election time-out steps down, in the same term. */
TEST(a_leader_without_a_quorum_steps_down) {
    START("1v 2v 3v 4v 5v", .term = 4);
    core_serve();
    core_pass(T_NS / 2);
    core_hear_heartbeat_answer(2);
    core_pass(T_NS / 2);
    assert_true(core_is(RAFT_FOLLOWER));
    assert_int_equal(raft_term(core->raft), 5);
    assert_int_equal(core_action(RAFT_ACTION_ROLE)->role, RAFT_FOLLOWER);
    assert_int_equal(core_action(RAFT_ACTION_ROLE)->node_id, 0);
    assert_int_equal(core_sent_count(RAFT_MESSAGE_HEARTBEAT), 0);
}

/* 6.2: with one, it stays; learners do not count for it. */
TEST(a_leader_with_a_quorum_stays) {
    START("1v 2v 3v 4l", .term = 4);
    core_serve();
    for (uint32_t i = 0; i < 30; i++) {
        core_pass(T_NS / 4);
        assert_true(core_is(RAFT_LEADER));
        core_hear_heartbeat_answer(3);
    }
    for (uint32_t i = 0; i < 4; i++) {
        core_pass(T_NS / 4);
        if (core_is(RAFT_LEADER)) {
            core_hear_heartbeat_answer(4);
        }
    }
    assert_true(core_is(RAFT_FOLLOWER));
}

/* 6.2: a new leader has a whole time-out to hear its first quorum. */
TEST(a_new_leader_has_time_to_hear_a_quorum) {
    START("1v 2v 3v", .term = 4);
    core_lead();
    core_pass(T_NS - 1);
    assert_true(core_is(RAFT_LEADER));
    core_pass(HEARTBEAT_NS);
    assert_true(core_is(RAFT_FOLLOWER));
}

/* ---- when not to campaign -------------------------------------------------------------------- */

/* A log that is not durable yet must not win: a crash could take from us what we won with. */
TEST(nobody_campaigns_with_entries_that_are_not_stored) {
    START("1v 2v 3v", .term = 4);
    HEAR_APPEND(.from = 2, .term = 4, .terms = "4 4");
    core_time_out();
    assert_true(core_is(RAFT_FOLLOWER));
    assert_true(core_silent());
    core_stored(2);
    core_time_out();
    assert_true(core_is(RAFT_PRE_CANDIDATE));
}

/* Nor a vote. */
TEST(nobody_campaigns_before_its_term_is_stored) {
    START("1v 2v 3v", .term = 4);
    core_hear_vote(2, 5, 0, 0);
    core_time_out();
    assert_true(core_is(RAFT_FOLLOWER));
    core_store_vote();
    core_time_out();
    assert_true(core_is(RAFT_PRE_CANDIDATE));
}

/* A candidate whose vote is still being written does not begin again either. */
TEST(a_candidate_waits_for_its_own_vote) {
    START("1v 2v 3v", .term = 4);
    core_time_out();
    core_hear_pre_vote_answer(2, true);
    core_time_out();
    assert_true(core_is(RAFT_CANDIDATE));
    assert_int_equal(raft_term(core->raft), 5);
}

/* Votes that come before it is stored count when it is. */
TEST(nobody_leads_a_term_that_is_not_stored) {
    START("1v 2v 3v 4v 5v", .term = 4);
    core_time_out();
    core_hear_pre_vote_answer(2, true);
    core_hear_pre_vote_answer(3, true);
    core_hear_vote_answer(2, true);
    core_hear_vote_answer(3, true);
    core_hear_vote_answer(4, true);
    assert_true(core_is(RAFT_CANDIDATE));
    core_store_vote();
    assert_true(core_is(RAFT_LEADER));
}

/* The last of all terms is not left. */
TEST(nobody_campaigns_beyond_the_last_term) {
    START("1v 2v 3v", .term = RAFT_TERM_MAX);
    core_time_out();
    assert_true(core_is(RAFT_FOLLOWER));
    assert_true(core_silent());
}

int main(void) {
    const struct CMUnitTest tests[] = {
        CORE_TEST(a_follower_takes_a_later_term),
        CORE_TEST(a_candidate_that_learns_of_a_later_term_follows),
        CORE_TEST(a_leader_that_learns_of_a_later_term_follows),
        CORE_TEST(requests_of_an_earlier_term_are_answered_with_ours),
        CORE_TEST(answers_of_an_earlier_term_are_dropped),
        CORE_TEST(a_server_starts_as_a_follower_of_nobody),
        CORE_TEST(a_follower_that_hears_nothing_asks_for_pre_votes),
        CORE_TEST(a_follower_that_hears_its_leader_does_not_campaign),
        CORE_TEST(giving_a_vote_puts_the_own_election_off),
        CORE_TEST(refusing_a_vote_does_not_put_the_own_election_off),
        CORE_TEST(a_tick_before_the_deadline_does_nothing),
        CORE_TEST(a_campaign_raises_the_term_and_votes_for_itself),
        CORE_TEST(a_majority_of_votes_makes_a_leader),
        CORE_TEST(a_vote_counts_once),
        CORE_TEST(only_the_votes_of_voters_count),
        CORE_TEST(a_majority_of_refusals_ends_the_election),
        CORE_TEST(an_election_without_a_winner_is_begun_again),
        CORE_TEST(a_candidate_follows_a_leader_of_its_term),
        CORE_TEST(a_candidate_does_not_follow_a_leader_of_an_earlier_term),
        CORE_TEST(a_pre_candidate_follows_a_leader_of_its_term),
        CORE_TEST(time_outs_are_spread_between_one_and_two_t),
        CORE_TEST(each_election_draws_its_own_time_out),
        CORE_TEST(the_same_seed_gives_the_same_time_outs),
        CORE_TEST(who_is_no_voter_never_campaigns),
        CORE_TEST(who_is_no_voter_yet_still_votes),
        CORE_TEST(the_only_voter_leads_as_soon_as_its_vote_is_stored),
        CORE_TEST(the_only_voter_is_somebody_else),
        CORE_TEST(a_leader_without_a_quorum_steps_down),
        CORE_TEST(a_leader_with_a_quorum_stays),
        CORE_TEST(a_new_leader_has_time_to_hear_a_quorum),
        CORE_TEST(nobody_campaigns_with_entries_that_are_not_stored),
        CORE_TEST(nobody_campaigns_before_its_term_is_stored),
        CORE_TEST(a_candidate_waits_for_its_own_vote),
        CORE_TEST(nobody_leads_a_term_that_is_not_stored),
        CORE_TEST(nobody_campaigns_beyond_the_last_term),
    };
    return cmocka_run_group_tests_name("raft_paper_election", tests, NULL, NULL);
}
