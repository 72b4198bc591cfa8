/*
 * Asynchronous storage, and what the caller owes (raft/raft.h): what the paper takes for granted
 * when it says "persisted".  The vote and its order, the log's epoch, creation.
 */

#include "tests/raft/support.h"

#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "tests/death.h"

/* ---- vote and term (figure 2, persistent state) ---------------------------------------------- */

/* Figure 2: term and vote are stored before any message that depends on them: the action comes
 * first, and what is put out after it waits (obligation 2). */
TEST(the_vote_is_stored_before_it_is_told) {
    START("1v 2v 3v", .term = 4);
    core_hear_vote(2, 5, 0, 0);
    assert_int_equal(core_action(RAFT_ACTION_STORE_VOTE)->term, 5);
    assert_int_equal(core_action(RAFT_ACTION_STORE_VOTE)->node_id, 2);
    assert_true(core_place(RAFT_ACTION_STORE_VOTE) < core_place(RAFT_ACTION_SEND));
}

/* A term that is taken without a vote is stored too. */
TEST(a_term_is_stored_without_a_vote) {
    START("1v 2v 3v", .term = 4, .terms = "4");
    core_hear_vote(2, 5, 0, 0);
    assert_true(core_refused_vote(2));
    assert_int_equal(core_action(RAFT_ACTION_STORE_VOTE)->term, 5);
    assert_int_equal(core_action(RAFT_ACTION_STORE_VOTE)->node_id, 0);
    assert_true(core_place(RAFT_ACTION_STORE_VOTE) < core_place(RAFT_ACTION_SEND));
}

/* A candidate's own vote counts when it is durable. */
TEST(the_own_vote_counts_when_it_is_stored) {
    START("1v 2v 3v", .term = 4);
    core_time_out();
    core_hear_pre_vote_answer(2, true);
    core_hear_vote_answer(2, true);
    assert_true(core_is(RAFT_CANDIDATE));
    core_store_vote();
    assert_true(core_is(RAFT_LEADER));
    core_store_vote();
    assert_true(core_silent());
}

/* And not when an older record is: another term's, or this term's without the vote. */
TEST(an_older_record_is_not_the_vote) {
    START("1v 2v 3v", .term = 4);
    core_hear((struct raft_message){.kind = RAFT_MESSAGE_HEARTBEAT_ANSWER, .from = 3, .term = 5});
    core_hear_vote(2, 5, 0, 0);
    core_vote_stored(5, 0);
    assert_false(raft_vote_stored(core->raft));
    core_time_out();
    assert_true(core_is(RAFT_FOLLOWER));
    core_vote_stored(4, 2);
    core_time_out();
    assert_true(core_is(RAFT_FOLLOWER));
    core_vote_stored(5, 2);
    assert_true(raft_vote_stored(core->raft));
    core_time_out();
    assert_true(core_is(RAFT_PRE_CANDIDATE));
}

/* The own vote, stored after the election was lost, makes nobody a leader. */
TEST(a_vote_that_is_stored_late_changes_nothing) {
    START("1v 2v 3v", .term = 4);
    core_time_out();
    core_hear_pre_vote_answer(2, true);
    core_hear_vote_answer(2, true);
    core_hear_heartbeat(3, 5, 0);
    core_store_vote();
    assert_true(core_silent());
    assert_true(core_is(RAFT_FOLLOWER));
}

/* ---- the log's epoch ------------------------------------------------------------------------- */

/* Entries are appended, truncated, and appended again with the same terms, while the first write is
 * under way: when that is done, the third ones are not durable. */
TEST(a_write_of_an_older_epoch_does_not_count) {
    START("1v 2v 3v", .term = 4);
    HEAR_APPEND(.from = 2, .term = 4, .terms = "1 1");
    HEAR_APPEND(.from = 3, .term = 5, .terms = "2");
    assert_int_equal(core_action(RAFT_ACTION_TRUNCATE)->epoch, 1);
    HEAR_APPEND(.from = 2, .term = 6, .terms = "1 1");
    assert_int_equal(core_action(RAFT_ACTION_TRUNCATE)->epoch, 2);
    core_stored_in(2, 0);
    assert_true(core_silent());
    core_stored_in(1, 1);
    assert_true(core_silent());
    core_stored_in(2, 2);
    assert_true(core_granted(2));
}

/* What was durable before a truncation, and is left by it, still is. */
TEST(a_truncation_leaves_what_was_durable_before_it) {
    START("1v 2v 3v", .term = 4, .terms = "1 1 2");
    HEAR_APPEND(.from = 2, .term = 4, .previous_index = 1, .previous_term = 1, .terms = "3");
    assert_int_equal(core_action(RAFT_ACTION_TRUNCATE)->index, 1);
    assert_null(core_sent(RAFT_MESSAGE_APPEND_ANSWER, 2));
    core_stored(1);
    assert_true(core_granted(1));
    core_stored(2);
    assert_true(core_granted(2));
}

/* A report of less than was reported takes nothing back. */
TEST(what_is_durable_does_not_shrink) {
    START("1v", .term = 4);
    core_lead();
    core_append(2);
    core_stored(3);
    core_stored(1);
    assert_true(core_silent());
    assert_int_equal(raft_commit_index(core->raft), 3);
}

/* Entries that were stored after we lost our place count for nothing, there or later. */
TEST(what_a_former_leader_stores_commits_nothing) {
    START("1v 2v 3v", .term = 4);
    core_serve();
    core_append(1);
    core_hear_granted(2, 2);
    core_silence(T_NS);
    core_stored(2);
    assert_true(core_silent());
    assert_int_equal(raft_commit_index(core->raft), 1);
}

/* Configurations that are not known to be committed have eight places: an APPEND with more is
 * taken as far as they go, or the oldest is forgotten. */
TEST(many_uncommitted_configurations_do_no_harm) {
    START("1v 2v 3v", .term = 4);
    for (uint64_t i = 0; i < 12; i++) {
        uint64_t last_index = raft_last_index(core->raft);
        HEAR_APPEND(.from = 2, .term = 4, .previous_index = last_index,
                    .previous_term = last_index == 0 ? 0 : 4, .terms = "4",
                    .configuration = i % 2 == 0 ? "1v 2v 3v 4l" : "1v 2v 3v");
        core_stored(raft_last_index(core->raft));
    }
    uint64_t last_index = raft_last_index(core->raft);
    HEAR_APPEND(.from = 2, .term = 4, .previous_index = last_index, .previous_term = 4,
                .commit = last_index);
    assert_int_equal(core_committed(), last_index);
}

/* And one that removes what was forgotten cannot be: it was committed. */
TEST(a_leader_that_would_remove_a_forgotten_configuration_halts_us) {
    START("1v 2v 3v", .term = 4);
    for (uint64_t i = 0; i < RAFT_CONFIGURATIONS_MAX + 1; i++) {
        HEAR_APPEND(.from = 2, .term = 4, .previous_index = i, .previous_term = i == 0 ? 0 : 4,
                    .terms = "4", .configuration = i % 2 == 0 ? "1v 2v 3v 4l" : "1v 2v 3v");
    }
    HEAR_APPEND(.from = 3, .term = 5, .terms = "5");
    assert_non_null(core_did(RAFT_ACTION_HALT));
    assert_null(core_did(RAFT_ACTION_TRUNCATE));
}

/* What is owed to a leader that is gone is not told to nobody. */
TEST(what_is_stored_without_a_leader_is_not_answered) {
    START("1v 2v 3v", .term = 4);
    HEAR_APPEND(.from = 2, .term = 4, .terms = "4");
    core_disconnect(2);
    core_stored(1);
    assert_true(core_silent());
    core_time_out();
    assert_true(core_is(RAFT_PRE_CANDIDATE));
    core_stored(1);
    assert_true(core_silent());
    HEAR_APPEND(.from = 2, .term = 4, .previous_index = 1, .previous_term = 4);
    assert_true(core_granted(1));
}

/* ---- creation -------------------------------------------------------------------------------- */

static void expect_refused(struct raft_options options) {
    struct raft *untouched = (struct raft *)core;
    assert_int_equal(raft_create(&untouched, &options), WEIR_EINVAL);
    assert_ptr_equal(untouched, core);
}

#define REFUSED(field, value)                                         \
    do {                                                              \
        struct raft_options options = core_options("1v 2v 3v", disk); \
        options.field = (value);                                      \
        expect_refused(options);                                      \
    } while (0)

TEST(options_out_of_range_are_refused) {
    const struct core_disk disk = {.term = 4, .terms = "1 2"};
    REFUSED(node_id, 0);
    REFUSED(election_timeout_ns, 0);
    REFUSED(election_timeout_ns, RAFT_ELECTION_TIMEOUT_MIN_NS - 1);
    REFUSED(election_timeout_ns, RAFT_ELECTION_TIMEOUT_MAX_NS + 1);
    REFUSED(heartbeat_ns, 0);
    REFUSED(heartbeat_ns, T_NS / 2 + 1);
    REFUSED(clock_drift_per_mille, 501);
    REFUSED(inflight_messages_max, 0);
    REFUSED(inflight_messages_max, 257);
    REFUSED(inflight_bytes_max, 0);
    REFUSED(message_bytes_max, 0);
    REFUSED(snapshot_chunk_bytes, 0);
    REFUSED(uncommitted_bytes_max, 0);
    REFUSED(window_entries, 0);
    REFUSED(window_entries, 128);
    REFUSED(window_entries, 300);
}

/* The vote file lost what the log knows: such a node must not vote. */
TEST(a_term_below_the_logs_is_refused) {
    const struct core_disk disk = {.term = 4, .terms = "1 2"};
    REFUSED(term, 1);
    REFUSED(term, 0);
    REFUSED(term, RAFT_TERM_MAX + 1);
    const struct core_disk empty = {.compacted_index = 5, .compacted_term = 3};
    struct raft_options options = core_options("1v", empty);
    options.term = 2;
    expect_refused(options);
}

/* Nobody votes in term 0. */
TEST(a_vote_without_a_term_is_refused) {
    const struct core_disk disk = {.term = 0};
    REFUSED(voted_for, 2);
}

TEST(a_log_that_cannot_be_is_refused) {
    const struct core_disk disk = {.term = 4,
                                   .compacted_index = 5,
                                   .compacted_term = 2,
                                   .terms = "2 3",
                                   .snapshot = {6, 2, 10}};
    REFUSED(last_index, 4);
    REFUSED(last_index, 5);
    REFUSED(compacted_index, 0);
    REFUSED(compacted_term, 0);
    REFUSED(compacted_term, 3);
    REFUSED(snapshot.index, 4);
    REFUSED(snapshot.index, 8);
    REFUSED(term_run_count, 0);
    static const struct raft_term_run wrong[][2] = {
        {{5, 2}, {7, 3}}, /* before the log */
        {{6, 1}, {7, 3}}, /* below the term before */
        {{6, 2}, {8, 3}}, /* behind the log */
        {{6, 2}, {6, 3}}, /* not ascending */
        {{6, 2}, {7, 2}}, /* the same term twice */
        {{6, 3}, {7, 2}}, /* terms going back */
    };
    for (uint32_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        REFUSED(term_runs, wrong[i]);
    }
    static const struct raft_term_run zero[] = {{1, 0}};
    struct raft_options options = core_options("1v", (struct core_disk){.term = 1, .terms = "1"});
    options.term_runs = zero;
    expect_refused(options);
}

TEST(configurations_that_cannot_be_are_refused) {
    const struct core_disk disk = {.term = 4, .terms = "1 2"};
    struct raft_configuration_entry entries[RAFT_CONFIGURATIONS_MAX + 1];
    for (uint32_t i = 0; i <= RAFT_CONFIGURATIONS_MAX; i++) {
        entries[i].index = i;
        entries[i].configuration = configuration_of("1v 2v 3v");
    }
    REFUSED(configuration_count, 0);
    struct raft_options options = core_options("1v", disk);
    options.configurations = entries;
    options.configuration_count = RAFT_CONFIGURATIONS_MAX + 1;
    options.last_index = 2;
    expect_refused(options);
    options.configuration_count = 4; /* the last one is at 3, behind the log */
    expect_refused(options);
    entries[1].index = 0; /* not ascending */
    options.configuration_count = 2;
    expect_refused(options);
    entries[1].index = 1;
    entries[1].configuration.member_count = 0;
    expect_refused(options);
}

/* The last configuration found in the log is in force. */
TEST(the_last_configuration_in_the_log_is_in_force_after_a_start) {
    struct raft_configuration_entry entries[2] = {
        {.index = 1, .configuration = configuration_of("1v 2v 3v")},
        {.index = 2, .configuration = configuration_of("1vo 2vo 3o")},
    };
    struct raft_options options = core_options("1v", (struct core_disk){.term = 4, .terms = "1 2"});
    options.configurations = entries;
    options.configuration_count = 2;
    core_start_with(&options);
    core_expect_members("1vo 2vo 3o");
    HEAR_APPEND(.from = 2, .term = 4, .previous_index = 1, .previous_term = 1, .terms = "3");
    core_expect_members("1v 2v 3v");
}

TEST(nothing_is_destroyed_without_harm) {
    raft_destroy(NULL);
}

/* ---- forgotten terms ------------------------------------------------------------------------- */

/* A log of terms 3 3 4, at indices 10 to 12; what is before was not found. */
static void start_with_forgotten_terms(void) {
    static const struct raft_term_run runs[] = {{10, 3}, {12, 4}};
    struct raft_options options =
        core_options("1v 2v 3v", (struct core_disk){.term = 4, .terms = "1"});
    options.term_runs = runs;
    options.term_run_count = 2;
    options.last_index = 12;
    core_start_with(&options);
}

/* Where the term is not known, it is not said that the entry is there, nor that it is not. */
TEST(what_was_forgotten_is_not_truncated) {
    start_with_forgotten_terms();
    HEAR_APPEND(.from = 2, .term = 4, .previous_index = 5, .previous_term = 2);
    assert_true(core_refused_append());
    assert_int_equal(core_message(RAFT_MESSAGE_APPEND_ANSWER, 2)->hint_index, 0);
    HEAR_APPEND(.from = 2, .term = 4, .terms = "1 1");
    assert_null(core_did(RAFT_ACTION_TRUNCATE));
    assert_null(core_sent(RAFT_MESSAGE_APPEND_ANSWER, 2));
    assert_int_equal(raft_last_index(core->raft), 12);
}

/* One known entry is a run, too. */
TEST(a_first_run_may_be_one_entry) {
    static const struct raft_term_run runs[] = {{10, 3}, {11, 4}};
    struct raft_options options =
        core_options("1v 2v 3v", (struct core_disk){.term = 4, .terms = "1"});
    options.term_runs = runs;
    options.term_run_count = 2;
    options.last_index = 12;
    core_start_with(&options);
    HEAR_APPEND(.from = 2, .term = 4, .previous_index = 10, .previous_term = 3, .terms = "4 4");
    assert_true(core_granted(12));
}

/* A log of more terms than are remembered, compacted where they were forgotten: it begins where
 * the first one is known. */
TEST(a_log_of_very_many_terms_is_compacted) {
    enum { TERMS = RAFT_TERM_RUNS_MAX + 100 };
    START("1v 2v 3v", .term = 4);
    for (uint64_t term = 1; term <= TERMS; term++) {
        char text[24];
        snprintf(text, sizeof(text), "%lu", (unsigned long)term);
        HEAR_APPEND(.from = 2, .term = TERMS, .previous_index = term - 1, .previous_term = term - 1,
                    .terms = text, .commit = term);
    }
    core_store_vote();
    core_stored(TERMS);
    core_applied(TERMS);
    core_compacted(20, (struct raft_snapshot){TERMS, TERMS, 100});
    core->now_ns += T_NS;
    core_lead();
    core_hear_refused(3, TERMS, 101, 101);
    assert_int_equal(core_message(RAFT_MESSAGE_APPEND, 3)->previous_index, 101);
    core_hear_refused(2, TERMS, 99, 99);
    assert_non_null(core_sent(RAFT_MESSAGE_SNAPSHOT, 2));
}

/* What is committed is there, whatever its term; a conflict behind it is one. */
TEST(a_conflict_right_behind_what_was_forgotten_is_truncated) {
    start_with_forgotten_terms();
    HEAR_APPEND(.from = 2, .term = 4, .previous_index = 11, .previous_term = 3, .commit = 9);
    assert_int_equal(core_committed(), 9);
    HEAR_APPEND(.from = 3, .term = 5, .previous_index = 9, .previous_term = 2, .terms = "5");
    assert_int_equal(core_action(RAFT_ACTION_TRUNCATE)->index, 9);
    assert_int_equal(raft_last_index(core->raft), 10);
    core_stored(10);
    assert_true(core_granted(10));
}

/* A leader sends from where it knows; a peer that is before that waits for a snapshot, if there is
 * none yet. */
TEST(a_peer_before_the_known_terms_waits_for_a_snapshot) {
    start_with_forgotten_terms();
    assert_int_equal(raft_snapshot_wanted(core->raft), 0);
    core_lead();
    assert_int_equal(raft_snapshot_wanted(core->raft), 0);
    core_hear_refused(3, 12, 5, 2);
    uint64_t wanted = raft_snapshot_wanted(core->raft);
    assert_int_equal(wanted, core_peer(3).next_index);
    assert_true(wanted <= 12);
    core_hear_refused(2, 12, 5, 2);
    assert_int_equal(raft_snapshot_wanted(core->raft), wanted);
    assert_int_equal(core_sent_count(RAFT_MESSAGE_APPEND), 0);
    assert_int_equal(core_sent_count(RAFT_MESSAGE_SNAPSHOT), 0);
    core_hear_granted(2, 12);
    core_stored(13);
    core_hear_granted(2, 13);
    core_applied(13);
    core_compacted(8, (struct raft_snapshot){12, 4, 500});
    assert_int_equal(raft_snapshot_wanted(core->raft), 0);
    core_time_out();
    core_hear_heartbeat_answer(3);
    assert_int_equal(core_message(RAFT_MESSAGE_SNAPSHOT, 3)->snapshot.index, 12);
    assert_int_equal(raft_snapshot_wanted(core->raft), 0);
}

/* ---- what the caller must not do ------------------------------------------------------------- */

static void append_without_leading(void *context) {
    (void)context;
    START("1v 2v 3v", .term = 4);
    core_append(1);
}

static void store_what_is_not_there(void *context) {
    (void)context;
    START("1v 2v 3v", .term = 4);
    core_stored(1);
}

static void apply_what_is_not_committed(void *context) {
    (void)context;
    START("1v 2v 3v", .term = 4, .terms = "1");
    core_applied(1);
}

static void compact_what_is_not_applied(void *context) {
    (void)context;
    START("1v 2v 3v", .term = 4, .terms = "1");
    core_compacted(1, (struct raft_snapshot){1, 1, 10});
}

static void install_what_was_not_asked_for(void *context) {
    (void)context;
    START("1v 2v 3v", .term = 4, .terms = "1");
    core_installed((struct raft_snapshot){1, 1, 10});
}

TEST(the_caller_must_not_break_its_word) {
    death_expect_abort(append_without_leading, NULL, "RAFT_LEADER");
    death_expect_abort(store_what_is_not_there, NULL, "last_index");
    death_expect_abort(apply_what_is_not_committed, NULL, "commit_index");
    death_expect_abort(compact_what_is_not_applied, NULL, "applied_index");
    death_expect_abort(install_what_was_not_asked_for, NULL, "installing");
}

/* Names for people. */
TEST(everything_has_a_name) {
    assert_string_equal(raft_role_name(RAFT_PRE_CANDIDATE), "pre-candidate");
    assert_string_equal(raft_event_kind_name(RAFT_EVENT_VOTE_STORED), "vote stored");
    assert_string_equal(raft_action_kind_name(RAFT_ACTION_STORE_VOTE), "store vote");
    assert_string_equal(raft_refusal_name(RAFT_REFUSAL_TARGET), "the target must be another voter");
    for (uint32_t i = RAFT_FOLLOWER; i <= RAFT_LEADER; i++) {
        assert_true(strlen(raft_role_name((enum raft_role)i)) > 0);
    }
    for (uint32_t i = RAFT_EVENT_TICK; i <= RAFT_EVENT_SNAPSHOT_INSTALLED; i++) {
        assert_true(strlen(raft_event_kind_name((enum raft_event_kind)i)) > 0);
    }
    for (uint32_t i = RAFT_ACTION_STORE_VOTE; i <= RAFT_ACTION_HALT; i++) {
        assert_true(strlen(raft_action_kind_name((enum raft_action_kind)i)) > 0);
    }
    for (uint32_t i = RAFT_REFUSAL_NONE; i <= RAFT_REFUSAL_TARGET; i++) {
        assert_true(strlen(raft_refusal_name((enum raft_refusal)i)) > 0);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        CORE_TEST(the_vote_is_stored_before_it_is_told),
        CORE_TEST(a_term_is_stored_without_a_vote),
        CORE_TEST(the_own_vote_counts_when_it_is_stored),
        CORE_TEST(an_older_record_is_not_the_vote),
        CORE_TEST(a_vote_that_is_stored_late_changes_nothing),
        CORE_TEST(a_write_of_an_older_epoch_does_not_count),
        CORE_TEST(a_truncation_leaves_what_was_durable_before_it),
        CORE_TEST(what_is_durable_does_not_shrink),
        CORE_TEST(what_a_former_leader_stores_commits_nothing),
        CORE_TEST(many_uncommitted_configurations_do_no_harm),
        CORE_TEST(a_leader_that_would_remove_a_forgotten_configuration_halts_us),
        CORE_TEST(what_is_stored_without_a_leader_is_not_answered),
        CORE_TEST(options_out_of_range_are_refused),
        CORE_TEST(a_term_below_the_logs_is_refused),
        CORE_TEST(a_vote_without_a_term_is_refused),
        CORE_TEST(a_log_that_cannot_be_is_refused),
        CORE_TEST(configurations_that_cannot_be_are_refused),
        CORE_TEST(the_last_configuration_in_the_log_is_in_force_after_a_start),
        CORE_TEST(nothing_is_destroyed_without_harm),
        CORE_TEST(what_was_forgotten_is_not_truncated),
        CORE_TEST(a_first_run_may_be_one_entry),
        CORE_TEST(a_log_of_very_many_terms_is_compacted),
        CORE_TEST(a_conflict_right_behind_what_was_forgotten_is_truncated),
        CORE_TEST(a_peer_before_the_known_terms_waits_for_a_snapshot),
        CORE_TEST(the_caller_must_not_break_its_word),
        CORE_TEST(everything_has_a_name),
    };
    return cmocka_run_group_tests_name("raft_core_storage", tests, NULL, NULL);
}
