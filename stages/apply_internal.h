#ifndef WEIR_STAGES_APPLY_INTERNAL_H
#define WEIR_STAGES_APPLY_INTERNAL_H

/* What the files of the apply stage share; see stages/apply.h.  One owner: its thread. */

#include "entry/entry.h"
#include "stages/apply.h"
#include "stages/arena.h"
#include "stages/connection_commands.h"
#include "stages/machine_host.h"
#include "stages/pipeline.h"
#include "stages/sessions.h"
#include "storage/format.h"
#include "storage/snapshot.h"
#include "storage/snapshot_stream.h"

enum {
    /* Machine units (about 100 ns, machines/machine.h) a poll; a machine may overrun them by its
       smallest step, of 450.  As many as parse has, so that what parse hands on in a turn does not
       pile up here, where all wait for all that the log has before theirs. */
    APPLY_POLL_UNITS = STAGE_POLL_UNITS / 2,
    /* Of a snapshot's slice, in the same poll. */
    APPLY_EMIT_UNITS = 250,
    APPLY_TRIM_UNITS = 400, /* of a slice of the machine's memory given back to the kernel */
    /* Housekeeping has what is left of a poll; and where nothing is, one unit for so many that
       commands took, once these are worth a call, up to 5 ms: what a command of 20 ms owes. */
    APPLY_MAINTAIN_SHARE = 4,
    APPLY_MAINTAIN_UNITS_MIN = 100,
    APPLY_MAINTAIN_UNITS_MAX = 100 * APPLY_POLL_UNITS,
    APPLY_STAGE_UNITS = 2, /* a machine's unit, in those of stages/stage.h */
    /* Arguments of a command noted in one go; longer lists in slices of so many. */
    APPLY_ARGUMENTS_SLICE = 256,
    APPLY_SLICE_UNITS = APPLY_ARGUMENTS_SLICE / 4,
    /* Items taken from the ring at a time. */
    APPLY_INTAKE_MAX = 16,
    /* The first block of a batch whose replies exceed its own room; each further one is twice as
       large, up to the second, unless a single reply needs more. */
    APPLY_REPLY_BLOCK_BYTES = 64 * 1024,
    APPLY_REPLY_BLOCK_BYTES_MAX = 16 * 1024 * 1024,
    /* While half of the arena is free, a connection takes what it needs.  The other half is for
       those who hold less than such a part of it each. */
    APPLY_REPLY_SHARE = 16,
    /* Where a reply under ONCE is written first: what is longer is not kept anyway. */
    APPLY_ONCE_ROOM_BYTES = 4096,
    APPLY_SWEEP_SLOTS = 8, /* sessions looked at, whether they have expired, in a poll */
    /* Own digests remembered, until the leader's come by in the log: there are no more entries in
       between than batches under way, 1024, and a few of the leader's own; this is 16 intervals of
       1024.  Of 2 KiB each. */
    APPLY_DIGESTS_KEPT = 16,
    /* Of noting or comparing 256 digests: each some 5 ns. */
    APPLY_DIGEST_UNITS = 16,
};
_Static_assert(APPLY_TRIM_UNITS < APPLY_POLL_UNITS, "a trim leaves something of a poll");
_Static_assert(IS_POWER_OF_TWO(APPLY_DIGESTS_KEPT), "an index finds its place");
/* Housekeeping that comes to its end does not say what it took, and is not charged: once more. */
_Static_assert((2 * APPLY_POLL_UNITS + APPLY_EMIT_UNITS + 500) * APPLY_STAGE_UNITS <=
                   STAGE_POLL_UNITS_MAX,
               "with a machine's overrun");

/* At the beginning of each reply block; the replies follow. */
struct apply_reply_block {
    uint32_t next;     /* the batch's block before this one, or BATCH_NO_BLOCK */
    uint32_t slot;     /* of the connection that it counts for */
    uint64_t reserved; /* replies begin at a multiple of 16 */
};

/* Where the work on the current item stands. */
struct apply_work {
    bool active;
    bool collecting; /* `run` is being filled, and has not begun */
    bool running;    /* `run` is under way */
    struct apply_item item;
    const uint8_t *entry;  /* the current one */
    uint32_t entries_left; /* with the current one */
    bool entry_open;       /* `cursor` is in it */
    struct entry_header header;
    struct entry_cursor cursor;
    struct batch *batch; /* or NULL */
    uint32_t command;    /* the batch's next command */
    uint32_t run_first;  /* command of operation 0, if there is a batch */
    struct machine_run run;

    /* The last operation's arguments, as far as they are noted. */
    uint32_t fill_next;
    const struct batch_command *fill_command; /* a read's; NULL: a write, out of the entry */
    const uint8_t *fill_lengths;
    const uint8_t *fill_data;
};

/* See the picture in apply_once.c. */
enum apply_once_step {
    APPLY_ONCE_NONE = 0,
    APPLY_ONCE_HASH,
    APPLY_ONCE_JUDGE,
    APPLY_ONCE_RUN,
    APPLY_ONCE_STORE,
    APPLY_ONCE_OPEN,
};

/* The command of a session under way. */
struct apply_once {
    enum apply_once_step step;
    bool kept;                     /* its reply is, or will be, in `room` */
    bool differs;                  /* that reply may be another on another member */
    struct batch_command *waiting; /* who waits for it; NULL: nobody */
    struct entry_command command;
    uint8_t *reply; /* from RUN to STORE: where it is, or NULL */
    uint32_t reply_bytes;
    const uint8_t *hash_next;
    size_t hash_left_bytes;
    bool hash_whole; /* in one go */
    uint64_t hash;
    uint32_t slot; /* of the session, from JUDGE on */
    struct checksum_state checksum;
    struct reply_writer writer; /* in `room` */
    uint8_t room[APPLY_ONCE_ROOM_BYTES];
};

/* See the picture in apply_exec.c. */
enum apply_exec_step {
    APPLY_EXEC_NONE = 0,
    APPLY_EXEC_WATCHED,
    APPLY_EXEC_OPEN,
    APPLY_EXEC_RUN,
    APPLY_EXEC_MOVE,
    APPLY_EXEC_WATCH,
};

/* The EXEC, or WATCH, under way. */
struct apply_exec {
    enum apply_exec_step step;
    bool once;                     /* it is under ONCE */
    bool changed;                  /* a watched key has */
    struct batch_command *waiting; /* who waits for it; NULL: nobody */
    struct entry_transaction transaction;
    struct entry_cursor cursor; /* in its commands */
    const uint8_t *watch;       /* the next watched key */
    uint32_t watches_left;
    uint32_t reply_offset;       /* copied of the next known reply, */
    const uint8_t *reply;        /* which stands here */
    struct reply_writer *writer; /* NULL: nobody listens */
    uint8_t *begin;              /* of its reply */

    enum apply_exec_step before_move; /* and there it goes on, */
    bool resumes;                     /* with a run that is under way */
    const uint8_t *from;
    uint64_t move_left;
};

/* The snapshot under way. */
struct apply_snapshot {
    struct snapshot_writer *writer;
    bool emitting; /* the machine has slices left */
    bool sealing;
    bool starved;                  /* the writer had no room for what was to be emitted last */
    bool full;                     /* likewise, and no completion has come since */
    bool awaited;                  /* a run waits until some more is emitted */
    struct snapshot_record untold; /* complete, and not yet in the box; index 0: none */
    uint64_t log_bytes;            /* entries applied since the last one began */
    uint64_t index;                /* of the one under way */
    uint64_t retry_ns;             /* one failed: none that a member needs is begun before */
    uint64_t timer_ns;             /* what the port's timer is set to; 0: nothing */
    bool resting;                  /* the node stops: nothing waits for the timer any more */
    uint32_t address_bytes;        /* of the record below that are still to be emitted: all, or 0 */
    uint8_t address_record[ADDRESSES_RECORD_BYTES_MAX]; /* as of `index` */
};

/* See apply_digest.c. */
struct apply_digests {
    struct digest_record kept[APPLY_DIGESTS_KEPT]; /* by index / DIGEST_INTERVAL */
    uint64_t agreed_index;      /* up to here they were those in the log; 0: none compared yet */
    uint64_t differs_index;     /* the last one at which they were others; 0: none */
    struct digest_doubt untold; /* found the box full; index 0: none */
    bool changed;               /* commands were applied since the last record for replicate */
    bool diverged;              /* final: the machine is not used any more */
};

/* Restoring what another member has sent; drawn in apply_install.c. */
enum apply_install_step {
    APPLY_INSTALL_NONE = 0,
    APPLY_INSTALL_FORSAKING,
    APPLY_INSTALL_DESTROYING,
    APPLY_INSTALL_FORGETTING,
    APPLY_INSTALL_LOADING,
    APPLY_INSTALL_STARVED,
    APPLY_INSTALL_FAILED,
};
struct apply_install {
    enum apply_install_step step;
    uint64_t index; /* of the snapshot */
    char name[FILE_NAME_BYTES];
    struct snapshot_stream *stream;
    uint32_t session_slot; /* removed before it */
    bool begun;            /* the new machine is made */
    uint64_t session_left; /* bytes of sessions still to come */
    size_t used_bytes;     /* of the block that is there */
    uint64_t retry_ns;     /* while STARVED: when the file is to be opened again */
};

struct apply_shard {
    struct pipeline *pipeline;
    struct node *node;
    struct io *io;
    struct io_port *port;
    const struct directory *directory;
    struct ring *from_replicate;
    struct ring *to_replicate;
    struct ring *to_serialize;
    struct ring *from_write; /* reply blocks that came home */
    struct arena *arena;
    uint64_t *reply_held_bytes; /* of each connection slot: in blocks of the arena */

    const struct machine_operations *operations;
    struct machine *machine; /* NULL before the genesis entry */
    struct machine_host host;
    struct machine_host_memory *pages;
    struct entry_genesis genesis;
    bool maintaining;        /* maintain said that there is more */
    uint32_t maintain_units; /* what housekeeping may take, whatever waits: apply.c */

    struct apply_item intake[APPLY_INTAKE_MAX]; /* [next, count) not yet begun */
    uint32_t intake_next;
    uint32_t intake_count;
    struct apply_work work;
    struct machine_operation *run_operations; /* BATCH_COMMANDS_MAX */
    struct machine_argument *arguments;       /* scratch of a run */
    uint64_t *hashes;                         /* unused hashes of commands without keys */
    uint32_t arguments_capacity;
    uint32_t argument_count;

    struct entry_tail tail; /* of the last entry applied */
    uint64_t clock_ms;      /* the leader's log time now, as far as it is known; for reads */
    uint64_t tail_ns;       /* the monotonic clock when `tail` was applied, in poll's time */
    uint64_t now_ns;        /* of this poll */
    uint64_t run_begin_ns;  /* when the next operation of the run was begun */
    uint64_t deadline_told_ms;
    struct apply_snapshot snapshot;
    int32_t directory_handle;
    struct sessions *sessions;
    struct apply_once once;
    struct apply_exec exec;
    struct apply_digests digests;
    struct apply_install install;
    struct configuration configuration; /* as of the tail */
};

/* ---- apply_start.c: of struct stage ---------------------------------------------------------- */

/* stage.init: also restores the newest snapshot. */
int apply_init(void **out, const struct stage_environment *environment, struct error_text *error);
/* stage.start: opens what snapshots are written through. */
int apply_start(void *state, struct error_text *error);
/* stage.fini; also of a shard that init did not complete. */
void apply_fini(void *state);

/* ---- apply.c -------------------------------------------------------------------------------- */

/* Tells everybody how far we are. */
void apply_publish(struct apply_shard *shard);

/* Wakes replicate. */
void apply_note_send(struct apply_shard *shard);

/* ---- apply_run.c ---------------------------------------------------------------------------- */

/* What a batch's next commands are: a run of machine commands, or one that the machine never sees.
 * Returns false when there are none left. */
bool apply_batch_next(struct apply_shard *shard, uint32_t *units);

/* The next writes of an entry that no batch waits for; false when there are none left. */
bool apply_entry_next(struct apply_shard *shard);

/* Goes on collecting the run, and starts it; false when the units are spent. */
bool apply_run_collect(struct apply_shard *shard, uint32_t *units);

/* Goes on with the run; false when the budget is spent. */
bool apply_run_continue(struct apply_shard *shard, uint32_t *units);

/* Begins a run of once.command alone, whose reply goes to once.writer. */
void apply_run_once(struct apply_shard *shard);

/* Begins a run of the next commands of the EXEC under way. */
void apply_run_begin(struct apply_shard *shard);

/* When what is executed now happens: in the open entry, or after the last. */
struct machine_moment apply_moment(const struct apply_shard *shard);

/* ---- apply_digest.c ------------------------------------------------------------------------- */

/* The entry that the tail has just passed is applied: notes the digests if it is time for it.
 * Returns the units that took. */
uint32_t apply_digest_note(struct apply_shard *shard);

/* Compares what was noted with the digest entry that is open; replicate is told of a difference,
 * which fails a node that has no other members.  Returns the units that took. */
uint32_t apply_digest_compare(struct apply_shard *shard);

/* Tells replicate what it could not be told, and between two items looks what it has decided. */
void apply_digest_turn(struct apply_shard *shard);

/* Whether the data are wrong: the machine is not to be used any more.  Not while an entry is open,
 * since a batch is refused as a whole. */
bool apply_digest_rejected(struct apply_shard *shard);

/* Whether the data may be wrong, or are: no snapshot is to be made of them. */
bool apply_digest_in_doubt(const struct apply_shard *shard);

/* Makes answers of the commands of a batch that the machine was to execute: it is not used any
 * more. */
void apply_digest_refuse(struct batch *batch);

/* ---- apply_once.c --------------------------------------------------------------------------- */

/* Takes the next command, which is one of a session, from the open entry. */
void apply_once_begin(struct apply_shard *shard);

/* One step of it, not RUN; false if it must wait, for a snapshot: then *units is 0. */
bool apply_once_on(struct apply_shard *shard, uint32_t *units);

/* Its reply does not fit: whether it was in the shard's own room.  It goes to the batch then. */
bool apply_once_reply_full(struct apply_shard *shard);

/* RUN: the machine has executed it; its reply, in `room` as long as it is kept, or NULL. */
void apply_once_executed(struct apply_shard *shard, uint8_t *reply, uint32_t reply_bytes);

/* Between items: removes one that has expired, if it finds one; whether it did. */
bool apply_sessions_turn(struct apply_shard *shard);

/* ---- apply_exec.c --------------------------------------------------------------------------- */

/* Begins an EXEC: of the log, for which `waiting` may wait (or NULL), under ONCE or not; of the
 * batch, which only reads. */
void apply_exec_begin(struct apply_shard *shard, const struct entry_command *command,
                      struct batch_command *waiting, bool once);
void apply_exec_begin_read(struct apply_shard *shard, struct batch_command *waiting);

/* Begins a WATCH. */
void apply_watch_begin(struct apply_shard *shard, struct batch_command *command);

/* One step of it, while no run of its commands is collected or under way. */
void apply_exec_on(struct apply_shard *shard, uint32_t *units);

/* A reply of one of its commands does not fit. */
void apply_exec_reply_full(struct apply_shard *shard);

/* ---- apply_replies.c ------------------------------------------------------------------------ */

/* Prepares the batch's own reply room. */
void apply_replies_begin(struct batch *batch);

/* Begins the writer anew with at least `need_bytes` of room; what was written stays where it is.
 * False if there is none. */
bool apply_replies_grow(struct apply_shard *shard, struct batch *batch, uint64_t need_bytes);

/* Gives back the blocks of a batch that is home, of which `block` is the newest. */
void apply_replies_give(struct apply_shard *shard, uint32_t block);

/* Writes the reply of a command that the machine never sees.  Without room the connection ends. */
void apply_reply_canned(struct apply_shard *shard, struct batch *batch,
                        struct batch_command *command);

/* ---- apply_install.c ------------------------------------------------------------------------- */

/* Begins to restore snapshot `index`, which replicate has placed: between two items. */
void apply_install_begin(struct apply_shard *shard, uint64_t index);

/* From then until the machine is restored; no entry is applied meanwhile, and the machine may not
 * be there. */
bool apply_installing(const struct apply_shard *shard);

/* Goes on; returns whether something was done. */
bool apply_install_turn(struct apply_shard *shard, uint32_t *units);

/* ---- apply_snapshot.c ------------------------------------------------------------------------ */

/* Makes the machine of a genesis.  Errors: WEIR_ENOMEM. */
int apply_machine_make(struct apply_shard *shard, const struct entry_genesis *genesis);

/* Lets a session change: a snapshot that still needs it gets it first.  False if that has no room
 * now. */
bool apply_session_release(struct apply_shard *shard, uint32_t slot);

/* Restores the newest snapshot, if there is one, into a new machine and node->recovery.
 * Start-up; blocks.  Errors: those of snapshot_open and the machine's restore. */
int apply_restore(struct apply_shard *shard, const struct apply_options *options,
                  struct error_text *error);

/* Sliced housekeeping of the machine, which may have to wait for the snapshot; returns whether it
 * came further, or may when called again at once. */
bool apply_maintain_turn(struct apply_shard *shard, uint32_t *units);

/* One turn of the snapshot; returns whether something was done. */
bool apply_snapshot_turn(struct apply_shard *shard, uint64_t now_ns);

/* Restores a first part of the records before the machine's bytes: of addresses, which come first
 * if at all, or some 64 KiB of sessions; *consumed is what that was.  `first`: these are the very
 * first bytes.  Errors: WEIR_ECORRUPT, WEIR_EVERSION. */
int apply_records_restore(struct apply_shard *shard, const struct snapshot_meta *meta, bool first,
                          const uint8_t *bytes, size_t length_bytes, size_t *consumed);

/* Gives up the one under way, if there is one. */
void apply_snapshot_forsake(struct apply_shard *shard);

/* Nothing of one that was given up is under way any more. */
bool apply_snapshot_quiet(struct apply_shard *shard);

/* Abandons one under way; true when nothing is outstanding. */
bool apply_snapshot_rest(struct apply_shard *shard, uint64_t now_ns);

#endif
