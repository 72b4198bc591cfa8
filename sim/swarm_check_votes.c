/*
 * Votes, and what a leader may do with them.  See sim/swarm_votes.h, and sim/swarm_check.h for when
 * each is looked at.
 *
 * Happy path: a node's vote is noted after each of its steps; who is found leading has the votes of
 * a quorum; what it then commits ends with an entry of its own term.
 *
 * Failure modes: an entry that is not in memory any more has no term to look at: it is then not
 * judged.
 */

#include "sim/swarm_check.h"

#include <inttypes.h>

#include "base/assert.h"
#include "entry/entry.h"
#include "raft/raft.h"
#include "sim/swarm_internal.h"
#include "storage/log.h"

_Static_assert((int)SWARM_VOTES_NODES_MAX == (int)SWARM_NODES_MAX, "one of each node");
_Static_assert((int)SWARM_VOTES_TERMS_MAX == (int)SWARM_CHECK_TERMS_MAX, "one of each term");

/* One of both slots of a vote may have been damaged, and the other one be torn: then nothing is
 * demanded of what is read back. */
void swarm_check_vote_read(struct swarm *swarm, uint32_t index) {
    const struct raft *raft = sim_node_raft(swarm->nodes[index].node);
    const struct swarm_voter *voter = &swarm->votes.nodes[index];
    uint64_t stored_term = voter->stored_term;
    uint64_t stored_for = voter->stored_for;
    if (!swarm_votes_started(&swarm->votes, index, raft_term(raft), raft_voted_for(raft)) &&
        !swarm->nodes[index].vote_damaged) {
        swarm_find(swarm,
                   "node %u starts in term %" PRIu64 " with a vote for %" PRIu64
                   " (0: nobody); durable were term %" PRIu64 " and a vote for %" PRIu64,
                   index + 1, raft_term(raft), raft_voted_for(raft), stored_term, stored_for);
    }
    swarm_check_vote(swarm, index);
}

void swarm_check_vote(struct swarm *swarm, uint32_t index) {
    const struct raft *raft = sim_node_raft(swarm->nodes[index].node);
    uint64_t before = swarm->votes.nodes[index].voted_for;
    if (!swarm_votes_saw(&swarm->votes, index, raft_term(raft), raft_voted_for(raft),
                         raft_vote_stored(raft))) {
        swarm_find(swarm,
                   "node %u has a vote for %" PRIu64 " (0: nobody) in term %" PRIu64
                   ", in which it has voted for %" PRIu64,
                   index + 1, raft_voted_for(raft), raft_term(raft), before);
    }
}

/* A leader has the votes of a quorum, in this very term. */
void swarm_check_leader_votes(struct swarm *swarm, uint32_t index, uint64_t term) {
    ASSERT(index < swarm->plan->node_count && term > 0);
    uint32_t nodes = swarm_votes_for(&swarm->votes, term, index);
    if (!swarm_voters_may_lead(swarm, index, nodes)) {
        swarm_find(swarm,
                   "node %u leads term %" PRIu64
                   ", and %d nodes can have voted for it: no quorum of its configuration",
                   index + 1, term, __builtin_popcount(nodes));
    }
}

/* Who leads commits by counting, and counts for entries of its own term only: one of an older term
 * may be on a quorum and be replaced yet (Ongaro's dissertation, figure 3.7). */
void swarm_check_counted(struct swarm *swarm, uint32_t index) {
    const struct raft *raft = sim_node_raft(swarm->nodes[index].node);
    const struct log *log = sim_node_log(swarm->nodes[index].node);
    const struct swarm_seen *seen = &swarm->check.nodes[index];
    bool led = seen->role == RAFT_LEADER && seen->term == raft_term(raft);
    uint64_t commit = raft_commit_index(raft);
    if (!led || raft_role(raft) != RAFT_LEADER || commit <= seen->commit_index) {
        return;
    }
    const uint8_t *entry = log_entry(log, commit);
    uint64_t term = entry == NULL ? seen->term : entry_header_read(entry).term;
    ASSERT(term <= seen->term);
    if (term != seen->term) {
        swarm_find(swarm,
                   "node %u leads term %" PRIu64 " and commits index %" PRIu64
                   " by counting, which is of term %" PRIu64,
                   index + 1, seen->term, commit, term);
    }
}
