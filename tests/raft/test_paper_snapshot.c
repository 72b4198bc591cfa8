/*
 * Snapshots: the extended Raft paper, section 7 and figure 13 (InstallSnapshot); the dissertation's
 * chapter 5.
 */

#include "tests/raft/support.h"

static const struct raft_snapshot snapshot = {.index = 20, .term = 3, .size_bytes = 2500};

/* A serving leader whose log begins behind `snapshot`, and of whose peers 3 is far behind: it asked
 * for what is before. */
static void serve_with_a_compacted_log(void) {
    START("1v 2v 3v", .term = 4, .compacted_index = 20, .compacted_term = 3, .terms = "3 4",
          .snapshot = snapshot);
    core_lead();
    core_stored(23);
    core_hear_granted(2, 23);
    assert_true(raft_serving(core->raft));
    core_hear_refused(3, 22, 5, 1);
}

/* A follower of 2 in term 4 with this log. */
static void follow_with(const char *terms) {
    START("1v 2v 3v", .term = 4, .terms = terms);
    core_follow(2, 4);
}

/* ---- the leader ------------------------------------------------------------------------------ */

/* Section 7: who needs what is compacted gets the snapshot instead, piece by piece. */
TEST(a_peer_that_is_behind_the_log_gets_a_snapshot) {
    serve_with_a_compacted_log();
    assert_string_equal(core_peer(3).state, "snapshot");
    const struct raft_message *chunk = core_message(RAFT_MESSAGE_SNAPSHOT, 3);
    assert_int_equal(chunk->snapshot.index, 20);
    assert_int_equal(chunk->snapshot.term, 3);
    assert_int_equal(chunk->snapshot.size_bytes, 2500);
    assert_int_equal(chunk->offset, 0);
    assert_int_equal(chunk->length_bytes, CHUNK_BYTES);
    assert_null(core_sent(RAFT_MESSAGE_APPEND, 3));
}

/* A peer exactly at the beginning of the log needs none: the term of the entry before it is
 * known. */
TEST(a_peer_at_the_beginning_of_the_log_needs_no_snapshot) {
    START("1v 2v 3v", .term = 4, .compacted_index = 20, .compacted_term = 3, .terms = "3 4",
          .snapshot = snapshot);
    core_lead();
    core_hear_refused(3, 22, 20, 3);
    assert_int_equal(core_message(RAFT_MESSAGE_APPEND, 3)->previous_index, 20);
    assert_int_equal(core_message(RAFT_MESSAGE_APPEND, 3)->previous_term, 3);
    assert_int_equal(core_message(RAFT_MESSAGE_APPEND, 3)->entry_count, 3);
}

/* Figure 13: one piece after the other, in order, each when the one before is answered. */
TEST(pieces_follow_one_another) {
    serve_with_a_compacted_log();
    core_hear_snapshot_answer(3, snapshot, 1000);
    assert_int_equal(core_message(RAFT_MESSAGE_SNAPSHOT, 3)->offset, 1000);
    core_hear_snapshot_answer(3, snapshot, 2000);
    assert_int_equal(core_message(RAFT_MESSAGE_SNAPSHOT, 3)->offset, 2000);
    assert_int_equal(core_message(RAFT_MESSAGE_SNAPSHOT, 3)->length_bytes, 500);
    core_hear_snapshot_answer(3, snapshot, 2500);
    assert_int_equal(core_sent_count(RAFT_MESSAGE_SNAPSHOT), 0);
    assert_string_equal(core_peer(3).state, "snapshot");
}

/* The answer says where to go on: a receiver that had some of it already, or none any more. */
TEST(sending_goes_on_where_the_receiver_says) {
    serve_with_a_compacted_log();
    core_hear_snapshot_answer(3, snapshot, 2100);
    assert_int_equal(core_message(RAFT_MESSAGE_SNAPSHOT, 3)->offset, 2100);
    core_hear_snapshot_answer(3, snapshot, 0);
    assert_int_equal(core_message(RAFT_MESSAGE_SNAPSHOT, 3)->offset, 0);
}

/* An answer that comes twice, or after its piece was repeated, must not double the pieces under way
 * for the rest of the transfer. */
TEST(a_repeated_answer_sends_nothing_twice) {
    serve_with_a_compacted_log();
    core_hear_snapshot_answer(3, snapshot, 1000);
    core_hear_snapshot_answer(3, snapshot, 1000);
    assert_true(core_silent());
    core_hear_snapshot_answer(3, snapshot, 2000);
    assert_int_equal(core_message(RAFT_MESSAGE_SNAPSHOT, 3)->offset, 2000);
    core_disconnect(3);
    core_hear_snapshot_answer(3, snapshot, 2000);
    assert_int_equal(core_message(RAFT_MESSAGE_SNAPSHOT, 3)->offset, 2000);
}

/* Answers about another snapshot, or of more bytes than it has, do not count. */
TEST(answers_about_another_snapshot_are_dropped) {
    serve_with_a_compacted_log();
    core_hear_snapshot_answer(3, (struct raft_snapshot){19, 3, 2500}, 1000);
    assert_true(core_silent());
    core_hear_snapshot_answer(3, (struct raft_snapshot){20, 2, 2500}, 1000);
    assert_true(core_silent());
    core_hear_snapshot_answer(3, (struct raft_snapshot){20, 3, 2400}, 1000);
    assert_true(core_silent());
    core_hear_snapshot_answer(3, snapshot, 2501);
    assert_true(core_silent());
    core_hear_snapshot_answer(2, snapshot, 1000);
    assert_true(core_silent());
}

/* When the peer says that it has all up to the snapshot, entries follow. */
TEST(entries_follow_the_snapshot) {
    serve_with_a_compacted_log();
    core_hear_snapshot_answer(3, snapshot, 2500);
    core_hear_granted(3, 20);
    assert_int_equal(core_peer(3).match_index, 20);
    assert_int_equal(core_message(RAFT_MESSAGE_APPEND, 3)->previous_index, 20);
    assert_int_equal(core_message(RAFT_MESSAGE_APPEND, 3)->entry_count, 3);
}

/* An earlier grant, of less, leaves the snapshot under way. */
TEST(a_late_grant_does_not_end_a_snapshot) {
    serve_with_a_compacted_log();
    core_hear_granted(3, 4);
    assert_int_equal(core_peer(3).match_index, 4);
    assert_string_equal(core_peer(3).state, "snapshot");
    assert_int_equal(core_sent_count(RAFT_MESSAGE_APPEND), 0);
}

/* Nor does the loss of what it had: the snapshot replaces that. */
TEST(a_peer_that_lost_its_log_still_gets_its_snapshot) {
    serve_with_a_compacted_log();
    core_hear((struct raft_message){.kind = RAFT_MESSAGE_HEARTBEAT_ANSWER,
                                    .from = 3,
                                    .term = 5,
                                    .session = core->said[3].session});
    assert_string_equal(core_peer(3).state, "snapshot");
    core_hear_snapshot_answer(3, snapshot, 1000);
    assert_int_equal(core_message(RAFT_MESSAGE_SNAPSHOT, 3)->offset, 1000);
}

/* A piece that is not answered for T was lost, and is sent again; heartbeats go on meanwhile. */
TEST(a_lost_piece_is_sent_again) {
    serve_with_a_compacted_log();
    for (uint32_t i = 0; i < T_NS / HEARTBEAT_NS - 1; i++) {
        core_pass(HEARTBEAT_NS);
        assert_non_null(core_sent(RAFT_MESSAGE_HEARTBEAT, 3));
        assert_null(core_sent(RAFT_MESSAGE_SNAPSHOT, 3));
        core_hear_heartbeat_answer(2);
        core_hear_heartbeat_answer(3);
        assert_null(core_sent(RAFT_MESSAGE_SNAPSHOT, 3));
    }
    core_pass(HEARTBEAT_NS);
    assert_int_equal(core_message(RAFT_MESSAGE_SNAPSHOT, 3)->offset, 0);
}

/* Who has all of it installs it.  If nothing comes of that, it is asked with the last piece again:
 * one behind the end would have no bytes. */
TEST(the_last_piece_is_sent_again_if_nothing_comes_of_it) {
    serve_with_a_compacted_log();
    core_hear_snapshot_answer(3, snapshot, 2000);
    core_hear_snapshot_answer(3, snapshot, 2500);
    for (uint32_t i = 0; i < T_NS / HEARTBEAT_NS - 1; i++) {
        core_pass(HEARTBEAT_NS);
        core_hear_heartbeat_answer(2);
        core_hear_heartbeat_answer(3);
        assert_null(core_sent(RAFT_MESSAGE_SNAPSHOT, 3));
    }
    core_pass(HEARTBEAT_NS);
    assert_int_equal(core_message(RAFT_MESSAGE_SNAPSHOT, 3)->offset, 2000);
    assert_int_equal(core_message(RAFT_MESSAGE_SNAPSHOT, 3)->length_bytes, 500);
}

/* A connection that closed has lost what was on it: after a sign of life it goes on. */
TEST(a_snapshot_goes_on_after_a_disconnection) {
    serve_with_a_compacted_log();
    core_disconnect(3);
    assert_string_equal(core_peer(3).state, "snapshot");
    core_pass(T_NS / 2);
    assert_null(core_sent(RAFT_MESSAGE_SNAPSHOT, 3));
    core_hear_heartbeat_answer(3);
    assert_int_equal(core_message(RAFT_MESSAGE_SNAPSHOT, 3)->offset, 0);
}

/* What is being sent has to be kept; and what a peer needs of the log. */
TEST(what_a_peer_needs_is_named) {
    serve_with_a_compacted_log();
    assert_true(raft_snapshot_needed(core->raft, 20));
    assert_false(raft_snapshot_needed(core->raft, 19));
    assert_int_equal(raft_needed_index(core->raft), 21);
    core_hear_granted(3, 20);
    assert_false(raft_snapshot_needed(core->raft, 20));
    core_append(1);
    assert_int_equal(raft_needed_index(core->raft), 21);
    core_hear_granted(3, 24);
    assert_int_equal(raft_needed_index(core->raft), 24);
    core_silence(T_NS);
    assert_true(core_is(RAFT_FOLLOWER));
    assert_int_equal(raft_needed_index(core->raft), UINT64_MAX);
    assert_false(raft_snapshot_needed(core->raft, 20));
}

/* Section 7: a newer snapshot is for whoever begins to need one; the transfer under way goes on. */
TEST(a_newer_snapshot_does_not_disturb_the_one_under_way) {
    serve_with_a_compacted_log();
    core_applied(23);
    core_compacted(22, (struct raft_snapshot){23, 5, 3000});
    core_hear_snapshot_answer(3, snapshot, 1000);
    assert_int_equal(core_message(RAFT_MESSAGE_SNAPSHOT, 3)->snapshot.index, 20);
    core_hear_granted(3, 20);
    assert_string_equal(core_peer(3).state, "snapshot");
    assert_int_equal(core_message(RAFT_MESSAGE_SNAPSHOT, 3)->snapshot.index, 23);
}

/* ---- a local snapshot ------------------------------------------------------------------------ */

/* Section 7: after a snapshot the log before it may go; what is behind it stays. */
TEST(a_local_snapshot_lets_the_log_begin_later) {
    START("1v 2v 3v", .term = 4, .terms = "1 1 2 3 3");
    core_serve();
    core_applied(6);
    core_compacted(4, (struct raft_snapshot){5, 3, 100});
    assert_int_equal(raft_last_index(core->raft), 6);
    core_hear_refused(3, 6, 2, 1);
    assert_int_equal(core_sent_count(RAFT_MESSAGE_SNAPSHOT), 0); /* 3 has matched up to 6 */
    core_append(1);
    assert_int_equal(core_message(RAFT_MESSAGE_APPEND, 2)->previous_index, 6);
}

/* An older one that is finished after a newer one was installed moves nothing back. */
TEST(a_local_snapshot_that_is_late_moves_nothing_back) {
    START("1v 2v 3v", .term = 4, .compacted_index = 20, .compacted_term = 3, .terms = "3 4",
          .snapshot = snapshot);
    core_compacted(10, (struct raft_snapshot){15, 3, 100});
    core_lead();
    core_hear_refused(3, 22, 5, 1);
    assert_int_equal(core_message(RAFT_MESSAGE_SNAPSHOT, 3)->snapshot.index, 20);
}

/* The same snapshot may be told again, with a log that begins later. */
TEST(a_log_may_begin_later_behind_the_same_snapshot) {
    START("1v 2v 3v", .term = 4, .compacted_index = 18, .compacted_term = 3, .terms = "3 3 4",
          .snapshot = snapshot);
    core_compacted(17, snapshot);
    core_compacted(20, snapshot);
    core_lead();
    core_hear_refused(3, 21, 19, 3);
    assert_int_equal(core_message(RAFT_MESSAGE_SNAPSHOT, 3)->snapshot.index, 20);
}

/* ---- the follower ---------------------------------------------------------------------------- */

/* Figure 13, 1: of an earlier term it is refused. */
TEST(a_snapshot_of_an_earlier_term_is_refused) {
    follow_with("1");
    core_hear_snapshot(3, 3, (struct raft_snapshot){20, 3, 2500}, 0, 1000);
    assert_null(core_did(RAFT_ACTION_SNAPSHOT_CHUNK));
    assert_int_equal(core_message(RAFT_MESSAGE_HEARTBEAT_ANSWER, 3)->term, 4);
}

/* Figure 13, 2 to 4: pieces are written by the caller, who says how many bytes are there. */
TEST(pieces_are_written_and_answered) {
    follow_with("1");
    core_hear_snapshot(2, 4, snapshot, 0, 1000);
    const struct raft_action *chunk = core_action(RAFT_ACTION_SNAPSHOT_CHUNK);
    assert_int_equal(chunk->message.offset, 0);
    assert_int_equal(chunk->message.length_bytes, 1000);
    assert_null(core_sent(RAFT_MESSAGE_SNAPSHOT_ANSWER, 2));
    core_chunk_written(snapshot, 1000, false);
    const struct raft_message *answer = core_message(RAFT_MESSAGE_SNAPSHOT_ANSWER, 2);
    assert_int_equal(answer->offset, 1000);
    assert_int_equal(answer->snapshot.index, 20);
    assert_int_equal(answer->snapshot.term, 3);
    assert_null(core_did(RAFT_ACTION_SNAPSHOT_INSTALL));
}

/* Figure 13, 7: if the log does not have the snapshot's last entry, all of it goes: what is behind
 * a different entry is of a different history. */
TEST(a_log_that_differs_is_discarded_whole) {
    follow_with("1 1 1 1 2 2 2 2 2 2 2 2 2 2 2 2 2 2 2 2 2 2 2");
    core_hear_snapshot(2, 4, snapshot, 2000, 500);
    core_chunk_written(snapshot, 2500, true);
    assert_int_equal(core_message(RAFT_MESSAGE_SNAPSHOT_ANSWER, 2)->offset, 2500);
    assert_int_equal(core_action(RAFT_ACTION_SNAPSHOT_INSTALL)->snapshot.index, 20);
    assert_int_equal(core_action(RAFT_ACTION_SNAPSHOT_INSTALL)->epoch, 1);
    assert_int_equal(raft_last_index(core->raft), 20);
    assert_int_equal(raft_commit_index(core->raft), 20);
    assert_int_equal(raft_log_epoch(core->raft), 1);
    core_installed(snapshot);
    assert_true(core_granted(20));
    HEAR_APPEND(.from = 2, .term = 4, .previous_index = 20, .previous_term = 3, .terms = "4");
    assert_int_equal(core_action(RAFT_ACTION_APPEND)->count, 1);
}

/* Figure 13, 6: if it has it, with its term, it is kept, and what is behind it too. */
TEST(a_log_that_has_the_snapshots_last_entry_is_kept) {
    follow_with("1 1 3 3 3");
    struct raft_snapshot covered = {3, 3, 2500};
    core_hear_snapshot(2, 4, covered, 0, 1000);
    assert_null(core_did(RAFT_ACTION_SNAPSHOT_CHUNK));
    assert_null(core_did(RAFT_ACTION_SNAPSHOT_INSTALL));
    assert_int_equal(raft_last_index(core->raft), 5);
    assert_int_equal(core_committed(), 3);
    assert_true(core_granted(3));
}

/* An entry of another term in its place is not it. */
TEST(a_log_with_another_entry_in_its_place_is_not_kept) {
    follow_with("1 1 1 3 3");
    struct raft_snapshot other = {3, 3, 500};
    core_hear_snapshot(2, 4, other, 0, 500);
    assert_non_null(core_did(RAFT_ACTION_SNAPSHOT_CHUNK));
    assert_int_equal(core_committed(), 0);
    core_chunk_written(other, 500, true);
    assert_int_equal(raft_last_index(core->raft), 3);
}

/* What is committed is covered whatever its term is known to be. */
TEST(a_snapshot_of_what_is_committed_is_needless) {
    START("1v 2v 3v", .term = 4, .compacted_index = 20, .compacted_term = 3, .terms = "3 4");
    core_hear_snapshot(2, 4, (struct raft_snapshot){12, 2, 500}, 0, 500);
    assert_null(core_did(RAFT_ACTION_SNAPSHOT_CHUNK));
    assert_true(core_granted(12));
    assert_int_equal(raft_commit_index(core->raft), 20);
}

/* The log may have come by itself while the pieces were: then nothing is installed. */
TEST(a_snapshot_that_became_needless_is_not_installed) {
    follow_with("1");
    struct raft_snapshot small = {3, 3, 500};
    core_hear_snapshot(2, 4, small, 0, 500);
    HEAR_APPEND(.from = 2, .term = 4, .previous_index = 1, .previous_term = 1, .terms = "3 3 4");
    core_stored(4);
    core_chunk_written(small, 500, true);
    assert_null(core_did(RAFT_ACTION_SNAPSHOT_INSTALL));
    assert_int_equal(core_committed(), 3);
    assert_int_equal(raft_last_index(core->raft), 4);
}

/* Section 7: the snapshot's configuration is in force. */
TEST(a_snapshot_brings_its_configuration) {
    follow_with("1");
    struct configuration members = configuration_of("1v 2v 5v");
    core_hear((struct raft_message){.kind = RAFT_MESSAGE_SNAPSHOT,
                                    .from = 2,
                                    .term = 4,
                                    .snapshot = snapshot,
                                    .configuration = &members,
                                    .length_bytes = 1000});
    core_expect_members("1v 2v 3v");
    core_chunk_written(snapshot, 2500, true);
    core_expect_members("1v 2v 5v");
}

/* Pieces of an older snapshot, overtaken by a newer one's, are dropped. */
TEST(an_older_snapshot_does_not_disturb_a_newer_one) {
    follow_with("1");
    core_hear_snapshot(2, 4, snapshot, 0, 1000);
    core_hear_snapshot(2, 4, (struct raft_snapshot){15, 3, 900}, 0, 900);
    assert_true(core_silent());
    core_chunk_written((struct raft_snapshot){15, 3, 900}, 900, true);
    assert_true(core_silent());
    core_chunk_written((struct raft_snapshot){20, 2, 2500}, 900, true);
    assert_true(core_silent());
    core_chunk_written((struct raft_snapshot){20, 3, 2400}, 900, true);
    assert_true(core_silent());
    core_hear_snapshot(2, 4, (struct raft_snapshot){25, 3, 900}, 0, 900);
    assert_int_equal(core_action(RAFT_ACTION_SNAPSHOT_CHUNK)->message.snapshot.index, 25);
}

/* But a new leader may have only the older one. */
TEST(a_new_leaders_older_snapshot_is_taken) {
    follow_with("1");
    core_hear_snapshot(2, 4, snapshot, 0, 1000);
    struct raft_snapshot older = {15, 3, 900};
    core_hear_snapshot(3, 5, older, 0, 900);
    assert_int_equal(core_action(RAFT_ACTION_SNAPSHOT_CHUNK)->message.snapshot.index, 15);
    core_chunk_written(snapshot, 1000, false);
    assert_true(core_silent());
    core_chunk_written(older, 900, true);
    assert_int_equal(core_action(RAFT_ACTION_SNAPSHOT_INSTALL)->snapshot.index, 15);
}

/* What was written when nobody leads any more is answered to nobody. */
TEST(a_piece_without_a_leader_is_not_answered) {
    follow_with("1");
    core_hear_snapshot(2, 4, snapshot, 0, 1000);
    core_disconnect(2);
    core_chunk_written(snapshot, 2500, true);
    assert_true(core_silent());
    core_time_out();
    core_chunk_written(snapshot, 2500, true);
    assert_true(core_silent());
}

/* While it is installed nothing else touches the log; heartbeats are answered; nobody campaigns. */
TEST(an_installation_is_not_disturbed) {
    follow_with("1");
    core_hear_snapshot(2, 4, snapshot, 2000, 500);
    core_chunk_written(snapshot, 2500, true);
    HEAR_APPEND(.from = 2, .term = 4, .previous_index = 20, .previous_term = 3, .terms = "4");
    assert_true(core_silent());
    core_hear_snapshot(2, 4, snapshot, 2500, 0);
    assert_true(core_silent());
    core_chunk_written(snapshot, 2500, true);
    assert_true(core_silent());
    core_hear((struct raft_message){.kind = RAFT_MESSAGE_HEARTBEAT,
                                    .from = 2,
                                    .term = 4,
                                    .previous_index = 20,
                                    .previous_term = 3,
                                    .commit = 20});
    assert_non_null(core_sent(RAFT_MESSAGE_HEARTBEAT_ANSWER, 2));
    assert_int_equal(core_committed(), 0);
    core_time_out();
    assert_true(core_is(RAFT_FOLLOWER));
    core_installed(snapshot);
    assert_true(core_granted(20));
    core_time_out();
    assert_true(core_is(RAFT_PRE_CANDIDATE));
}

/* In a new term, its leader has yet to verify the log before anything is granted to it. */
TEST(an_installation_that_ends_in_another_term_is_not_granted) {
    follow_with("1");
    core_hear_snapshot(2, 4, snapshot, 2000, 500);
    core_chunk_written(snapshot, 2500, true);
    core_hear_heartbeat(3, 5, 0);
    core_installed(snapshot);
    assert_true(core_silent());
    assert_int_equal(raft_commit_index(core->raft), 20);
    core_stop(NULL);
    follow_with("1");
    core_hear_snapshot(2, 4, snapshot, 2000, 500);
    core_chunk_written(snapshot, 2500, true);
    core_disconnect(2);
    core_installed(snapshot);
    assert_true(core_silent());
}

/* Writes of the log that was discarded, reported late, say nothing of the new one. */
TEST(a_write_of_the_discarded_log_counts_for_nothing) {
    follow_with("1");
    HEAR_APPEND(.from = 2, .term = 4, .previous_index = 1, .previous_term = 1, .terms = "2 2");
    core_hear_snapshot(2, 4, snapshot, 2000, 500);
    core_chunk_written(snapshot, 2500, true);
    core_stored_in(3, 0);
    assert_true(core_silent());
    core_installed(snapshot);
    HEAR_APPEND(.from = 2, .term = 4, .previous_index = 20, .previous_term = 3, .terms = "4 4");
    core_stored_in(22, 0);
    assert_true(core_silent());
    core_stored_in(22, 1);
    assert_true(core_granted(22));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        CORE_TEST(a_peer_that_is_behind_the_log_gets_a_snapshot),
        CORE_TEST(a_peer_at_the_beginning_of_the_log_needs_no_snapshot),
        CORE_TEST(pieces_follow_one_another),
        CORE_TEST(sending_goes_on_where_the_receiver_says),
        CORE_TEST(a_repeated_answer_sends_nothing_twice),
        CORE_TEST(answers_about_another_snapshot_are_dropped),
        CORE_TEST(entries_follow_the_snapshot),
        CORE_TEST(a_late_grant_does_not_end_a_snapshot),
        CORE_TEST(a_peer_that_lost_its_log_still_gets_its_snapshot),
        CORE_TEST(a_lost_piece_is_sent_again),
        CORE_TEST(the_last_piece_is_sent_again_if_nothing_comes_of_it),
        CORE_TEST(a_snapshot_goes_on_after_a_disconnection),
        CORE_TEST(what_a_peer_needs_is_named),
        CORE_TEST(a_newer_snapshot_does_not_disturb_the_one_under_way),
        CORE_TEST(a_local_snapshot_lets_the_log_begin_later),
        CORE_TEST(a_local_snapshot_that_is_late_moves_nothing_back),
        CORE_TEST(a_log_may_begin_later_behind_the_same_snapshot),
        CORE_TEST(a_snapshot_of_an_earlier_term_is_refused),
        CORE_TEST(pieces_are_written_and_answered),
        CORE_TEST(a_log_that_differs_is_discarded_whole),
        CORE_TEST(a_log_that_has_the_snapshots_last_entry_is_kept),
        CORE_TEST(a_log_with_another_entry_in_its_place_is_not_kept),
        CORE_TEST(a_snapshot_of_what_is_committed_is_needless),
        CORE_TEST(a_snapshot_that_became_needless_is_not_installed),
        CORE_TEST(a_snapshot_brings_its_configuration),
        CORE_TEST(an_older_snapshot_does_not_disturb_a_newer_one),
        CORE_TEST(a_new_leaders_older_snapshot_is_taken),
        CORE_TEST(a_piece_without_a_leader_is_not_answered),
        CORE_TEST(an_installation_is_not_disturbed),
        CORE_TEST(an_installation_that_ends_in_another_term_is_not_granted),
        CORE_TEST(a_write_of_the_discarded_log_counts_for_nothing),
    };
    return cmocka_run_group_tests_name("raft_paper_snapshot", tests, NULL, NULL);
}
