#ifndef WEIR_RAFT_RAFT_H
#define WEIR_RAFT_RAFT_H

/*
 * The consensus core: a pure function.
 *
 *     step(state, event) -> actions
 *
 * An event is something that happened outside: time passed, entries became durable, a message
 * arrived, somebody proposes or wants to read.  An action is something the caller must now do.
 * The core has no clock, no disk, no socket and no thread; it allocates nothing after
 * raft_create; its randomness comes from a seed.  Given the same events it gives the same actions.
 *
 * It knows entries by term and index only.  Their bytes stay in the log, which the caller owns.
 * The terms are those of the Raft dissertation (Ongaro 2014).
 *
 * Asynchronous storage.  The core never waits.  It asks for the vote to be stored and goes on when
 * RAFT_EVENT_VOTE_STORED comes; entries that were appended count for the quorum only after
 * RAFT_EVENT_STORED says so, with the term in which the last of them was appended: an answer about
 * entries that have since been replaced is recognised by its term and dropped.
 *
 * What the caller must do (each breach loses data or breaks linearizability):
 *
 *   1. Carry out the actions of one step in the order given, before the next step.
 *   2. RAFT_ACTION_STORE_VOTE: make term and vote durable, in every durability mode, before any
 *      message of a later action leaves and before any entry of that term is written to disk;
 *      then report RAFT_EVENT_VOTE_STORED with the same term.
 *   3. RAFT_ACTION_APPEND_NOOP: append a no-op of the given term to the log (the genesis record
 *      instead, if the log has none), then report RAFT_EVENT_APPENDED.
 *   4. Append nothing as leader but what raft_propose allowed, with the term it gave.
 *   5. RAFT_EVENT_STORED(index, term): only when every entry up to index is durable, and `term` is
 *      the term of the entry at index as the log holds it now.
 *   6. RAFT_ACTION_COMMIT(index): entries up to index may be applied, in order, each once.
 *      Nothing may be applied, acknowledged or answered before.
 *   7. RAFT_ACTION_ROLE: on leaving leadership, at once: answer every proposed and unfinished
 *      write as unknown and every waiting read as refused.
 *   8. Tick with the current time before any other event after a wake-up, and at the latest at
 *      raft_deadline_ns.
 *   9. RAFT_ACTION_READ_READY(context, index): run the read once `index` is applied, in this
 *      term; RAFT_ACTION_READ_FAILED: refuse it.
 *
 * Of this contract the single-member group is built: a group of more members is refused by
 * raft_create until elections and replication between members are there.
 *
 * Threads: one owner (the replicate thread).  No function blocks.
 */

#include <stdbool.h>
#include <stdint.h>

#include "entry/configuration.h"

/* What a node is in its term (dissertation, figure 3.3; the pre-candidate of 9.6). */
enum raft_role {
    RAFT_FOLLOWER,
    RAFT_PRE_CANDIDATE,
    RAFT_CANDIDATE,
    RAFT_LEADER,
};

enum raft_event_kind {
    RAFT_EVENT_TICK,        /* now_ns */
    RAFT_EVENT_VOTE_STORED, /* term */
    RAFT_EVENT_APPENDED,    /* index, term: the leader's own entries up to index are in its log */
    RAFT_EVENT_STORED,      /* index, term: durable up to index; term of that entry */
    RAFT_EVENT_APPLIED,     /* index */
    RAFT_EVENT_READ,        /* context: wants READ_READY or READ_FAILED */
};

struct raft_event {
    enum raft_event_kind kind;
    uint64_t now_ns;  /* TICK */
    uint64_t index;   /* APPENDED, STORED, APPLIED */
    uint64_t term;    /* VOTE_STORED, APPENDED, STORED */
    uint64_t context; /* READ */
};

enum raft_action_kind {
    RAFT_ACTION_STORE_VOTE,  /* term, node_id */
    RAFT_ACTION_APPEND_NOOP, /* term */
    RAFT_ACTION_COMMIT,      /* index */
    RAFT_ACTION_ROLE,        /* role, term, node_id: the leader as far as known, or 0 */
    RAFT_ACTION_READ_READY,  /* context, index */
    RAFT_ACTION_READ_FAILED, /* context */
};

/* One action; the comment at its kind says which fields it uses. */
struct raft_action {
    enum raft_action_kind kind;
    enum raft_role role;
    uint64_t term;
    uint64_t index;
    uint64_t node_id;
    uint64_t context;
};

/* The most actions one step can give: one vote, one no-op, one commit, one role and one read. */
enum { RAFT_ACTIONS_MAX = 8 };

/* The actions of one step, in the order in which they are to be carried out. */
struct raft_actions {
    uint32_t count;
    struct raft_action action[RAFT_ACTIONS_MAX];
};

/* What was found on disk at start. */
struct raft_options {
    uint64_t node_id;
    struct configuration configuration; /* the latest in the log or the snapshot */
    uint64_t term;                      /* from the vote file */
    uint64_t voted_for;
    uint64_t last_index; /* of the log */
    uint64_t last_term;
    uint64_t snapshot_index; /* applied and committed at least up to here */
    uint64_t seed;
    uint64_t election_timeout_ns; /* T; the time-out is drawn from [T, 2T) */
};

struct raft;

/*
 * Creates the core as a follower.  Allocates; nothing later does.
 * Errors: WEIR_EUNSUPPORTED for more than one member; WEIR_EINVAL if node_id is not a member, or
 * the vote file's term is below the log's; WEIR_ENOMEM.
 */
int raft_create(struct raft **out, const struct raft_options *options);
void raft_destroy(struct raft *raft);

/* The function.  Overwrites *actions. */
void raft_step(struct raft *raft, const struct raft_event *event, struct raft_actions *actions);

/*
 * May `count` entries be appended now?  On 0 the caller appends them with *term at the indices
 * *first_index and up, and reports RAFT_EVENT_APPENDED.  Pure look; changes nothing.
 * Errors: WEIR_EAGAIN if this node is not a leader that may propose.
 */
int raft_propose(const struct raft *raft, uint32_t count, uint64_t *first_index, uint64_t *term);

/* Role, term, leader as far as known (node id, 0: unknown), and how far the log is committed and
 * long.  Pure looks; owner's thread. */
enum raft_role raft_role(const struct raft *raft);
uint64_t raft_term(const struct raft *raft);
uint64_t raft_leader(const struct raft *raft);
uint64_t raft_commit_index(const struct raft *raft);
uint64_t raft_last_index(const struct raft *raft);

/* True once an entry of the leader's own term is committed: reads may be confirmed. */
bool raft_serving(const struct raft *raft);

/* When the next RAFT_EVENT_TICK is due at the latest; UINT64_MAX: never. */
uint64_t raft_deadline_ns(const struct raft *raft);

/* Asserts the invariants of the state; cheap.  Called by every step in tests and debug builds. */
void raft_check(const struct raft *raft);

#endif
