#ifndef WEIR_RAFT_RAFT_INTERNAL_H
#define WEIR_RAFT_RAFT_INTERNAL_H

/*
 * The state of the core, and what its files share.  raft/raft.h says what it is for.
 *
 *   raft.c        creation, the step, looks
 *   role.c        term, vote and role: every change of them, and the table of moves
 *   election.c    time-outs, PRE_VOTE and VOTE, their answers
 *   append.c      a follower takes APPEND; what is stored is answered
 *   replicate.c   a leader's log: APPEND to peers, their answers, commit
 *   heartbeat.c   HEARTBEAT and its answers; a leader's regular duties
 *   read.c        rounds of confirmation, leases
 *   change.c      membership changes
 *   transfer.c    leadership transfer
 *   snapshot.c    snapshots to a peer, and from a leader
 *   room.c        who has room for entries where its log is stored
 *   check.c       the invariants
 *   names.c       names for people
 *
 * Owner of everything: the thread that calls raft_step.
 */

#include "base/assert.h"
#include "base/mutant.h"
#include "base/random.h"
#include "raft/membership.h"
#include "raft/progress.h"
#include "raft/quorum.h"
#include "raft/raft.h"
#include "raft/terms.h"
#include "raft/window.h"

enum {
    /* Rounds whose beginning is remembered: with one under way at a time, two are enough. */
    RAFT_ROUNDS_KEPT = 2,
    /* A learner so close behind the commit index may become a voter: as much as a few messages,
     * sent in well under an election time-out. */
    RAFT_CAUGHT_UP_ENTRIES = 4 * RAFT_MESSAGE_ENTRIES_MAX,
    /* Uncommitted entries that proposals leave free in the window, for no-op and configurations. */
    RAFT_WINDOW_RESERVE = 16,
    /* After its leader's connection closed, a follower waits up to T / 4 before it asks for votes:
     * time enough that not all ask at once. */
    RAFT_DISCONNECTED_SHARE = 4,
    /* A leader that cannot commit reopens its data connections after 2 T, steps down after 4 T. */
    RAFT_CLOGGED_REOPEN = 2,
    RAFT_CLOGGED_STEP_DOWN = 4,
    /* A node without room for entries waits 2 T longer before it campaigns: all others have timed
     * out until then, and whoever of them can win has had time to. */
    RAFT_FULL_WAIT = 2,
};

struct raft {
    /* ---- fixed at creation */
    uint64_t node_id;
    uint64_t election_timeout_ns; /* T */
    uint64_t heartbeat_ns;
    uint32_t clock_drift_per_mille;
    uint64_t inflight_bytes_max;
    uint64_t uncommitted_bytes_max;
    uint32_t message_bytes_max;
    uint32_t snapshot_chunk_bytes;

    /* ---- term, vote, role: changed in role.c only */
    uint64_t term;
    uint64_t voted_for; /* in this term; 0: nobody */
    enum raft_role role;
    uint64_t leader;  /* of this term, as far as known; 0: unknown */
    bool vote_dirty;  /* changed in this step and not yet given out as STORE_VOTE */
    bool vote_stored; /* term and vote are durable */

    /* ---- the log */
    uint64_t last_index;
    uint64_t stored_index;   /* durable up to here */
    uint64_t verified_index; /* follower: equal to the log of this term's leader up to here */
    uint64_t commit_index;
    uint64_t applied_index;
    uint64_t epoch; /* rises with every truncation and installation */
    struct terms terms;
    struct window window;
    struct membership membership;
    struct raft_snapshot snapshot; /* the newest local one */
    bool full;                     /* clients' entries find no room where the log is stored */

    /* ---- time */
    uint64_t now_ns;
    uint64_t election_due_ns; /* not a leader: when it will campaign */
    bool excused;             /* the last tick was late: see raft_late */
    uint64_t heard_ns;        /* when the leader was last heard */
    uint64_t promised_ns;     /* when a leader was last answered, or the start: for leases */
    struct random random;

    /* ---- candidate */
    uint64_t attempt; /* number of its latest election, of either kind */
    bool transferred; /* this election was asked for by the leader */
    enum quorum_vote votes[CONFIGURATION_MEMBERS_MAX]; /* parallel to the configuration's members */

    /* ---- follower: the answer that is owed when entries are durable */
    bool answer_owed;
    uint32_t answer_session;
    uint64_t answer_round;

    /* ---- follower: the snapshot that is being received; index 0: none */
    struct raft_snapshot receiving;
    struct configuration receiving_configuration;
    bool installing;

    /* ---- leader */
    struct progress peers[CONFIGURATION_MEMBERS_MAX]; /* parallel to the configuration's members;
                                                         our own place is not used */
    uint32_t self;             /* our place among the members; CONFIGURATION_MEMBERS_MAX: none */
    bool only_voter;           /* nobody else is needed for a majority */
    uint32_t session;          /* the latest number given out, over all terms */
    uint64_t term_first_index; /* the no-op of this term */
    uint64_t heartbeat_due_ns;
    uint64_t commit_moved_ns;    /* when commit last rose, or there was nothing to commit */
    uint64_t stored_moved_ns;    /* when our own log last became durable further on */
    bool reopened;               /* since entries last got through to a quorum */
    bool change_pending;         /* a configuration was given out to be appended, and is not yet */
    bool change_open;            /* the configuration in force is not yet known to be committed */
    struct configuration change; /* what was given out */
    /* rounds */
    uint64_t round;                            /* number of the latest one */
    uint64_t round_confirmed;                  /* by a quorum */
    bool round_wanted;                         /* reads wait for the one after the latest */
    uint64_t round_began_ns[RAFT_ROUNDS_KEPT]; /* [round % RAFT_ROUNDS_KEPT] */
    uint64_t lease_round; /* the latest confirmed by a quorum that knows of leases */
    uint64_t lease_until_ns;
    uint64_t lease_promise_ns; /* the promise that it counts on: raft_promise_ns at that time */
    bool lease_dropped;        /* a transfer began in this term */
    /* transfer */
    uint64_t transfer_target; /* 0: none */
    uint64_t transfer_due_ns;
    bool transfer_told; /* TIMEOUT_NOW was sent */

    uint64_t *window_sums;
    struct progress_inflight *inflight;
};

/* ---- raft.c ---------------------------------------------------------------------------------- */

/* One more action of this step, all zero but its kind. */
struct raft_action *raft_action_add(struct raft_actions *actions, enum raft_action_kind kind);

/* One more message of this step: from us, with our term. */
struct raft_message *raft_send(const struct raft *raft, struct raft_actions *actions,
                               enum raft_message_kind kind, uint64_t to);

/* Something happened that working members cannot cause. */
void raft_halt(struct raft_actions *actions, const char *sentence);

/* The configuration in force. */
static inline const struct configuration *raft_members(const struct raft *raft) {
    return membership_current(&raft->membership);
}

/* True if leases may be used in the configuration in force. */
static inline bool raft_leases(const struct raft *raft) {
    return (raft_members(raft)->flags & CONFIGURATION_LEASES) != 0;
}

/* For so long a voter grants nothing after its last answer to a leader; 0: there are no leases.
 * By the configuration in force and not by T, which each node has for itself. */
static inline uint64_t raft_promise_ns(const struct raft *raft) {
    const struct configuration *members = raft_members(raft);
    if ((members->flags & CONFIGURATION_LEASES) == 0) {
        return 0;
    }
    uint32_t lease_ms =
        members->lease_ms == 0 ? (uint32_t)CONFIGURATION_LEASE_UNSAID_MS : members->lease_ms;
    return lease_ms * RAFT_NS_PER_MS;
}

/*
 * A tick that was due at due_ns comes now.  True if it is late by a heartbeat interval or more: we
 * did not run, and what others have said meanwhile may still wait for us, outside the rings that
 * our caller looks into before (raft.h, 10).  So nobody's silence may be judged now, but at the
 * next tick; that one is not called late, whenever it comes, unless a leader was heard in between.
 * Nor is one by 2 T or more: until then all the others have timed out.
 */
bool raft_late(struct raft *raft, uint64_t due_ns);

/* ---- role.c ---------------------------------------------------------------------------------- */

/* A follower of `term`, not below ours; leader 0: unknown.  In a term of our own the vote stays. */
void raft_become_follower(struct raft *raft, uint64_t term, uint64_t leader,
                          struct raft_actions *actions);
void raft_become_pre_candidate(struct raft *raft, struct raft_actions *actions);
/* In the next term, with our own vote. */
void raft_become_candidate(struct raft *raft, struct raft_actions *actions);
void raft_become_leader(struct raft *raft, struct raft_actions *actions);

/* Votes for a candidate of this term. */
void raft_vote(struct raft *raft, uint64_t candidate);

/* Gives out a changed term or vote to be stored: before anything that depends on it. */
void raft_vote_flush(struct raft *raft, struct raft_actions *actions);

/* ---- election.c ------------------------------------------------------------------------------ */

/* A voter campaigns.  So does a node whose removal is in its log and not known to be committed
 * (4.2.2, figure 4.6): it may be the only one that has that entry, and then nobody else can win. */
bool raft_may_campaign(const struct raft *raft);

/* Draws a new time-out from now on. */
void raft_election_rearm(struct raft *raft);
void raft_election_tick(struct raft *raft, struct raft_actions *actions);
/* Starts an election at once; `transfer`: the leader wants it (no pre-vote). */
void raft_campaign(struct raft *raft, bool transfer, struct raft_actions *actions);
void raft_on_vote_stored(struct raft *raft, const struct raft_event *event,
                         struct raft_actions *actions);
void raft_on_pre_vote(struct raft *raft, const struct raft_message *message,
                      struct raft_actions *actions);
void raft_on_pre_vote_answer(struct raft *raft, const struct raft_message *message,
                             struct raft_actions *actions);
void raft_on_vote(struct raft *raft, const struct raft_message *message,
                  struct raft_actions *actions);
void raft_on_vote_answer(struct raft *raft, const struct raft_message *message,
                         struct raft_actions *actions);
/* Must an election be refused because there is a leader (stickiness, 4.2.3; leases, 6.4.1)? */
bool raft_election_refused(const struct raft *raft, bool transfer);
/* May we campaign with log and vote as they are on disk? */
bool raft_settled(const struct raft *raft);
void raft_on_disconnected(struct raft *raft, uint64_t node_id, struct raft_actions *actions);

/* ---- room.c ---------------------------------------------------------------------------------- */

/* Who follows says it in its next answer, and forgets what its log did not take. */
void raft_on_room(struct raft *raft, const struct raft_event *event, struct raft_actions *actions);
/* How much longer than others we wait before we campaign. */
uint64_t raft_room_wait_ns(const struct raft *raft);

/* ---- append.c -------------------------------------------------------------------------------- */

/* A message of this term's leader: follow it.  False if that cannot be (two leaders). */
bool raft_follow(struct raft *raft, const struct raft_message *message,
                 struct raft_actions *actions);
void raft_on_append(struct raft *raft, const struct raft_message *message,
                    const struct raft_entry *entries, struct raft_actions *actions);
/* Knows no more of what is after index, an entry of this term; not committed, not a leader's. */
void raft_log_cut(struct raft *raft, uint64_t index, uint64_t term);
/* Tells the leader what is durable and verified. */
void raft_append_answer(struct raft *raft, struct raft_actions *actions);
/* A follower learns of a commit: up to what this term's leader has verified. */
void raft_follower_commit(struct raft *raft, uint64_t commit, struct raft_actions *actions);
/* Does the log have this entry, as far as it is known (what is committed is)?  */
bool raft_log_has(const struct raft *raft, uint64_t index, uint64_t term);

/* ---- replicate.c ----------------------------------------------------------------------------- */

/* Begins with every peer of the configuration in force. */
void raft_peers_begin(struct raft *raft);
/* The configuration in force has changed: keeps who stays, begins with who is new. */
void raft_peers_follow(struct raft *raft);
/* The peer with this id; NULL if it is no member, or we are not its leader. */
struct progress *raft_peer(struct raft *raft, uint64_t node_id);
/* Sends to one peer, or all, what they may be sent now. */
void raft_replicate_to(struct raft *raft, struct progress *peer, struct raft_actions *actions);
void raft_replicate(struct raft *raft, struct raft_actions *actions);
/* A peer has answered a heartbeat: sends what it may be sent now, or asks whether it has got what
 * it was sent. */
void raft_replicate_again(struct raft *raft, struct progress *peer, struct raft_actions *actions);
void raft_on_appended(struct raft *raft, const struct raft_event *event,
                      struct raft_actions *actions);
void raft_on_send(struct raft *raft, struct raft_actions *actions);
void raft_on_append_answer(struct raft *raft, const struct raft_message *message,
                           struct raft_actions *actions);
/* Commits what is stored on a quorum (3.6.2, figure 3.2). */
void raft_commit_advance(struct raft *raft, struct raft_actions *actions);
/* Appends to what the core knows of the log; for leader and follower. */
void raft_log_extend(struct raft *raft, const struct raft_entry *entries, uint32_t count);

/* ---- heartbeat.c ----------------------------------------------------------------------------- */

/* A heartbeat to everybody, now. */
void raft_heartbeat(struct raft *raft, struct raft_actions *actions);
/* A leader's regular duties: heartbeats, quorum, clogged data, transfer, chunks. */
void raft_leader_tick(struct raft *raft, struct raft_actions *actions);
void raft_on_heartbeat(struct raft *raft, const struct raft_message *message,
                       struct raft_actions *actions);
void raft_on_heartbeat_answer(struct raft *raft, const struct raft_message *message,
                              struct raft_actions *actions);
/* An answer of this term and session has come from a peer. */
void raft_peer_answered(struct raft *raft, struct progress *peer, uint64_t round,
                        struct raft_actions *actions);

/* ---- read.c ---------------------------------------------------------------------------------- */

/* Leadership begins: no round has begun yet, and no lease holds. */
void raft_rounds_reset(struct raft *raft);
/* Begins a round unless one is under way; messages put out from now on carry it. */
void raft_round_begin(struct raft *raft);
/* A peer has confirmed something, or the configuration changed. */
void raft_rounds_advance(struct raft *raft, struct raft_actions *actions);
void raft_on_read(struct raft *raft, const struct raft_event *event, struct raft_actions *actions);

/* ---- change.c -------------------------------------------------------------------------------- */

/* The event CONFIGURE: begins a change, or refuses. */
void raft_on_configure(struct raft *raft, const struct raft_event *event,
                       struct raft_actions *actions);
/* A leader has appended a configuration. */
void raft_change_appended(struct raft *raft, struct raft_actions *actions);
/* Commit has risen: goes on with a change, or ends it.  May step down. */
void raft_change_advance(struct raft *raft, struct raft_actions *actions);
/* The configuration in force has changed, by an append or a truncation or a snapshot. */
void raft_members_changed(struct raft *raft);
/* Finds our own place in it. */
void raft_self_find(struct raft *raft);

/* ---- transfer.c ------------------------------------------------------------------------------ */

/* The event TRANSFER: begins one, or refuses. */
void raft_on_transfer(struct raft *raft, const struct raft_event *event,
                      struct raft_actions *actions);
/* Tells the target to campaign as soon as its log is as long as ours. */
void raft_transfer_advance(struct raft *raft, struct raft_actions *actions);
void raft_transfer_fail(struct raft *raft, struct raft_actions *actions);
void raft_on_timeout_now(struct raft *raft, const struct raft_message *message,
                         struct raft_actions *actions);

/* ---- snapshot.c ------------------------------------------------------------------------------ */

/* The peer needs what the log no longer has. */
void raft_snapshot_begin(struct raft *raft, struct progress *peer);
/* Sends the next chunk to a peer that needs a snapshot, unless one is under way. */
void raft_snapshot_send(struct raft *raft, struct progress *peer, struct raft_actions *actions);
void raft_on_snapshot(struct raft *raft, const struct raft_message *message,
                      struct raft_actions *actions);
void raft_on_snapshot_answer(struct raft *raft, const struct raft_message *message,
                             struct raft_actions *actions);
void raft_on_snapshot_chunk(struct raft *raft, const struct raft_event *event,
                            struct raft_actions *actions);
void raft_on_snapshot_installed(struct raft *raft, const struct raft_event *event,
                                struct raft_actions *actions);
void raft_on_compacted(struct raft *raft, const struct raft_event *event);

#endif
