/*
 * Snapshots for a peer that is too far behind (dissertation 5.3, InstallSnapshot).
 *
 * Happy path: the leader sends one chunk after the other, each when the one before was answered;
 * the follower's caller writes and checks them; when all are there, the machine is restored from
 * them and the log begins again behind the snapshot; the leader goes on with the entries after it.
 * Heartbeats go on all the time, on their own path.
 *
 * Failure modes: a chunk or its answer is lost: it is sent again after T.  The follower starts
 * again, or the leader changes: the answer says how many bytes are there, sending goes on from
 * that.  The bytes are damaged: the answer says 0.  The follower's log has the snapshot's last
 * entry, with its term: then the log up to there is what the snapshot says, nothing is installed,
 * and what is behind it stays.  It has not: the whole log is discarded, for what is behind a
 * different entry is of a different history (figure 5.3).
 */

#include "raft/raft_internal.h"

/* ---- leader ---------------------------------------------------------------------------------- */

void raft_snapshot_begin(struct raft *raft, struct progress *peer) {
    ASSERT(raft->snapshot.index != 0);
    progress_snapshot(peer, raft->snapshot.index);
    peer->snapshot_term = raft->snapshot.term;
    peer->snapshot_size_bytes = raft->snapshot.size_bytes;
    peer->snapshot_offset = 0;
    peer->chunk_sent = false;
}

void raft_snapshot_send(struct raft *raft, struct progress *peer, struct raft_actions *actions) {
    ASSERT(peer->state == PROGRESS_SNAPSHOT);
    if (peer->chunk_sent) {
        return;
    }
    ASSERT(peer->snapshot_offset < peer->snapshot_size_bytes);
    uint64_t left_bytes = peer->snapshot_size_bytes - peer->snapshot_offset;
    struct raft_message *message = raft_send(raft, actions, RAFT_MESSAGE_SNAPSHOT, peer->node_id);
    message->session = peer->session;
    message->round = raft->round;
    message->snapshot.index = peer->snapshot_index;
    message->snapshot.term = peer->snapshot_term;
    message->snapshot.size_bytes = peer->snapshot_size_bytes;
    message->offset = peer->snapshot_offset;
    message->length_bytes =
        left_bytes < raft->snapshot_chunk_bytes ? (uint32_t)left_bytes : raft->snapshot_chunk_bytes;
    peer->chunk_sent = true;
    peer->chunk_sent_ns = raft->now_ns;
}

void raft_on_snapshot_answer(struct raft *raft, const struct raft_message *message,
                             struct raft_actions *actions) {
    struct progress *peer = raft_peer(raft, message->from);
    if (peer == NULL || message->session != peer->session) {
        return;
    }
    raft_peer_answered(raft, peer, message->round, actions);
    if (peer->state != PROGRESS_SNAPSHOT || message->snapshot.index != peer->snapshot_index ||
        message->snapshot.term != peer->snapshot_term ||
        message->snapshot.size_bytes != peer->snapshot_size_bytes ||
        message->offset > peer->snapshot_size_bytes) {
        return;
    }
    if (peer->chunk_sent && message->offset == peer->snapshot_offset) {
        return; /* repeated, or late: what it wants is under way, and twice would stay twice */
    }
    if (message->offset == peer->snapshot_size_bytes) {
        /* It is being installed: an APPEND_ANSWER will say so.  Or after T we ask again, with the
         * chunk that was sent last: there is none behind it. */
        return;
    }
    peer->snapshot_offset = message->offset;
    peer->chunk_sent = false;
    peer->moved_ns = raft->now_ns;
    raft_snapshot_send(raft, peer, actions);
}

void raft_on_compacted(struct raft *raft, const struct raft_event *event) {
    ASSERT(event->index <= event->snapshot.index);
    ASSERT(event->snapshot.index <= raft->last_index);
    if (event->snapshot.index < raft->snapshot.index) {
        return; /* a newer one was installed meanwhile */
    }
    ASSERT(event->snapshot.index <= raft->applied_index);
    raft->snapshot = event->snapshot;
    uint64_t index = event->index;
    uint64_t term;
    if (index > raft->terms.base_index) {
        if (!terms_at(&raft->terms, index, &term)) {
            index = terms_first_known(&raft->terms); /* what is between can be sent to nobody */
        }
        terms_compact(&raft->terms, index);
    }
}

/* ---- follower -------------------------------------------------------------------------------- */

static bool needless(const struct raft *raft, const struct raft_snapshot *snapshot) {
    return snapshot->index <= raft->commit_index ||
           MUTANT(KEEPS_LOG_UNDER_SNAPSHOT, snapshot->index <= raft->last_index,
                  raft_log_has(raft, snapshot->index, snapshot->term));
}

/* The log has all that the snapshot covers. */
static void take_as_commit(struct raft *raft, const struct raft_snapshot *snapshot,
                           struct raft_actions *actions) {
    raft->receiving.index = 0;
    if (snapshot->index > raft->verified_index) {
        raft->verified_index = snapshot->index;
    }
    raft_follower_commit(raft, snapshot->index, actions);
    raft_append_answer(raft, actions);
}

void raft_on_snapshot(struct raft *raft, const struct raft_message *message,
                      struct raft_actions *actions) {
    if (!raft_follow(raft, message, actions) || raft->installing) {
        return;
    }
    raft->answer_session = message->session;
    raft->answer_round = message->round;
    if (needless(raft, &message->snapshot)) {
        take_as_commit(raft, &message->snapshot, actions);
        return;
    }
    if (message->snapshot.index < raft->receiving.index) {
        return; /* an old chunk, overtaken by those of a newer snapshot */
    }
    raft->receiving = message->snapshot;
    raft->receiving_configuration = *message->configuration;
    raft_action_add(actions, RAFT_ACTION_SNAPSHOT_CHUNK)->message = *message;
}

/* Nothing of the old log is left; everything up to the snapshot is committed. */
static void install(struct raft *raft, struct raft_actions *actions) {
    const struct raft_snapshot *snapshot = &raft->receiving;
    ASSERT(snapshot->index > raft->commit_index);
    raft->epoch++;
    raft->installing = true;
    raft->last_index = snapshot->index;
    raft->stored_index = snapshot->index; /* as the snapshot itself is */
    raft->verified_index = snapshot->index;
    raft->commit_index = snapshot->index;
    raft->answer_owed = false;
    terms_reset(&raft->terms, snapshot->index, snapshot->term);
    window_reset(&raft->window, snapshot->index);
    membership_install(&raft->membership, snapshot->index, &raft->receiving_configuration);
    raft_members_changed(raft);
    struct raft_action *action = raft_action_add(actions, RAFT_ACTION_SNAPSHOT_INSTALL);
    action->snapshot = *snapshot;
    action->epoch = raft->epoch;
}

void raft_on_snapshot_chunk(struct raft *raft, const struct raft_event *event,
                            struct raft_actions *actions) {
    const struct raft_snapshot *snapshot = &event->snapshot;
    if (raft->role != RAFT_FOLLOWER || raft->leader == 0 || raft->installing ||
        snapshot->index != raft->receiving.index || snapshot->term != raft->receiving.term ||
        snapshot->size_bytes != raft->receiving.size_bytes) {
        return; /* nobody waits for this answer; the bytes stay, and may be asked for again */
    }
    struct raft_message *answer =
        raft_send(raft, actions, RAFT_MESSAGE_SNAPSHOT_ANSWER, raft->leader);
    answer->session = raft->answer_session;
    answer->round = raft->answer_round;
    answer->snapshot = raft->receiving;
    answer->offset = event->complete ? raft->receiving.size_bytes : event->offset;
    raft->promised_ns = raft->now_ns;
    if (!event->complete) {
        return;
    }
    if (needless(raft, snapshot)) {
        take_as_commit(raft, snapshot, actions);
    } else {
        install(raft, actions);
    }
}

void raft_on_snapshot_installed(struct raft *raft, const struct raft_event *event,
                                struct raft_actions *actions) {
    ASSERT(raft->installing);
    ASSERT(event->snapshot.index == raft->receiving.index);
    raft->installing = false;
    raft->snapshot = raft->receiving;
    raft->receiving.index = 0;
    raft->applied_index = event->snapshot.index;
    ASSERT(raft->role == RAFT_FOLLOWER); /* nobody campaigns meanwhile */
    /* In another term by now, its leader has yet to verify the log. */
    if (raft->leader != 0 && raft->verified_index >= event->snapshot.index) {
        raft_append_answer(raft, actions);
    }
}
