/*
 * A leader that cannot store what it is sent gives leadership away: its disk stands still, or has
 * no room for clients' entries.
 *
 * The others go on without its disk, since they are a majority; but where it stands still the
 * leader waits for what only its own disk can do: a snapshot that a change has to wait for, a
 * segment, entries that are only there.  And where it is full the leader refuses all writes, though
 * they have room.
 *
 * Happy path: entries become durable, or there are none to become so; there is room.
 *
 * Failure modes: nothing became durable for REPLICATE_STALLED_TIMEOUTS although something is to:
 * whoever of the voters is furthest and has answered lately is asked to lead.  Nobody has: tried
 * again after as long.  There was no room for as long: the same, of those who have the whole log
 * and have not said that they are full, if a quorum without us has room.  It has not: nobody could
 * do more, so this node goes on for those who read, and looks again; if it is not for want of
 * answers, writes are refused, though this node may have room, since none of them could be
 * committed.  A cluster of one, or a follower: nothing is done; they can do nothing better.
 */

#include "base/assert.h"
#include "base/log.h"
#include "stages/replicate_internal.h"

/* The voter to hand over to, with room; 0: there is none.  `whole`: with the whole log. */
static uint64_t successor(const struct replicate_shard *shard, bool whole, uint64_t now_ns) {
    struct raft_peer_status peers[CONFIGURATION_MEMBERS_MAX];
    uint32_t count = raft_peers(shard->raft, peers, CONFIGURATION_MEMBERS_MAX);
    const struct configuration *configuration = raft_configuration(shard->raft);
    uint64_t node_id = 0;
    uint64_t match_index = whole ? raft_last_index(shard->raft) - 1 : 0;
    for (uint32_t i = 0; i < count; i++) {
        const struct configuration_member *member =
            configuration_find(configuration, peers[i].node_id);
        bool votes = member != NULL && (member->roles & CONFIGURATION_VOTER) != 0;
        bool lately =
            peers[i].answered_ns != 0 && now_ns - peers[i].answered_ns < shard->election_timeout_ns;
        if (votes && lately && !peers[i].full && peers[i].match_index > match_index) {
            node_id = peers[i].node_id;
            match_index = peers[i].match_index;
        }
    }
    return node_id;
}

static void hand_over(struct replicate_shard *shard, uint64_t node_id) {
    if (node_id != 0) {
        struct raft_event event = {.kind = RAFT_EVENT_TRANSFER, .node_id = node_id};
        replicate_step(shard, &event);
    }
}

static void due_lower(uint64_t *due_ns, uint64_t limit_ns) {
    *due_ns = limit_ns < *due_ns ? limit_ns : *due_ns;
}

static bool leads(const struct replicate_shard *shard) {
    return raft_role(shard->raft) == RAFT_LEADER && !shard->stop_started;
}

/* For so long a disk may take nothing. */
static uint64_t stalled_ns(const struct replicate_shard *shard) {
    return REPLICATE_STALLED_TIMEOUTS * shard->election_timeout_ns;
}

/* ---- no room -------------------------------------------------------------------------------- */

/* Tells the core, and with it the others, when it changes whether there is room: for the log, or
 * for the snapshot without which a member that is far behind can take no entry. */
static void room_tell(struct replicate_shard *shard) {
    bool full = log_out_of_room(shard->log) || replicate_snapshot_out_of_room(shard);
    if (full != shard->full) {
        shard->full = full;
        shard->full_waits = 1;
        struct raft_event event = {.kind = RAFT_EVENT_ROOM, .full = full};
        replicate_step(shard, &event);
    }
    if (full) {
        replicate_incoming_forget(shard);
    }
}

static void majority_look(struct replicate_shard *shard) {
    bool full = leads(shard) && !raft_quorum_has_room(shard->raft, false);
    if (full == shard->majority_full) {
        return;
    }
    shard->majority_full = full;
    node_figure_set(&shard->node->replicate.majority_full, full);
    if (full) {
        log_warn_limited("majority_full", "own=%u consequence=\"writes are refused\"", shard->full);
    } else if (leads(shard)) {
        log_info("majority_has_room", "own=%u", shard->full);
    }
}

static void full_look(struct replicate_shard *shard, uint64_t now_ns, uint64_t *due_ns) {
    if (!shard->full || !leads(shard)) {
        shard->full_since_ns = now_ns;
        return;
    }
    ASSERT(now_ns >= shard->full_since_ns && shard->full_waits > 0);
    uint64_t wait_ns = shard->full_waits * stalled_ns(shard);
    uint64_t limit_ns = shard->full_since_ns + wait_ns;
    if (now_ns < limit_ns) {
        due_lower(due_ns, limit_ns);
        return;
    }
    shard->full_since_ns = now_ns;
    due_lower(due_ns, now_ns + wait_ns);
    if (!raft_quorum_has_room(shard->raft, true)) {
        return;
    }
    uint64_t node_id = successor(shard, true, now_ns);
    log_warn_limited("leader_full", "last=%lu successor=%lu", log_last_index(shard->log), node_id);
    if (node_id != 0 && shard->full_waits < REPLICATE_FULL_WAITS_MAX) {
        shard->full_waits *= 2;
    }
    hand_over(shard, node_id);
}

/* ---- no progress ---------------------------------------------------------------------------- */

static void stalled_look(struct replicate_shard *shard, uint64_t now_ns, uint64_t *due_ns) {
    uint64_t durable = log_durable_index(shard->log);
    if (!leads(shard) || durable == log_last_index(shard->log) || durable != shard->stalled_index) {
        shard->stalled_index = durable;
        shard->stalled_since_ns = now_ns;
    }
    if (durable == log_last_index(shard->log)) {
        return;
    }
    ASSERT(now_ns >= shard->stalled_since_ns);
    uint64_t limit_ns = shard->stalled_since_ns + stalled_ns(shard);
    if (now_ns < limit_ns) {
        due_lower(due_ns, limit_ns);
        return;
    }
    shard->stalled_since_ns = now_ns;
    uint64_t node_id = successor(shard, false, now_ns);
    log_warn_limited("disk_stalled", "durable=%lu last=%lu successor=%lu", durable,
                     log_last_index(shard->log), node_id);
    hand_over(shard, node_id);
}

void replicate_stalled_turn(struct replicate_shard *shard, uint64_t now_ns, uint64_t *due_ns) {
    if (shard->links != NULL) {
        room_tell(shard);
        majority_look(shard);
        full_look(shard, now_ns, due_ns);
        stalled_look(shard, now_ns, due_ns);
    }
}
