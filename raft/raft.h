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
 * It knows entries by index, term and length only (and configurations, which it interprets).
 * Their bytes stay in the log, which the caller owns.  The words are those of the Raft
 * dissertation (Ongaro 2014); section numbers in comments are the dissertation's.
 *
 * Asynchronous storage.  The core never waits.  It says what to append and what to store, and goes
 * on when it is told that it was done.  Nothing counts before it is durable: a vote not before
 * RAFT_EVENT_VOTE_STORED, an entry (also the leader's own) not before RAFT_EVENT_STORED.
 *
 * The log's epoch.  An index can be written several times: appended, truncated, appended again,
 * even with the same term as the first time, while the first write is still under way.  So the log
 * has an epoch, a number that rises with every truncation and every installed snapshot
 * (RAFT_ACTION_TRUNCATE and RAFT_ACTION_SNAPSHOT_INSTALL name the new one), and what is reported
 * as stored is reported with the epoch in which it was appended.  Within one epoch an index is
 * written once.  A report of an older epoch is dropped.
 *
 * ---- What the caller must do ------------------------------------------------------------------
 *
 * Each breach loses data or breaks linearizability.
 *
 *   1. Carry out the actions of one step in the order given, before the next step.  To carry out
 *      a SEND is to put it into a queue; to carry out an APPEND is to have it in the log's memory.
 *   2. RAFT_ACTION_STORE_VOTE: make term and vote durable, in every durability mode.  Until it is
 *      done, no message leaves that was put out by this step, wherever it stands in it, or by a
 *      later one, and nothing that such a step did to the log reaches the disk: no entry, no
 *      truncation, no installation.  (Otherwise a crash forgets the term while its entries survive,
 *      or while what an older leader counts on is gone, and that older leader may be believed.)
 *      Then report RAFT_EVENT_VOTE_STORED with the same term and node id.
 *   3. RAFT_ACTION_APPEND_NOOP: append a no-op of the given term to the log (the genesis record
 *      instead, if the log has none), then report RAFT_EVENT_APPENDED.  The same for
 *      RAFT_ACTION_APPEND_CONFIGURATION and the configuration given.  If there is no room in the
 *      log, later; if the role or the term has changed meanwhile, not at all.
 *   4. Append nothing else as leader but what raft_propose allowed, with the term it gave, and
 *      report RAFT_EVENT_APPENDED before any other event.
 *   5. RAFT_ACTION_TRUNCATE(index, epoch): remove all entries after index from the log.
 *      RAFT_ACTION_APPEND(first, count): append the entries [first, first + count) of the message
 *      in this event, in the epoch as it then is, and check that their chain continues the log's.
 *      A chain that does not, though the terms agree, is corruption: stop.
 *   6. RAFT_EVENT_STORED(index, epoch): only when every entry up to index is durable.  After a
 *      TRUNCATE or an installation, report once in the new epoch even if nothing new was stored.
 *   7. RAFT_ACTION_COMMIT(index): entries up to index may be applied, in order, each once.
 *      Nothing may be applied, acknowledged or answered before.
 *   8. RAFT_ACTION_ROLE: on leaving leadership, at once: answer every proposed and unfinished
 *      write as unknown and every waiting read as refused.  On a change of term the same.
 *   9. RAFT_EVENT_READ: RAFT_ACTION_READ_WAIT(round, index) answers it.  Run the read when
 *      RAFT_ACTION_READ_CONFIRMED has named this round or a later one, and `index` is applied, and
 *      term and role have not changed since.  RAFT_ACTION_READ_READY(index): it is confirmed now,
 *      and runs as soon as `index` is applied, after the same look at term and role.
 *      RAFT_ACTION_READ_FAILED: refuse it.
 *  10. now_ns of every event is monotonic and not older than the last one's.  It is read after the
 *      caller last slept; for a read by lease, after the read was taken from its queue.  After a
 *      wake-up, the messages that are there come first, then a tick if it is due, then proposals
 *      and reads; tick at the latest at raft_deadline_ns.  (A tick before the messages judges by
 *      what was heard before the sleep.)
 *  11. RAFT_ACTION_SEND: queue the message.  APPEND: with the entries [previous_index + 1,
 *      previous_index + entry_count] as they are in the log now; if they are to be read from disk
 *      first, they may be fewer: then report RAFT_EVENT_SHORTENED and drop what was queued for that
 *      peer behind this message.  No room in the queue: report it with previous_index, before any
 *      other event, and drop further APPENDs of this step to that peer.  (Otherwise the core takes
 *      for sent what was not, and the peer has to refuse what comes behind it.)  A message of a
 *      queue may be dropped, never altered.
 *  12. Before RAFT_EVENT_MESSAGE: the frame's checksum, cluster, sender and incarnation were
 *      checked, `to` is this node, and raft_message_check found nothing.
 *  13. RAFT_ACTION_HALT: stop the node, with the sentence given; something happened that no set of
 *      working members can cause (two leaders in a term, a committed entry to be replaced).
 *  14. RAFT_ACTION_SNAPSHOT_CHUNK(message): if its checksum is right and it continues what was
 *      received so far of this snapshot (the same index, term and size), write it; in any case
 *      report RAFT_EVENT_SNAPSHOT_CHUNK with the number of bytes of it that are now there (and thus
 *      with what a predecessor of this process had received, if it was kept).  When all bytes are
 *      there and durable and the whole is verified: with `complete`.  If the whole is found
 *      damaged (it may be of two leaders' files): with 0.
 *      RAFT_ACTION_SNAPSHOT_INSTALL(snapshot, epoch): restore the machine from it and begin the log
 *      again behind it; nothing of the old log is left.  Then report
 *      RAFT_EVENT_SNAPSHOT_INSTALLED.  Meanwhile report nothing as stored or applied.
 *  15. A snapshot that raft_snapshot_needed names is kept; one that raft_snapshot_wanted asks for
 *      is taken (or else a peer stays behind until the next one happens to be taken).  What is
 *      committed and applied need not be durable here yet; a snapshot takes its place on disk
 *      (COMPACTED) only when the log up to its index is, lest a restart finds a log that ends
 *      before it.
 *  16. Where the configuration allows leases, all members have the same drift of clocks; and where
 *      it does not say how long a lease is, the same election time-out: a leader then trusts for
 *      its own T what a voter promises for the voter's.  Where it says so, T is each node's own.
 *  17. Entries appended with `more` may be sent with what follows, in one message: none is waited
 *      for, and no TICK comes, before an APPENDED without it, or SEND; no later than an answer,
 *      whichever comes first, they go out.
 *  18. DISCONNECTED is for the connection that carries control messages; one for data may be closed
 *      because the core has asked for it (REOPEN).
 *
 *  19. ROOM with `full` and an index that is not 0: of the entries of APPENDs the log has those up
 *      to index, in that epoch, and could not take the next one.  Afterwards the core knows nothing
 *      of what is behind raft_last_index: drop it.  What is still between the two (it is committed)
 *      waits for room.
 *
 * Threads: one owner (the replicate thread).  No function blocks.
 */

#include <stdbool.h>
#include <stdint.h>

#include "entry/configuration.h"
#include "raft/message.h"

/* What a node is in its term (dissertation, figure 3.3; the pre-candidate of 9.6). */
enum raft_role {
    RAFT_FOLLOWER,
    RAFT_PRE_CANDIDATE,
    RAFT_CANDIDATE,
    RAFT_LEADER,
};

enum raft_event_kind {
    RAFT_EVENT_TICK,         /* time has passed */
    RAFT_EVENT_VOTE_STORED,  /* term, node_id */
    RAFT_EVENT_APPENDED,     /* entries, entry_count: the leader appended them behind its last;
                               more: a further APPENDED or SEND follows soon */
    RAFT_EVENT_SEND,         /* nothing more follows what was appended with `more` */
    RAFT_EVENT_STORED,       /* index, epoch: durable up to index */
    RAFT_EVENT_APPLIED,      /* index */
    RAFT_EVENT_COMPACTED,    /* index, snapshot: a local snapshot is there, and the log begins after
                               index now (index <= snapshot.index) */
    RAFT_EVENT_READ,         /* lease: a lease is good enough */
    RAFT_EVENT_MESSAGE,      /* message, entries (of an APPEND: message->entry_count) */
    RAFT_EVENT_SHORTENED,    /* node_id, index: an APPEND to it ended at index instead, and nothing
                               was sent behind that */
    RAFT_EVENT_DISCONNECTED, /* node_id: its control connection closed, as when its process ends */
    RAFT_EVENT_CONFIGURE,    /* configuration: the membership wanted (roles VOTER and LEARNER) */
    RAFT_EVENT_TRANSFER,     /* node_id: who shall lead */
    RAFT_EVENT_SNAPSHOT_CHUNK,     /* snapshot, offset, complete */
    RAFT_EVENT_SNAPSHOT_INSTALLED, /* snapshot */
    RAFT_EVENT_ROOM, /* full: clients' entries find no room in the log, or the snapshot that it
                        needs none; at first they do.  index, epoch (index 0: none): see 19 */
};

/* One event; the comment at its kind says which fields it uses, beside now_ns. */
struct raft_event {
    enum raft_event_kind kind;
    uint32_t entry_count; /* APPENDED: [1, RAFT_MESSAGE_ENTRIES_MAX] */
    uint64_t now_ns;      /* monotonic */
    uint64_t index;
    uint64_t term;
    uint64_t epoch;
    uint64_t node_id;
    uint64_t offset;
    struct raft_snapshot snapshot;
    const struct raft_message *message;        /* borrowed for the time of the step */
    const struct raft_entry *entries;          /* likewise */
    const struct configuration *configuration; /* likewise */
    bool lease;
    bool complete;
    bool more;
    bool full;
};

enum raft_action_kind {
    RAFT_ACTION_STORE_VOTE,           /* term, node_id (0: no vote) */
    RAFT_ACTION_APPEND_NOOP,          /* term */
    RAFT_ACTION_APPEND_CONFIGURATION, /* term, configuration */
    RAFT_ACTION_TRUNCATE,             /* index, epoch */
    RAFT_ACTION_APPEND,               /* first, count: entries of the event's message, from 0 */
    RAFT_ACTION_COMMIT,               /* index */
    RAFT_ACTION_ROLE,                 /* role, term, node_id: the leader as far as known, or 0 */
    RAFT_ACTION_SEND,                 /* message */
    RAFT_ACTION_READ_READY,           /* index */
    RAFT_ACTION_READ_WAIT,            /* round, index */
    RAFT_ACTION_READ_CONFIRMED,       /* round */
    RAFT_ACTION_READ_FAILED,          /* the READ of this event */
    RAFT_ACTION_REFUSED,              /* refusal: the CONFIGURE or TRANSFER of this event */
    RAFT_ACTION_CONFIGURED,           /* index, configuration: a change is committed, and over */
    RAFT_ACTION_TRANSFER_FAILED,      /* node_id: it was given up, proposals are taken again */
    RAFT_ACTION_REOPEN,               /* node_id: close its data connection and open it again */
    RAFT_ACTION_SNAPSHOT_CHUNK,       /* message */
    RAFT_ACTION_SNAPSHOT_INSTALL,     /* snapshot, epoch */
    RAFT_ACTION_HALT,                 /* sentence */
};

/* Why a CONFIGURE or a TRANSFER was refused; nothing was changed by it. */
enum raft_refusal {
    RAFT_REFUSAL_NONE = 0,
    RAFT_REFUSAL_NOT_LEADER,
    RAFT_REFUSAL_NOT_SERVING,   /* no entry of this term is committed yet (erratum to 4.1) */
    RAFT_REFUSAL_CHANGING,      /* a change of membership is under way */
    RAFT_REFUSAL_TRANSFERRING,  /* a transfer is under way */
    RAFT_REFUSAL_CONFIGURATION, /* not a valid set of voters and learners, or no change */
    RAFT_REFUSAL_LAGGING,       /* a new voter that is not a learner that has caught up */
    RAFT_REFUSAL_TARGET,        /* to itself, or to one who is no voter */
};

/* One action; the comment at its kind says which fields it uses. */
struct raft_action {
    enum raft_action_kind kind;
    enum raft_role role;
    enum raft_refusal refusal;
    uint32_t first;
    uint32_t count;
    uint64_t term;
    uint64_t index;
    uint64_t epoch;
    uint64_t round;
    uint64_t node_id;
    const char *sentence;                      /* static */
    const struct configuration *configuration; /* the core's; valid until the next step */
    struct raft_snapshot snapshot;
    struct raft_message message;
};

/*
 * The most actions one step can give.  To each of 15 peers at most three of these, and there is
 * room for four:
 *   an append        2 appends, a heartbeat (a round ends and the next begins)             3
 *   a tick           a heartbeat, a reopen, a chunk                                        3
 *   an answer        a heartbeat (likewise), and one more if the leader has removed itself 2
 * and once a step:
 *   a vote, a role, a truncation, an append, a no-op or configuration, a commit, two confirmed
 *   rounds, a read's answer, a refusal, a transfer's end or word, a change's end          12
 * A message is answered at most once, by somebody who sends nothing else.
 */
enum {
    RAFT_SENDS_PER_STEP = 2, /* of entries, to one peer; its answer brings the next */
    RAFT_ACTIONS_MAX = (CONFIGURATION_MEMBERS_MAX - 1) * (RAFT_SENDS_PER_STEP + 2) + 12,
};

/* The actions of one step, in the order in which they are to be carried out. */
struct raft_actions {
    uint32_t count;
    struct raft_action action[RAFT_ACTIONS_MAX];
};

/* A piece of the log in one term, for raft_create. */
struct raft_term_run {
    uint64_t first_index;
    uint64_t term;
};

#ifndef RAFT_TERM_RUNS
#define RAFT_TERM_RUNS 1024
#endif

/* A configuration in the log or the snapshot, for raft_create. */
struct raft_configuration_entry {
    uint64_t index; /* of its entry, or of the snapshot that says so */
    struct configuration configuration;
};

enum {
    /* Terms whose place in the log is remembered.  A peer that has to go back further gets a
     * snapshot.  Also what the log itself remembers.  (A test of what is forgotten has fewer.) */
    RAFT_TERM_RUNS_MAX = RAFT_TERM_RUNS,
    /* Configurations of the log that are remembered.  A leader appends one only when the one before
     * it is committed, so of any log only the last can be truncated; more are kept only because
     * it is learnt late what is committed. */
    RAFT_CONFIGURATIONS_MAX = 8,
};

/* Election time-outs from 1 us to a day; a multiple of one, or with a time, never overflows. */
#define RAFT_NS_PER_MS               UINT64_C(1000000)
#define RAFT_ELECTION_TIMEOUT_MIN_NS UINT64_C(1000)
#define RAFT_ELECTION_TIMEOUT_MAX_NS (UINT64_C(24) * 3600 * 1000 * 1000 * 1000)

/* Limits and times, and what was found on disk at start. */
struct raft_options {
    uint64_t node_id; /* not 0 */
    uint64_t seed;    /* of the time-outs */
    uint64_t now_ns;

    uint64_t term;      /* from the vote file */
    uint64_t voted_for; /* likewise; 0: nobody */

    /* The log and the snapshot.  Entries (compacted_index, last_index] are in the log, durable. */
    uint64_t compacted_index;
    uint64_t compacted_term;       /* of the entry at compacted_index; 0 if that is 0 */
    uint64_t last_index;           /* >= compacted_index */
    struct raft_snapshot snapshot; /* what the machine was restored from: applied, committed */
    const struct raft_term_run *term_runs; /* of the entries in the log, in order; may begin later
                                              than the log if there were too many */
    uint32_t term_run_count;
    const struct raft_configuration_entry *configurations; /* ascending by index; the last one is
                                        in force.  At least one: of the snapshot, or entry 1 */
    uint32_t configuration_count;                          /* [1, RAFT_CONFIGURATIONS_MAX] */

    uint64_t election_timeout_ns;   /* T, as above: drawn anew from [T, 2T) each time */
    uint64_t heartbeat_ns;          /* at most T / 2 */
    uint32_t clock_drift_per_mille; /* two clocks' rates differ at most by so much: for leases */
    uint32_t inflight_messages_max; /* APPENDs to a peer without an answer, [1, 256] */
    uint64_t inflight_bytes_max;    /* their entries; one message may exceed it */
    uint32_t message_bytes_max;     /* entries of one message; one entry may exceed it */
    uint32_t snapshot_chunk_bytes;  /* of one SNAPSHOT message */
    uint64_t uncommitted_bytes_max; /* proposals beyond are refused */
    uint32_t window_entries;        /* power of two >= 256: of so many last entries the length is
                                          remembered; also the most uncommitted ones of a leader */
};

struct raft;

/*
 * Creates the core as a follower.  Allocates all it will ever need; nothing later does.  `options`
 * and what it points to may go afterwards.
 * Errors, *out unchanged: WEIR_EINVAL if a number of the options is outside the range given at it,
 * or the vote file's term is below the log's (the vote was lost: this node must not vote);
 * WEIR_ENOMEM.
 */
int raft_create(struct raft **out, const struct raft_options *options);
void raft_destroy(struct raft *raft);

/* The function.  Overwrites *actions. */
void raft_step(struct raft *raft, const struct raft_event *event, struct raft_actions *actions);

/*
 * May `count` entries of `length_bytes` in all be appended now?  On WEIR_OK the caller appends
 * them with *term at the indices *first_index and up, and reports RAFT_EVENT_APPENDED.  Pure look;
 * changes nothing.
 * Errors: WEIR_EAGAIN if this node is not a leader, or its first entry of the term is not appended
 * yet, or leadership is being transferred; WEIR_EFULL if more than uncommitted_bytes_max bytes or
 * window_entries entries would be uncommitted (a proposal into an empty log always fits).
 */
int raft_propose(const struct raft *raft, uint32_t count, uint64_t length_bytes,
                 uint64_t *first_index, uint64_t *term);

/* Pure looks; owner's thread. */
enum raft_role raft_role(const struct raft *raft);
uint64_t raft_term(const struct raft *raft);

/* For whom it has voted in this term, stored or not; 0: nobody. */
uint64_t raft_voted_for(const struct raft *raft);

/* Whether term and vote are durable, as far as the core was told. */
bool raft_vote_stored(const struct raft *raft);
uint64_t raft_leader(const struct raft *raft); /* node id, as far as known; 0: unknown */
uint64_t raft_commit_index(const struct raft *raft);
uint64_t raft_last_index(const struct raft *raft);

/* Up to where the log is durable, as far as the core was told; <= raft_last_index. */
uint64_t raft_stored_index(const struct raft *raft);
uint64_t raft_log_epoch(const struct raft *raft);

/* The configuration in force: the last one in the log, committed or not (4.1). */
const struct configuration *raft_configuration(const struct raft *raft);

/*
 * Whether clients' entries can be stored by a quorum, as far as its members have said whether they
 * have room (RAFT_EVENT_ROOM of theirs): of a leader; others say yes.  With `answering` only those
 * count that have answered within T: then no means that it is not known to be possible, otherwise
 * that it is known to be impossible.  Pure look.
 */
bool raft_quorum_has_room(const struct raft *raft, bool answering);

/* True once an entry of the leader's own term is committed. */
bool raft_serving(const struct raft *raft);

/* When the next RAFT_EVENT_TICK is due at the latest; UINT64_MAX: never. */
uint64_t raft_deadline_ns(const struct raft *raft);

/* True if the snapshot up to index is being sent to a peer.  Pure look. */
bool raft_snapshot_needed(const struct raft *raft, uint64_t index);

/* A peer needs entries whose terms are forgotten (RAFT_TERM_RUNS_MAX), and the newest snapshot ends
 * before them: one that covers at least this index is needed, as soon as that much is applied.  0:
 * no.  Of a leader; worth a look at every heartbeat interval.  Pure look. */
uint64_t raft_snapshot_wanted(const struct raft *raft);

/* The lowest index that a peer may still be sent from the log; what is before may be compacted
 * without making any peer that answers need a snapshot.  Of a leader; otherwise UINT64_MAX. */
uint64_t raft_needed_index(const struct raft *raft);

/* What the leader knows of one peer, for status and tests. */
struct raft_peer_status {
    uint64_t node_id;
    uint64_t match_index;
    uint64_t next_index;
    uint64_t answered_ns; /* when it last answered; 0: not in this term */
    uint32_t inflight_messages;
    const char *state; /* "probe", "replicate", "snapshot" */
    bool full;         /* it has said that it has no room: RAFT_EVENT_ROOM */
};

/* Writes at most `capacity` peers and returns their number; 0 unless leader.  Pure look. */
uint32_t raft_peers(const struct raft *raft, struct raft_peer_status *out, uint32_t capacity);

/* Asserts the invariants of the state; costs as much as a look at every peer and run.  Every step
 * does so by itself in debug builds and tests (RAFT_CHECK_EVERY_STEP). */
void raft_check(const struct raft *raft);

/* Names for people; never NULL. */
const char *raft_role_name(enum raft_role role);
const char *raft_event_kind_name(enum raft_event_kind kind);
const char *raft_action_kind_name(enum raft_action_kind kind);
const char *raft_refusal_name(enum raft_refusal refusal);

#endif
