#ifndef WEIR_RAFT_MESSAGE_H
#define WEIR_RAFT_MESSAGE_H

/*
 * What members say to each other: the remote procedure calls of the Raft dissertation (figure 3.1,
 * 5.3, 9.6, 3.10), as one-way messages.
 *
 *   PRE_VOTE   ──►  PRE_VOTE_ANSWER     would you vote for me?  changes nothing (9.6)
 *   VOTE       ──►  VOTE_ANSWER         RequestVote (3.4)
 *   APPEND     ──►  APPEND_ANSWER       AppendEntries that carries or probes entries (3.5)
 *   HEARTBEAT  ──►  HEARTBEAT_ANSWER    AppendEntries without entries, on the control path (6.4)
 *   SNAPSHOT   ──►  SNAPSHOT_ANSWER     InstallSnapshot, one chunk (5.3)
 *   TIMEOUT_NOW                         leadership transfer (3.10)
 *
 * Any message may be lost, delayed, repeated and overtaken by others; the core relies on none of
 * it for safety.  What a message relies on is in it: an answer echoes what it answers (term,
 * session, round, the index that was probed), so that a late one is recognised.
 *
 * Session.  A leader numbers its relationship with each peer anew whenever that begins (a new
 * term, a peer that was added again); answers of an older session are dropped.  In an answer that
 * has none (a vote) it is 0.
 *
 * Round.  A leader's messages carry the number of its latest round of leadership confirmation;
 * answers echo it.  An answer with round r proves that the follower still followed this leader
 * after round r began (6.4).  In an election it is the number of the candidate's attempt.
 *
 * The bytes on the wire are not described here: the caller frames messages, verifies checksums,
 * and has checked sender, cluster and incarnation before the core sees one.
 */

#include <stdbool.h>
#include <stdint.h>

#include "entry/configuration.h"

/* What a message says; drawn above. */
enum raft_message_kind {
    RAFT_MESSAGE_PRE_VOTE = 1,
    RAFT_MESSAGE_PRE_VOTE_ANSWER,
    RAFT_MESSAGE_VOTE,
    RAFT_MESSAGE_VOTE_ANSWER,
    RAFT_MESSAGE_APPEND,
    RAFT_MESSAGE_APPEND_ANSWER,
    RAFT_MESSAGE_HEARTBEAT,
    RAFT_MESSAGE_HEARTBEAT_ANSWER,
    RAFT_MESSAGE_SNAPSHOT,
    RAFT_MESSAGE_SNAPSHOT_ANSWER,
    RAFT_MESSAGE_TIMEOUT_NOW,
};

enum {
    /* Entries of one message, at most; bounds the caller's array of struct raft_entry. */
    RAFT_MESSAGE_ENTRIES_MAX = 256,
};

/* Terms above this come from a broken peer, never from elections: at one a nanosecond they would
 * take a century.  Refusing them keeps a term from ever wrapping. */
#define RAFT_TERM_MAX  (UINT64_C(1) << 62)
/* The same for indices. */
#define RAFT_INDEX_MAX (UINT64_C(1) << 62)

/* An entry as the core sees it; its bytes stay with the caller. */
struct raft_entry {
    uint64_t term;
    uint32_t length_bytes; /* as in the log, [1, UINT32_MAX] */
    /* The configuration that it carries, or NULL.  Borrowed for the time of the step. */
    const struct configuration *configuration;
};

/* Identity of a snapshot: two with equal index and term hold the same state.  Their bytes may
 * differ: each leader's caller wrote its own file.  Bytes of different sizes are never mixed. */
struct raft_snapshot {
    uint64_t index;      /* of the last entry that it covers; 0: no snapshot */
    uint64_t term;       /* of that entry */
    uint64_t size_bytes; /* of the file */
};

/*
 * One message.  Fields that a kind does not name are 0.
 *
 *   kind              fields beside from, to, term
 *   PRE_VOTE          term: the one the candidate would campaign in; round, last_index, last_term
 *   PRE_VOTE_ANSWER   term: the requested one if granted, the voter's own if not; round, granted
 *   VOTE              round, last_index, last_term, transfer
 *   VOTE_ANSWER       round, granted
 *   APPEND            session, round, previous_index, previous_term, entry_count, commit
 *   APPEND_ANSWER     session, round, granted; granted: match_index, durable and verified up to
 *                     here; not granted: previous_index of the refused message, and
 *                     hint_index, hint_term: the last place where the logs may still agree
 *                     (a term of 0: it is not known)
 *   HEARTBEAT         session, round, previous_index (the leader's match of this peer),
 *                     previous_term, commit
 *   HEARTBEAT_ANSWER  session, round, granted: the log has that previous entry; full: there is no
 *                     room for clients' entries where the log is stored
 *   SNAPSHOT          session, round, snapshot, offset, length_bytes, configuration (the sender's
 *                     caller adds it, from the snapshot)
 *   SNAPSHOT_ANSWER   session, round, snapshot, offset: the next byte wanted
 *   TIMEOUT_NOW       -
 */
struct raft_message {
    enum raft_message_kind kind;
    uint32_t session;
    uint64_t from; /* node ids */
    uint64_t to;
    uint64_t term; /* of the sender, except as said above */
    uint64_t round;
    uint64_t last_index;
    uint64_t last_term;
    uint64_t previous_index;
    uint64_t previous_term;
    uint64_t commit;
    uint64_t match_index;
    uint64_t hint_index;
    uint64_t hint_term;
    uint64_t offset;
    struct raft_snapshot snapshot;
    /* SNAPSHOT: the configuration as of the snapshot.  Borrowed for the time of the step; NULL in
     * an action of the core, which does not keep it. */
    const struct configuration *configuration;
    uint32_t entry_count; /* [0, RAFT_MESSAGE_ENTRIES_MAX] */
    uint32_t length_bytes;
    bool granted;
    bool transfer; /* VOTE: the leader asked for this election; stickiness does not apply */
    bool full;     /* HEARTBEAT_ANSWER */
};

/* Why a message cannot be from a member that works; raft_message_fault_name has the words. */
enum raft_message_fault {
    RAFT_MESSAGE_VALID = 0,
    RAFT_MESSAGE_FAULT_KIND,
    RAFT_MESSAGE_FAULT_MEMBER,  /* from or to is 0, or they are equal */
    RAFT_MESSAGE_FAULT_TERM,    /* 0, above RAFT_TERM_MAX, or a term inside above the message's */
    RAFT_MESSAGE_FAULT_INDEX,   /* above RAFT_INDEX_MAX, or index and term not both 0 or neither,
                                   or a refusal of what is before the first entry */
    RAFT_MESSAGE_FAULT_ENTRIES, /* too many; a term of 0, above the message's, or going back; a
                                   length of 0 */
    RAFT_MESSAGE_FAULT_CHUNK,   /* offset and length outside the snapshot's size, or no snapshot */
    RAFT_MESSAGE_FAULT_CONFIGURATION, /* a SNAPSHOT without one, or one that is not valid, there or
                                         in an entry */
};

/*
 * Judges a message of foreign origin: whether its numbers can be those of a member that works.
 * `entries` holds message->entry_count entries (NULL only if 0).  The core asserts what this
 * function checks, so call it before RAFT_EVENT_MESSAGE.  Any thread; pure.
 */
enum raft_message_fault raft_message_check(const struct raft_message *message,
                                           const struct raft_entry *entries);

/* A few words for people; "valid" for RAFT_MESSAGE_VALID. */
const char *raft_message_fault_name(enum raft_message_fault fault);

/* "append", "vote answer", ...; never NULL. */
const char *raft_message_kind_name(enum raft_message_kind kind);

/* True for kinds that travel on the control path, apart from entries: everything but APPEND,
 * APPEND_ANSWER, SNAPSHOT and SNAPSHOT_ANSWER. */
bool raft_message_is_control(enum raft_message_kind kind);

#endif
