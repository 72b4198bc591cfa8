/*
 * How late heartbeats are: what tells overload long before an election does.
 *
 * Happy path: a leader is ticked when a heartbeat is due, and each follower hears one every
 * heartbeat interval (its own: all members should have the same).
 *
 * Failure modes: the node is busy, or its host is: the tick comes late, and with it the heartbeat.
 * The network, or the node that hears, is: the next one comes later after the last one than the
 * interval.  Not counted is what comes sooner than half of the interval, for reads ask for
 * heartbeats of their own, and under many of them nothing else would be seen.  Nor is the first one
 * of a leader.
 */

#include "base/assert.h"
#include "stages/replicate_internal.h"

void replicate_lateness_ticked(struct replicate_shard *shard, uint64_t due_ns) {
    ASSERT(due_ns <= shard->now_ns);
    if (raft_role(shard->raft) == RAFT_LEADER) {
        lateness_add(&shard->node->replicate.heartbeats_sent, shard->now_ns - due_ns);
    }
}

void replicate_lateness_heard(struct replicate_shard *shard, const struct raft_message *message) {
    if (message->kind != RAFT_MESSAGE_HEARTBEAT || message->from != raft_leader(shard->raft) ||
        message->term != raft_term(shard->raft)) {
        return;
    }
    uint64_t interval_ns = shard->election_timeout_ns / REPLICATE_HEARTBEATS;
    bool first = message->from != shard->heartbeat_from || message->term != shard->heartbeat_term;
    uint64_t due_ns = first ? shard->now_ns : shard->heartbeat_ns + interval_ns;
    if (shard->now_ns + interval_ns / 2 < due_ns) {
        return; /* a read asked for it: the next one is still due when it was */
    }
    /* One that comes early, for a read, stands for the one that is due: the leader keeps its times.
     * One that comes late moves them, as it may be the leader that was late. */
    uint64_t late_ns = shard->now_ns > due_ns ? shard->now_ns - due_ns : 0;
    shard->heartbeat_from = message->from;
    shard->heartbeat_term = message->term;
    shard->heartbeat_ns = due_ns + late_ns;
    if (!first) {
        lateness_add(&shard->node->replicate.heartbeats_heard, late_ns);
    }
}
