/*
 * What a core believes to be stored: its own entries, and as a leader those of its peers.
 *
 * Whatever is acknowledged rests on these beliefs, and a wrong one may go unnoticed for long: until
 * just that copy is needed.  So they are compared with the logs themselves.
 *
 *   own     what a core counts as stored is durable in its log.
 *   peers   what a leader counts as stored by a peer is durable there, and is the leader's own
 *           entry.  It is looked at when the leader begins to believe it, and only while the peer
 *           is in no later term, whose leader may have changed its log meanwhile.
 *
 * Failure modes: the log of a peer is not known, or no entry's chain: then nothing is said.  A disk
 * that was lost or damaged need not have what was acknowledged from it.
 */

#include <inttypes.h>

#include "base/assert.h"
#include "entry/entry.h"
#include "raft/raft.h"
#include "sim/swarm_internal.h"
#include "storage/log.h"

/* The chain of an entry in a node's log; 0: not known. */
static uint64_t chain_at(const struct swarm *swarm, uint32_t node, uint64_t index) {
    const struct swarm_seen *seen = &swarm->check.nodes[node];
    const struct sim_node *process = swarm->nodes[node].node;
    const uint8_t *entry = log_entry(sim_node_log(process), index);
    if (entry != NULL) {
        return entry_header_read(entry).chain;
    }
    return sim_node_in_step(process) && index < seen->chain_count ? seen->chains[index] : 0;
}

/* A leader has begun to believe that this node has its entries up to `match`. */
static void check_peer(struct swarm *swarm, uint32_t leader, uint64_t term, uint32_t peer,
                       uint64_t match) {
    const struct swarm_node *node = &swarm->nodes[peer];
    if (node->node == NULL || node->lost || node->damaged ||
        raft_term(sim_node_raft(node->node)) > term) {
        return;
    }
    uint64_t durable = log_durable_index(sim_node_log(node->node));
    if (durable < match) {
        swarm_find(swarm,
                   "node %u leads term %" PRIu64 " and counts index %" PRIu64
                   " as stored by node %u, where only %" PRIu64 " is durable",
                   leader + 1, term, match, peer + 1, durable);
        return;
    }
    uint64_t own = chain_at(swarm, leader, match);
    uint64_t other = chain_at(swarm, peer, match);
    if (own != 0 && other != 0 && own != other) {
        swarm_find(swarm,
                   "node %u leads term %" PRIu64 " and counts index %" PRIu64
                   " as stored by node %u, which has another entry there",
                   leader + 1, term, match, peer + 1);
    }
}

static void check_peers(struct swarm_check *check, struct swarm *swarm, uint32_t index,
                        const struct raft *raft) {
    struct raft_peer_status peers[CONFIGURATION_MEMBERS_MAX];
    struct swarm_seen *seen = &check->nodes[index];
    uint32_t count = raft_peers(raft, peers, CONFIGURATION_MEMBERS_MAX);
    for (uint32_t i = 0; i < count; i++) {
        uint32_t peer = (uint32_t)peers[i].node_id - 1;
        ASSERT(peer < swarm->plan->node_count && peer != index);
        if (seen->match_terms[peer] != seen->term || peers[i].match_index < seen->match[peer]) {
            seen->match_terms[peer] = seen->term; /* of a new term, or a new member: from nothing */
            seen->match[peer] = 0;
        }
        if (peers[i].match_index > seen->match[peer]) {
            seen->match[peer] = peers[i].match_index;
            check_peer(swarm, index, seen->term, peer, peers[i].match_index);
        }
    }
}

void swarm_stored_check(struct swarm_check *check, struct swarm *swarm, uint32_t index) {
    const struct raft *raft = sim_node_raft(swarm->nodes[index].node);
    uint64_t stored = raft_stored_index(raft);
    uint64_t durable = log_durable_index(sim_node_log(swarm->nodes[index].node));
    ASSERT(sim_node_in_step(swarm->nodes[index].node));
    if (stored > durable) {
        swarm_find(swarm,
                   "node %u counts its own entries up to index %" PRIu64
                   " as stored, and only %" PRIu64 " is durable",
                   index + 1, stored, durable);
    }
    if (raft_role(raft) == RAFT_LEADER) {
        check_peers(check, swarm, index, raft);
    }
}
