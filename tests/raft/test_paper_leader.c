/*
 * A leader: the extended Raft paper, figure 2 (rules for leaders), sections 5.3, 5.4.2 (figure 8),
 * 5.5 and 5.6; the dissertation's 10.2.1 (writing in parallel) and 10.2.2 (pipelining).
 */

#include "tests/raft/support.h"

/* ---- a term begins --------------------------------------------------------------------------- */

/* Rules for leaders: upon election, heartbeats to everybody, at once. */
TEST(a_new_leader_tells_everybody) {
    START("1v 2v 3v 4l", .term = 4, .terms = "1 2");
    core_win();
    for (uint64_t peer = 2; peer <= 4; peer++) {
        const struct raft_message *heartbeat = core_message(RAFT_MESSAGE_HEARTBEAT, peer);
        assert_int_equal(heartbeat->term, 5);
        assert_int_equal(heartbeat->previous_index, 0);
        assert_int_equal(heartbeat->commit, 0);
    }
}

/* Section 8, the dissertation's 6.4: a leader begins its term with an entry of nothing. */
TEST(a_new_leader_appends_a_no_op) {
    START("1v 2v 3v", .term = 4, .terms = "1 2");
    core_win();
    assert_int_equal(core_count(RAFT_ACTION_APPEND_NOOP), 1);
    assert_int_equal(core_action(RAFT_ACTION_APPEND_NOOP)->term, 5);
}

/* Figure 2, volatile state: nextIndex begins behind the last entry, matchIndex at 0. */
TEST(a_new_leader_knows_nothing_of_its_peers) {
    START("1v 2v 3v", .term = 4, .terms = "1 2 2");
    core_win();
    assert_int_equal(core_peer(2).next_index, 4);
    assert_int_equal(core_peer(2).match_index, 0);
    assert_int_equal(core_peer(2).answered_ns, 0);
    assert_string_equal(core_peer(2).state, "probe");
}

/* Figure 2, volatile state: what was known in an earlier term is not known in this one. */
TEST(what_a_leader_knew_in_an_earlier_term_is_forgotten) {
    START("1v 2v 3v", .term = 4);
    core_serve();
    uint32_t session = core->said[2].session;
    core_hear((struct raft_message){.kind = RAFT_MESSAGE_HEARTBEAT_ANSWER, .from = 3, .term = 6});
    core_store_vote();
    core_lead();
    assert_int_equal(core_peer(2).match_index, 0);
    assert_true(core->said[2].session > session);
    core_hear((struct raft_message){.kind = RAFT_MESSAGE_APPEND_ANSWER,
                                    .from = 2,
                                    .term = raft_term(core->raft),
                                    .session = session,
                                    .granted = true,
                                    .match_index = 2});
    assert_int_equal(core_peer(2).match_index, 0);
}

/* Figure 2: the commit index is volatile: after a restart it is what the snapshot says. */
TEST(the_commit_index_begins_at_the_snapshot) {
    START("1v 2v 3v", .term = 4, .terms = "1 2 2");
    assert_int_equal(raft_commit_index(core->raft), 0);
    core_stop(NULL);
    START("1v 2v 3v", .term = 4, .compacted_index = 5, .compacted_term = 2, .terms = "3 3 4",
          .snapshot = {7, 3, 100});
    assert_int_equal(raft_commit_index(core->raft), 7);
}

/* ---- replication (5.3) ----------------------------------------------------------------------- */

/* Rules for leaders: a new entry goes to everybody, also to learners, without waiting for the own
 * disk (10.2.1). */
TEST(a_new_entry_goes_to_everybody_at_once) {
    START("1v 2v 3v 4l", .term = 4);
    core_serve();
    core_append(2);
    for (uint64_t peer = 2; peer <= 4; peer++) {
        const struct raft_message *append = core_message(RAFT_MESSAGE_APPEND, peer);
        assert_int_equal(append->previous_index, 1);
        assert_int_equal(append->previous_term, 5);
        assert_int_equal(append->entry_count, 2);
        assert_int_equal(append->commit, 1);
    }
}

/* 5.3: committed when a majority has it, the leader included. */
TEST(an_entry_is_committed_when_a_majority_has_it) {
    START("1v 2v 3v 4v 5v", .term = 4);
    core_serve();
    core_append(1);
    core_stored(2);
    core_hear_granted(2, 2);
    assert_int_equal(core_committed(), 0);
    core_hear_granted(4, 2);
    assert_int_equal(core_committed(), 2);
    assert_int_equal(raft_commit_index(core->raft), 2);
}

/* 10.2.1: the leader counts itself only after its own sync; without it a majority of the others is
 * enough. */
TEST(a_leader_counts_itself_only_when_its_entry_is_durable) {
    START("1v 2v 3v", .term = 4);
    core_serve();
    core_append(1);
    core_hear_granted(2, 2);
    assert_int_equal(core_committed(), 0);
    core_stored(2);
    assert_int_equal(core_committed(), 2);
    core_append(1);
    core_hear_granted(2, 3);
    assert_int_equal(core_committed(), 0);
    core_hear_granted(3, 3);
    assert_int_equal(core_committed(), 3);
}

/* The only voter, too, waits for its own disk. */
TEST(the_only_voter_commits_when_it_has_stored) {
    START("1v", .term = 4);
    core_lead();
    assert_int_equal(core_committed(), 0);
    core_stored(1);
    assert_int_equal(core_committed(), 1);
    assert_true(raft_serving(core->raft));
    core_append(3);
    core_stored(3);
    assert_int_equal(core_committed(), 3);
    core_stored(4);
    assert_int_equal(core_committed(), 4);
}

/* Learners count for nothing (4.2.1). */
TEST(learners_do_not_count_for_a_commit) {
    START("1v 2v 3v 4l 5l", .term = 4);
    core_serve();
    core_append(1);
    core_stored(2);
    core_hear_granted(4, 2);
    core_hear_granted(5, 2);
    assert_int_equal(core_committed(), 0);
    core_hear_granted(3, 2);
    assert_int_equal(core_committed(), 2);
}

/* 5.3: the others learn of a commit by what they are sent next, or by a heartbeat. */
TEST(peers_learn_of_a_commit_by_the_next_message) {
    START("1v 2v 3v", .term = 4);
    core_serve();
    core_append(1);
    core_stored(2);
    core_hear_granted(2, 2);
    core_time_out();
    assert_int_equal(core_message(RAFT_MESSAGE_HEARTBEAT, 2)->commit, 2);
    assert_int_equal(core_message(RAFT_MESSAGE_HEARTBEAT, 2)->previous_index, 2);
    assert_int_equal(core_message(RAFT_MESSAGE_HEARTBEAT, 2)->previous_term, 5);
    core_append(1);
    assert_int_equal(core_message(RAFT_MESSAGE_APPEND, 2)->commit, 2);
}

/* Rules for leaders: after a refusal nextIndex goes back, and it is tried again. */
TEST(a_refused_leader_goes_back_and_tries_again) {
    START("1v 2v 3v", .term = 4, .terms = "1 1 1 4");
    core_lead();
    assert_int_equal(core_message(RAFT_MESSAGE_APPEND, 2)->previous_index, 4);
    core_hear_refused(2, 4, 1, 1);
    const struct raft_message *again = core_message(RAFT_MESSAGE_APPEND, 2);
    assert_int_equal(again->previous_index, 1);
    assert_int_equal(again->previous_term, 1);
    assert_int_equal(again->entry_count, 4);
    core_hear_granted(2, 5);
    assert_int_equal(core_peer(2).match_index, 5);
    assert_string_equal(core_peer(2).state, "replicate");
}

/* 5.3: with the follower's hint it goes back by whole terms: to the last place where its own term
 * is not above the one that the follower names. */
TEST(a_leader_goes_back_by_terms) {
    START("1v 2v 3v", .term = 8, .terms = "1 2 2 5 5 5 6 6");
    core_lead();
    core_hear_refused(2, 8, 7, 3);
    assert_int_equal(core_message(RAFT_MESSAGE_APPEND, 2)->previous_index, 3);
    assert_int_equal(core_message(RAFT_MESSAGE_APPEND, 2)->previous_term, 2);
}

/* 5.3: and never forward by a refusal, nor before the beginning. */
TEST(a_refusal_always_goes_back) {
    START("1v 2v 3v", .term = 8, .terms = "1 2");
    core_lead();
    core_hear_refused(2, 2, 9, 9);
    assert_int_equal(core_message(RAFT_MESSAGE_APPEND, 2)->previous_index, 1);
    core_hear_refused(2, 1, 0, 0);
    assert_int_equal(core_message(RAFT_MESSAGE_APPEND, 2)->previous_index, 0);
    assert_int_equal(core_message(RAFT_MESSAGE_APPEND, 2)->entry_count, 3);
}

/* 5.3: a refusal that comes late, about what was since granted, changes nothing. */
TEST(a_late_refusal_is_dropped) {
    START("1v 2v 3v", .term = 4, .terms = "1 1 1");
    core_serve();
    core_append(2);
    core_hear_refused(2, 3, 1, 1);
    assert_int_equal(core_sent_count(RAFT_MESSAGE_APPEND), 0);
    assert_int_equal(core_peer(2).match_index, 4);
    assert_int_equal(core_peer(2).next_index, 7);
}

/* A grant that comes late, or twice, takes nothing back. */
TEST(a_late_grant_takes_nothing_back) {
    START("1v 2v 3v", .term = 4, .terms = "1 1 1");
    core_serve();
    core_hear_granted(2, 2);
    assert_int_equal(core_peer(2).match_index, 4);
    core_hear_granted(2, 4);
    assert_int_equal(core_peer(2).match_index, 4);
    assert_int_equal(core_peer(2).next_index, 5);
}

/* Nobody can have what was never sent: such an answer is not believed. */
TEST(a_grant_beyond_the_log_is_not_believed) {
    START("1v 2v 3v", .term = 4);
    core_serve();
    core_append(1);
    core_hear_granted(2, 99);
    assert_int_equal(core_peer(2).match_index, 1);
    assert_true(core_silent());
}

/* Answers of who is no member, or of another session with the same peer, are dropped. */
TEST(answers_of_strangers_and_other_sessions_are_dropped) {
    START("1v 2v 3v", .term = 4);
    core_serve();
    core_append(1);
    core->said[4] = core->said[2];
    core_hear_granted(4, 2);
    assert_true(core_silent());
    core_hear_heartbeat_answer(4);
    assert_true(core_silent());
    core_hear_snapshot_answer(4, (struct raft_snapshot){1, 5, 10}, 5);
    assert_true(core_silent());
    core->said[2].session += 100;
    core_hear_granted(2, 2);
    assert_true(core_silent());
    core_hear_heartbeat_answer(2);
    assert_true(core_silent());
    core_hear_snapshot_answer(2, (struct raft_snapshot){1, 5, 10}, 5);
    assert_true(core_silent());
    assert_int_equal(core_peer(2).match_index, 1);
}

/* An answer that finds us no longer leader is dropped. */
TEST(answers_to_who_no_longer_leads_are_dropped) {
    START("1v 2v 3v", .term = 4);
    core_serve();
    core_append(1);
    core_silence(T_NS);
    assert_true(core_is(RAFT_FOLLOWER));
    core_hear_granted(2, 2);
    core_hear_heartbeat_answer(2);
    assert_true(core_silent());
    assert_int_equal(raft_commit_index(core->raft), 1);
}

/* 10.2.2: entries go out before the ones before them are answered, up to a limit of messages. */
TEST(entries_are_sent_ahead_up_to_a_number_of_messages) {
    START("1v 2v 3v", .term = 4, .inflight_messages_max = 2);
    core_serve();
    core_append(1);
    core_append(1);
    assert_int_equal(core_sent_count(RAFT_MESSAGE_APPEND), 2);
    core_append(1);
    assert_int_equal(core_sent_count(RAFT_MESSAGE_APPEND), 0);
    assert_int_equal(core_peer(2).inflight_messages, 2);
    core_hear_granted(2, 2);
    assert_int_equal(core_message(RAFT_MESSAGE_APPEND, 2)->previous_index, 3);
    assert_int_equal(core_sent_count(RAFT_MESSAGE_APPEND), 1);
}

/* And of bytes; a slow peer does not keep the others waiting. */
TEST(entries_are_sent_ahead_up_to_a_number_of_bytes) {
    START("1v 2v 3v", .term = 4, .inflight_bytes_max = 150);
    core_serve();
    core_append(1);
    core_append(1);
    core_append(1);
    assert_int_equal(core_sent_count(RAFT_MESSAGE_APPEND), 0);
    core_hear_granted(2, 3);
    assert_non_null(core_sent(RAFT_MESSAGE_APPEND, 2));
    core_append(1);
    assert_non_null(core_sent(RAFT_MESSAGE_APPEND, 2));
    assert_null(core_sent(RAFT_MESSAGE_APPEND, 3));
}

/* A message has so many bytes at most, but one entry always. */
TEST(a_message_is_bounded_in_bytes) {
    START("1v 2v", .term = 4, .message_bytes_max = 250);
    core_serve();
    core_append(5);
    assert_int_equal(core_sent_count(RAFT_MESSAGE_APPEND), 2);
    assert_int_equal(core->actions.action[0].message.entry_count, 2);
    assert_int_equal(core->actions.action[1].message.entry_count, 2);
    core_hear_granted(2, 5);
    assert_int_equal(core_message(RAFT_MESSAGE_APPEND, 2)->entry_count, 1);
    core_append_bytes(10000);
    assert_int_equal(core_message(RAFT_MESSAGE_APPEND, 2)->entry_count, 1);
}

/* A probe is sent once until it is answered; a heartbeat's answer before that repeats it without
 * its entries, of which many may be on a slow way; then they are sent if they were lost. */
TEST(a_probe_is_repeated_when_its_peer_is_heard) {
    START("1v 2v 3v", .term = 4);
    core_lead();
    assert_non_null(core_sent(RAFT_MESSAGE_APPEND, 2));
    core_append(1);
    assert_null(core_sent(RAFT_MESSAGE_APPEND, 2));
    core_time_out();
    assert_null(core_sent(RAFT_MESSAGE_APPEND, 2));
    core_hear_heartbeat_answer(2);
    assert_int_equal(core_message(RAFT_MESSAGE_APPEND, 2)->previous_index, 0);
    assert_int_equal(core_message(RAFT_MESSAGE_APPEND, 2)->entry_count, 0);
    core_hear_granted(2, 0);
    assert_int_equal(core_message(RAFT_MESSAGE_APPEND, 2)->previous_index, 0);
    assert_int_equal(core_message(RAFT_MESSAGE_APPEND, 2)->entry_count, 2);
}

/* 5.3: what was lost is sent again: a full ring opens, the peer refuses, and probing finds the
 * place. */
TEST(a_lost_message_is_found_by_the_next_refusal) {
    START("1v 2v 3v", .term = 4);
    core_serve();
    core_append(1);
    core_append(1);
    core_hear_refused(2, 2, 1, 5);
    assert_string_equal(core_peer(2).state, "probe");
    assert_int_equal(core_message(RAFT_MESSAGE_APPEND, 2)->previous_index, 1);
    assert_int_equal(core_message(RAFT_MESSAGE_APPEND, 2)->entry_count, 2);
}

/* And if the last message was lost, with nothing behind it to be refused: after a heartbeat's
 * answer an APPEND without entries asks. */
TEST(a_lost_last_message_is_asked_for) {
    START("1v 2v 3v", .term = 4);
    core_serve();
    core_append(1);
    core_time_out();
    core_hear_heartbeat_answer(2);
    const struct raft_message *question = core_message(RAFT_MESSAGE_APPEND, 2);
    assert_int_equal(question->previous_index, 2);
    assert_int_equal(question->entry_count, 0);
    core_hear_refused(2, 2, 1, 5);
    assert_int_equal(core_message(RAFT_MESSAGE_APPEND, 2)->previous_index, 1);
    assert_int_equal(core_message(RAFT_MESSAGE_APPEND, 2)->entry_count, 1);
    core_hear_granted(2, 2);
    core_time_out();
    core_hear_heartbeat_answer(2);
    assert_int_equal(core_sent_count(RAFT_MESSAGE_APPEND), 0);
}

/* A full ring stays full until something is granted: who lives, and whose disk has stalled, is
 * asked, and sent no more. */
TEST(a_full_ring_asks_and_sends_no_more) {
    START("1v 2v 3v", .term = 4, .inflight_messages_max = 2);
    core_serve();
    core_append(1);
    core_append(1);
    core_append(1);
    assert_null(core_sent(RAFT_MESSAGE_APPEND, 2));
    core_time_out();
    core_hear_heartbeat_answer(2);
    assert_int_equal(core_sent_count(RAFT_MESSAGE_APPEND), 1);
    assert_int_equal(core_message(RAFT_MESSAGE_APPEND, 2)->previous_index, 3);
    assert_int_equal(core_message(RAFT_MESSAGE_APPEND, 2)->entry_count, 0);
    core_hear_granted(2, 3);
    assert_int_equal(core_message(RAFT_MESSAGE_APPEND, 2)->entry_count, 1);
}

/* Rules for leaders: never overwrites or deletes in its own log, and needs no answer to go on. */
TEST(a_leader_only_appends) {
    START("1v 2v 3v", .term = 4, .terms = "1 2 3");
    core_lead();
    core_hear_refused(2, 3, 0, 0);
    assert_null(core_did(RAFT_ACTION_TRUNCATE));
    assert_int_equal(raft_last_index(core->raft), 4);
}

/* ---- heartbeats (5.2, 5.6) ------------------------------------------------------------------- */

/* Rules for leaders: repeated while idle, every heartbeat interval. */
TEST(heartbeats_are_repeated) {
    START("1v 2v 3v", .term = 4);
    core_serve();
    for (uint32_t i = 0; i < 5; i++) {
        assert_true(raft_deadline_ns(core->raft) <= core->now_ns + HEARTBEAT_NS);
        core_time_out();
        assert_int_equal(core_sent_count(RAFT_MESSAGE_HEARTBEAT), 2);
    }
    core_tick();
    assert_true(core_silent());
}

/* A heartbeat carries no entries, so nothing that clogs them can delay it; and it names what this
 * very peer has. */
TEST(a_heartbeat_names_what_its_peer_has) {
    START("1v 2v 3v", .term = 4, .terms = "1 2");
    core_lead();
    core_hear_granted(2, 2);
    core_time_out();
    assert_int_equal(core_message(RAFT_MESSAGE_HEARTBEAT, 2)->previous_index, 2);
    assert_int_equal(core_message(RAFT_MESSAGE_HEARTBEAT, 2)->previous_term, 2);
    assert_int_equal(core_message(RAFT_MESSAGE_HEARTBEAT, 3)->previous_index, 0);
}

/* A leader alone has nobody to tell. */
TEST(a_leader_alone_has_no_deadline) {
    START("1v", .term = 4);
    core_serve();
    assert_int_equal(raft_deadline_ns(core->raft), UINT64_MAX);
    core_pass(100 * (uint64_t)T_NS);
    assert_true(core_silent());
    assert_true(core_is(RAFT_LEADER));
}

/* ---- entries of older terms (5.4.2, figure 8) ------------------------------------------------ */

/* 5.4.2: what is of an older term is not committed by counting. */
TEST(an_entry_of_an_older_term_is_not_committed_by_counting) {
    START("1v 2v 3v 4v 5v", .term = 3, .terms = "1 2");
    core_lead();
    core_hear_granted(2, 2);
    core_hear_granted(3, 2);
    core_stored(2);
    assert_int_equal(raft_commit_index(core->raft), 0);
    assert_false(raft_serving(core->raft));
    core_stored(3);
    core_hear_granted(2, 3);
    assert_int_equal(raft_commit_index(core->raft), 0);
    core_hear_granted(3, 3);
    assert_int_equal(core_committed(), 3);
    assert_true(raft_serving(core->raft));
}

/* Figure 8, (c) to (d): an entry of term 2 on a majority is still replaced by one of term 3, if no
 * entry of a later term was committed behind it. */
TEST(figure_8_an_old_entry_on_a_majority_may_be_replaced) {
    START("1v 2v 3v 4v 5v", .node_id = 3, .term = 4, .terms = "1 2");
    core_follow(1, 4);
    HEAR_APPEND(.from = 1, .term = 4, .previous_index = 2, .previous_term = 2, .commit = 1);
    assert_int_equal(raft_commit_index(core->raft), 1);
    core_pass(T_NS);
    core_hear_vote(5, 5, 2, 3);
    assert_true(core_gave_vote(5));
    HEAR_APPEND(.from = 5, .term = 5, .previous_index = 1, .previous_term = 1, .terms = "3");
    assert_null(core_did(RAFT_ACTION_HALT));
    assert_int_equal(core_action(RAFT_ACTION_TRUNCATE)->index, 1);
    assert_int_equal(raft_last_index(core->raft), 2);
}

/* Figure 8, (e): with an entry of term 4 behind it on a majority, the one of term 3 cannot win. */
TEST(figure_8_a_committed_entry_is_safe) {
    START("1v 2v 3v 4v 5v", .node_id = 3, .term = 4, .terms = "1 2 4");
    core_hear_vote(5, 5, 2, 3);
    assert_true(core_refused_vote(5));
}

/* ---- crashes (5.5) --------------------------------------------------------------------------- */

/* 5.5: a request may be repeated any number of times: it does what it did. */
TEST(a_repeated_request_does_no_harm) {
    START("1v 2v 3v", .term = 4);
    for (uint32_t i = 0; i < 3; i++) {
        HEAR_APPEND(.from = 2, .term = 4, .terms = "3 4", .commit = 1);
    }
    core_stored(2);
    assert_int_equal(raft_last_index(core->raft), 2);
    assert_int_equal(raft_commit_index(core->raft), 1);
    HEAR_APPEND(.from = 2, .term = 4, .terms = "3 4", .commit = 1);
    assert_true(core_granted(2));
}

/* A peer that has lost what it had reported must not count for it again. */
TEST(a_peer_that_lost_its_log_counts_for_nothing) {
    START("1v 2v 3v", .term = 4);
    core_serve();
    uint32_t session = core->said[2].session;
    core_time_out();
    core_hear((struct raft_message){
        .kind = RAFT_MESSAGE_HEARTBEAT_ANSWER, .from = 2, .term = 5, .session = session});
    assert_int_equal(core_peer(2).match_index, 0);
    assert_string_equal(core_peer(2).state, "probe");
    assert_true(core_message(RAFT_MESSAGE_APPEND, 2)->session > session);
    core_hear((struct raft_message){.kind = RAFT_MESSAGE_APPEND_ANSWER,
                                    .from = 2,
                                    .term = 5,
                                    .session = session,
                                    .granted = true,
                                    .match_index = 1});
    assert_int_equal(core_peer(2).match_index, 0);
}

/* And has a whole time-out to answer again, before we think it gone. */
TEST(a_peer_that_begins_again_has_time_to_answer) {
    START("1v 2v", .term = 4);
    core_serve();
    for (uint32_t i = 0; i < 20; i++) {
        core_time_out();
        core_hear_heartbeat_answer(2);
    }
    core_time_out();
    core_hear((struct raft_message){.kind = RAFT_MESSAGE_HEARTBEAT_ANSWER,
                                    .from = 2,
                                    .term = 5,
                                    .session = core->said[2].session});
    core_pass(T_NS - 1);
    assert_true(core_is(RAFT_LEADER));
    core_pass(HEARTBEAT_NS);
    assert_true(core_is(RAFT_FOLLOWER));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        CORE_TEST(a_new_leader_tells_everybody),
        CORE_TEST(a_new_leader_appends_a_no_op),
        CORE_TEST(a_new_leader_knows_nothing_of_its_peers),
        CORE_TEST(what_a_leader_knew_in_an_earlier_term_is_forgotten),
        CORE_TEST(the_commit_index_begins_at_the_snapshot),
        CORE_TEST(a_new_entry_goes_to_everybody_at_once),
        CORE_TEST(an_entry_is_committed_when_a_majority_has_it),
        CORE_TEST(a_leader_counts_itself_only_when_its_entry_is_durable),
        CORE_TEST(the_only_voter_commits_when_it_has_stored),
        CORE_TEST(learners_do_not_count_for_a_commit),
        CORE_TEST(peers_learn_of_a_commit_by_the_next_message),
        CORE_TEST(a_refused_leader_goes_back_and_tries_again),
        CORE_TEST(a_leader_goes_back_by_terms),
        CORE_TEST(a_refusal_always_goes_back),
        CORE_TEST(a_late_refusal_is_dropped),
        CORE_TEST(a_late_grant_takes_nothing_back),
        CORE_TEST(a_grant_beyond_the_log_is_not_believed),
        CORE_TEST(answers_of_strangers_and_other_sessions_are_dropped),
        CORE_TEST(answers_to_who_no_longer_leads_are_dropped),
        CORE_TEST(entries_are_sent_ahead_up_to_a_number_of_messages),
        CORE_TEST(entries_are_sent_ahead_up_to_a_number_of_bytes),
        CORE_TEST(a_message_is_bounded_in_bytes),
        CORE_TEST(a_probe_is_repeated_when_its_peer_is_heard),
        CORE_TEST(a_lost_message_is_found_by_the_next_refusal),
        CORE_TEST(a_lost_last_message_is_asked_for),
        CORE_TEST(a_full_ring_asks_and_sends_no_more),
        CORE_TEST(a_leader_only_appends),
        CORE_TEST(heartbeats_are_repeated),
        CORE_TEST(a_heartbeat_names_what_its_peer_has),
        CORE_TEST(a_leader_alone_has_no_deadline),
        CORE_TEST(an_entry_of_an_older_term_is_not_committed_by_counting),
        CORE_TEST(figure_8_an_old_entry_on_a_majority_may_be_replaced),
        CORE_TEST(figure_8_a_committed_entry_is_safe),
        CORE_TEST(a_repeated_request_does_no_harm),
        CORE_TEST(a_peer_that_lost_its_log_counts_for_nothing),
        CORE_TEST(a_peer_that_begins_again_has_time_to_answer),
    };
    return cmocka_run_group_tests_name("raft_paper_leader", tests, NULL, NULL);
}
