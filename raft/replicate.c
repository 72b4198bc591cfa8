/*
 * A leader's log: entries to the peers, and what is committed (dissertation 3.5, 3.6, 10.2).
 *
 * Happy path: entries are appended here, sent to all peers at once, and written to our own disk
 * meanwhile; each answer says up to where a peer has them durable; what a majority has (we
 * ourselves only after our own sync) is committed.
 *
 * Failure modes: a peer refuses: its hint says where the logs may agree, and sending starts again
 * there.  A peer is slow: what is in flight to it is bounded, and nobody waits for it.  A peer has
 * no room: it is offered one entry at a time, until it has said that there is some.  A peer
 * needs what the log no longer has: it gets a snapshot.  Entries of older terms are never
 * committed by counting, only with one of this term behind them (3.6.2).
 */

#include <string.h>

#include "raft/raft_internal.h"

/* ---- peers ----------------------------------------------------------------------------------- */

static void peer_begin(struct raft *raft, struct progress *peer,
                       const struct configuration_member *member) {
    progress_begin(peer, member->node_id, member->incarnation, ++raft->session,
                   raft->last_index + 1, raft->now_ns);
}

void raft_peers_begin(struct raft *raft) {
    const struct configuration *configuration = raft_members(raft);
    for (uint32_t i = 0; i < CONFIGURATION_MEMBERS_MAX; i++) {
        raft->peers[i].node_id = 0;
        if (i < configuration->member_count) {
            peer_begin(raft, &raft->peers[i], &configuration->members[i]);
        }
    }
    raft_self_find(raft);
}

/* The peer of this id and incarnation among the old ones. */
static struct progress *peer_stays(struct progress *old,
                                   const struct configuration_member *member) {
    for (uint32_t i = 0; i < CONFIGURATION_MEMBERS_MAX; i++) {
        bool same = old[i].incarnation == member->incarnation || old[i].incarnation == 0;
        if (old[i].node_id == member->node_id && same) {
            return &old[i];
        }
    }
    return NULL;
}

void raft_peers_follow(struct raft *raft) {
    ASSERT(raft->role == RAFT_LEADER);
    const struct configuration *configuration = raft_members(raft);
    struct progress old[CONFIGURATION_MEMBERS_MAX];
    bool moved[CONFIGURATION_MEMBERS_MAX] = {false};
    memcpy(old, raft->peers, sizeof(old));
    /* Who stays moves with the memory of its ring; the rings left over go to the new ones. */
    for (uint32_t i = 0; i < configuration->member_count; i++) {
        struct progress *from = peer_stays(old, &configuration->members[i]);
        if (from != NULL) {
            raft->peers[i] = *from;
            raft->peers[i].incarnation = configuration->members[i].incarnation;
            moved[from - old] = true;
        } else {
            raft->peers[i].node_id = 0;
        }
    }
    uint32_t spare = 0;
    for (uint32_t i = 0; i < CONFIGURATION_MEMBERS_MAX; i++) {
        if (i < configuration->member_count && raft->peers[i].node_id != 0) {
            continue;
        }
        while (moved[spare]) {
            spare++;
        }
        ASSERT(spare < CONFIGURATION_MEMBERS_MAX);
        raft->peers[i] = old[spare++];
        raft->peers[i].node_id = 0;
        if (i < configuration->member_count) {
            peer_begin(raft, &raft->peers[i], &configuration->members[i]);
        }
    }
}

struct progress *raft_peer(struct raft *raft, uint64_t node_id) {
    if (raft->role != RAFT_LEADER || node_id == raft->node_id) {
        return NULL;
    }
    for (uint32_t i = 0; i < raft_members(raft)->member_count; i++) {
        if (raft->peers[i].node_id == node_id) {
            return &raft->peers[i];
        }
    }
    return NULL;
}

/* ---- sending --------------------------------------------------------------------------------- */

/*
 * Who has no room for clients' entries may still take others (what a term begins with), and we do
 * not know one from the other.  So it is sent one at a time, and one that it did not take again
 * after T, as long as it says that it is full.
 */
static bool may_offer(const struct raft *raft, const struct progress *peer) {
    return !peer->full || peer->next != peer->offered_index ||
           raft->now_ns - peer->offered_ns >= raft->election_timeout_ns;
}

/* One APPEND from peer->next on, with entries or without; false if the log no longer has what is
 * before it. */
static bool append_send(struct raft *raft, struct progress *peer, bool entries,
                        struct raft_actions *actions) {
    uint64_t previous = peer->next - 1;
    uint64_t previous_term;
    if (!terms_at(&raft->terms, previous, &previous_term)) {
        return false;
    }
    uint64_t bytes = 0;
    uint32_t count = 0;
    if (entries && peer->next <= raft->last_index && may_offer(raft, peer)) {
        count = window_fit(&raft->window, peer->next, peer->full ? 1 : RAFT_MESSAGE_ENTRIES_MAX,
                           raft->message_bytes_max, &bytes);
        peer->offered_index = peer->next;
        peer->offered_ns = raft->now_ns;
    }
    struct raft_message *message = raft_send(raft, actions, RAFT_MESSAGE_APPEND, peer->node_id);
    message->session = peer->session;
    message->round = raft->round;
    message->previous_index = previous;
    message->previous_term = previous_term;
    message->entry_count = count;
    message->commit = raft->commit_index;
    progress_sent(peer, previous + count, count, bytes);
    return true;
}

void raft_replicate_to(struct raft *raft, struct progress *peer, struct raft_actions *actions) {
    for (uint32_t i = 0; i < RAFT_SENDS_PER_STEP; i++) {
        if (peer->state == PROGRESS_SNAPSHOT) {
            raft_snapshot_send(raft, peer, actions);
            return;
        }
        bool news = peer->next <= raft->last_index || peer->state == PROGRESS_PROBE;
        bool waits = peer->full && peer->state == PROGRESS_REPLICATE &&
                     (peer->inflight_count > 0 || !may_offer(raft, peer));
        if (!news || waits || !progress_may_send(peer, raft->inflight_bytes_max)) {
            return;
        }
        if (!append_send(raft, peer, true, actions)) {
            if (raft->snapshot.index < peer->next) {
                return; /* until there is a newer snapshot */
            }
            raft_snapshot_begin(raft, peer);
        }
    }
}

void raft_replicate_again(struct raft *raft, struct progress *peer, struct raft_actions *actions) {
    bool repeats = peer->probe_sent; /* with its entries it may be on a slow way still */
    bool ask = progress_heard(peer);
    uint32_t count = actions->count;
    if (repeats && append_send(raft, peer, false, actions)) {
        return;
    }
    raft_replicate_to(raft, peer, actions);
    if (ask && actions->count == count && !append_send(raft, peer, false, actions)) {
        progress_probe(peer); /* compacted meanwhile: on from what it has for certain */
    }
}

void raft_replicate(struct raft *raft, struct raft_actions *actions) {
    uint32_t count = raft_members(raft)->member_count;
    for (uint32_t i = 0; i < count; i++) {
        if (i != raft->self) {
            raft_replicate_to(raft, &raft->peers[i], actions);
        }
    }
}

/* ---- appending ------------------------------------------------------------------------------- */

void raft_log_extend(struct raft *raft, const struct raft_entry *entries, uint32_t count) {
    for (uint32_t i = 0; i < count; i++) {
        raft->last_index++;
        terms_append(&raft->terms, 1, entries[i].term);
        window_append(&raft->window, entries[i].length_bytes);
        if (entries[i].configuration != NULL) {
            membership_append(&raft->membership, raft->last_index, entries[i].configuration);
            raft_members_changed(raft);
        }
    }
}

void raft_on_appended(struct raft *raft, const struct raft_event *event,
                      struct raft_actions *actions) {
    ASSERT(raft->role == RAFT_LEADER);
    ASSERT(event->entry_count >= 1 && event->entry_count <= RAFT_MESSAGE_ENTRIES_MAX);
    ASSERT(event->entries[0].term == raft->term);
    if (raft->last_index == raft->commit_index) {
        raft->commit_moved_ns = raft->now_ns;
        raft->reopened = false;
    }
    uint64_t configured = membership_index(&raft->membership);
    raft_log_extend(raft, event->entries, event->entry_count);
    if (membership_index(&raft->membership) != configured) {
        raft_change_appended(raft, actions);
    }
    if (!event->more) {
        raft_replicate(raft, actions);
    }
    if (MUTANT(COUNTS_UNDURABLE, true, false)) {
        raft->stored_index = raft->last_index;
        raft_commit_advance(raft, actions);
    }
}

void raft_on_send(struct raft *raft, struct raft_actions *actions) {
    if (raft->role == RAFT_LEADER) {
        raft_replicate(raft, actions);
    }
}

/* ---- answers --------------------------------------------------------------------------------- */

void raft_on_append_answer(struct raft *raft, const struct raft_message *message,
                           struct raft_actions *actions) {
    struct progress *peer = raft_peer(raft, message->from);
    if (peer == NULL || message->session != peer->session) {
        return; /* of another membership, or an earlier time as leader of this term */
    }
    if (message->granted && message->match_index > raft->last_index) {
        return; /* of entries that were never sent: nothing in it can be believed */
    }
    raft_peer_answered(raft, peer, message->round, actions);
    if (message->granted) {
        if (progress_granted(peer, message->match_index)) {
            peer->moved_ns = raft->now_ns;
            raft_commit_advance(raft, actions);
            if (raft->role != RAFT_LEADER) {
                return; /* it has committed its own removal */
            }
            raft_transfer_advance(raft, actions);
        }
    } else {
        uint64_t agree =
            terms_last_not_above(&raft->terms, message->hint_index, message->hint_term);
        if (agree > message->hint_index) {
            agree = message->hint_index; /* before our log's beginning: for a snapshot */
        }
        if (!progress_refused(peer, message->previous_index, agree)) {
            return;
        }
        peer->moved_ns = raft->now_ns;
    }
    ASSERT(peer->node_id == message->from); /* members change when they are appended, not here */
    raft_replicate_to(raft, peer, actions);
}

void raft_commit_advance(struct raft *raft, struct raft_actions *actions) {
    ASSERT(raft->role == RAFT_LEADER);
    const struct configuration *configuration = raft_members(raft);
    uint64_t values[CONFIGURATION_MEMBERS_MAX];
    for (uint32_t i = 0; i < configuration->member_count; i++) {
        values[i] = i == raft->self ? raft->stored_index : raft->peers[i].match;
    }
    uint64_t index = quorum_value(configuration, values);
    if (index <= raft->commit_index ||
        MUTANT(COMMITS_OLD_TERM, false, index < raft->term_first_index)) {
        return;
    }
    ASSERT(index <= raft->last_index);
    raft->commit_index = index;
    raft->commit_moved_ns = raft->now_ns;
    raft->reopened = false;
    membership_commit(&raft->membership, index);
    raft_action_add(actions, RAFT_ACTION_COMMIT)->index = index;
    raft_change_advance(raft, actions);
}
