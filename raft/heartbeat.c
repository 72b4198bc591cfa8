/*
 * Heartbeats, and what a leader looks after at each of them.
 *
 * Happy path: every heartbeat interval each peer gets a HEARTBEAT, on the control path, which no
 * load of entries can delay; the answers confirm leadership (for reads, leases and the leader
 * itself), and wake a transfer of entries that a lost message has stalled.
 *
 * Failure modes: no quorum answers for T: somebody else may lead already, so we step down
 * (check-quorum, 6.2).  Heartbeats pass, entries do not: after 2 T in which none got through to a
 * quorum the data connections are opened anew, after 4 T we step down, and do not campaign for as
 * long; a follower would never notice.  They do not since a quorum has no room for them: then no
 * other leader could do more, and this one goes on, for those who read.  We did not run ourselves:
 * answers may be here already, so the quorum is judged a heartbeat later.
 *
 * A HEARTBEAT names an entry that the leader knows to be durable on this peer.  So what it says of
 * commits holds for this log, and a peer that has lost its log is noticed.
 */

#include "raft/raft_internal.h"

void raft_heartbeat(struct raft *raft, struct raft_actions *actions) {
    ASSERT(raft->role == RAFT_LEADER);
    uint32_t count = raft_members(raft)->member_count;
    for (uint32_t i = 0; i < count; i++) {
        if (i == raft->self) {
            continue;
        }
        struct progress *peer = &raft->peers[i];
        struct raft_message *message =
            raft_send(raft, actions, RAFT_MESSAGE_HEARTBEAT, peer->node_id);
        message->session = peer->session;
        message->round = raft->round;
        message->commit = raft->commit_index;
        uint64_t term;
        if (terms_at(&raft->terms, peer->match, &term)) {
            message->previous_index = peer->match;
            message->previous_term = term;
        }
    }
}

/* When a quorum was last heard, counting ourselves as heard now. */
static uint64_t quorum_heard_ns(const struct raft *raft) {
    const struct configuration *configuration = raft_members(raft);
    uint64_t values[CONFIGURATION_MEMBERS_MAX];
    for (uint32_t i = 0; i < configuration->member_count; i++) {
        const struct progress *peer = &raft->peers[i];
        /* Whoever is new, or begins again, has as much time to answer as all had at first. */
        uint64_t heard_ns = peer->answered_ns > peer->began_ns ? peer->answered_ns : peer->began_ns;
        values[i] = i == raft->self ? raft->now_ns : heard_ns;
    }
    return quorum_value(configuration, values);
}

/*
 * When commit last rose, or what it waits for moved: entries, or chunks of a snapshot, got through
 * to a quorum.  A member that a majority needs may be far behind, and take long to catch up;
 * whoever led instead of us would begin with it again.
 */
static uint64_t through_ns(const struct raft *raft) {
    const struct configuration *configuration = raft_members(raft);
    uint64_t values[CONFIGURATION_MEMBERS_MAX];
    if (raft->last_index < raft->term_first_index) {
        return raft->commit_moved_ns;
    }
    for (uint32_t i = 0; i < configuration->member_count; i++) {
        bool is_self = i == raft->self;
        bool has_all = raft->last_index == (is_self ? raft->stored_index : raft->peers[i].match);
        uint64_t moved_ns = is_self ? raft->stored_moved_ns : raft->peers[i].moved_ns;
        values[i] = has_all ? raft->now_ns : moved_ns;
    }
    uint64_t quorum_ns = quorum_value(configuration, values);
    return quorum_ns > raft->commit_moved_ns ? quorum_ns : raft->commit_moved_ns;
}

/* Entries do not get through: opens their connections anew.  False if it is time to step down.  A
 * leader whose log has no room for the term's first entry serves nobody either. */
static bool clogged_look(struct raft *raft, struct raft_actions *actions) {
    bool begun = raft->last_index >= raft->term_first_index;
    if (begun && !raft_quorum_has_room(raft, false)) {
        raft->commit_moved_ns = raft->now_ns; /* it is no connection, and nobody could do more */
    }
    uint64_t stuck_ns = raft->now_ns - through_ns(raft);
    if ((begun && raft->last_index == raft->commit_index) ||
        stuck_ns < RAFT_CLOGGED_REOPEN * raft->election_timeout_ns) {
        raft->reopened = false;
        return true;
    }
    if (stuck_ns >= RAFT_CLOGGED_STEP_DOWN * raft->election_timeout_ns) {
        return false;
    }
    if (!raft->reopened) {
        raft->reopened = true;
        uint32_t count = raft_members(raft)->member_count;
        for (uint32_t i = 0; i < count; i++) {
            if (i != raft->self && raft->peers[i].match < raft->last_index) {
                raft_action_add(actions, RAFT_ACTION_REOPEN)->node_id = raft->peers[i].node_id;
            }
        }
    }
    return true;
}

void raft_leader_tick(struct raft *raft, struct raft_actions *actions) {
    if (raft->now_ns < raft->heartbeat_due_ns) {
        return;
    }
    bool late = raft_late(raft, raft->heartbeat_due_ns);
    raft->heartbeat_due_ns = raft->now_ns + raft->heartbeat_ns;
    if (raft_members(raft)->member_count == 1 && raft->self == 0) {
        return; /* nobody to look after */
    }
    bool silent = !late && raft->now_ns - quorum_heard_ns(raft) >= raft->election_timeout_ns;
    if (MUTANT(LEADS_ALONE, false, silent)) {
        raft_become_follower(raft, raft->term, 0, actions);
        return;
    }
    if (!clogged_look(raft, actions)) {
        /* The others try first: our log may be the longest, and then we would win again at once,
         * and get as little through. */
        raft_become_follower(raft, raft->term, 0, actions);
        raft->election_due_ns += RAFT_CLOGGED_STEP_DOWN * raft->election_timeout_ns;
        return;
    }
    if (raft->transfer_target != 0 && raft->now_ns >= raft->transfer_due_ns) {
        raft_transfer_fail(raft, actions);
    }
    raft_round_begin(raft);
    raft_heartbeat(raft, actions);
    uint32_t count = raft_members(raft)->member_count;
    for (uint32_t i = 0; i < count; i++) {
        struct progress *peer = &raft->peers[i];
        if (i != raft->self && peer->state == PROGRESS_SNAPSHOT && peer->chunk_sent &&
            raft->now_ns - peer->chunk_sent_ns >= raft->election_timeout_ns) {
            peer->chunk_sent = false; /* lost: again */
            raft_snapshot_send(raft, peer, actions);
        }
    }
}

void raft_on_heartbeat(struct raft *raft, const struct raft_message *message,
                       struct raft_actions *actions) {
    if (!raft_follow(raft, message, actions)) {
        return;
    }
    bool granted = MUTANT(BELIEVES_HEARTBEAT, true,
                          raft_log_has(raft, message->previous_index, message->previous_term));
    if (granted && !raft->installing) {
        if (message->previous_index > raft->verified_index) {
            raft->verified_index = message->previous_index;
        }
        raft_follower_commit(raft, message->commit, actions);
    }
    struct raft_message *answer =
        raft_send(raft, actions, RAFT_MESSAGE_HEARTBEAT_ANSWER, message->from);
    answer->session = message->session;
    answer->round = message->round;
    answer->granted = granted;
    answer->full = raft->full;
    raft->promised_ns = raft->now_ns;
}

void raft_peer_answered(struct raft *raft, struct progress *peer, uint64_t round,
                        struct raft_actions *actions) {
    peer->answered_ns = raft->now_ns;
    if (round > peer->round && round <= raft->round) {
        peer->round = MUTANT(CONFIRMS_BY_OLD_ANSWER, raft->round, round);
        raft_rounds_advance(raft, actions);
    }
}

void raft_on_heartbeat_answer(struct raft *raft, const struct raft_message *message,
                              struct raft_actions *actions) {
    struct progress *peer = raft_peer(raft, message->from);
    if (peer == NULL || message->session != peer->session) {
        return;
    }
    if (MUTANT(LEASE_OF_LOST_LOG, !message->granted, false)) {
        raft_peer_answered(raft, peer, message->round, actions);
    }
    if (!message->granted && peer->state != PROGRESS_SNAPSHOT) {
        /* It has lost what it had reported as durable, perhaps also the configuration that bound
         * it to a lease.  It must not count for it again; whether it may take part at all, its
         * identity decides. */
        progress_begin(peer, peer->node_id, peer->incarnation, ++raft->session,
                       raft->last_index + 1, raft->now_ns);
    }
    peer->full = message->full;
    raft_peer_answered(raft, peer, message->round, actions);
    raft_replicate_again(raft, peer, actions);
}
