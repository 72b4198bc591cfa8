#ifndef WEIR_STAGES_CHANGE_H
#define WEIR_STAGES_CHANGE_H

/*
 * The door for what an operator asks of a cluster: other members, another leader.
 *
 * One request at a time stands in a box of the node.  Whoever asks claims the box, puts the request
 * in, and wakes replicate (pipeline_wake); replicate takes it to the consensus core, and says in
 * the box what has become of it; whoever asked looks, and gives the box back when it is over.
 *
 *     NONE ──ask──> ASKED ──> ACCEPTED ──> DONE, FAILED, UNKNOWN ──forget──> NONE
 *                     └─────> REFUSED ──────────────────────────────forget──> NONE
 *
 *   REFUSED   nothing was changed; `reason` says why.  What is too early may be asked again: a new
 *             voter must be a learner that has caught up, a new member must have introduced itself.
 *   DONE      of members: the new configuration is committed, and the joint one before it left.
 *             Of a transfer: this node follows the one that was to lead.
 *   FAILED    a transfer was given up; this node goes on leading, or another one leads.
 *   UNKNOWN   this node lost leadership, or stops, before the change was committed: it may come
 *             about or not, and the configuration of the next leader says which.
 *
 * A change of members lists edits of the configuration in force, which are made at once or not at
 * all.  The entry that it becomes has the incarnation of every member.
 *
 * Threads: one asker at a time (change_ask decides who), and replicate.
 */

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "entry/configuration.h"
#include "queues/atomic.h"

/* What is asked for: other members, or another leader. */
enum change_kind { CHANGE_MEMBERS, CHANGE_LEADER };

enum change_edit_kind {
    CHANGE_ADD_LEARNER, /* a node that is no member */
    CHANGE_PROMOTE,     /* a learner becomes a voter */
    CHANGE_REMOVE,      /* a member is none any more; the leader itself, too */
};

struct change_edit {
    enum change_edit_kind kind;
    uint64_t node_id;
    uint64_t incarnation; /* of who is added; 0: as it has introduced itself to the leader */
};

struct change_request {
    enum change_kind kind;
    uint64_t leader;      /* CHANGE_LEADER: who shall lead */
    uint32_t edit_count;  /* CHANGE_MEMBERS: in this order; [0, CONFIGURATION_MEMBERS_MAX] */
    uint32_t flags_set;   /* CHANGE_MEMBERS: enum configuration_flag, */
    uint32_t flags_clear; /* likewise */
    struct change_edit edits[CONFIGURATION_MEMBERS_MAX];
};

/* How far a request is; the picture above. */
enum change_state {
    CHANGE_NONE,
    CHANGE_ASKED,
    CHANGE_ACCEPTED,
    CHANGE_DONE,
    CHANGE_REFUSED,
    CHANGE_FAILED,
    CHANGE_UNKNOWN,
};

/* Zeroed: free. */
struct change_box {
    CACHE_ALIGNED uint32_t claimed; /* exchanged to 1 by who asks, cleared by it */
    struct change_request request;  /* the asker's, from ASKED on replicate's */
    CACHE_ALIGNED uint32_t state;   /* enum change_state */
    const char *reason;             /* static; replicate's until the state is a last one */
};

/* Puts a request in; false if another one is there, which is not forgotten yet.  Then wake
 * replicate (pipeline_wake).  Any thread. */
static inline bool change_ask(struct change_box *box, const struct change_request *request) {
    if (atomic_exchange_u32(&box->claimed, 1) != 0) {
        return false;
    }
    box->request = *request;
    box->reason = "";
    /* Partner: replicate's acquire in change_asked. */
    atomic_store_release_u32(&box->state, CHANGE_ASKED);
    return true;
}

/* How far it is; *reason becomes a static sentence's end, "" without one.  The asker only. */
static inline enum change_state change_look(const struct change_box *box, const char **reason) {
    /* Partner: replicate's release in change_tell. */
    enum change_state state = (enum change_state)atomic_load_acquire_u32(&box->state);
    *reason = state >= CHANGE_DONE ? box->reason : "";
    return state;
}

/* Gives the box back, once it was seen to be DONE, REFUSED, FAILED or UNKNOWN.  The asker only. */
static inline void change_forget(struct change_box *box) {
    atomic_store_relaxed_u32(&box->state, CHANGE_NONE);
    /* Partner: the next asker's exchange. */
    atomic_store_release_u32(&box->claimed, 0);
}

/* The request, if one was put in and nothing was said of it yet; or NULL.  Replicate only. */
static inline const struct change_request *change_asked(const struct change_box *box) {
    return atomic_load_acquire_u32(&box->state) == CHANGE_ASKED ? &box->request : NULL;
}

/* Says what has become of it.  Replicate only. */
static inline void change_tell(struct change_box *box, enum change_state state,
                               const char *reason) {
    box->reason = reason;
    atomic_store_release_u32(&box->state, state);
}

#endif
