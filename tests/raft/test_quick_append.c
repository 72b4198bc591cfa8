/*
 * What a follower's log is after an APPEND, against the paper's words on plain arrays (figure 3.1,
 * AppendEntries, receiver).
 *
 *   single   every pair of small logs, every piece of the leader's as a message
 *   walks    leaders of many terms, each with a log of its own, send pieces of it in any order and
 *            several times
 *
 * Logs have the one property that a leader's own appending gives: an entry of the same index and
 * term has the same entries before it (log matching, figure 3.2).  What elections would give they
 * need not have; so in some walks a leader contradicts what is committed: then, and only then, the
 * node halts.
 */

#include "base/bytes.h"
#include "tests/raft/configurations.h"
#include "tests/raft/quick_core.h"

enum {
    US = 1,
    LENGTH_MAX = 4,
    TERM_MAX = 3,
    WALK_LENGTH_MAX = 12,
    WALKS = 30000,
    STEPS = 25,
};

static struct raft_actions actions;

/* ---- the twin -------------------------------------------------------------------------------- */

struct twin {
    struct plain_log log;
    uint64_t term;
    uint64_t commit;
    uint64_t verified; /* the most that a message of this term was found to match */
};

enum outcome { OUTCOME_STALE, OUTCOME_REFUSED, OUTCOME_GRANTED, OUTCOME_HALT };

static enum outcome twin_append(struct twin *twin, const struct raft_message *message,
                                const struct raft_entry *entries) {
    struct plain_log *log = &twin->log;
    if (message->term < twin->term) {
        return OUTCOME_STALE; /* 1 */
    }
    if (message->term > twin->term) {
        twin->term = message->term;
        twin->verified = 0;
    }
    uint64_t previous = message->previous_index;
    if (previous > log->last || log->term[previous] != message->previous_term) {
        return previous <= twin->commit ? OUTCOME_HALT : OUTCOME_REFUSED; /* 2 */
    }
    for (uint64_t i = 0; i < message->entry_count; i++) {
        uint64_t index = previous + 1 + i;
        if (index <= log->last && log->term[index] != entries[i].term) {
            if (index <= twin->commit) {
                return OUTCOME_HALT;
            }
            log->last = index - 1; /* 3 */
        }
        if (index > log->last) {
            log->term[index] = entries[i].term; /* 4 */
            log->last = index;
        }
    }
    uint64_t last_new = previous + message->entry_count;
    twin->verified = last_new > twin->verified ? last_new : twin->verified;
    return OUTCOME_GRANTED;
}

/* ---- the core's caller: a log that does what the actions say --------------------------------- */

static void log_carry_out(struct plain_log *log, const struct raft_entry *entries) {
    for (uint32_t i = 0; i < actions.count; i++) {
        const struct raft_action *action = &actions.action[i];
        if (action->kind == RAFT_ACTION_TRUNCATE) {
            assert_true(action->index < log->last);
            log->last = action->index;
        } else if (action->kind == RAFT_ACTION_APPEND) {
            for (uint32_t k = action->first; k < action->first + action->count; k++) {
                log->term[++log->last] = entries[k].term;
            }
        }
    }
}

static void expect_log(const struct plain_log *log, const struct plain_log *expected) {
    assert_int_equal(log->last, expected->last);
    assert_memory_equal(log->term, expected->term, (log->last + 1) * sizeof(log->term[0]));
}

static const struct raft_message *answer_of(enum raft_message_kind kind) {
    const struct raft_action *action = quick_action(&actions, RAFT_ACTION_SEND);
    if (action == NULL || action->message.kind != kind) {
        return NULL;
    }
    assert_null(quick_action(&actions, RAFT_ACTION_HALT));
    return &action->message;
}

/* Everything is durable now. */
static void store(struct raft *raft) {
    struct raft_event event = {.kind = RAFT_EVENT_STORED,
                               .now_ns = 1,
                               .index = raft_last_index(raft),
                               .epoch = raft_log_epoch(raft)};
    raft_step(raft, &event, &actions);
    raft_check(raft);
}

/*
 * The commit index: at least what figure 3.1 says (5: min(leaderCommit, index of last new entry)),
 * at most what the leader has committed and the logs have in common.
 */
static void check_commit(const struct raft *raft, struct twin *twin,
                         const struct raft_message *message, const struct plain_log *leader) {
    uint64_t last_new = message->previous_index + message->entry_count;
    uint64_t least = message->commit < last_new ? message->commit : last_new;
    least = least > twin->commit ? least : twin->commit;
    uint64_t most = twin->commit;
    uint64_t common = 0;
    while (common < leader->last && common < twin->log.last &&
           leader->term[common + 1] == twin->log.term[common + 1]) {
        common++;
    }
    uint64_t bound = message->commit < common ? message->commit : common;
    most = bound > most ? bound : most;
    uint64_t commit = raft_commit_index(raft);
    assert_true(commit >= least && commit <= most);
    const struct raft_action *action = quick_action(&actions, RAFT_ACTION_COMMIT);
    assert_int_equal(action != NULL, commit > twin->commit);
    assert_true(action == NULL || action->index == commit);
    twin->commit = commit;
}

/* One message; false if the node has halted. */
static bool check_append(struct raft *raft, struct twin *twin, struct plain_log *log,
                         const struct raft_message *message, const struct raft_entry *entries,
                         const struct plain_log *leader) {
    enum outcome outcome = twin_append(twin, message, entries);
    quick_message(raft, message, entries, &actions);
    assert_int_equal(raft_term(raft), twin->term);
    assert_int_equal(quick_action(&actions, RAFT_ACTION_HALT) != NULL, outcome == OUTCOME_HALT);
    if (outcome == OUTCOME_HALT) {
        return false;
    }
    log_carry_out(log, entries);
    expect_log(log, &twin->log);
    assert_int_equal(raft_last_index(raft), twin->log.last);
    if (outcome == OUTCOME_STALE) {
        assert_null(answer_of(RAFT_MESSAGE_APPEND_ANSWER));
        return true;
    }
    const struct raft_message *answer = answer_of(RAFT_MESSAGE_APPEND_ANSWER);
    if (outcome == OUTCOME_REFUSED) {
        assert_non_null(answer);
        assert_false(answer->granted);
        assert_int_equal(answer->previous_index, message->previous_index);
        assert_true(answer->hint_index < message->previous_index);
        assert_int_equal(answer->hint_term, twin->log.term[answer->hint_index]);
        return true;
    }
    check_commit(raft, twin, message, leader);
    if (answer == NULL) { /* it waits for the disk */
        store(raft);
        answer = answer_of(RAFT_MESSAGE_APPEND_ANSWER);
        assert_non_null(answer);
    }
    assert_true(answer->granted);
    assert_int_equal(answer->match_index, twin->verified);
    return true;
}

/* A piece of a leader's log. */
static struct raft_message piece(const struct plain_log *leader, uint64_t term, uint64_t previous,
                                 uint32_t count, uint64_t commit, struct raft_entry *entries) {
    for (uint32_t i = 0; i < count; i++) {
        entries[i] =
            (struct raft_entry){.term = leader->term[previous + 1 + i], .length_bytes = 100};
    }
    return (struct raft_message){.kind = RAFT_MESSAGE_APPEND,
                                 .from = 2 + term % 2, /* one leader a term */
                                 .to = US,
                                 .term = term,
                                 .session = 5,
                                 .round = 1,
                                 .previous_index = previous,
                                 .previous_term = leader->term[previous],
                                 .entry_count = count,
                                 .commit = commit};
}

/* ---- single messages ------------------------------------------------------------------------- */

/* The number-th way to write LENGTH_MAX terms; false if they go back.  The first entry is of term 1
 * in every log: it is made together with the node. */
static bool log_number(uint32_t number, uint64_t length, struct plain_log *log) {
    *log = (struct plain_log){.last = length};
    bool possible = true;
    for (uint64_t i = 1; i <= length; i++) {
        log->term[i] = 1 + number % TERM_MAX;
        number /= TERM_MAX;
        possible = possible && log->term[i] >= log->term[i - 1];
    }
    return possible && number == 0 && (length == 0 || log->term[1] == 1);
}

/* As log matching has it: where the two agree, they agree on everything before. */
static bool logs_match(const struct plain_log *a, const struct plain_log *b) {
    bool differ = false;
    for (uint64_t i = 1; i <= a->last && i <= b->last; i++) {
        if (differ && a->term[i] == b->term[i]) {
            return false;
        }
        differ = differ || a->term[i] != b->term[i];
    }
    return true;
}

static void check_piece(const struct plain_log *ours, const struct plain_log *theirs,
                        uint64_t previous, uint64_t end, uint64_t commit) {
    struct configuration configuration = configuration_of("1v 2v 3v");
    struct raft_entry entries[LENGTH_MAX];
    struct raft_message message =
        piece(theirs, TERM_MAX + 1, previous, (uint32_t)(end - previous), commit, entries);
    struct raft *raft = quick_core(&configuration, US, ours, TERM_MAX, 0);
    struct plain_log log = *ours;
    struct twin twin = {.log = *ours, .term = TERM_MAX};
    check_append(raft, &twin, &log, &message, entries, theirs);
    raft_destroy(raft);
}

static void check_pieces(struct quick *quick, const struct plain_log *ours,
                         const struct plain_log *theirs) {
    for (uint64_t previous = 0; previous <= theirs->last; previous++) {
        for (uint64_t end = previous; end <= theirs->last; end++) {
            for (uint64_t commit = 0; commit <= theirs->last; commit++) {
                check_piece(ours, theirs, previous, end, commit);
                quick->cases++;
            }
        }
    }
}

static void every_small_message_does_what_the_paper_says(void **state) {
    (void)state;
    struct quick quick = quick_begin("APPEND, every pair of small logs");
    for (uint32_t pair = 0; pair < 25 * 81 * 81; pair++) {
        struct plain_log ours;
        struct plain_log theirs;
        uint32_t lengths = pair / (81 * 81);
        if (log_number(pair % 81, lengths % 5, &ours) &&
            log_number(pair / 81 % 81, lengths / 5, &theirs) && logs_match(&ours, &theirs)) {
            check_pieces(&quick, &ours, &theirs);
        }
    }
    quick_end(&quick, 17000);
}

/* ---- walks ----------------------------------------------------------------------------------- */

/* The logs of all leaders of a walk, by term.  Term 1's is empty. */
static struct plain_log leaders[STEPS + 2];

/* The leader of a term has some earlier leader's log up to some place, and appends its own. */
static void leader_begin(struct quick *quick, uint64_t term, uint64_t keep_least) {
    const struct plain_log *earlier = &leaders[quick_between(quick, 1, term - 1)];
    struct plain_log *log = &leaders[term];
    *log = *earlier;
    uint64_t least = keep_least < earlier->last ? keep_least : earlier->last;
    log->last = quick_between(quick, least, earlier->last);
}

static void leader_extend(struct quick *quick, uint64_t term) {
    struct plain_log *log = &leaders[term];
    uint64_t end = quick_between(quick, log->last, WALK_LENGTH_MAX);
    while (log->last < end) {
        log->term[++log->last] = term;
    }
}

/* Does the leader's log have all that is committed? */
static bool has_committed(const struct plain_log *leader, const struct twin *twin) {
    return leader->last >= twin->commit &&
           memcmp(leader->term, twin->log.term, (twin->commit + 1) * sizeof(leader->term[0])) == 0;
}

static bool walk(struct quick *quick, uint64_t *granted) {
    struct configuration configuration = configuration_of("1v 2v 3v");
    struct plain_log log = {.last = 0};
    struct twin twin = {.term = 1};
    struct raft *raft = quick_core(&configuration, US, &log, 1, 0);
    struct raft_entry entries[WALK_LENGTH_MAX];
    bool careful = random_chance(&quick->random, 2, 3); /* leaders are electable */
    bool running = true;
    uint64_t term = 1;
    leaders[1] = (struct plain_log){.last = 0};
    for (uint32_t step = 0; step < STEPS && running; step++) {
        if (term == 1 || random_chance(&quick->random, 1, 5)) {
            term++;
            do {
                leader_begin(quick, term, twin.commit);
            } while (careful && !has_committed(&leaders[term], &twin));
        }
        leader_extend(quick, term);
        /* Sometimes a late message of an earlier leader: nothing in it counts. */
        uint64_t of = random_chance(&quick->random, 1, 20) ? quick_between(quick, 1, term) : term;
        const struct plain_log *leader = &leaders[of];
        uint64_t previous = quick_between(quick, 0, leader->last);
        uint32_t count = (uint32_t)quick_between(quick, 0, leader->last - previous);
        uint64_t commit = quick_between(quick, 0, leader->last);
        struct raft_message message = piece(leader, of, previous, count, commit, entries);
        uint64_t verified = twin.verified;
        running = check_append(raft, &twin, &log, &message, entries, leader);
        *granted += twin.verified > verified ? 1 : 0;
        quick->cases++;
    }
    raft_destroy(raft);
    return running;
}

static void leaders_of_many_terms_do_what_the_paper_says(void **state) {
    (void)state;
    struct quick quick = quick_begin("APPEND, walks over many terms");
    uint64_t granted = 0;
    uint64_t halted = 0;
    for (uint32_t i = 0; i < WALKS; i++) {
        halted += walk(&quick, &granted) ? 0 : 1;
    }
    assert_true(granted > 2 * WALKS);
    assert_true(halted > WALKS / 10 && halted < WALKS / 2);
    quick_end(&quick, (uint64_t)WALKS * STEPS * 8 / 10);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_small_message_does_what_the_paper_says),
        cmocka_unit_test(leaders_of_many_terms_do_what_the_paper_says),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
