/*
 * Who gets a vote: every pair of small logs, whatever the voter's term and earlier vote, against
 * the paper's words (figure 3.1, RequestVote, receiver; 9.6 for pre-votes).
 */

#include "base/bytes.h"
#include "tests/raft/configurations.h"
#include "tests/raft/quick_core.h"

enum {
    LENGTH_MAX = 4,
    TERM_MAX = 3,
    LOGS_MAX = 64, /* 1 + 3 + 6 + 10 + 15 are used */
    VOTER = 1,
    CANDIDATE = 2,
    OTHER = 3,
};

static struct plain_log logs[LOGS_MAX];
static uint32_t log_count;

/* Every log that begins like this one. */
static void logs_from(struct plain_log log) {
    assert_true(log_count < LOGS_MAX);
    logs[log_count++] = log;
    if (log.last == LENGTH_MAX) {
        return;
    }
    uint64_t least = log.term[log.last] > 0 ? log.term[log.last] : 1;
    log.last++;
    for (uint64_t term = least; term <= TERM_MAX; term++) {
        log.term[log.last] = term;
        logs_from(log);
    }
}

/* What the voter had, what it is asked, and what the paper says. */
struct ballot {
    const struct plain_log *voter;
    const struct plain_log *candidate;
    uint64_t voter_term;
    uint64_t voted_for;
    uint64_t term; /* of the message */
};

/* "If the logs have last entries with different terms, then the log with the later term is more
 * up-to-date.  If the logs end with the same term, then whichever log is longer" (3.6.1). */
static bool twin_up_to_date(const struct plain_log *candidate, const struct plain_log *voter) {
    uint64_t theirs = candidate->term[candidate->last];
    uint64_t ours = voter->term[voter->last];
    return theirs > ours || (theirs == ours && candidate->last >= voter->last);
}

static bool twin_vote(const struct ballot *ballot, uint64_t *term) {
    *term = ballot->voter_term;
    uint64_t voted_for = ballot->voted_for;
    if (ballot->term < *term) {
        return false;
    }
    if (ballot->term > *term) {
        *term = ballot->term;
        voted_for = 0;
    }
    return (voted_for == 0 || voted_for == CANDIDATE) &&
           twin_up_to_date(ballot->candidate, ballot->voter);
}

/* The answer; *stored_before says whether it follows a STORE_VOTE for the candidate. */
static const struct raft_message *answer_of(const struct raft_actions *actions,
                                            enum raft_message_kind kind, bool *stored_before) {
    *stored_before = false;
    for (uint32_t i = 0; i < actions->count; i++) {
        const struct raft_action *action = &actions->action[i];
        if (action->kind == RAFT_ACTION_STORE_VOTE && action->node_id == CANDIDATE) {
            *stored_before = true;
        }
        if (action->kind == RAFT_ACTION_SEND && action->message.kind == kind) {
            assert_int_equal(action->message.to, CANDIDATE);
            return &action->message;
        }
    }
    return NULL;
}

static struct raft_message request(const struct ballot *ballot, enum raft_message_kind kind) {
    return (struct raft_message){
        .kind = kind,
        .from = CANDIDATE,
        .to = VOTER,
        .term = ballot->term,
        .round = 7,
        .last_index = ballot->candidate->last,
        .last_term = ballot->candidate->term[ballot->candidate->last],
    };
}

static void check_vote(const struct ballot *ballot) {
    static struct raft_actions actions;
    struct configuration configuration = configuration_of("1v 2v 3v");
    struct raft *raft =
        quick_core(&configuration, VOTER, ballot->voter, ballot->voter_term, ballot->voted_for);
    struct raft_message message = request(ballot, RAFT_MESSAGE_VOTE);
    quick_message(raft, &message, NULL, &actions);

    uint64_t term;
    bool granted = twin_vote(ballot, &term);
    bool stored;
    const struct raft_message *answer = answer_of(&actions, RAFT_MESSAGE_VOTE_ANSWER, &stored);
    assert_non_null(answer);
    assert_int_equal(answer->granted, granted);
    assert_int_equal(answer->term, term);
    assert_int_equal(answer->round, 7);
    assert_int_equal(raft_term(raft), term);
    /* A vote that was not on disk already goes there first. */
    bool known = ballot->voted_for == CANDIDATE && ballot->voter_term == term;
    assert_int_equal(stored, granted && !known);
    raft_destroy(raft);
}

static void check_pre_vote(const struct ballot *ballot) {
    static struct raft_actions actions;
    struct configuration configuration = configuration_of("1v 2v 3v");
    struct raft *raft =
        quick_core(&configuration, VOTER, ballot->voter, ballot->voter_term, ballot->voted_for);
    struct raft_message message = request(ballot, RAFT_MESSAGE_PRE_VOTE);
    quick_message(raft, &message, NULL, &actions);

    bool granted =
        ballot->term > ballot->voter_term && twin_up_to_date(ballot->candidate, ballot->voter);
    bool stored;
    const struct raft_message *answer = answer_of(&actions, RAFT_MESSAGE_PRE_VOTE_ANSWER, &stored);
    assert_non_null(answer);
    assert_int_equal(answer->granted, granted);
    assert_int_equal(answer->term, granted ? ballot->term : ballot->voter_term);
    assert_null(quick_action(&actions, RAFT_ACTION_STORE_VOTE));
    assert_int_equal(raft_term(raft), ballot->voter_term); /* it changes nothing */
    raft_destroy(raft);
}

static void every_small_ballot(struct quick *quick, void (*check)(const struct ballot *ballot)) {
    static const uint64_t earlier_votes[] = {0, CANDIDATE, OTHER};
    log_count = 0;
    logs_from((struct plain_log){.last = 0});
    for (uint32_t voter = 0; voter < log_count; voter++) {
        for (uint32_t candidate = 0; candidate < log_count; candidate++) {
            for (uint64_t own = TERM_MAX; own <= TERM_MAX + 1; own++) {
                for (uint64_t term = own - 1; term <= own + 2; term++) {
                    const struct plain_log *log = &logs[candidate];
                    if (log->term[log->last] > term) {
                        continue; /* nobody has entries of a term to come */
                    }
                    for (uint32_t vote = 0; vote < ARRAY_COUNT(earlier_votes); vote++) {
                        check(&(struct ballot){.voter = &logs[voter],
                                               .candidate = log,
                                               .voter_term = own,
                                               .voted_for = earlier_votes[vote],
                                               .term = term});
                        quick->cases++;
                    }
                }
            }
        }
    }
}

static void votes_follow_figure_3_1(void **state) {
    (void)state;
    struct quick quick = quick_begin("votes, every pair of small logs");
    every_small_ballot(&quick, check_vote);
    quick_end(&quick, 27000);
}

static void pre_votes_follow_section_9_6(void **state) {
    (void)state;
    struct quick quick = quick_begin("pre-votes, every pair of small logs");
    every_small_ballot(&quick, check_pre_vote);
    quick_end(&quick, 27000);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(votes_follow_figure_3_1),
        cmocka_unit_test(pre_votes_follow_section_9_6),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
