/*
 * Leadership transfer (dissertation 3.10).
 *
 * Happy path: proposals stop; when the target has our whole log, it is told to campaign at once;
 * its votes are given though the voters still hear us, because the target says who asked.
 *
 * Failure modes: the target does not win within T, or is no voter any more: the transfer is given
 * up and proposals are taken again.  The word to campaign may still arrive much later: so a leader
 * that has given it trusts no lease in this term any more.  The target has no room for entries: it
 * does not campaign, since it could do nothing for those who write.
 */

#include "raft/raft_internal.h"

void raft_on_transfer(struct raft *raft, const struct raft_event *event,
                      struct raft_actions *actions) {
    enum raft_refusal refusal = RAFT_REFUSAL_NONE;
    if (raft->role != RAFT_LEADER) {
        refusal = RAFT_REFUSAL_NOT_LEADER;
    } else if (raft->transfer_target != 0) {
        refusal = RAFT_REFUSAL_TRANSFERRING;
    } else if (event->node_id == raft->node_id ||
               !quorum_is_voter(raft_members(raft), event->node_id)) {
        refusal = RAFT_REFUSAL_TARGET;
    }
    if (refusal != RAFT_REFUSAL_NONE) {
        raft_action_add(actions, RAFT_ACTION_REFUSED)->refusal = refusal;
        return;
    }
    raft->transfer_target = event->node_id;
    raft->transfer_due_ns = raft->now_ns + raft->election_timeout_ns;
    raft->transfer_told = false;
    raft_transfer_advance(raft, actions);
}

void raft_transfer_advance(struct raft *raft, struct raft_actions *actions) {
    if (raft->transfer_target == 0 || raft->transfer_told) {
        return;
    }
    const struct progress *peer = raft_peer(raft, raft->transfer_target);
    ASSERT(peer != NULL); /* a change that removes it gives the transfer up */
    if (peer->match == raft->last_index) {
        raft->transfer_told = true;
        raft->lease_dropped = true;
        raft_send(raft, actions, RAFT_MESSAGE_TIMEOUT_NOW, peer->node_id);
    }
}

void raft_transfer_fail(struct raft *raft, struct raft_actions *actions) {
    ASSERT(raft->transfer_target != 0);
    raft_action_add(actions, RAFT_ACTION_TRANSFER_FAILED)->node_id = raft->transfer_target;
    raft->transfer_target = 0;
}

void raft_on_timeout_now(struct raft *raft, const struct raft_message *message,
                         struct raft_actions *actions) {
    if (raft->role != RAFT_FOLLOWER || raft->leader != message->from ||
        !quorum_is_voter(raft_members(raft), raft->node_id) || !raft_settled(raft) || raft->full) {
        return;
    }
    raft_campaign(raft, true, actions);
}
