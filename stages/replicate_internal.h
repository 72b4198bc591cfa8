#ifndef WEIR_STAGES_REPLICATE_INTERNAL_H
#define WEIR_STAGES_REPLICATE_INTERNAL_H

/* What the files of the replicate stage share; see stages/replicate.h.  One owner: its thread. */

#include "entry/entry.h"
#include "raft/raft.h"
#include "stages/peer_digest.h"
#include "stages/peer_message.h"
#include "stages/peers.h"
#include "stages/pipeline.h"
#include "stages/replicate.h"
#include "stages/replicate_snapshot.h"
#include "storage/incarnations.h"
#include "storage/log.h"
#include "storage/vote.h"

/* A first in, first out of batches, linked by batch->next. */
struct batch_queue {
    uint32_t head; /* BATCH_NO_BLOCK: empty */
    uint32_t tail;
};

/* Times that more than one file needs. */
enum {
    /* Heartbeats in an election time-out, between members; a group of one has no use for them. */
    REPLICATE_HEARTBEATS = 10,
    /* A leader whose disk takes nothing for so many election time-outs lets another one lead: by
       default a second, more than a busy disk's sync takes, and not much more than an election. */
    REPLICATE_STALLED_TIMEOUTS = 5,
    /* One whose disk is full waits as long at first, and twice as long each time that it has handed
       over and leads again without having had room in between, so many times as long at most:
       members that are all full and do not know it of each other yet do not hand over in a
       circle. */
    REPLICATE_FULL_WAITS_MAX = 32,
};

/* Batches taken from the ring at a time; those behind a stalled one wait here. */
enum { REPLICATE_INTAKE_MAX = 32 };

/* What replicate knows of a connection. */
struct replicate_connection {
    uint64_t last_index; /* of its last entry; 0: none */
    uint32_t last_batch; /* the batch of that entry; valid while the entry was not handed on */
    uint32_t generation;
    uint32_t leadership; /* in which that was */
    uint32_t waiting;    /* its batches that are noted and not handed on */
    uint64_t place;      /* of the last of these */
    /* Its WAIT, in the list of replicate_wait.c while wait_on. */
    uint64_t wait_until_ns; /* UINT64_MAX: for ever */
    uint32_t wait_members;  /* so many are to have what it wrote, */
    uint32_t wait_reached;  /* and so many were known to, at the last look */
    uint32_t wait_next;     /* slots; BATCH_NO_BLOCK: none */
    uint32_t wait_previous;
    bool wait_on;
};

/* The connections that wait; see replicate_wait.c. */
struct replicate_wait {
    uint32_t head; /* slots, in the order in which they came; BATCH_NO_BLOCK: none */
    uint32_t tail;
    uint32_t count;
    uint32_t cursor;      /* whom the next slice of a look begins with; BATCH_NO_BLOCK: the head */
    uint32_t left;        /* of the look under way */
    uint64_t seen;        /* of what members have, when it began */
    uint64_t due_ns;      /* no time-out is earlier; UINT64_MAX: there is none */
    uint64_t due_next_ns; /* ... as far as the look under way has come */
};

/* The batch that is becoming an entry in slices, and how far that is. */
struct replicate_encode {
    struct batch *batch; /* NULL: none */
    uint64_t term;
    uint8_t *position; /* of the next record, in the place reserved */
    uint8_t *end;
    uint32_t command; /* the next of the batch */
    bool open;        /* its record is begun: */
    struct entry_command_writer writer;
    uint32_t argument_count;
    uint32_t key;            /* the next to be written, */
    uint32_t argument;       /* likewise, */
    uint32_t argument_bytes; /* and how much of that is there */
};

/* Log work of a core's step that waits: for a vote to be durable, for a truncation, for memory. */
struct replicate_incoming {
    struct record_ring *ring; /* whose oldest record has the entries; NULL: nothing waits */
    bool truncate;            /* first: remove what is behind `index`, which begins `epoch` */
    uint64_t index;
    uint64_t epoch;
    const uint8_t *entries; /* then: append these, back to back */
    const uint8_t *entries_end;
    uint32_t count; /* left */
    bool starved;   /* there was no room on disk for the next one */
};

/* Messages of a core's step, or a later one, that wait for its vote to be durable.  Nobody puts out
 * more then than a request and an answer to each member, twice. */
enum { REPLICATE_HELD_MAX = 4 * CONFIGURATION_MEMBERS_MAX };

/* See replicate_addresses.c. */
struct replicate_addresses {
    struct entry_address announced[PEERS_MAX + 1]; /* by the row of the link; the last: its own */
    uint64_t pending_index; /* of the last entry of that sort: nothing before it is applied */
    uint32_t leadership;    /* in which it was last looked */
    bool look;              /* something may be missing in the log */
};

/* APPENDs that were not sent, of which the core is still to be told: by the row of the link. */
struct replicate_cuts {
    uint32_t count;
    bool is_cut[PEERS_MAX];    /* and so what is behind it is not sent either */
    uint64_t index[PEERS_MAX]; /* the last one that was sent */
};

/* What goes to other members, and comes from them. */
struct replicate_peers {
    struct peer_message decoded; /* scratch: the message looked at, and its configurations */
    struct configuration configurations[RAFT_MESSAGE_ENTRIES_MAX];
    struct raft_message held[REPLICATE_HELD_MAX];
    uint32_t held_count;
    uint32_t next; /* whose data is looked at first */
    struct replicate_incoming incoming;
    /* An APPEND whose entries are being read back from disk, and to whom nothing else goes. */
    struct raft_message reading;
    bool reading_wanted;
    uint64_t read_from;       /* the first entry that is being read */
    struct entry_tail before; /* the entry before one that was to be read back; index 0: none */
    uint8_t *buffer;          /* for them: the largest entry fits */
    size_t buffer_bytes;
    uint64_t dropped; /* messages, for want of room */
    struct replicate_cuts cuts;
    struct replicate_addresses addresses;
};

/* Who the other members are. */
struct replicate_members {
    struct incarnation_file *file;  /* NULL: this node has no table, and needs none */
    bool has_table;                 /* it is durable */
    bool passive;                   /* it is not, and so this node takes no part */
    struct configuration table;     /* the file's, or what was collected for it (0: not yet) */
    struct configuration in_force;  /* what the rows were made for */
    uint64_t introduced[PEERS_MAX]; /* by row: its incarnation, as the member last said; 0: never */
    uint64_t told_by[PEERS_MAX];    /* of which incarnation is what it told of its standing */
    uint64_t lives[PEERS_MAX][PEER_LANES]; /* who speaks on a connection; 0: it did not say */
    bool is_behind[PEERS_MAX];             /* it came back with less than it has told */
    bool row_leaves;                       /* one is asked back, and not free yet */
};

/* Where a dispute is; drawn in replicate_dispute.c. */
enum replicate_dispute_state { DISPUTE_NONE, DISPUTE_OPEN, DISPUTE_SETTLED, DISPUTE_LOST };

/* What a member has said of the index in dispute. */
struct replicate_voice {
    bool spoken;
    bool known; /* it has digests of it */
    uint64_t hash;
    struct digest_difference difference;
};

/* Digests at an index that members do not agree on. */
struct replicate_dispute {
    enum replicate_dispute_state state;
    uint64_t index;                           /* in dispute, while state is not NONE */
    uint64_t hash;                            /* this node's */
    struct digest_difference difference;      /* of this node from the log; count 0: none known */
    struct replicate_voice voices[PEERS_MAX]; /* by the row of the link */
    bool is_hopeless;       /* all have spoken, and some have no digests of it: told once */
    uint64_t due_ns;        /* of the next round */
    uint32_t rounds_left;   /* while SETTLED */
    uint64_t settled_index; /* as in node_signals.digest_settled */
    uint64_t logged_index;  /* the last one whose digests this process has logged; 0: none */
};

/* Who is using the log's one reader. */
enum replicate_reader { READER_NOBODY, READER_CATCH_UP, READER_PEER };

struct replicate_shard {
    struct pipeline *pipeline;
    struct node *node;
    struct io *io;
    struct io_port *port;
    const struct replicate_options *options;
    struct ring *from_validate;
    struct ring *to_apply;
    struct ring *from_apply;

    struct raft *raft;
    struct raft_actions actions; /* of the step under way */
    struct vote_record vote_storing;
    struct vote_record vote_next; /* to be stored after that one */
    bool vote_waits;              /* ... if there is one */
    struct peers *links;          /* to other members; NULL in a cluster of one */
    struct replicate_peers *peers;
    struct replicate_members members;
    struct replicate_dispute dispute;
    bool change_under_way; /* the core has taken what stands in the box of stages/change.h */
    bool change_asking;    /* this is the step in which it is asked to */
    struct ring *to_write; /* notes */
    struct ring *to_parse; /* notes */
    struct ring *from_parse;
    uint64_t election_timeout_ns;
    uint64_t heartbeat_from; /* the last one heard: replicate_lateness.c */
    uint64_t heartbeat_term;
    uint64_t heartbeat_ns;
    uint64_t stalled_index; /* durable since stalled_since_ns: see replicate_stalled.c */
    uint64_t stalled_since_ns;
    bool full;                /* the log is, as the core was told */
    bool majority_full;       /* this node leads, and the disks that a quorum needs are full */
    uint64_t full_since_ns;   /* leading without room since then, or since the last hand-over */
    uint32_t full_waits;      /* for so many times the usual wait before the next one */
    uint64_t log_epoch;       /* of what the log holds: the core's may be further */
    bool stored_again;        /* a new epoch has begun: say what is stored once more */
    uint64_t genesis_index;   /* of its entry, while that may be truncated */
    bool stepping;            /* within a step of the core */
    uint64_t round_confirmed; /* the latest round of reads, in this term */
    struct raft_action read;  /* what the core said of the read last asked for */
    uint32_t leadership; /* counts the terms led: what a connection proposed in another is void */
    uint64_t leases_due_ns;                    /* when the core may be asked for them again */
    struct configuration configuration_wanted; /* to be appended in noop_term */
    uint64_t configuration_term;               /* 0: none is wanted */
    enum replicate_reader reader;
    struct replicate_snapshots *snapshots; /* replicate_snapshot.c */
    struct log *log;
    struct vote_file *vote;
    int32_t directory;

    struct replicate_connection *connections;
    struct entry_argument *arguments; /* scratch: of one command */

    struct replicate_wait wait;
    struct ring *to_read;       /* ends of waits */
    struct batch_queue writing; /* proposed, in log order */
    struct batch_queue reading; /* noted, by ascending place, not attached to a writing batch */
    uint32_t
        intake[REPLICATE_INTAKE_MAX]; /* taken from the ring: [next, count) not yet looked at */
    uint32_t intake_next;
    uint32_t intake_count;
    uint32_t stalled; /* a batch that found no log memory: next to be proposed */
    struct replicate_encode encode;
    int32_t units; /* left to this poll; negative: overrun */

    uint64_t now_ns;     /* of this poll: read after the last wake-up */
    uint64_t figures_ns; /* when what is known of members was published last */

    uint64_t handed;  /* last index given to apply */
    uint64_t applied; /* last index apply has left */
    uint64_t stored;  /* last durable index told to the core */
    uint64_t compacted;

    /* entries that are only on disk, on their way to apply */
    uint8_t *catch_up;
    size_t catch_up_bytes;
    uint64_t catch_up_last;  /* last index in the buffer that apply has not left; 0: free */
    uint64_t catch_up_start; /* for the progress line */

    /* log time */
    uint64_t base_ms;  /* max(last log time, wall clock) when leadership began */
    uint64_t base_ns;  /* monotonic, then */
    uint64_t time_gap_ns; /* between two time entries: 0 while there is room on disks */
    uint64_t time_due_ns; /* no time entry before */
    uint64_t timer_ns; /* what the port's timer is set to; 0: nothing */
    struct entry_genesis genesis;
    bool has_genesis;
    uint64_t led_from;  /* index of the first entry of the last term led */
    uint64_t noop_term; /* its first entry is still to be appended; 0: none */
    bool serving;
    bool failed;
    bool stop_started;
    bool unsent; /* the core waits for more entries, or SEND, before it sends the last ones */
};

/* ---- replicate.c --------------------------------------------------------------------------- */

/* Gives a batch to apply's ring; there is always room for every batch. */
void replicate_pass_batch(struct replicate_shard *shard, struct batch *batch, const uint8_t *entry,
                          uint64_t index, uint64_t length_bytes);

/* More is applied: lets clients in once there is something to tell them. */
void replicate_serve_if_due(struct replicate_shard *shard);

/* Final: fails the node and answers everything that waits. */
void replicate_fail(struct replicate_shard *shard, const char *sentence);

/* Appends the entry whose body was written into the reserved place, and tells the core.  Returns
 * its index. */
uint64_t replicate_append(struct replicate_shard *shard, const struct entry_header *header);

/* Tells the core of an entry that is in the log now. */
void replicate_appended(struct replicate_shard *shard, uint64_t term, uint32_t length_bytes);

/* The same, of a batch: others may follow in this turn, and go out in one message with it.  At the
 * latest at the end of the turn's batches comes replicate_send_appended. */
void replicate_appended_more(struct replicate_shard *shard, uint64_t term, uint32_t length_bytes);
void replicate_send_appended(struct replicate_shard *shard);

/* Runs the core with one event, which gets the time of the poll, and carries its actions out. */
void replicate_step(struct replicate_shard *shard, struct raft_event *event);

/* ---- replicate_core.c: the core's actions ------------------------------------------------- */

/* Tells the core that the record under way is durable; the next one, if any, is begun. */
void replicate_vote_stored(struct replicate_shard *shard);

/* True while a vote is on its way to the disk: nothing of its step or a later one may leave, or
 * change the log. */
bool replicate_vote_pending(const struct replicate_shard *shard);

/* Appends the entries of the node's own that the core has asked for, if that can be done now;
 * returns how many. */
uint32_t replicate_append_wanted(struct replicate_shard *shard);

/* ---- replicate_incoming.c: from other members --------------------------------------------- */

/* Takes messages, at most `budget`, and goes on with what waits; returns how many. */
uint32_t replicate_receive(struct replicate_shard *shard, uint32_t budget);

/* TRUNCATE and APPEND of the message under way. */
void replicate_incoming_truncate(struct replicate_shard *shard, uint64_t index, uint64_t epoch);
void replicate_incoming_append(struct replicate_shard *shard, uint32_t first, uint32_t count);

/* The disk has no room for what waits: has the core forget what is behind it, and drops it. */
void replicate_incoming_forget(struct replicate_shard *shard);

/* The log that it was for is given up: forgets what waits. */
void replicate_incoming_drop(struct replicate_shard *shard);

/* ---- replicate_rows.c ----------------------------------------------------------------------- */

/* The row of a member, named if it had none; NULL: there is no free one now, and one is asked back
 * if it can be. */
struct peer_link *replicate_row(struct replicate_shard *shard, uint64_t node_id);

/* Frees rows that were asked back and are given up; returns how many. */
uint32_t replicate_rows_turn(struct replicate_shard *shard);

/* replicate_members.c: names rows for members that have none. */
void replicate_members_follow_again(struct replicate_shard *shard);

/* The log's memory is full: gives back what is durable and not committed yet, unless apply or a
 * batch needs it there; it is read from the disk once it is committed.  Else members that are full
 * of what nobody has committed could elect nobody: who has accepted what is not in its log does not
 * campaign. */
void replicate_memory_make(struct replicate_shard *shard);

/* True while what the core has accepted is not in the log, or cut off from it. */
bool replicate_log_behind(const struct replicate_shard *shard);

/* True while the log is not what the core believes: that, or a snapshot is being installed. */
bool replicate_incoming_busy(const struct replicate_shard *shard);

/* ---- replicate_outgoing.c: to other members ----------------------------------------------- */

/* SEND. */
void replicate_send(struct replicate_shard *shard, const struct raft_message *message);

/* REOPEN. */
void replicate_reopen(struct replicate_shard *shard, uint64_t node_id);

/* The vote is durable: what was held goes out. */
void replicate_send_held(struct replicate_shard *shard);

/* Goes on with what has to be read back from disk first; returns the messages sent. */
uint32_t replicate_send_from_disk(struct replicate_shard *shard);

/* Tells the core which APPENDs were not sent.  Not within a step; before any other one. */
void replicate_cuts_tell(struct replicate_shard *shard);

/* Puts a message into its receiver's ring; false: there is no room for it.  `previous`: of an
 * APPEND.  `payload`: entries or a chunk, `payload_bytes` with their padding; NULL: entries that
 * are in the log. */
bool replicate_message_put(struct replicate_shard *shard, const struct raft_message *message,
                           const struct entry_tail *previous, const uint8_t *payload,
                           uint64_t payload_bytes);

/* Puts a body that is not the core's into a member's ring for control, or loses it. */
void replicate_control_put(struct replicate_shard *shard, struct peer_link *link,
                           const uint8_t *body, uint32_t body_bytes);

/* ---- replicate_members.c: who they are ---------------------------------------------------- */

/* Opens the table of incarnations, once the log is open.  Errors: as incarnations_open, and
 * WEIR_ECORRUPT if it is blank though this node has taken part. */
int replicate_members_start(struct replicate_shard *shard, uint64_t vote_term,
                            struct error_text *error);

/* Makes rows and incarnations those of the configuration in force; after each step of the core, and
 * at start.  What brings a configuration (an entry, a truncation, a snapshot that is installed)
 * needs nothing else. */
void replicate_members_follow(struct replicate_shard *shard);

/* A member has opened its control connection. */
void replicate_members_introduced(struct replicate_shard *shard, const struct peer_link *link,
                                  const struct peer_introduction *introduction);

/* ---- replicate_standing.c: nobody comes back with less than it has told -------------------- */

/* Notes where this node stands, before the cores start.  The log is open. */
void replicate_standing_start(struct replicate_shard *shard, uint64_t vote_term);

/* A member has opened a connection of that sort: it is judged, and so is this node by what the
 * member knows of it, which may be final. */
void replicate_standing_introduced(struct replicate_shard *shard, struct peer_link *link,
                                   enum peer_lane lane,
                                   const struct peer_introduction *introduction);

/* What a member's message says of its term and its log, if it counts. */
void replicate_standing_heard(struct replicate_shard *shard, struct peer_link *link,
                              enum peer_lane lane, const struct raft_message *message);

/* The row gets another name. */
void replicate_standing_forget(struct replicate_shard *shard, struct peer_link *link);

/* ---- replicate_members.c, again ------------------------------------------------------------ */

/* Whether what that member sends counts. */
bool replicate_members_heard(const struct replicate_shard *shard, const struct peer_link *link,
                             enum peer_lane lane);

/* The incarnation of a member, or of a node that has introduced itself; 0: not known. */
uint64_t replicate_members_incarnation(const struct replicate_shard *shard, uint64_t node_id);

/* True if the completion was the table's. */
bool replicate_members_completion(struct replicate_shard *shard,
                                  const struct io_completion *completion);

/* True while the table is being stored. */
bool replicate_members_busy(const struct replicate_shard *shard);

/* ---- replicate_change.c: what an operator asks --------------------------------------------- */

/* Takes a request to the core; returns whether there was one. */
bool replicate_change_take(struct replicate_shard *shard);

/* What the core says: REFUSED, CONFIGURED, TRANSFER_FAILED, ROLE. */
void replicate_change_refused(struct replicate_shard *shard, enum raft_refusal refusal);
void replicate_change_configured(struct replicate_shard *shard);
void replicate_change_given_up(struct replicate_shard *shard);
void replicate_change_role(struct replicate_shard *shard, enum raft_role role, uint64_t leader);

/* The node stops or has failed: nothing more will be said of a request. */
void replicate_change_end(struct replicate_shard *shard);

/* ---- replicate_stalled.c ------------------------------------------------------------------ */

/* Lets another one lead if this node's disk has stood still or been full for too long, and tells
 * the core whether it is full; *due_ns is when to look again, if that is earlier. */
void replicate_stalled_turn(struct replicate_shard *shard, uint64_t now_ns, uint64_t *due_ns);

/* ---- replicate_wait.c ----------------------------------------------------------------------- */

/* Nobody waits. */
void replicate_wait_init(struct replicate_shard *shard);

/* A batch with BATCH_WAITS or BATCH_END is handed on: answers its WAIT, refuses it, or notes it and
 * marks the batch BATCH_WAITING; at the end of a connection forgets it. */
void replicate_wait_batch(struct replicate_shard *shard, struct batch *batch);

/* Once a poll: answers those whose wait is over; *due_ns is lowered to the earliest time-out.
 * Returns how many it has looked at: if not 0, there may be more. */
uint32_t replicate_wait_turn(struct replicate_shard *shard, uint64_t now_ns, uint64_t *due_ns);

/* Leadership is over, or the node has failed: answers all with what was reached. */
void replicate_wait_end(struct replicate_shard *shard);

/* ---- replicate_lateness.c -------------------------------------------------------------------- */

/* The core is about to be ticked; it was due at due_ns.  Counts it if it brings heartbeats. */
void replicate_lateness_ticked(struct replicate_shard *shard, uint64_t due_ns);

/* A message has come and was taken by the core.  Counts it if it is a heartbeat of the leader. */
void replicate_lateness_heard(struct replicate_shard *shard, const struct raft_message *message);

/* ---- replicate_figures.c --------------------------------------------------------------------- */

/* Publishes what is known of other members, if it was not done within the last millisecond.  With
 * links only. */
void replicate_figures_publish(struct replicate_shard *shard);

/* ---- replicate_start.c ----------------------------------------------------------------------- */

/* stage.start: opens vote file and log, and creates the core. */
int replicate_start(void *state, struct error_text *error);

/* ---- replicate_order.c: the one order ------------------------------------------------------- */

/* Makes it empty. */
void batch_queue_init(struct batch_queue *queue);

/* Takes one batch from validate: proposes or notes it.  False if the log has no memory for it
 * now; it is then in shard->stalled.  Afterwards it may be in shard->encode: then no other is to be
 * taken before replicate_take_on has finished it. */
bool replicate_take(struct replicate_shard *shard, struct batch *batch, uint64_t now_ns);

/* Goes on with the batch in shard->encode; false if the units are spent before. */
bool replicate_take_on(struct replicate_shard *shard);

/* Hands on what may be handed on; returns the number of items.  *waiting is set if something has
 * to wait for apply. */
uint32_t replicate_hand_on(struct replicate_shard *shard, bool *waiting);

/* Answers everything that waits: proposed writes as unknown, the rest as refused. */
void replicate_abandon(struct replicate_shard *shard);

/* True if no batch waits here. */
bool replicate_order_empty(const struct replicate_shard *shard);

/* ---- replicate_encode.c: long entries -------------------------------------------------------- */

/* Counts work off. */
void replicate_spend(struct replicate_shard *shard, uint32_t units);

/* Begins to make the entry of a batch, in its reserved place. */
void replicate_encode_begin(struct replicate_shard *shard, struct batch *batch, uint8_t *entry,
                            const struct entry_header *header);

/* Goes on; true when the entry is complete, and log_append_end may append it. */
bool replicate_encode_on(struct replicate_shard *shard);

/* ---- replicate_time.c: log time -------------------------------------------------------------- */

/* Leadership begins: fixes the base of log time. */
void replicate_time_begin(struct replicate_shard *shard, uint64_t now_ns, uint64_t wall_ms);

/* The log time of an entry appended now. */
uint64_t replicate_log_time(const struct replicate_shard *shard, uint64_t now_ns);

/* Appends a time entry if the machine's earliest deadline has passed and no entry says so; *due_ns
 * is when to look again otherwise (UINT64_MAX: not for its sake).  Returns whether it appended. */
bool replicate_time_entry(struct replicate_shard *shard, uint64_t now_ns, uint64_t *due_ns);

/* ---- replicate_leases.c ---------------------------------------------------------------------- */

/* Publishes whether the configuration in force has leases, and asks the core to change that if the
 * options want it so and this node leads.  Returns whether it asked. */
bool replicate_leases_configure(struct replicate_shard *shard, uint64_t now_ns);

/* ---- replicate_addresses.c ------------------------------------------------------------------- */

/* A member has said where clients reach it; node id 0: it did not. */
void replicate_address_announced(struct replicate_shard *shard, const struct peer_link *link,
                                 const struct entry_address *address);

/* Appends an address that the log does not have, if this node leads and there is room.  Returns
 * whether it appended. */
bool replicate_address_entry(struct replicate_shard *shard, uint64_t now_ns);

/* ---- replicate_digest.c ---------------------------------------------------------------------- */

/* Appends the digests that apply has put into the box, or drops them if this node does not lead.
 * *due_ns becomes now_ns if there was no room.  Returns whether it appended. */
bool replicate_digest_entry(struct replicate_shard *shard, uint64_t now_ns, uint64_t *due_ns);

/* ---- replicate_dispute.c --------------------------------------------------------------------- */

/* A member has said what it had at an index, or asks. */
void replicate_dispute_heard(struct replicate_shard *shard, struct peer_link *link,
                             const struct peer_digest *said);

/* This node has logged its digests at an index: that it agrees with them says nothing. */
void replicate_dispute_logged(struct replicate_shard *shard, uint64_t index);

/* True while it is not decided whose data are right, or they are not this node's: no snapshot is
 * sent. */
bool replicate_dispute_open(const struct replicate_shard *shard);

/* Once a poll; *due_ns is lowered to when it has to be looked at again.  Returns the work done. */
uint32_t replicate_dispute_turn(struct replicate_shard *shard, uint64_t now_ns, uint64_t *due_ns);

#endif
