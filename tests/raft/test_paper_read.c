/*
 * Reads: the extended Raft paper, section 8; the dissertation's 6.4 (read index) and 6.4.1
 * (leases).
 */

#include "tests/raft/support.h"

/* A serving leader of three with leases in its configuration, confirmed by 2 just now. */
static void serve_with_a_lease(uint32_t drift_per_mille) {
    START("1v 2v 3v", .term = 4, .leases = true, .drift_per_mille = drift_per_mille);
    core_serve();
    core_time_out();
    core_hear_heartbeat_answer(2);
}

static bool read_runs_at_once(void) {
    core_read(true);
    return core_did(RAFT_ACTION_READ_READY) != NULL;
}

static uint64_t wait_round(void) {
    const struct raft_action *wait = core_action(RAFT_ACTION_READ_WAIT);
    return wait->round;
}

/* ---- read index (6.4) ------------------------------------------------------------------------ */

/* Section 8: a follower answers no read. */
TEST(who_does_not_lead_fails_a_read) {
    START("1v 2v 3v", .term = 4);
    core_read(false);
    assert_int_equal(core->actions.count, 1);
    assert_non_null(core_did(RAFT_ACTION_READ_FAILED));
    core_stand();
    core_read(true);
    assert_non_null(core_did(RAFT_ACTION_READ_FAILED));
}

/* 6.4, steps 2 and 3: the commit index is noted, and a round of heartbeats begins. */
TEST(a_read_notes_the_commit_index_and_begins_a_round) {
    START("1v 2v 3v", .term = 4);
    core_serve();
    core_replicate((const uint64_t[]){2, 0});
    core_read(false);
    assert_int_equal(core_action(RAFT_ACTION_READ_WAIT)->index, 2);
    uint64_t round = wait_round();
    assert_int_equal(core_message(RAFT_MESSAGE_HEARTBEAT, 2)->round, round);
    assert_int_equal(core_message(RAFT_MESSAGE_HEARTBEAT, 3)->round, round);
    assert_null(core_did(RAFT_ACTION_READ_CONFIRMED));
}

/* 6.4, step 3: a majority's answers to that round confirm it, the leader's own included. */
TEST(a_majority_confirms_a_round) {
    START("1v 2v 3v 4v 5v", .term = 4);
    core_serve();
    core_read(false);
    uint64_t round = wait_round();
    core_hear_heartbeat_answer(2);
    assert_null(core_did(RAFT_ACTION_READ_CONFIRMED));
    core_hear_heartbeat_answer(2);
    assert_null(core_did(RAFT_ACTION_READ_CONFIRMED));
    core_hear_heartbeat_answer(4);
    assert_int_equal(core_action(RAFT_ACTION_READ_CONFIRMED)->round, round);
    core_hear_heartbeat_answer(5);
    assert_null(core_did(RAFT_ACTION_READ_CONFIRMED));
}

/* An answer to a message that was sent before the read came proves nothing for it. */
TEST(an_answer_to_an_earlier_message_confirms_nothing) {
    START("1v 2v 3v", .term = 4);
    core_serve();
    struct core_said before = core->said[2];
    core_read(false);
    struct core_said now = core->said[2];
    core->said[2] = before;
    core_hear_heartbeat_answer(2);
    assert_null(core_did(RAFT_ACTION_READ_CONFIRMED));
    core->said[2] = now;
    core_hear_heartbeat_answer(2);
    assert_non_null(core_did(RAFT_ACTION_READ_CONFIRMED));
}

/* Nor does an answer to a round before, from one who had not answered that yet. */
TEST(a_late_answer_to_an_earlier_round_confirms_nothing) {
    START("1v 2v 3v", .term = 4);
    core_serve();
    core_read(false);
    struct core_said first = core->said[3];
    core_hear_heartbeat_answer(2);
    core_read(false);
    core->said[3] = first;
    core_hear_heartbeat_answer(3);
    assert_null(core_did(RAFT_ACTION_READ_CONFIRMED));
}

/* Answers to entries confirm as well: load makes heartbeats needless for reads. */
TEST(an_answer_to_entries_confirms_a_round) {
    START("1v 2v 3v", .term = 4);
    core_serve();
    core_read(false);
    uint64_t round = wait_round();
    core_append(1);
    assert_int_equal(core_message(RAFT_MESSAGE_APPEND, 2)->round, round);
    core_hear_granted(2, 2);
    assert_int_equal(core_action(RAFT_ACTION_READ_CONFIRMED)->round, round);
}

/* A refusal confirms too: who refuses entries still follows. */
TEST(a_refusal_confirms_a_round) {
    START("1v 2v 3v", .term = 4, .terms = "1 2");
    core_lead();
    core_read(false);
    core_hear_refused(2, 2, 1, 1);
    assert_non_null(core_did(RAFT_ACTION_READ_CONFIRMED));
}

/* A round that was never begun cannot be confirmed. */
TEST(a_round_from_the_future_confirms_nothing) {
    START("1v 2v 3v", .term = 4);
    core_serve();
    core_read(false);
    core->said[2].round += 10;
    core_hear_heartbeat_answer(2);
    assert_null(core_did(RAFT_ACTION_READ_CONFIRMED));
}

/* Learners confirm nothing. */
TEST(learners_confirm_nothing) {
    START("1v 2v 3v 4l 5l", .term = 4);
    core_serve();
    core_read(false);
    core_hear_heartbeat_answer(4);
    core_hear_heartbeat_answer(5);
    assert_null(core_did(RAFT_ACTION_READ_CONFIRMED));
}

/* 6.4: many reads share a round: those that come while one is under way wait for the next, which
 * begins when it is confirmed. */
TEST(reads_during_a_round_share_the_next) {
    START("1v 2v 3v", .term = 4);
    core_serve();
    core_read(false);
    uint64_t first = wait_round();
    core_read(false);
    assert_int_equal(wait_round(), first + 1);
    assert_int_equal(core_sent_count(RAFT_MESSAGE_HEARTBEAT), 0);
    core_read(false);
    assert_int_equal(wait_round(), first + 1);
    core_hear_heartbeat_answer(2);
    assert_int_equal(core_action(RAFT_ACTION_READ_CONFIRMED)->round, first);
    assert_int_equal(core_message(RAFT_MESSAGE_HEARTBEAT, 3)->round, first + 1);
    core_hear_heartbeat_answer(2);
    assert_int_equal(core_action(RAFT_ACTION_READ_CONFIRMED)->round, first + 1);
    assert_int_equal(core_sent_count(RAFT_MESSAGE_HEARTBEAT), 0);
}

/* A round whose messages were lost is repeated by the next heartbeat. */
TEST(a_lost_round_is_repeated) {
    START("1v 2v 3v", .term = 4);
    core_serve();
    core_read(false);
    uint64_t round = wait_round();
    core_time_out();
    assert_int_equal(core_message(RAFT_MESSAGE_HEARTBEAT, 2)->round, round);
    core_hear_heartbeat_answer(2);
    assert_int_equal(core_action(RAFT_ACTION_READ_CONFIRMED)->round, round);
}

/* 6.4, step 1: before the first commit of its term a leader does not know what is committed; the
 * read's place is the term's first entry, and that is not applied before it is committed. */
TEST(a_read_before_the_terms_first_commit_waits_for_it) {
    START("1v 2v 3v", .term = 4, .terms = "1 2");
    core_win();
    core_read(false);
    assert_int_equal(core_action(RAFT_ACTION_READ_WAIT)->index, 3);
    core_append(1);
    core_read(true);
    assert_int_equal(core_action(RAFT_ACTION_READ_WAIT)->index, 3);
}

/* The only voter needs nobody's confirmation, but the same place. */
TEST(the_only_voter_confirms_its_reads_itself) {
    START("1v 2l", .term = 4, .terms = "1");
    core_lead();
    core_read(false);
    assert_int_equal(core_action(RAFT_ACTION_READ_READY)->index, 2);
    core_stored(2);
    core_append(1);
    core_stored(3);
    core_read(false);
    assert_int_equal(core_action(RAFT_ACTION_READ_READY)->index, 3);
}

/* A change of membership needs the confirmation of both majorities. */
TEST(a_joint_configuration_confirms_by_both_majorities) {
    START("1v 2v 3v 4l 5l", .term = 4);
    core_serve();
    core_configure("1v 4v 5v");
    core_append_configuration();
    core_read(false);
    core_hear_heartbeat_answer(2);
    assert_null(core_did(RAFT_ACTION_READ_CONFIRMED));
    core_hear_heartbeat_answer(4);
    assert_non_null(core_did(RAFT_ACTION_READ_CONFIRMED));
}

/* And if fewer are needed afterwards, what they have said is enough at once. */
TEST(a_smaller_configuration_confirms_at_once) {
    START("1v 2v 3v", .term = 4);
    core_serve();
    core_configure("1v");
    core_append_configuration();
    core_stored(2);
    core_hear_granted(2, 2);
    core_read(false);
    uint64_t round = wait_round();
    core_step((struct raft_event){.kind = RAFT_EVENT_TICK});
    core_hear_heartbeat_answer(2);
    assert_int_equal(core_action(RAFT_ACTION_READ_CONFIRMED)->round, round);
    core_stop(NULL);
    START("1v 2v", .term = 4);
    core_serve();
    core_configure("1v");
    core_append_configuration();
    core_stored(2);
    core_hear_granted(2, 2);
    struct raft_action asked = *core_action(RAFT_ACTION_APPEND_CONFIGURATION);
    struct configuration one = *asked.configuration;
    core_read(false);
    round = wait_round();
    struct raft_entry entry = {asked.term, ENTRY_BYTES, &one};
    core_step(
        (struct raft_event){.kind = RAFT_EVENT_APPENDED, .entries = &entry, .entry_count = 1});
    assert_int_equal(core_action(RAFT_ACTION_READ_CONFIRMED)->round, round);
}

/* Nor does anybody have to confirm the next round, if reads wait for that. */
TEST(whoever_is_left_alone_confirms_what_waits_for_the_next_round) {
    START("1v 2v", .term = 4);
    core_serve();
    core_configure("1v");
    core_append_configuration();
    core_stored(2);
    core_hear_granted(2, 2);
    struct raft_action asked = *core_action(RAFT_ACTION_APPEND_CONFIGURATION);
    struct configuration one = *asked.configuration;
    core_read(false);
    core_read(false);
    uint64_t round = wait_round();
    struct raft_entry entry = {asked.term, ENTRY_BYTES, &one};
    core_step(
        (struct raft_event){.kind = RAFT_EVENT_APPENDED, .entries = &entry, .entry_count = 1});
    assert_int_equal(core_count(RAFT_ACTION_READ_CONFIRMED), 2);
    assert_int_equal(core_action(RAFT_ACTION_READ_CONFIRMED)->round, round - 1);
    const struct raft_action *later = core_action(RAFT_ACTION_READ_CONFIRMED) + 1;
    while (later->kind != RAFT_ACTION_READ_CONFIRMED) {
        later++;
    }
    assert_int_equal(later->round, round);
}

/* ---- leases (6.4.1) -------------------------------------------------------------------------- */

/* 6.4.1: with a lease a read runs at once; but only if the reader says that it is good enough. */
TEST(a_lease_answers_a_read_at_once) {
    serve_with_a_lease(0);
    core_read(false);
    assert_non_null(core_did(RAFT_ACTION_READ_WAIT));
    core_read(true);
    assert_int_equal(core_action(RAFT_ACTION_READ_READY)->index, 1);
}

/* Without the flag in the configuration there is none. */
TEST(without_the_flag_there_is_no_lease) {
    START("1v 2v 3v", .term = 4);
    core_serve();
    core_time_out();
    core_hear_heartbeat_answer(2);
    assert_false(read_runs_at_once());
}

/* 6.4.1: it lasts for T from the time when the round began, not from its answers. */
TEST(a_lease_lasts_from_the_beginning_of_its_round) {
    START("1v 2v 3v", .term = 4, .leases = true);
    core_serve();
    core_time_out();
    core->now_ns += T_NS / 2;
    core_hear_heartbeat_answer(2);
    core->now_ns += T_NS / 2 - 1;
    assert_true(read_runs_at_once());
    core->now_ns += 1;
    assert_false(read_runs_at_once());
}

/* 6.4.1: less what two clocks may differ in rate. */
TEST(a_lease_is_shorter_by_the_drift_of_clocks) {
    serve_with_a_lease(100);
    core->now_ns += T_NS / 10 * 9 - 1;
    assert_true(read_runs_at_once());
    core->now_ns += 1;
    assert_false(read_runs_at_once());
}

/* It needs a majority, like a round. */
TEST(a_lease_needs_a_majority) {
    START("1v 2v 3v 4v 5v", .term = 4, .leases = true);
    core_serve();
    core_time_out();
    core_hear_heartbeat_answer(2);
    assert_false(read_runs_at_once());
    core_hear_heartbeat_answer(3);
    assert_true(read_runs_at_once());
}

/* A new leader has none, whatever it had before. */
TEST(a_lease_ends_with_the_leadership) {
    serve_with_a_lease(0);
    core_hear((struct raft_message){.kind = RAFT_MESSAGE_HEARTBEAT_ANSWER, .from = 3, .term = 6});
    core_store_vote();
    core_serve();
    assert_false(read_runs_at_once());
}

/* Nor does it count before the term's first commit. */
TEST(a_lease_does_not_serve_before_the_first_commit) {
    START("1v 2v 3v", .term = 4, .terms = "1", .leases = true);
    core_lead();
    core_hear_granted(2, 1);
    core_time_out();
    core_hear_heartbeat_answer(2);
    assert_false(read_runs_at_once());
    assert_int_equal(core_action(RAFT_ACTION_READ_WAIT)->index, 2);
}

/* Only voters that are known to have the configuration with leases are bound by it. */
TEST(only_who_knows_of_leases_counts_for_one) {
    START("1v 2v 3v", .term = 4);
    core_serve();
    struct configuration wanted = *raft_configuration(core->raft);
    wanted.flags = CONFIGURATION_LEASES;
    wanted.lease_ms = T_MS;
    core_step((struct raft_event){.kind = RAFT_EVENT_CONFIGURE, .configuration = &wanted});
    core_append_configuration();
    core_time_out();
    core_hear_heartbeat_answer(2);
    assert_false(read_runs_at_once());
    core_hear_granted(2, 2);
    core_time_out();
    core_hear_heartbeat_answer(2);
    assert_true(read_runs_at_once());
}

/* Nor does a voter whose log still may end in what another leader left there, perhaps a
 * configuration without leases: only an entry of this term shows that nothing of it is left. */
TEST(only_who_has_an_entry_of_the_term_counts_for_a_lease) {
    START("1v 2v 3v", .term = 4, .terms = "1", .leases = true);
    core_lead();
    core_stored(2);
    core_hear_granted(3, 2);
    core_hear_granted(2, 1);
    assert_true(raft_serving(core->raft));
    core_time_out();
    core_hear_heartbeat_answer(2);
    assert_false(read_runs_at_once());
    core_hear_granted(2, 2);
    core_time_out();
    core_hear_heartbeat_answer(2);
    assert_true(read_runs_at_once());
}

/* Nor does a voter that says it has lost its log, and with it perhaps that configuration; its
 * answer still shows that it follows us. */
TEST(who_has_lost_its_log_counts_for_no_lease) {
    serve_with_a_lease(0);
    core->now_ns += T_NS / 2;
    core_tick();
    core_read(false);
    core_hear((struct raft_message){.kind = RAFT_MESSAGE_HEARTBEAT_ANSWER,
                                    .from = 2,
                                    .term = raft_term(core->raft),
                                    .session = core->said[2].session,
                                    .round = core->said[2].round});
    assert_non_null(core_did(RAFT_ACTION_READ_CONFIRMED));
    core->now_ns += T_NS / 2;
    assert_false(read_runs_at_once());
}

/* A round so long ago that its beginning is not remembered gives no lease. */
TEST(a_round_of_long_ago_gives_no_lease) {
    START("1v 2v 3v", .term = 4);
    core_serve();
    struct configuration wanted = *raft_configuration(core->raft);
    wanted.flags = CONFIGURATION_LEASES;
    wanted.lease_ms = T_MS;
    core_step((struct raft_event){.kind = RAFT_EVENT_CONFIGURE, .configuration = &wanted});
    core_append_configuration();
    core_time_out();
    core_hear_heartbeat_answer(3);
    struct core_said first = core->said[3];
    for (uint32_t i = 0; i < 3; i++) {
        core_time_out();
        core_hear_heartbeat_answer(2);
    }
    core->said[3] = first;
    core_hear_granted(3, 2);
    core_time_out();
    core_hear_heartbeat_answer(2);
    assert_false(read_runs_at_once());
    core_hear_granted(2, 2);
    core_time_out();
    core_hear_heartbeat_answer(2);
    assert_true(read_runs_at_once());
}

/* And when the configuration says it no longer, what was promised under it is void, also if it
 * comes back. */
TEST(a_lease_does_not_outlive_its_configuration) {
    serve_with_a_lease(0);
    for (uint32_t flags = 0; flags <= CONFIGURATION_LEASES; flags++) {
        struct configuration wanted = *raft_configuration(core->raft);
        wanted.flags = flags;
        wanted.lease_ms = flags == 0 ? 0 : T_MS;
        core_step((struct raft_event){.kind = RAFT_EVENT_CONFIGURE, .configuration = &wanted});
        core_append_configuration();
        assert_false(read_runs_at_once());
        if (flags == 0) {
            core_stored(2);
            core->said[3].round = 0; /* its answers were under way all the time */
            core_hear_granted(3, 2);
        }
    }
}

/* 3.10 and 6.4.1: a leader that has told another to campaign can be sure of nothing any more, also
 * when it has given the transfer up. */
TEST(a_transfer_ends_the_lease_for_the_term) {
    serve_with_a_lease(0);
    assert_true(read_runs_at_once());
    core_transfer(2);
    assert_non_null(core_sent(RAFT_MESSAGE_TIMEOUT_NOW, 2));
    assert_false(read_runs_at_once());
    for (uint32_t i = 0; i < 12; i++) {
        core_pass(HEARTBEAT_NS);
        core_hear_heartbeat_answer(2);
    }
    assert_int_equal(raft_propose(core->raft, 1, 1, &(uint64_t){0}, &(uint64_t){0}), 0);
    assert_false(read_runs_at_once());
}

/* 6.4.1: a voter of such a configuration gives no vote and no pre-vote for T after its last
 * answer to a leader, whether it still hears it or not. */
TEST(a_voter_keeps_its_promise_to_a_leader) {
    START("1v 2v 3v", .term = 4, .leases = true);
    core_pass(T_NS - 1);
    core_follow(2, 4);
    core_disconnect(2);
    assert_int_equal(raft_leader(core->raft), 2);
    core->now_ns += T_NS - 1;
    core_hear_pre_vote(3, 5, 9, 4);
    assert_false(core_gave_pre_vote(3));
    core_hear_vote(3, 5, 9, 4);
    assert_true(core_silent());
    core->now_ns += 1;
    core_hear_pre_vote(3, 5, 9, 4);
    assert_true(core_gave_pre_vote(3));
    core_hear_vote(3, 5, 9, 4);
    assert_true(core_gave_vote(3));
}

/* Also in a later term, which it took from somebody else's message. */
TEST(a_promise_outlives_the_term) {
    START("1v 2v 3v", .term = 4, .leases = true);
    core_pass(T_NS);
    core_follow(2, 4);
    core_hear((struct raft_message){.kind = RAFT_MESSAGE_HEARTBEAT_ANSWER, .from = 3, .term = 6});
    core_hear_vote(3, 6, 9, 4);
    assert_true(core_refused_vote(3));
    core_hear_pre_vote(3, 7, 9, 4);
    assert_false(core_gave_pre_vote(3));
    core_hear_vote(3, 7, 9, 4);
    assert_true(core_silent());
    core->now_ns += T_NS;
    core_hear_vote(3, 6, 9, 4);
    assert_true(core_gave_vote(3));
}

/* And after a start, for it cannot know what it promised before. */
TEST(a_voter_keeps_a_promise_that_it_has_forgotten) {
    START("1v 2v 3v", .term = 4, .leases = true);
    core_hear_vote(3, 5, 9, 4);
    assert_true(core_silent());
    core->now_ns += T_NS;
    core_hear_vote(3, 5, 9, 4);
    assert_true(core_gave_vote(3));
}

/* Also if it is the only voter now: its last change may not be committed, and who led before it may
 * still hold a lease.  Where there are no leases it need not wait. */
TEST(the_only_voter_keeps_that_promise_too) {
    START("1v 2l", .term = 4, .leases = true);
    assert_true(raft_deadline_ns(core->raft) >= core->now_ns + T_NS);
    core_stop(NULL);
    START("1v 2l", .term = 4);
    assert_true(raft_deadline_ns(core->raft) <= core->now_ns);
}

/* Every kind of answer to a leader renews it. */
TEST(every_answer_to_a_leader_is_a_promise) {
    for (uint32_t kind = 0; kind < 4; kind++) {
        START("1v 2v 3v", .term = 4, .leases = true);
        core_follow(2, 4);
        core_pass(T_NS - 1);
        switch (kind) {
        case 0: core_hear_heartbeat(2, 4, 0); break;
        case 1: HEAR_APPEND(.from = 2, .term = 4); break;
        case 2: HEAR_APPEND(.from = 2, .term = 4, .previous_index = 5, .previous_term = 4); break;
        default:
            core_hear_snapshot(2, 4, (struct raft_snapshot){5, 4, 100}, 0, 50);
            core_chunk_written((struct raft_snapshot){5, 4, 100}, 50, false);
            break;
        }
        assert_int_equal(core_count(RAFT_ACTION_SEND), 1);
        core->now_ns += T_NS - 1;
        core_hear(
            (struct raft_message){.kind = RAFT_MESSAGE_HEARTBEAT_ANSWER, .from = 3, .term = 6});
        core_hear_vote(3, 6, 9, 4);
        assert_true(core_refused_vote(3));
        core_stop(NULL);
    }
}

/* 3.10: an election that the leader wants is not refused: it has dropped its lease. */
TEST(a_transfer_passes_every_promise) {
    START("1v 2v 3v", .term = 4, .leases = true);
    core_follow(2, 4);
    core_hear((struct raft_message){.kind = RAFT_MESSAGE_VOTE,
                                    .from = 3,
                                    .term = 5,
                                    .last_index = 9,
                                    .last_term = 4,
                                    .transfer = true});
    assert_true(core_gave_vote(3));
}

/* The drift is rounded up, also of a time-out that is no multiple of anything. */
TEST(a_lease_is_never_too_long) {
    serve_with_a_lease(333);
    core->now_ns += (uint64_t)T_NS / 1000 * 667 - 1;
    assert_true(read_runs_at_once());
    core->now_ns += 1;
    assert_false(read_runs_at_once());
}

int main(void) {
    const struct CMUnitTest tests[] = {
        CORE_TEST(who_does_not_lead_fails_a_read),
        CORE_TEST(a_read_notes_the_commit_index_and_begins_a_round),
        CORE_TEST(a_majority_confirms_a_round),
        CORE_TEST(an_answer_to_an_earlier_message_confirms_nothing),
        CORE_TEST(a_late_answer_to_an_earlier_round_confirms_nothing),
        CORE_TEST(an_answer_to_entries_confirms_a_round),
        CORE_TEST(a_refusal_confirms_a_round),
        CORE_TEST(a_round_from_the_future_confirms_nothing),
        CORE_TEST(learners_confirm_nothing),
        CORE_TEST(reads_during_a_round_share_the_next),
        CORE_TEST(a_lost_round_is_repeated),
        CORE_TEST(a_read_before_the_terms_first_commit_waits_for_it),
        CORE_TEST(the_only_voter_confirms_its_reads_itself),
        CORE_TEST(a_joint_configuration_confirms_by_both_majorities),
        CORE_TEST(a_smaller_configuration_confirms_at_once),
        CORE_TEST(whoever_is_left_alone_confirms_what_waits_for_the_next_round),
        CORE_TEST(a_lease_answers_a_read_at_once),
        CORE_TEST(without_the_flag_there_is_no_lease),
        CORE_TEST(a_lease_lasts_from_the_beginning_of_its_round),
        CORE_TEST(a_lease_is_shorter_by_the_drift_of_clocks),
        CORE_TEST(a_lease_is_never_too_long),
        CORE_TEST(a_lease_needs_a_majority),
        CORE_TEST(a_lease_ends_with_the_leadership),
        CORE_TEST(a_lease_does_not_serve_before_the_first_commit),
        CORE_TEST(only_who_knows_of_leases_counts_for_one),
        CORE_TEST(only_who_has_an_entry_of_the_term_counts_for_a_lease),
        CORE_TEST(who_has_lost_its_log_counts_for_no_lease),
        CORE_TEST(a_round_of_long_ago_gives_no_lease),
        CORE_TEST(a_lease_does_not_outlive_its_configuration),
        CORE_TEST(a_transfer_ends_the_lease_for_the_term),
        CORE_TEST(a_voter_keeps_its_promise_to_a_leader),
        CORE_TEST(a_promise_outlives_the_term),
        CORE_TEST(a_voter_keeps_a_promise_that_it_has_forgotten),
        CORE_TEST(the_only_voter_keeps_that_promise_too),
        CORE_TEST(every_answer_to_a_leader_is_a_promise),
        CORE_TEST(a_transfer_passes_every_promise),
    };
    return cmocka_run_group_tests_name("raft_paper_read", tests, NULL, NULL);
}
