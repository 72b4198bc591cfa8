/*
 * Names for people: traces, status, logs.
 */

#include "raft/raft.h"

#include "base/assert.h"
#include "base/bytes.h"

const char *raft_role_name(enum raft_role role) {
    static const char *const names[] = {
        [RAFT_FOLLOWER] = "follower",
        [RAFT_PRE_CANDIDATE] = "pre-candidate",
        [RAFT_CANDIDATE] = "candidate",
        [RAFT_LEADER] = "leader",
    };
    ASSERT((uint32_t)role < ARRAY_COUNT(names));
    return names[role];
}

const char *raft_event_kind_name(enum raft_event_kind kind) {
    static const char *const names[] = {
        [RAFT_EVENT_TICK] = "tick",
        [RAFT_EVENT_VOTE_STORED] = "vote stored",
        [RAFT_EVENT_APPENDED] = "appended",
        [RAFT_EVENT_SEND] = "send",
        [RAFT_EVENT_STORED] = "stored",
        [RAFT_EVENT_APPLIED] = "applied",
        [RAFT_EVENT_COMPACTED] = "compacted",
        [RAFT_EVENT_READ] = "read",
        [RAFT_EVENT_MESSAGE] = "message",
        [RAFT_EVENT_SHORTENED] = "shortened",
        [RAFT_EVENT_DISCONNECTED] = "disconnected",
        [RAFT_EVENT_CONFIGURE] = "configure",
        [RAFT_EVENT_TRANSFER] = "transfer",
        [RAFT_EVENT_SNAPSHOT_CHUNK] = "snapshot chunk",
        [RAFT_EVENT_SNAPSHOT_INSTALLED] = "snapshot installed",
        [RAFT_EVENT_ROOM] = "room",
    };
    ASSERT((uint32_t)kind < ARRAY_COUNT(names));
    return names[kind];
}

const char *raft_action_kind_name(enum raft_action_kind kind) {
    static const char *const names[] = {
        [RAFT_ACTION_STORE_VOTE] = "store vote",
        [RAFT_ACTION_APPEND_NOOP] = "append no-op",
        [RAFT_ACTION_APPEND_CONFIGURATION] = "append configuration",
        [RAFT_ACTION_TRUNCATE] = "truncate",
        [RAFT_ACTION_APPEND] = "append",
        [RAFT_ACTION_COMMIT] = "commit",
        [RAFT_ACTION_ROLE] = "role",
        [RAFT_ACTION_SEND] = "send",
        [RAFT_ACTION_READ_READY] = "read ready",
        [RAFT_ACTION_READ_WAIT] = "read waits",
        [RAFT_ACTION_READ_CONFIRMED] = "reads confirmed",
        [RAFT_ACTION_READ_FAILED] = "read failed",
        [RAFT_ACTION_REFUSED] = "refused",
        [RAFT_ACTION_CONFIGURED] = "configured",
        [RAFT_ACTION_TRANSFER_FAILED] = "transfer failed",
        [RAFT_ACTION_REOPEN] = "reopen",
        [RAFT_ACTION_SNAPSHOT_CHUNK] = "snapshot chunk",
        [RAFT_ACTION_SNAPSHOT_INSTALL] = "snapshot install",
        [RAFT_ACTION_HALT] = "halt",
    };
    ASSERT((uint32_t)kind < ARRAY_COUNT(names));
    return names[kind];
}

const char *raft_refusal_name(enum raft_refusal refusal) {
    static const char *const names[] = {
        [RAFT_REFUSAL_NONE] = "not refused",
        [RAFT_REFUSAL_NOT_LEADER] = "not the leader",
        [RAFT_REFUSAL_NOT_SERVING] = "no entry of this term is committed yet",
        [RAFT_REFUSAL_CHANGING] = "a change of membership is under way",
        [RAFT_REFUSAL_TRANSFERRING] = "leadership is being transferred",
        [RAFT_REFUSAL_CONFIGURATION] = "not a valid change of the members",
        [RAFT_REFUSAL_LAGGING] = "a new voter must first catch up as a learner",
        [RAFT_REFUSAL_TARGET] = "the target must be another voter",
    };
    ASSERT((uint32_t)refusal < ARRAY_COUNT(names));
    return names[refusal];
}
