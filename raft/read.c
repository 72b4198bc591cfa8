/*
 * Reads: rounds of confirmation (dissertation 6.4), and leases (6.4.1).
 *
 * Happy path: a read notes the commit index and waits for a round that begins after it came; a
 * round begins with a heartbeat to everybody, and is confirmed when a quorum has answered a
 * message that was put out after it began.  Then nobody else led when it began, so the noted index
 * is as late as any acknowledged write.  One round is under way at a time: all reads that come
 * meanwhile share the next.
 *
 * Failure modes: role or term changes: whatever waits has failed (the caller's duty).  The
 * leader has not committed an entry of its own term yet: its commit index may be behind what is
 * acknowledged; the read's place is then the term's first entry (3.6.2).
 *
 * Leases.  Where the configuration in force says so, a voter grants no vote for the time P that it
 * names (200 ms, where it names none) after its last answer to a leader.  So a quorum's answers
 * to a round make the leader sure of P from the round's beginning, less what two clocks may differ
 * in rate.  Only answers of voters count that are known to have that configuration, and so that
 * P: with another P in force a lease is void, since who has heard of a shorter one keeps no longer
 * one.  P is in the log, and not a node's own, for a voter that is started again with a shorter T
 * has still promised the longer one to whom it has forgotten.  A leader that has told another to
 * campaign can be sure of nothing in this term any more.
 */

#include "raft/raft_internal.h"

void raft_rounds_reset(struct raft *raft) {
    raft->round = 0;
    raft->round_confirmed = 0;
    raft->round_wanted = false;
    raft->lease_round = 0;
    raft->lease_until_ns = 0;
    raft->lease_promise_ns = 0;
}

void raft_round_begin(struct raft *raft) {
    if (raft->round_confirmed < raft->round) {
        return;
    }
    raft->round++;
    raft->round_began_ns[raft->round % RAFT_ROUNDS_KEPT] = raft->now_ns;
}

/* The latest round that a quorum confirmed; of those only who have the log up to `index`. */
static uint64_t round_of_quorum(const struct raft *raft, uint64_t index) {
    const struct configuration *configuration = raft_members(raft);
    uint64_t values[CONFIGURATION_MEMBERS_MAX];
    for (uint32_t i = 0; i < configuration->member_count; i++) {
        if (i == raft->self) {
            values[i] = raft->round;
        } else {
            values[i] = raft->peers[i].match >= index ? raft->peers[i].round : 0;
        }
    }
    return quorum_value(configuration, values);
}

/* What a promise is worth to the leader; exact, as a promise is of whole milliseconds. */
static uint64_t lease_ns(const struct raft *raft) {
    uint64_t promise_ns = raft_promise_ns(raft);
    return promise_ns - promise_ns / 1000 * raft->clock_drift_per_mille;
}

static void lease_advance(struct raft *raft) {
    if (raft->lease_promise_ns != raft_promise_ns(raft)) {
        /* Nobody is bound by what it promised under another configuration. */
        raft->lease_until_ns = MUTANT(LEASE_OF_EARLIER, raft->lease_until_ns, 0);
        raft->lease_promise_ns = raft_promise_ns(raft);
    }
    if (!raft_leases(raft)) {
        return;
    }
    /* Only with an entry of this term is nothing of another leader's left in its log: not another
     * configuration, either, that would bind it to nothing. */
    uint64_t index = membership_index(&raft->membership);
    if (MUTANT(LEASE_OF_BEHIND, false, index < raft->term_first_index)) {
        index = raft->term_first_index;
    }
    uint64_t round = round_of_quorum(raft, index);
    if (round > raft->lease_round && round + RAFT_ROUNDS_KEPT > raft->round) {
        raft->lease_round = round;
        raft->lease_until_ns = raft->round_began_ns[round % RAFT_ROUNDS_KEPT] + lease_ns(raft);
    }
}

void raft_rounds_advance(struct raft *raft, struct raft_actions *actions) {
    ASSERT(raft->role == RAFT_LEADER);
    lease_advance(raft);
    uint64_t confirmed = round_of_quorum(raft, 0);
    if (confirmed <= raft->round_confirmed) {
        return;
    }
    raft->round_confirmed = confirmed;
    raft_action_add(actions, RAFT_ACTION_READ_CONFIRMED)->round = confirmed;
    ASSERT(confirmed == raft->round); /* one is under way at a time */
    if (raft->round_wanted) {
        raft->round_wanted = false;
        raft_round_begin(raft);
        raft_heartbeat(raft, actions);
        raft_rounds_advance(raft, actions); /* in case that we alone are the quorum by now */
    }
}

static bool lease_valid(const struct raft *raft) {
    return raft_leases(raft) &&
           MUTANT(LEASE_OF_EARLIER, true, raft->lease_promise_ns == raft_promise_ns(raft)) &&
           !MUTANT(LEASE_OVER_TRANSFER, false, raft->lease_dropped) &&
           MUTANT(LEASE_OUTLIVES, raft->lease_until_ns != 0, raft->now_ns < raft->lease_until_ns);
}

void raft_on_read(struct raft *raft, const struct raft_event *event, struct raft_actions *actions) {
    if (raft->role != RAFT_LEADER) {
        raft_action_add(actions, RAFT_ACTION_READ_FAILED);
        return;
    }
    uint64_t index = raft->commit_index;
    if (MUTANT(READS_BEFORE_TERM, false, index < raft->term_first_index)) {
        index = raft->term_first_index;
    }
    bool leased = event->lease && raft_serving(raft) && lease_valid(raft);
    if (leased || raft->only_voter || MUTANT(READS_UNCONFIRMED, true, false)) {
        raft_action_add(actions, RAFT_ACTION_READ_READY)->index = index;
        return;
    }
    struct raft_action *action = raft_action_add(actions, RAFT_ACTION_READ_WAIT);
    action->index = index;
    if (raft->round_confirmed == raft->round) {
        raft_round_begin(raft);
        action->round = raft->round;
        raft_heartbeat(raft, actions);
    } else {
        action->round = raft->round + 1;
        raft->round_wanted = true;
    }
}
