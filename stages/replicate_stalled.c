/*
 * A leader whose disk stands still gives leadership away.
 *
 * The others go on without its disk, since they are a majority; but it waits itself for what only
 * its own disk can do: a snapshot that a change has to wait for, a segment, entries that are only
 * there.  And clients wait for it.
 *
 * Happy path: entries become durable, or there are none to become so.
 *
 * Failure modes: nothing became durable for REPLICATE_STALLED_TIMEOUTS although something is to:
 * whoever of the voters is furthest and has answered lately is asked to lead.  Nobody has: tried
 * again after as long.  A cluster of one, or a follower: nothing is done; they can do nothing
 * better.
 */

#include "base/assert.h"
#include "base/log.h"
#include "stages/replicate_internal.h"

/* The voter to hand over to; 0: there is none. */
static uint64_t successor(const struct replicate_shard *shard, uint64_t now_ns) {
    struct raft_peer_status peers[CONFIGURATION_MEMBERS_MAX];
    uint32_t count = raft_peers(shard->raft, peers, CONFIGURATION_MEMBERS_MAX);
    const struct configuration *configuration = raft_configuration(shard->raft);
    uint64_t node_id = 0;
    uint64_t match_index = 0;
    for (uint32_t i = 0; i < count; i++) {
        const struct configuration_member *member =
            configuration_find(configuration, peers[i].node_id);
        bool votes = member != NULL && (member->roles & CONFIGURATION_VOTER) != 0;
        bool lately =
            peers[i].answered_ns != 0 && now_ns - peers[i].answered_ns < shard->election_timeout_ns;
        if (votes && lately && peers[i].match_index > match_index) {
            node_id = peers[i].node_id;
            match_index = peers[i].match_index;
        }
    }
    return node_id;
}

void replicate_stalled_turn(struct replicate_shard *shard, uint64_t now_ns, uint64_t *due_ns) {
    uint64_t durable = log_durable_index(shard->log);
    if (shard->links == NULL || raft_role(shard->raft) != RAFT_LEADER || shard->stop_started ||
        durable == log_last_index(shard->log) || durable != shard->stalled_index) {
        shard->stalled_index = durable;
        shard->stalled_since_ns = now_ns;
    }
    if (shard->links == NULL || durable == log_last_index(shard->log)) {
        return;
    }
    ASSERT(now_ns >= shard->stalled_since_ns);
    uint64_t limit_ns =
        shard->stalled_since_ns + REPLICATE_STALLED_TIMEOUTS * shard->election_timeout_ns;
    if (now_ns < limit_ns) {
        *due_ns = limit_ns < *due_ns ? limit_ns : *due_ns;
        return;
    }
    shard->stalled_since_ns = now_ns;
    uint64_t node_id = successor(shard, now_ns);
    log_warn_limited("disk_stalled", "durable=%lu last=%lu successor=%lu", durable,
                     log_last_index(shard->log), node_id);
    if (node_id != 0) {
        struct raft_event event = {.kind = RAFT_EVENT_TRANSFER, .node_id = node_id};
        replicate_step(shard, &event);
    }
}
