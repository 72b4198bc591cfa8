/*
 * Reads that are answered at once.
 *
 * A leader that trusts its lease, or is the only voter, lets a read go on without asking anybody:
 * at what it has committed.  So at that moment nobody may have committed more.  This is looked for
 * at the node, since clients see it only if one of them wrote to the new leader and another one
 * then read what was written, of the old one.
 *
 * Why it holds: who has committed more leads a later term (of its own term a leader is the first to
 * know what is committed; what is left of earlier ones is in its log, before its first entry).  A
 * lease is over before anybody is elected; and of a single voter there is no other quorum.
 *
 * Happy path: none was answered so in this step, nothing to do.
 *
 * Failure modes: a leader that steps down in the very step in which it has answered is not looked
 * at, and what it commits in it counts as if it had been before the read: a moment is missed.
 */

#include "sim/swarm_internal.h"

#include <inttypes.h>

#include "base/assert.h"
#include "raft/raft.h"

void swarm_reads_look(struct swarm_check *check, struct swarm *swarm, uint32_t node) {
    struct swarm_seen *seen = &check->nodes[node];
    const struct raft *raft = sim_node_raft(swarm->nodes[node].node);
    uint64_t at_once =
        node_figure(&sim_node_figures(swarm->nodes[node].node)->replicate.reads_leased);
    ASSERT(node < swarm->plan->node_count && at_once >= seen->reads_at_once);
    if (at_once == seen->reads_at_once) {
        return;
    }
    swarm->result->counts.reads_at_once += at_once - seen->reads_at_once;
    seen->reads_at_once = at_once;
    uint64_t commit = raft_commit_index(raft);
    if (raft_serving(raft) && commit < check->committed_count) {
        swarm_find(swarm,
                   "node %u answers reads at once as the leader of term %" PRIu64
                   ", at index %" PRIu64 ", and %zu entries are committed",
                   node + 1, raft_term(raft), commit, check->committed_count);
    }
}
