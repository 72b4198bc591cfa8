/*
 * A follower takes entries (dissertation 3.5, figure 3.1, AppendEntries, receiver).
 *
 * Happy path: the log has the entry before the message's; the entries behind it are new and go
 * to the log; when they are durable, the leader is told so.
 *
 * Failure modes: the entry before is missing or of another term: refused, with the last place
 * where the logs may agree.  Entries that are there already are skipped, however late the message
 * (an old one must not shorten the log).  An entry that is there with another term is removed with
 * all behind it: it was never committed; if it was, two histories are committed, and the node
 * halts.
 *
 * What is told to the leader covers what is durable here *and* was verified by a message of its
 * own term; a longer log of ours says nothing to it.
 */

#include "raft/raft_internal.h"

bool raft_follow(struct raft *raft, const struct raft_message *message,
                 struct raft_actions *actions) {
    ASSERT(message->term == raft->term);
    if (raft->role == RAFT_LEADER || (raft->leader != 0 && raft->leader != message->from)) {
        raft_halt(actions, "two leaders in one term: a member has lost its vote, or two nodes run "
                           "under one id");
        return false;
    }
    if (raft->role != RAFT_FOLLOWER || raft->leader == 0) {
        raft_become_follower(raft, raft->term, message->from, actions);
    }
    raft->heard_ns = raft->now_ns;
    raft_election_rearm(raft);
    return true;
}

bool raft_log_has(const struct raft *raft, uint64_t index, uint64_t term) {
    uint64_t ours;
    if (index > raft->last_index) {
        return false;
    }
    if (!terms_at(&raft->terms, index, &ours)) {
        return index <= raft->commit_index; /* every leader has what is committed (3.6.3) */
    }
    return ours == term;
}

void raft_follower_commit(struct raft *raft, uint64_t commit, struct raft_actions *actions) {
    if (MUTANT(COMMITS_UNVERIFIED, false, commit > raft->verified_index)) {
        commit = raft->verified_index;
    }
    if (MUTANT(COMMITS_UNVERIFIED, commit > raft->last_index, false)) {
        commit = raft->last_index;
    }
    if (commit <= raft->commit_index) {
        return;
    }
    raft->commit_index = commit;
    membership_commit(&raft->membership, commit);
    raft_action_add(actions, RAFT_ACTION_COMMIT)->index = commit;
}

static uint64_t smaller(uint64_t a, uint64_t b) {
    return a < b ? a : b;
}

static void answer_send(struct raft *raft, uint64_t match_index, struct raft_actions *actions) {
    struct raft_message *answer =
        raft_send(raft, actions, RAFT_MESSAGE_APPEND_ANSWER, raft->leader);
    answer->session = raft->answer_session;
    answer->round = raft->answer_round;
    answer->granted = true;
    answer->match_index = match_index;
    raft->promised_ns = raft->now_ns;
}

void raft_append_answer(struct raft *raft, struct raft_actions *actions) {
    ASSERT(raft->role == RAFT_FOLLOWER && raft->leader != 0);
    uint64_t match_index = MUTANT(ACKNOWLEDGES_BEYOND, raft->stored_index,
                                  smaller(raft->stored_index, raft->verified_index));
    match_index = MUTANT(ACKNOWLEDGES_CUT_SHORT, raft->full ? raft->verified_index : match_index,
                         match_index);
    raft->answer_owed = match_index < raft->verified_index;
    answer_send(raft, match_index, actions);
}

static void refuse(struct raft *raft, const struct raft_message *message,
                   struct raft_actions *actions) {
    /* Where they agree, no term is above that of the leader's entry. */
    uint64_t index =
        terms_last_not_above(&raft->terms, message->previous_index - 1, message->previous_term);
    if (index < raft->commit_index || index >= message->previous_index) {
        index = raft->commit_index; /* up to here the logs do agree; of what is behind it nothing
                                       is known (its terms were forgotten) */
    }
    uint64_t term = 0;
    if (!terms_at(&raft->terms, index, &term)) {
        term = 0;
    }
    struct raft_message *answer =
        raft_send(raft, actions, RAFT_MESSAGE_APPEND_ANSWER, message->from);
    answer->session = message->session;
    answer->round = message->round;
    answer->previous_index = message->previous_index;
    answer->hint_index = index;
    answer->hint_term = term;
    raft->promised_ns = raft->now_ns;
}

void raft_log_cut(struct raft *raft, uint64_t index, uint64_t term) {
    ASSERT(index >= raft->commit_index);
    ASSERT(index < raft->last_index);
    raft->last_index = index;
    raft->stored_index = smaller(raft->stored_index, index);
    raft->verified_index = smaller(raft->verified_index, index);
    uint64_t ours;
    if (terms_at(&raft->terms, index, &ours)) {
        terms_truncate(&raft->terms, index);
    } else {
        terms_reset(&raft->terms, index, term); /* forgotten, and told again */
    }
    window_truncate(&raft->window, index);
    if (MUTANT(KEEPS_CONFIGURATION, false, membership_truncate(&raft->membership, index))) {
        raft_members_changed(raft);
    }
}

/* Removes what is after index, an entry of this term.  It was not committed. */
static void truncate(struct raft *raft, uint64_t index, uint64_t term,
                     struct raft_actions *actions) {
    raft->epoch++;
    raft_log_cut(raft, index, term);
    struct raft_action *action = raft_action_add(actions, RAFT_ACTION_TRUNCATE);
    action->index = index;
    action->epoch = raft->epoch;
}

/* How many of the entries are in the log already; false if a committed one differs. */
static bool count_known(const struct raft *raft, uint64_t first_index,
                        const struct raft_entry *entries, uint32_t count, uint32_t *known) {
    uint32_t i = 0;
    while (i < count && raft_log_has(raft, first_index + i, entries[i].term)) {
        i++;
    }
    *known = i;
    return i == count || first_index + i > raft->commit_index;
}

void raft_on_append(struct raft *raft, const struct raft_message *message,
                    const struct raft_entry *entries, struct raft_actions *actions) {
    if (!raft_follow(raft, message, actions) || raft->installing) {
        return;
    }
    uint64_t previous = message->previous_index;
    uint64_t term;
    if (!raft_log_has(raft, previous, message->previous_term)) {
        if (previous <= raft->commit_index) {
            raft_halt(actions, "the leader's log differs before the commit index: data was lost "
                               "or changed on a quorum");
            return;
        }
        refuse(raft, message, actions);
        return;
    }
    uint32_t known;
    if (!count_known(raft, previous + 1, entries, message->entry_count, &known)) {
        raft_halt(actions, "the leader would replace a committed entry: data was lost or changed "
                           "on a quorum");
        return;
    }
    uint64_t kept = previous + known;
    bool conflict = known < message->entry_count && kept < raft->last_index;
    if (conflict && !terms_at(&raft->terms, kept + 1, &term)) {
        return; /* forgotten: it may be the same entry, and counted on.  A snapshot will come. */
    }
    if (conflict && kept < raft->membership.stack[0].index) {
        raft_halt(actions, "the leader would remove a configuration with a later one behind it: "
                           "the first was committed");
        return;
    }
    if (MUTANT(TRUNCATES_ALWAYS, kept < raft->last_index && kept >= raft->commit_index,
               MUTANT(KEEPS_CONFLICT, false, conflict))) {
        truncate(raft, kept, known > 0 ? entries[known - 1].term : message->previous_term, actions);
    }
    if (MUTANT(KEEPS_CONFLICT, conflict, false)) {
        known = message->entry_count;
    }
    uint32_t count = message->entry_count - known;
    if (count > 0) {
        struct raft_action *action = raft_action_add(actions, RAFT_ACTION_APPEND);
        action->first = known;
        action->count = count;
        raft_log_extend(raft, entries + known, count);
    }
    uint64_t verified = previous + known + count;
    if (verified > raft->verified_index) {
        raft->verified_index = verified;
    }
    raft->answer_session = message->session;
    raft->answer_round = message->round;
    raft->answer_owed = true;
    raft_follower_commit(raft, message->commit, actions);
    if (raft->stored_index >= raft->verified_index) {
        raft_append_answer(raft, actions);
    }
}
