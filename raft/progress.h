#ifndef WEIR_RAFT_PROGRESS_H
#define WEIR_RAFT_PROGRESS_H

/*
 * How far a peer is, as its leader knows it.
 *
 *   match  the peer's log is durable and equal to ours up to here, in this term; only grows
 *   next   the next entry to send to it; match < next, always
 *
 * State (transitions only in progress.c, in one table, asserted at every move):
 *
 *                     granted
 *         ┌───────┐ ────────────────► ┌───────────┐
 *    ────►│ PROBE │                   │ REPLICATE │
 *         └───────┘ ◄──────────────── └───────────┘
 *           │   ▲    refused, or lost       │
 *           │   │                           │ needs what is compacted
 *           │   │ installed, or given up    ▼
 *           │   └──────────────────── ┌──────────┐
 *           └───────────────────────► │ SNAPSHOT │
 *             needs what is compacted └──────────┘
 *
 *   PROBE      it is not known where the logs agree: one message at a time, the next one only
 *              after an answer.  A heartbeat's answer repeats it, since it may be lost, but without
 *              its entries: on a slow way they are not lost, and would be sent 50 times a second
 *   REPLICATE  it is: entries are sent ahead of the answers, up to the limits of what is in
 *              flight; `next` is optimistic
 *   SNAPSHOT   it needs entries that our log no longer has: chunks of the snapshot, one at a time
 *
 * In flight.  A ring of the last index of each APPEND under way and its bytes.  An answer for
 * match m frees every message that ends at or before m; nothing else does, so a peer whose disk
 * has stalled is sent no more than the limits, however often it answers heartbeats.  If the last
 * message was lost, none behind it tells: so after a heartbeat's answer, while something is not
 * granted yet, an APPEND without entries asks whether all that was sent has arrived.
 *
 * Session: see raft/message.h.  Owner: the core.  The ring's memory is given at creation.
 */

#include "raft/raft.h"

/* See above. */
enum progress_state { PROGRESS_PROBE, PROGRESS_REPLICATE, PROGRESS_SNAPSHOT };

/* One APPEND under way. */
struct progress_inflight {
    uint64_t last_index;
    uint64_t bytes;
};

struct progress {
    uint64_t node_id; /* 0: this place is free */
    uint64_t incarnation;
    enum progress_state state;
    uint32_t session;
    uint64_t match;
    uint64_t next;
    uint64_t round;          /* the latest confirmed by it */
    uint64_t began_ns;       /* when this session began */
    uint64_t answered_ns;    /* when its last answer of this session came; 0: none yet */
    uint64_t moved_ns;       /* when last one showed that entries, or a snapshot's chunks, arrive */
    bool probe_sent;         /* PROBE: waiting for the answer */
    bool full;               /* it has said so in its last heartbeat answer of this session */
    uint64_t offered_index;  /* full: the entry that it was sent last, */
    uint64_t offered_ns;     /* and when; set and read by replicate.c */
    uint64_t snapshot_index; /* SNAPSHOT: of the one being sent; otherwise 0 */
    uint64_t snapshot_term;  /* these two: set and read by snapshot.c */
    uint64_t snapshot_size_bytes;
    uint64_t snapshot_offset; /* SNAPSHOT: the next byte to send */
    bool chunk_sent;          /* SNAPSHOT: waiting for the answer */
    uint64_t chunk_sent_ns;
    uint32_t inflight_head;
    uint32_t inflight_count;
    uint32_t inflight_capacity; /* options: inflight_messages_max */
    uint64_t inflight_bytes;
    struct progress_inflight *inflight; /* ring; memory of the core */
};

/* Begins with a peer: PROBE at `next`, match 0, under a new session.  Keeps the ring's memory. */
void progress_begin(struct progress *progress, uint64_t node_id, uint64_t incarnation,
                    uint32_t session, uint64_t next, uint64_t now_ns);

/* It needs a snapshot: from PROBE or REPLICATE.  snapshot_index > match. */
void progress_snapshot(struct progress *progress, uint64_t snapshot_index);

/* Back to PROBE, from any state: from REPLICATE at match + 1, from SNAPSHOT behind the snapshot.
 * In PROBE already: the message that was waited for is lost, and `next` stays. */
void progress_probe(struct progress *progress);

/*
 * It has granted: durable and equal up to `match`.  Raises match and next, frees what is in
 * flight, and moves PROBE to REPLICATE (and SNAPSHOT to PROBE if `match` reaches the snapshot).
 * True if match rose.  An old answer, of a match not above ours, changes nothing (but in PROBE one
 * that reaches next - 1 is what was waited for).
 */
bool progress_granted(struct progress *progress, uint64_t match);

/*
 * It refused the message with `previous`, and the logs agree at most up to `agree` (from the
 * hint).  Back to PROBE at max(match, min(agree, previous - 1)) + 1.  False, and nothing changed,
 * if the refusal is old: about a message at or before match, or not the one being probed.
 * previous >= 1.
 */
bool progress_refused(struct progress *progress, uint64_t previous, uint64_t agree);

/* An APPEND with `entry_count` entries from `next` on, up to last_index, was put out.  In PROBE and
 * REPLICATE, after progress_may_send; without entries in REPLICATE at any time. */
void progress_sent(struct progress *progress, uint64_t last_index, uint32_t entry_count,
                   uint64_t bytes);

/* An APPEND ended at index: what was said to be sent behind it, also in later ones, was not. */
void progress_shortened(struct progress *progress, uint64_t index);

/* May an APPEND be put out now? */
bool progress_may_send(const struct progress *progress, uint64_t inflight_bytes_max);

/* A heartbeat was answered: see "In flight" and PROBE.  True if an APPEND without entries should
 * ask, unless one with entries is put out now. */
bool progress_heard(struct progress *progress);

/* "probe", "replicate", "snapshot". */
const char *progress_state_name(enum progress_state state);

/* Asserts the invariants against the leader's last index. */
void progress_check(const struct progress *progress, uint64_t last_index);

#endif
