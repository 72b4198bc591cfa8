/*
 * Term, vote and role.
 *
 * Happy path: a follower's time-out makes it a pre-candidate, the voters' consent a candidate of
 * the next term, their votes its leader.
 *
 * Failure modes: a message of a later term makes anybody its follower; a message of this term's
 * leader makes a candidate its follower; a leader that lost its quorum, or was removed, becomes a
 * follower of the same term, and then keeps its vote: it was given, and another one in the same
 * term would elect two leaders.
 */

#include "raft/raft_internal.h"

/*
 * Roles (dissertation, figure 3.3; 9.6 for the pre-candidate).
 *
 *                 time-out                  consent of a majority        votes of a majority
 *   FOLLOWER ───────────────► PRE_CANDIDATE ─────────────► CANDIDATE ──────────────► LEADER
 *     │  ▲ ▲                       │    ▲                    │ │  ▲                     │
 *     │  │ └── leader, or later ───┘    └───── time-out ─────┘ │  │                     │
 *     │  │     term, seen; gives way                           │  │                     │
 *     │  ├─────────────────────────────────────────────────────┘  │                     │
 *     │  └── later term seen; quorum lost; removed ───────────────┼─────────────────────┘
 *     └────── the leader's word (transfer), or the only voter ────┘
 */
static const bool role_moves[4][4] = {
    [RAFT_FOLLOWER][RAFT_PRE_CANDIDATE] = true, [RAFT_FOLLOWER][RAFT_CANDIDATE] = true,
    [RAFT_PRE_CANDIDATE][RAFT_FOLLOWER] = true, [RAFT_PRE_CANDIDATE][RAFT_CANDIDATE] = true,
    [RAFT_CANDIDATE][RAFT_FOLLOWER] = true,     [RAFT_CANDIDATE][RAFT_PRE_CANDIDATE] = true,
    [RAFT_CANDIDATE][RAFT_LEADER] = true,       [RAFT_LEADER][RAFT_FOLLOWER] = true,
};

static void role_set(struct raft *raft, enum raft_role role) {
    ASSERT(raft->role == role || role_moves[raft->role][role]);
    raft->role = role;
}

static void role_tell(const struct raft *raft, struct raft_actions *actions) {
    struct raft_action *action = raft_action_add(actions, RAFT_ACTION_ROLE);
    action->role = raft->role;
    action->term = raft->term;
    action->node_id = raft->leader;
}

/* A later term: nobody has our vote in it yet. */
static void term_raise(struct raft *raft, uint64_t term) {
    ASSERT(term > raft->term);
    ASSERT(term <= RAFT_TERM_MAX);
    raft->term = term;
    raft->voted_for = 0;
    raft->leader = 0;
    raft->verified_index = 0;
    raft->answer_owed = false;
    if (MUTANT(WAITS_FOR_OLD_SNAPSHOT, false, !raft->installing)) {
        raft->receiving.index = 0; /* another leader's snapshot may be an older one */
    }
    raft->vote_dirty = true;
}

void raft_become_follower(struct raft *raft, uint64_t term, uint64_t leader,
                          struct raft_actions *actions) {
    ASSERT(term >= raft->term);
    ASSERT(raft->role != RAFT_FOLLOWER || term != raft->term || raft->leader != leader);
    bool led = raft->role == RAFT_LEADER;
    role_set(raft, RAFT_FOLLOWER);
    if (term > raft->term) {
        term_raise(raft, term);
    } else if (MUTANT(FORGETS_VOTE_IN_TERM, led, false)) {
        raft->voted_for = 0;
    }
    raft->leader = leader;
    if (led) {
        raft->verified_index = 0; /* of another leader nothing is verified */
        raft->change_pending = false;
        raft->transfer_target = 0;
        raft->lease_until_ns = 0;
        raft_election_rearm(raft);
    }
    role_tell(raft, actions);
}

void raft_become_pre_candidate(struct raft *raft, struct raft_actions *actions) {
    ASSERT(raft_may_campaign(raft));
    bool changed = raft->role != RAFT_PRE_CANDIDATE; /* or else one more attempt */
    role_set(raft, RAFT_PRE_CANDIDATE);
    raft->leader = 0;
    if (changed) {
        role_tell(raft, actions);
    }
}

void raft_become_candidate(struct raft *raft, struct raft_actions *actions) {
    ASSERT(raft_may_campaign(raft));
    ASSERT(raft->term < RAFT_TERM_MAX);
    role_set(raft, RAFT_CANDIDATE);
    term_raise(raft, raft->term + 1);
    raft_vote(raft, raft->node_id);
    role_tell(raft, actions);
    raft_vote_flush(raft, actions);
}

void raft_become_leader(struct raft *raft, struct raft_actions *actions) {
    ASSERT(raft->vote_stored && raft->voted_for == raft->node_id);
    role_set(raft, RAFT_LEADER);
    raft->leader = raft->node_id;
    raft->verified_index = 0;
    raft->term_first_index = raft->last_index + 1;
    raft->heartbeat_due_ns = raft->now_ns + raft->heartbeat_ns;
    raft->commit_moved_ns = raft->now_ns;
    raft->stored_moved_ns = raft->now_ns;
    raft->reopened = false;
    raft->change_pending = false;
    raft->change_open = membership_index(&raft->membership) > raft->commit_index ||
                        quorum_is_joint(raft_members(raft));
    raft->transfer_target = 0;
    raft->lease_dropped = false;
    raft_rounds_reset(raft);
    raft_peers_begin(raft);
    role_tell(raft, actions);
    /* A term begins with a no-op: only its commit says what of older terms is committed (6.4). */
    raft_action_add(actions, RAFT_ACTION_APPEND_NOOP)->term = raft->term;
    raft_heartbeat(raft, actions);
}

void raft_vote(struct raft *raft, uint64_t candidate) {
    ASSERT(candidate != 0);
    ASSERT(raft->voted_for == 0 || raft->voted_for == candidate || MUTANT_IS(VOTES_TWICE));
    if (raft->voted_for != candidate) {
        raft->voted_for = candidate;
        raft->vote_dirty = true;
    }
}

void raft_vote_flush(struct raft *raft, struct raft_actions *actions) {
    if (!raft->vote_dirty) {
        return;
    }
    raft->vote_dirty = false;
    raft->vote_stored = false;
    struct raft_action *action = raft_action_add(actions, RAFT_ACTION_STORE_VOTE);
    action->term = raft->term;
    action->node_id = raft->voted_for;
}
