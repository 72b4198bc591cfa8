/*
 * A follower takes entries: the extended Raft paper, figure 2 (AppendEntries, receiver) and
 * section 5.3; the dissertation's 3.5 and 10.2.1.
 */

#include "tests/raft/support.h"

/* ---- receiver, 1: an earlier term is refused ------------------------------------------------- */

/* Figure 2, AppendEntries 1. */
TEST(an_append_of_an_earlier_term_changes_nothing) {
    START("1v 2v 3v", .term = 5, .terms = "1 2");
    uint64_t deadline_ns = raft_deadline_ns(core->raft);
    core->now_ns += 10;
    HEAR_APPEND(.from = 2, .term = 4, .previous_index = 1, .previous_term = 1, .terms = "4");
    assert_int_equal(raft_last_index(core->raft), 2);
    assert_null(core_did(RAFT_ACTION_TRUNCATE));
    assert_int_equal(raft_leader(core->raft), 0);
    assert_int_equal(raft_deadline_ns(core->raft), deadline_ns);
}

/* ---- receiver, 2: the entry before must be there --------------------------------------------- */

/* Figure 2, AppendEntries 2: refused if the log does not reach so far. */
TEST(an_append_behind_the_end_is_refused) {
    START("1v 2v 3v", .term = 5, .terms = "1 2");
    HEAR_APPEND(.from = 2, .term = 5, .previous_index = 4, .previous_term = 4, .session = 9,
                .round = 7);
    assert_true(core_refused_append());
    const struct raft_message *answer = core_message(RAFT_MESSAGE_APPEND_ANSWER, 2);
    assert_int_equal(answer->previous_index, 4);
    assert_int_equal(answer->hint_index, 2);
    assert_int_equal(answer->hint_term, 2);
    assert_int_equal(answer->session, 9);
    assert_int_equal(answer->round, 7);
    assert_int_equal(raft_last_index(core->raft), 2);
}

/* Or if another term is there. */
TEST(an_append_behind_an_entry_of_another_term_is_refused) {
    START("1v 2v 3v", .term = 5, .terms = "1 2");
    HEAR_APPEND(.from = 2, .term = 5, .previous_index = 2, .previous_term = 3, .terms = "5");
    assert_true(core_refused_append());
    assert_int_equal(raft_last_index(core->raft), 2);
    assert_null(core_did(RAFT_ACTION_TRUNCATE));
}

/* 5.3: before the first entry all logs are equal. */
TEST(an_append_at_the_beginning_is_never_refused) {
    START("1v 2v 3v", .term = 5);
    HEAR_APPEND(.from = 2, .term = 5, .terms = "1 5");
    assert_false(core_refused_append());
    assert_int_equal(core_action(RAFT_ACTION_APPEND)->first, 0);
    assert_int_equal(core_action(RAFT_ACTION_APPEND)->count, 2);
    assert_int_equal(raft_last_index(core->raft), 2);
}

/* 5.3: the refusal tells where the logs may still agree, whole terms at a time: the last of our
 * entries whose term is not above that of the leader's entry. */
TEST(a_refusal_names_the_last_place_where_the_logs_may_agree) {
    static const struct {
        const char *ours;
        uint64_t previous_index, previous_term, hint_index, hint_term;
    } cases[] = {
        {"1 1 1 4 4 4", 6, 3, 3, 1}, /* of our term 4 the leader has nothing */
        {"1 2 2 3 3 3", 9, 2, 3, 2}, /* our log is shorter, and its end is of a later term */
        {"1 1 1", 7, 5, 3, 1},       /* our log is shorter */
        {"5 5 5", 3, 2, 0, 0},       /* nothing agrees */
        {"1 3 5 5", 3, 4, 2, 3},     /* within a longer log */
    };
    for (uint32_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        START("1v 2v 3v", .term = 6, .terms = cases[i].ours);
        HEAR_APPEND(.from = 2, .term = 6, .previous_index = cases[i].previous_index,
                    .previous_term = cases[i].previous_term);
        assert_true(core_refused_append());
        const struct raft_message *answer = core_message(RAFT_MESSAGE_APPEND_ANSWER, 2);
        assert_int_equal(answer->hint_index, cases[i].hint_index);
        assert_int_equal(answer->hint_term, cases[i].hint_term);
        core_stop(NULL);
    }
}

/* What is committed agrees in any case: the hint does not go below it. */
TEST(a_refusal_does_not_go_back_before_the_commit_index) {
    START("1v 2v 3v", .term = 6, .terms = "1 5 5 5");
    HEAR_APPEND(.from = 2, .term = 6, .previous_index = 2, .previous_term = 5, .commit = 2);
    assert_int_equal(raft_commit_index(core->raft), 2);
    HEAR_APPEND(.from = 2, .term = 6, .previous_index = 4, .previous_term = 2);
    assert_true(core_refused_append());
    assert_int_equal(core_message(RAFT_MESSAGE_APPEND_ANSWER, 2)->hint_index, 2);
    assert_int_equal(core_message(RAFT_MESSAGE_APPEND_ANSWER, 2)->hint_term, 5);
}

/* ---- receiver, 3: conflicts ------------------------------------------------------------------ */

/* Figure 2, AppendEntries 3: an entry of another term goes, and all behind it. */
TEST(a_conflicting_entry_goes_with_all_behind_it) {
    START("1v 2v 3v", .term = 6, .terms = "1 2 2 2");
    HEAR_APPEND(.from = 2, .term = 6, .previous_index = 1, .previous_term = 1, .terms = "2 3");
    const struct raft_action *truncated = core_action(RAFT_ACTION_TRUNCATE);
    assert_int_equal(truncated->index, 2);
    assert_int_equal(truncated->epoch, 1);
    assert_int_equal(core_action(RAFT_ACTION_APPEND)->first, 1);
    assert_int_equal(core_action(RAFT_ACTION_APPEND)->count, 1);
    assert_true(core_place(RAFT_ACTION_TRUNCATE) < core_place(RAFT_ACTION_APPEND));
    assert_int_equal(raft_last_index(core->raft), 3);
    assert_int_equal(raft_log_epoch(core->raft), 1);
}

/* Only a conflict truncates: a message of entries that are there already, however old, must not
 * shorten the log. */
TEST(a_late_append_does_not_shorten_the_log) {
    START("1v 2v 3v", .term = 6, .terms = "1 2 2 2");
    HEAR_APPEND(.from = 2, .term = 6, .previous_index = 1, .previous_term = 1, .terms = "2");
    assert_null(core_did(RAFT_ACTION_TRUNCATE));
    assert_null(core_did(RAFT_ACTION_APPEND));
    assert_int_equal(raft_last_index(core->raft), 4);
    HEAR_APPEND(.from = 2, .term = 6, .previous_index = 1, .previous_term = 1);
    assert_null(core_did(RAFT_ACTION_TRUNCATE));
    assert_int_equal(raft_last_index(core->raft), 4);
}

/* The same message twice appends once. */
TEST(a_repeated_append_appends_once) {
    START("1v 2v 3v", .term = 6);
    HEAR_APPEND(.from = 2, .term = 6, .terms = "5 6");
    HEAR_APPEND(.from = 2, .term = 6, .terms = "5 6");
    assert_null(core_did(RAFT_ACTION_APPEND));
    assert_int_equal(raft_last_index(core->raft), 2);
}

/* ---- receiver, 4: entries that are new ------------------------------------------------------- */

/* Figure 2, AppendEntries 4: only what is not there yet. */
TEST(only_new_entries_are_appended) {
    START("1v 2v 3v", .term = 6, .terms = "1 2");
    HEAR_APPEND(.from = 2, .term = 6, .previous_index = 1, .previous_term = 1, .terms = "2 2 6");
    assert_null(core_did(RAFT_ACTION_TRUNCATE));
    assert_int_equal(core_action(RAFT_ACTION_APPEND)->first, 1);
    assert_int_equal(core_action(RAFT_ACTION_APPEND)->count, 2);
    assert_int_equal(raft_last_index(core->raft), 4);
}

/* Section 7: what a snapshot covers is skipped, also where the message begins before it. */
TEST(entries_that_were_compacted_are_skipped) {
    START("1v 2v 3v", .term = 6, .compacted_index = 10, .compacted_term = 3, .terms = "3 4");
    HEAR_APPEND(.from = 2, .term = 6, .previous_index = 7, .previous_term = 2,
                .terms = "3 3 3 3 4 5");
    assert_null(core_did(RAFT_ACTION_TRUNCATE));
    assert_int_equal(core_action(RAFT_ACTION_APPEND)->first, 5);
    assert_int_equal(core_action(RAFT_ACTION_APPEND)->count, 1);
    assert_int_equal(raft_last_index(core->raft), 13);
    HEAR_APPEND(.from = 2, .term = 6, .terms = "1 1 2");
    assert_null(core_did(RAFT_ACTION_APPEND));
    assert_null(core_did(RAFT_ACTION_HALT));
    assert_int_equal(raft_last_index(core->raft), 13);
}

/* ---- receiver, 5: commit --------------------------------------------------------------------- */

/* Figure 2, AppendEntries 5: up to the leader's commit index. */
TEST(a_follower_commits_what_its_leader_has_committed) {
    START("1v 2v 3v", .term = 6, .terms = "1 2 2");
    HEAR_APPEND(.from = 2, .term = 6, .previous_index = 3, .previous_term = 2, .commit = 2);
    assert_int_equal(core_committed(), 2);
    assert_int_equal(raft_commit_index(core->raft), 2);
}

/* Or to the last entry of this message, if that is less. */
TEST(a_follower_commits_no_more_than_the_message_covers) {
    START("1v 2v 3v", .term = 6, .terms = "1 2 2 2");
    HEAR_APPEND(.from = 2, .term = 6, .previous_index = 1, .previous_term = 1, .terms = "2",
                .commit = 4);
    assert_int_equal(core_committed(), 2);
    HEAR_APPEND(.from = 2, .term = 6, .previous_index = 2, .previous_term = 2, .commit = 4);
    assert_int_equal(core_committed(), 0);
    assert_int_equal(raft_commit_index(core->raft), 2);
}

/* What the leader of an earlier term verified says nothing in a later one. */
TEST(what_was_verified_is_forgotten_with_the_term) {
    START("1v 2v 3v", .term = 6, .terms = "1 2 2");
    HEAR_APPEND(.from = 2, .term = 6, .previous_index = 3, .previous_term = 2, .commit = 0);
    core_hear_heartbeat(3, 7, 3);
    assert_int_equal(core_committed(), 0);
    HEAR_APPEND(.from = 3, .term = 7, .previous_index = 1, .previous_term = 1, .commit = 3);
    assert_int_equal(core_committed(), 1);
}

/* The commit index only grows. */
TEST(a_commit_index_never_goes_back) {
    START("1v 2v 3v", .term = 6, .terms = "1 2 2");
    HEAR_APPEND(.from = 2, .term = 6, .previous_index = 3, .previous_term = 2, .commit = 3);
    HEAR_APPEND(.from = 2, .term = 6, .previous_index = 3, .previous_term = 2, .commit = 1);
    assert_int_equal(core_committed(), 0);
    assert_int_equal(raft_commit_index(core->raft), 3);
}

/* A heartbeat commits no more than the entry that it names, which the leader knows to be here. */
TEST(a_heartbeat_commits_what_it_names) {
    START("1v 2v 3v", .term = 6, .terms = "1 2 2 2");
    core_hear_heartbeat(2, 6, 4);
    assert_int_equal(core_committed(), 0);
    core_hear((struct raft_message){.kind = RAFT_MESSAGE_HEARTBEAT,
                                    .from = 2,
                                    .term = 6,
                                    .previous_index = 3,
                                    .previous_term = 2,
                                    .commit = 4,
                                    .session = 5,
                                    .round = 8});
    assert_int_equal(core_committed(), 3);
    const struct raft_message *answer = core_message(RAFT_MESSAGE_HEARTBEAT_ANSWER, 2);
    assert_true(answer->granted);
    assert_int_equal(answer->session, 5);
    assert_int_equal(answer->round, 8);
}

/* And one that names less than was verified before takes nothing back. */
TEST(a_late_heartbeat_takes_nothing_back) {
    START("1v 2v 3v", .term = 6, .terms = "1 2 2 2");
    HEAR_APPEND(.from = 2, .term = 6, .previous_index = 4, .previous_term = 2);
    core_hear_heartbeat(2, 6, 4);
    assert_int_equal(core_committed(), 4);
}

/* If it names what is not here, nothing is believed. */
TEST(a_heartbeat_about_an_entry_that_is_not_here_commits_nothing) {
    START("1v 2v 3v", .term = 6, .terms = "1 2");
    core_hear((struct raft_message){.kind = RAFT_MESSAGE_HEARTBEAT,
                                    .from = 2,
                                    .term = 6,
                                    .previous_index = 2,
                                    .previous_term = 3,
                                    .commit = 2});
    assert_int_equal(core_committed(), 0);
    assert_false(core_message(RAFT_MESSAGE_HEARTBEAT_ANSWER, 2)->granted);
}

/* ---- the answer ------------------------------------------------------------------------------ */

/* 10.2.1: an entry is acknowledged when it is durable, not before. */
TEST(an_append_is_answered_when_it_is_durable) {
    START("1v 2v 3v", .term = 6);
    HEAR_APPEND(.from = 2, .term = 6, .terms = "6 6", .session = 3, .round = 4);
    assert_null(core_sent(RAFT_MESSAGE_APPEND_ANSWER, 2));
    core_stored(1);
    assert_true(core_granted(1));
    core_stored(2);
    assert_true(core_granted(2));
    assert_int_equal(core_message(RAFT_MESSAGE_APPEND_ANSWER, 2)->session, 3);
    assert_int_equal(core_message(RAFT_MESSAGE_APPEND_ANSWER, 2)->round, 4);
}

/* It covers what the messages of this leader covered: a longer log of ours says nothing to it. */
TEST(an_answer_covers_no_more_than_the_message) {
    START("1v 2v 3v", .term = 6, .terms = "1 2 2 2");
    HEAR_APPEND(.from = 2, .term = 6, .previous_index = 1, .previous_term = 1, .terms = "2");
    assert_true(core_granted(2));
}

/* An answer that is owed is given once. */
TEST(nothing_is_answered_that_was_not_asked) {
    START("1v 2v 3v", .term = 6);
    HEAR_APPEND(.from = 2, .term = 6, .terms = "6");
    core_stored(1);
    assert_true(core_granted(1));
    core_stored(1);
    assert_true(core_silent());
}

/* Of a leader whose term is over nothing is answered. */
TEST(what_is_stored_for_an_old_leader_is_not_answered_to_a_new_one) {
    START("1v 2v 3v", .term = 6);
    HEAR_APPEND(.from = 2, .term = 6, .terms = "6");
    core_hear((struct raft_message){.kind = RAFT_MESSAGE_HEARTBEAT_ANSWER, .from = 3, .term = 7});
    core_stored(1);
    assert_true(core_silent());
    core_hear_heartbeat(3, 7, 0);
    core_stored(1);
    assert_true(core_silent());
}

/* With the term of the leader (5.1): a follower learns it from any of its messages. */
TEST(an_append_of_a_later_term_stores_the_term_first) {
    START("1v 2v 3v", .term = 6);
    HEAR_APPEND(.from = 2, .term = 9, .terms = "9");
    assert_int_equal(core_action(RAFT_ACTION_STORE_VOTE)->term, 9);
    assert_int_equal(core_action(RAFT_ACTION_STORE_VOTE)->node_id, 0);
    assert_true(core_place(RAFT_ACTION_STORE_VOTE) < core_place(RAFT_ACTION_APPEND));
    assert_int_equal(raft_leader(core->raft), 2);
}

/* 5.3, figure 7: whatever a follower has, the leader's log wins. */
TEST(every_log_of_figure_7_becomes_the_leaders) {
    static const char *const logs[] = {
        "1 1 1 4 4 5 5 6 6",       /* a: misses an entry */
        "1 1 1 4",                 /* b: misses more */
        "1 1 1 4 4 5 5 6 6 6 6",   /* c: has one too many, of the leader's last term */
        "1 1 1 4 4 5 5 6 6 6 7 7", /* d: of a later term */
        "1 1 1 4 4 4 4",           /* e: of an older one, instead */
        "1 1 1 2 2 2 3 3 3 3 3",   /* f: two terms of its own */
    };
    static const uint64_t leader_terms[] = {0, 1, 1, 1, 4, 4, 5, 5, 6, 6, 6};
    for (uint32_t i = 0; i < sizeof(logs) / sizeof(logs[0]); i++) {
        START("1v 2v 3v", .term = 8, .terms = logs[i]);
        uint64_t previous = 10;
        uint32_t asked = 0;
        HEAR_APPEND(.from = 2, .term = 8, .previous_index = previous, .previous_term = 6);
        while (core_refused_append()) {
            assert_true(++asked <= 3);
            uint64_t hint = core_message(RAFT_MESSAGE_APPEND_ANSWER, 2)->hint_index;
            uint64_t hint_term = core_message(RAFT_MESSAGE_APPEND_ANSWER, 2)->hint_term;
            assert_true(hint < previous);
            while (leader_terms[hint] > hint_term) {
                hint--;
            }
            previous = hint;
            HEAR_APPEND(.from = 2, .term = 8, .previous_index = previous,
                        .previous_term = leader_terms[previous]);
        }
        static const char *const rest[] = {"1 1 1 4 4 5 5 6 6 6 8",
                                           "1 1 4 4 5 5 6 6 6 8",
                                           "1 4 4 5 5 6 6 6 8",
                                           "4 4 5 5 6 6 6 8",
                                           "4 5 5 6 6 6 8",
                                           "5 5 6 6 6 8",
                                           "5 6 6 6 8",
                                           "6 6 6 8",
                                           "6 6 8",
                                           "6 8",
                                           "8"};
        HEAR_APPEND(.from = 2, .term = 8, .previous_index = previous,
                    .previous_term = leader_terms[previous], .terms = rest[previous]);
        assert_int_equal(raft_last_index(core->raft), 11);
        core_stored(11);
        assert_true(core_granted(11));
        core_stop(NULL);
    }
}

/* ---- what working members cannot cause ------------------------------------------------------- */

/* 3.6.3: the leader has everything that is committed: one that has not is a fault that must not
 * spread. */
TEST(a_leader_that_would_replace_a_committed_entry_halts_us) {
    START("1v 2v 3v", .term = 6, .terms = "1 2 2");
    HEAR_APPEND(.from = 2, .term = 6, .previous_index = 3, .previous_term = 2, .commit = 3);
    HEAR_APPEND(.from = 2, .term = 6, .previous_index = 1, .previous_term = 1, .terms = "2 3");
    assert_non_null(core_did(RAFT_ACTION_HALT));
    assert_non_null(core_action(RAFT_ACTION_HALT)->sentence);
    assert_null(core_did(RAFT_ACTION_TRUNCATE));
    assert_int_equal(raft_last_index(core->raft), 3);
}

/* The same if it names another entry at a committed place. */
TEST(a_leader_whose_log_differs_before_the_commit_index_halts_us) {
    START("1v 2v 3v", .term = 6, .terms = "1 2 2");
    HEAR_APPEND(.from = 2, .term = 6, .previous_index = 3, .previous_term = 2, .commit = 3);
    HEAR_APPEND(.from = 2, .term = 6, .previous_index = 2, .previous_term = 3);
    assert_non_null(core_did(RAFT_ACTION_HALT));
    assert_null(core_sent(RAFT_MESSAGE_APPEND_ANSWER, 2));
}

/* 5.2: one leader a term. */
TEST(two_leaders_in_one_term_halt_us) {
    START("1v 2v 3v", .term = 6);
    core_follow(2, 6);
    core_hear_heartbeat(3, 6, 0);
    assert_non_null(core_did(RAFT_ACTION_HALT));
    assert_null(core_sent(RAFT_MESSAGE_HEARTBEAT_ANSWER, 3));
    HEAR_APPEND(.from = 3, .term = 6, .terms = "6");
    assert_non_null(core_did(RAFT_ACTION_HALT));
    assert_int_equal(raft_last_index(core->raft), 0);
    core_hear_snapshot(3, 6, (struct raft_snapshot){9, 6, 10}, 0, 10);
    assert_non_null(core_did(RAFT_ACTION_HALT));
    assert_int_equal(core->actions.count, 1);
}

/* Also if one of them is we. */
TEST(another_leader_of_our_own_term_halts_us) {
    START("1v 2v 3v", .term = 5);
    core_serve();
    core_hear_heartbeat(3, 6, 0);
    assert_non_null(core_did(RAFT_ACTION_HALT));
    assert_true(core_is(RAFT_LEADER));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        CORE_TEST(an_append_of_an_earlier_term_changes_nothing),
        CORE_TEST(an_append_behind_the_end_is_refused),
        CORE_TEST(an_append_behind_an_entry_of_another_term_is_refused),
        CORE_TEST(an_append_at_the_beginning_is_never_refused),
        CORE_TEST(a_refusal_names_the_last_place_where_the_logs_may_agree),
        CORE_TEST(a_refusal_does_not_go_back_before_the_commit_index),
        CORE_TEST(a_conflicting_entry_goes_with_all_behind_it),
        CORE_TEST(a_late_append_does_not_shorten_the_log),
        CORE_TEST(a_repeated_append_appends_once),
        CORE_TEST(only_new_entries_are_appended),
        CORE_TEST(entries_that_were_compacted_are_skipped),
        CORE_TEST(a_follower_commits_what_its_leader_has_committed),
        CORE_TEST(a_follower_commits_no_more_than_the_message_covers),
        CORE_TEST(what_was_verified_is_forgotten_with_the_term),
        CORE_TEST(a_commit_index_never_goes_back),
        CORE_TEST(a_heartbeat_commits_what_it_names),
        CORE_TEST(a_late_heartbeat_takes_nothing_back),
        CORE_TEST(a_heartbeat_about_an_entry_that_is_not_here_commits_nothing),
        CORE_TEST(an_append_is_answered_when_it_is_durable),
        CORE_TEST(an_answer_covers_no_more_than_the_message),
        CORE_TEST(nothing_is_answered_that_was_not_asked),
        CORE_TEST(what_is_stored_for_an_old_leader_is_not_answered_to_a_new_one),
        CORE_TEST(an_append_of_a_later_term_stores_the_term_first),
        CORE_TEST(every_log_of_figure_7_becomes_the_leaders),
        CORE_TEST(a_leader_that_would_replace_a_committed_entry_halts_us),
        CORE_TEST(a_leader_whose_log_differs_before_the_commit_index_halts_us),
        CORE_TEST(two_leaders_in_one_term_halt_us),
        CORE_TEST(another_leader_of_our_own_term_halts_us),
    };
    return cmocka_run_group_tests_name("raft_paper_append", tests, NULL, NULL);
}
