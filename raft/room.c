/*
 * Room for entries where the log is stored.
 *
 * Happy path: there is some, everywhere.
 *
 * Failure modes: we have none.  We say so in our answers to heartbeats, and let others campaign
 * first: whoever leads without room refuses all writes, and the rest could take them.  If nobody
 * else wins, we lead: for those who read, and since our log may be the only one that has all that
 * is committed.  What we have accepted, and our log could not take, we forget, or else we could
 * never campaign, and would vote for nobody whose log is shorter than that.  The leader offers it
 * again, an entry every T, until there is room.  Members that a quorum needs have none: the leader
 * knows it from their answers.  No other leader could do more then, so it does not step down
 * because nothing gets through to them.
 *
 * What is known of a member is as old as its last answer; nothing that keeps data relies on it.
 */

#include "raft/raft_internal.h"

static uint64_t larger(uint64_t a, uint64_t b) {
    return a > b ? a : b;
}

/*
 * The log ends at index, and takes no more of what we have accepted.  None of that was reported as
 * stored, so nobody counts on our having it, as after a crash; but what is committed stays
 * accepted, and so do a configuration that is known to be, and what follows an entry whose term was
 * forgotten.
 */
static void forget(struct raft *raft, uint64_t index, struct raft_actions *actions) {
    uint64_t term;
    ASSERT(index >= raft->stored_index);
    index = larger(index, larger(raft->commit_index, raft->membership.stack[0].index));
    if (index >= raft->last_index || !terms_at(&raft->terms, index, &term)) {
        return;
    }
    if (MUTANT(ACKNOWLEDGES_CUT_SHORT, raft->answer_owed && raft->leader != 0, false)) {
        raft_append_answer(raft, actions);
    }
    raft_log_cut(raft, index, term);
    if (raft->answer_owed && raft->leader != 0 && raft->stored_index >= raft->verified_index) {
        raft_append_answer(raft, actions);
    }
}

void raft_on_room(struct raft *raft, const struct raft_event *event, struct raft_actions *actions) {
    raft->full = event->full;
    if (event->full && event->index != 0 && event->epoch == raft->epoch && !raft->installing &&
        raft->role == RAFT_FOLLOWER) {
        forget(raft, event->index, actions);
    }
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
