/*
 * Room for entries where the log is stored.
 *
 * Happy path: there is some, everywhere.
 *
 * Failure modes: we have none.  We say so in our answers to heartbeats, and let others campaign
 * first: whoever leads without room refuses all writes, and the rest could take them.  If nobody
 * else wins, we lead: for those who read, and since our log may be the only one that has all that
 * is committed.  But not while our core has accepted entries that our log could not take any more:
 * then we are not settled (raft_settled) and never campaign, until there is room or we are started
 * again, and vote for nobody whose log is shorter than that.  If a majority is like that and the
 * leader ends, nobody leads so long.  Members that a quorum needs have none: the leader knows it
 * from their answers.  No other leader could do more then, so it does not step down because nothing
 * gets through to them.
 *
 * What is known of a member is as old as its last answer; nothing that keeps data relies on it.
 */

#include "raft/raft_internal.h"

void raft_on_room(struct raft *raft, const struct raft_event *event) {
    raft->full = event->full;
}

uint64_t raft_room_wait_ns(const struct raft *raft) {
    return raft->full ? RAFT_FULL_WAIT * raft->election_timeout_ns : 0;
}

bool raft_quorum_has_room(const struct raft *raft, bool answering) {
    const struct configuration *configuration = raft_members(raft);
    uint64_t values[CONFIGURATION_MEMBERS_MAX];
    bool missed = false;
    for (uint32_t i = 0; raft->role == RAFT_LEADER && i < configuration->member_count; i++) {
        const struct progress *peer = &raft->peers[i];
        bool is_self = i == raft->self;
        bool silent = answering && !is_self &&
                      (peer->answered_ns == 0 ||
                       raft->now_ns - peer->answered_ns >= raft->election_timeout_ns);
        values[i] = (is_self ? raft->full : peer->full) || silent ? 0 : 1;
        missed = missed || values[i] == 0;
    }
    return !missed || quorum_value(configuration, values) == 1;
}
