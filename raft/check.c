/*
 * The invariants of one core, by itself.  What only several can break (one leader a term, logs
 * that match) the tests and the simulator check from outside.
 */

#include "raft/raft_internal.h"

static void check_log(const struct raft *raft) {
    ASSERT(raft->applied_index <= raft->commit_index);
    ASSERT(raft->commit_index <= raft->last_index);
    ASSERT(raft->stored_index <= raft->last_index);
    ASSERT(raft->verified_index <= raft->last_index);
    ASSERT(raft->terms.last_index == raft->last_index);
    ASSERT(raft->window.last == raft->last_index);
    ASSERT(raft->snapshot.index <= raft->commit_index);
    ASSERT(raft->terms.base_index <= raft->last_index);
    ASSERT(terms_last(&raft->terms) <= raft->term);
    ASSERT(membership_index(&raft->membership) <= raft->last_index);
    terms_check(&raft->terms);
    membership_check(&raft->membership);
}

static void check_role(const struct raft *raft) {
    bool voter = raft_may_campaign(raft);
    switch (raft->role) {
    case RAFT_FOLLOWER: ASSERT(raft->leader != raft->node_id); break;
    case RAFT_PRE_CANDIDATE: ASSERT(voter && raft->leader == 0); break;
    case RAFT_CANDIDATE:
        ASSERT(voter && raft->leader == 0 && raft->voted_for == raft->node_id);
        break;
    case RAFT_LEADER:
        ASSERT(raft->leader == raft->node_id && raft->voted_for == raft->node_id);
        ASSERT(raft->vote_stored);
        ASSERT(!raft->installing && !raft->answer_owed);
        break;
    }
    ASSERT(!raft->vote_dirty);
    ASSERT(raft->voted_for == 0 || raft->term > 0);
}

static void check_leader(const struct raft *raft) {
    const struct configuration *configuration = raft_members(raft);
    ASSERT(raft->term_first_index <= raft->last_index + 1);
    ASSERT(raft->round_confirmed <= raft->round);
    ASSERT(raft->lease_round <= raft->round);
    for (uint32_t i = 0; i < configuration->member_count; i++) {
        ASSERT(raft->peers[i].node_id == configuration->members[i].node_id);
        if (i != raft->self) {
            progress_check(&raft->peers[i], raft->last_index);
            ASSERT(raft->peers[i].round <= raft->round);
        }
    }
    ASSERT(raft->transfer_target == 0 || raft->transfer_target != raft->node_id);
}

void raft_check(const struct raft *raft) {
    check_log(raft);
    check_role(raft);
    if (raft->role == RAFT_LEADER) {
        check_leader(raft);
    }
}
