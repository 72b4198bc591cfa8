#ifndef WEIR_STAGES_VALIDATE_INTERNAL_H
#define WEIR_STAGES_VALIDATE_INTERNAL_H

/* What the files of the validate stage share; see stages/validate.c.  One owner: its thread. */

#include "stages/arena.h"
#include "stages/connection_run.h"
#include "stages/pipeline.h"

enum {
    VALIDATE_TAKE_MAX = 64,
    /* A first local block: some errors, HELLO, CLIENT ID.  It grows to what a reply needs. */
    VALIDATE_BLOCK_BYTES = 2 * 1024,
    VALIDATE_BLOCK_BYTES_MAX = 64 * 1024, /* of a further one, unless a single reply needs more */
    /* Local blocks: CLIENT LIST of 10,000 connections takes 8 MiB, COMMAND DOCS 64 KiB; several of
       each at a time.  Address space until it is used. */
    VALIDATE_ARENA_BYTES = 128 * 1024 * 1024,
    /* Of these, at most, the stores of transactions that wait for their EXEC. */
    VALIDATE_STORE_BYTES_MAX = 64 * 1024 * 1024,
    /* Of a reply written, for a unit: its memory is warm. */
    VALIDATE_UNIT_BYTES = 2 * STAGE_UNIT_BYTES,
    /* An error of the machine's, with its record. */
    VALIDATE_ERROR_BYTES = 2 * REPLY_ERROR_FORMAT_BYTES_MAX,
    /* Commands with no more arguments than this need no arena: a table of 4 KiB. */
    VALIDATE_ARGUMENTS_NEAR = 256,
    /* Texts composed at a time: half of the arena, if each were the longest of 10,000 connections.
       It is shrunk to its length when it is complete. */
    VALIDATE_COMPOSING_MAX = 4,
};

/* What is done in slices for commands[command]. */
enum validate_slices {
    SLICES_NONE = 0,
    SLICES_PLACE,     /* waits for a place among those who compose */
    SLICES_COMPOSE,   /* `run` composes its text */
    SLICES_ARGUMENTS, /* the machine's arguments are noted in `arguments_block` */
    SLICES_KEEP,      /* it is copied to the store of its transaction */
    SLICES_EXEC,      /* the replies that are known are added to the store */
    SLICES_WATCH,     /* its keys are added to the store */
};

/* What is being added to the store of the connection's transaction. */
struct validate_store {
    bool moving; /* the store, to `block`, of which `moved` bytes are there */
    uint32_t block;
    uint32_t moved;

    /* KEEP: the record of a command, begun once there is room. */
    bool begun;
    uint16_t id;
    uint32_t record_bytes;
    uint32_t error_bytes; /* the reply in `error_room` is kept; 0: the command is */
    uint32_t key_count;
    uint32_t argument_count;
    uint32_t key;      /* the next; */
    uint32_t argument; /* likewise, of WATCH too */
    uint32_t argument_bytes;
    struct entry_command_writer writer;

    /* EXEC: the kept command whose reply is next. */
    uint32_t place;
    uint32_t wanted; /* room for that reply */
    bool effected;
    bool is_canned;
};

/* What a connection may say about transactions: drawn in validate_transaction.c. */
enum transaction_state { TRANSACTION_NONE = 0, TRANSACTION_OPEN, TRANSACTION_BROKEN };

/* A connection's transaction; zeroed: none. */
struct validate_transaction {
    uint8_t state; /* enum transaction_state */
    bool has_block;
    bool writes; /* one of its commands does */
    bool grows;
    uint32_t block;
    uint32_t watch_count;
    uint32_t watch_bytes;
    uint32_t pending_count; /* of these, the last ones: of the WATCH that is under way, */
    uint32_t pending_bytes;
    uint32_t pending_batch; /* in this batch */
    uint32_t command_count;
    uint32_t command_bytes;
    uint32_t local_count; /* commands whose replies are made here */
    uint32_t reply_bytes;
    uint32_t amplifying;    /* MACHINE_AMPLIFIES commands, */
    uint64_t growth_bytes;  /* what they may need, as things were when they were judged, */
    uint64_t value_bytes;   /* the longest value that they may make, */
    uint64_t longest_bytes; /* and the longest that there was, when the first was judged */
    uint64_t term;          /* of the leader, when it began */
};

/* A batch being judged, and how far. */
struct validate_work {
    struct batch *batch; /* NULL: none */
    uint32_t command;    /* the next to judge */
    struct reply_writer reply;
    enum validate_slices slices;
    struct connection_run run;
    struct reply_mark mark; /* where its reply begins */
    uint64_t begin_ns;      /* when its effect was */
    uint32_t arguments_block;
    uint32_t arguments_noted;
    uint64_t arguments_bytes;
    struct validate_store store;
};

/* Batches in a row, linked by validate_aside.next. */
struct validate_queue {
    uint32_t first; /* batch id; BATCH_NO_BLOCK: none */
    uint32_t last;
};

/* What belongs to a batch that is put aside, by its id. */
struct validate_aside {
    struct validate_work work; /* only if its judging has begun */
    uint32_t next;
};

/* A connection of which a batch is put aside: what comes of it stands in line behind that one. */
struct validate_line {
    bool held;
    struct validate_queue behind; /* while held */
};

struct validate_shard {
    struct pipeline *pipeline;
    struct node *node;
    const struct directory *directory;
    const struct machine_operations *machine;
    struct ring *from_parse;
    struct ring *to_replicate;
    struct ring *to_read;
    struct ring *from_write; /* local blocks that came home */
    struct arena *arena;
    struct connection *connections;
    uint32_t entry_body_bytes_max;
    /* Of the values of each class that writes may make, the longest since none was under way. */
    uint64_t longest_bytes[NODE_LONG_CLASSES];
    /* Batches taken and not yet looked at: [ids_next, ids_count).  More than none between two polls
       only if the units were spent before. */
    uint32_t ids[VALIDATE_TAKE_MAX];
    uint32_t ids_next;
    uint32_t ids_count;
    struct validate_work work; /* the present one */

    struct validate_aside *asides;             /* of each batch */
    struct validate_line *lines;               /* of each connection */
    struct validate_transaction *transactions; /* of each connection */
    uint64_t store_bytes;                      /* blocks of all stores */
    /* A command about the connection that was kept, while it runs. */
    struct batch scratch_batch;
    struct batch_command scratch_command;
    struct resp_argument scratch_arguments[CONNECTION_ARGUMENTS_MAX];
    struct validate_queue composing; /* in turn, a slice each */
    struct validate_queue waiting;   /* SLICES_PLACE */
    uint32_t composing_count;        /* places taken: texts begun and not complete */
    uint32_t aside_count;            /* batches put aside, those in line included */

    /* Of this poll. */
    int32_t units; /* left; negative: overrun */
    bool composed; /* somebody had a slice */
    uint32_t done_count;
    uint32_t done_max;
    uint32_t done[VALIDATE_TAKE_MAX]; /* batches judged */
    struct machine_argument arguments[VALIDATE_ARGUMENTS_NEAR];
    uint8_t error_room[VALIDATE_ERROR_BYTES];
};

/* At the beginning of each local block; the replies follow. */
struct validate_block {
    uint32_t next; /* the batch's block before this one, or BATCH_NO_BLOCK */
    uint32_t reserved[3];
};

/* Counts work off. */
static inline void validate_spend(struct validate_shard *shard, uint32_t units) {
    shard->units -= (int32_t)units;
}

/* What it costs to write a reply; composing is counted by its slices. */
static inline uint32_t validate_reply_units(size_t length_bytes) {
    return 2 + (uint32_t)(length_bytes / VALIDATE_UNIT_BYTES);
}

/* ---- validate_memory.c: the memory limit ---------------------------------------------------- */

/* Whether the machine's memory has reached the limit. */
bool validate_memory_is_full(const struct validate_shard *shard);

/* Notes in the present batch that a command of it may make a value so long. */
void validate_note_length(struct validate_shard *shard, uint64_t value_bytes);

/* The longest value that a write may find. */
uint64_t validate_longest_value(const struct validate_shard *shard);

/* Whether so much still fits below the limit, beside what those under way may need. */
bool validate_growth_is_free(const struct validate_shard *shard, uint64_t growth);

/* Notes in the present batch that it may need so much, and make a value so long. */
void validate_growth_take(struct validate_shard *shard, uint64_t growth, uint64_t value_bytes);

/* Whether what a MACHINE_AMPLIFIES command may need still fits below the limit; if so, it is noted
 * in the present batch. */
bool validate_growth_fits(struct validate_shard *shard, const struct batch_command *command,
                          const struct machine_argument *arguments);

/* ---- validate_aside.c: batches put aside ---------------------------------------------------- */

/* Makes the tables; WEIR_ENOMEM leaves none. */
int validate_aside_init(struct validate_shard *shard, uint32_t batches, uint32_t connections);
void validate_aside_fini(struct validate_shard *shard);

/* Whether a text may be begun now: there is a place, and nobody waits for it. */
bool validate_place_free(const struct validate_shard *shard);

/* Puts the present work aside, which composes or waits for a place. */
void validate_put_aside(struct validate_shard *shard);

/* Takes up whose turn it is to compose, as the present work; false if there is nobody. */
bool validate_take_up(struct validate_shard *shard);

/* Puts a batch that arrives in line if another of its connection is put aside; whether it did. */
bool validate_stand_in_line(struct validate_shard *shard, const struct batch *batch);

/* The batch is judged: who stands in line behind it, to be judged next, or NULL. */
struct batch *validate_next_in_line(struct validate_shard *shard, const struct batch *batch);

/* Moves a container's command on to its subcommand; false if there is no such subcommand.  In
 * validate_local.c. */
bool validate_subcommand(const struct batch *batch, struct batch_command *command);

/* ---- validate_wait.c ------------------------------------------------------------------------ */

/* Notes in the batch, whose last command it is, what a WAIT waits for, or answers it with what is
 * wrong. */
void validate_wait(struct validate_shard *shard, struct batch_command *command);

/* ---- validate.c ----------------------------------------------------------------------------- */

/* Makes the command a write whose record is so long, if the entry may become so long. */
void validate_record(struct validate_shard *shard, struct batch_command *command,
                     uint32_t record_bytes);

/* Makes the reply a canned one. */
static inline void validate_canned(struct batch_command *command, enum connection_reply reply) {
    command->fate = FATE_LOCAL;
    command->detail = (uint8_t)reply;
}

/* ---- validate_store.c ----------------------------------------------------------------------- */

/* The transaction of the present batch's connection. */
static inline struct validate_transaction *validate_transaction_of(struct validate_shard *shard) {
    return &shard->transactions[shard->work.batch->connection.slot];
}

/* What is in the store, and where it begins; it has a block. */
uint32_t validate_store_used(const struct validate_transaction *transaction);
uint8_t *validate_store_at(const struct validate_shard *shard,
                           const struct validate_transaction *transaction);

/* Whether the record of the EXEC, with so many bytes more, still is one that the log takes. */
bool validate_store_suits(const struct validate_shard *shard,
                          const struct validate_transaction *transaction, uint64_t more);

/* Sees to it that so many bytes more have room.  LATER: what is there is being moved and the units
 * are spent; call again with the same.  NONE: there is no memory. */
enum store_room { STORE_READY, STORE_LATER, STORE_NONE };
enum store_room validate_store_reserve(struct validate_shard *shard,
                                       struct validate_transaction *transaction, uint32_t bytes);

/* ---- validate_transaction.c and validate_exec.c: of the present batch's connection ---------- */

/* Drops the transaction, and what is watched. */
void validate_transaction_reset(struct validate_shard *shard, uint32_t slot);

/* A command in it was refused. */
void validate_transaction_break(struct validate_shard *shard);

/* Begins to keep a command: the machine's, of which the arguments have so many bytes; the error of
 * one, which stands in `error_room`; one about the connection, unless it is answered at once. */
void validate_transaction_keep(struct validate_shard *shard, struct batch_command *command,
                               uint64_t argument_bytes);
void validate_transaction_keep_error(struct validate_shard *shard, struct batch_command *command,
                                     uint32_t error_bytes);
void validate_transaction_keep_local(struct validate_shard *shard, struct batch_command *command);

/* Whether a transaction is open, in which the command cannot be; then it has its answer. */
bool validate_transaction_forbids(struct validate_shard *shard, struct batch_command *command);

/* Whether what a MACHINE_AMPLIFIES command may need fits with the rest of the transaction. */
bool validate_transaction_growth(struct validate_shard *shard, const struct batch_command *command,
                                 const struct machine_argument *arguments);

/* Judge the command of that name, whose form is right; some only begin with that. */
void validate_multi(struct validate_shard *shard, struct batch_command *command);
void validate_exec(struct validate_shard *shard, struct batch_command *command);
void validate_discard(struct validate_shard *shard, struct batch_command *command);
void validate_watch(struct validate_shard *shard, struct batch_command *command);
void validate_unwatch(struct validate_shard *shard, struct batch_command *command);

/* Go on with what was begun; false if the units are spent before. */
bool validate_transaction_keep_on(struct validate_shard *shard);
bool validate_exec_on(struct validate_shard *shard, const struct stage_moment *moment);
bool validate_watch_on(struct validate_shard *shard);

/* A batch has come round again: its WATCH has run, or not. */
void validate_watch_settle(struct validate_shard *shard, const struct batch *batch);

/* ---- validate_once.c ------------------------------------------------------------------------ */

/* Whether an ONCE.OPEN is well-formed, and marks it; if not, it is refused. */
bool validate_open_suits(struct validate_shard *shard, struct batch_command *command);

/* Whether the command, which is in a table, may stand under ONCE; if not, it is refused. */
bool validate_once_suits(struct validate_shard *shard, const struct connection *connection,
                         struct batch_command *command);

/* ---- validate_run.c: commands about connections and the server ------------------------------ */

/* Publishes what others may see of a connection's protocol state. */
void validate_publish(struct validate_shard *shard, uint32_t slot,
                      const struct connection *connection);

/* Runs commands[work.command], which is allowed now; a long reply of it is then to be composed
 * (work.slices). */
void validate_run(struct validate_shard *shard, struct connection *connection,
                  struct batch_command *command, const struct stage_moment *moment);

/* Composes a slice, if the command has or gets a place; true when the reply is there. */
bool validate_compose(struct validate_shard *shard, const struct stage_moment *moment);

/* ---- validate_local.c: replies made here ---------------------------------------------------- */

/* Begins a local block with room for `need_bytes`; what was written stays in those before it.
 * False if the arena has none; nothing has changed then. */
bool validate_local_grow(struct validate_shard *shard, struct batch *batch, uint64_t need_bytes);

/* Gives back the blocks of a batch that is home, of which `block` is the newest. */
void validate_local_give(struct validate_shard *shard, uint32_t block);

/* Makes the stream written since `mark` the command's reply. */
void validate_local_answer(struct validate_shard *shard, struct batch_command *command,
                           struct reply_mark mark);

/* Gives back the newest local block's room behind what was written, if that is much. */
void validate_local_shrink(struct validate_shard *shard, struct batch *batch);

/* Marks the command with its refusal; apply writes the words. */
void validate_refuse(struct validate_shard *shard, struct batch_command *command,
                     enum batch_refusal refusal);

/* Writes the reply of a command about the connection, into as much room as it needs. */
void validate_local_write(struct validate_shard *shard, struct connection_run *run);

#endif
