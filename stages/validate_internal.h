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
    VALIDATE_ARENA_BYTES = 64 * 1024 * 1024,
    /* Of a reply written, for a unit: its memory is warm, or its text was counted. */
    VALIDATE_UNIT_BYTES = 2 * STAGE_UNIT_BYTES,
    /* An error of the machine's, with its record. */
    VALIDATE_ERROR_BYTES = 2 * REPLY_ERROR_FORMAT_BYTES_MAX,
    /* Commands with no more arguments than this need no arena: a table of 4 KiB. */
    VALIDATE_ARGUMENTS_NEAR = 256,
};

/* What is done in slices for commands[command]. */
enum validate_slices {
    SLICES_NONE = 0,
    SLICES_COMPOSE,   /* `run` composes its text */
    SLICES_ARGUMENTS, /* the machine's arguments are noted in `arguments_block` */
};

/* The batch being judged, and how far; kept between polls only in the middle of slices. */
struct validate_work {
    struct batch *batch; /* NULL: none */
    uint32_t command;    /* the next to judge */
    struct reply_writer reply;
    enum validate_slices slices;
    struct connection_run run;
    struct reply_mark mark; /* where its reply begins */
    uint32_t arguments_block;
    uint32_t arguments_noted;
    uint64_t arguments_bytes;
};

struct validate_shard {
    struct pipeline *pipeline;
    struct node *node;
    const struct directory *directory;
    const struct machine_operations *machine;
    struct ring *from_parse;
    struct ring *to_replicate;
    struct ring *from_write; /* local blocks that came home */
    struct arena *arena;
    struct connection *connections;
    uint32_t entry_body_bytes_max;
    bool password_required;
    /* Batches taken and not yet judged: [ids_next, ids_count).  More than none between two polls
       only behind one whose reply is being composed. */
    uint32_t ids[VALIDATE_TAKE_MAX];
    uint32_t ids_next;
    uint32_t ids_count;
    struct validate_work work;
    int32_t units; /* left to this poll; negative: overrun */
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

/* ---- validate_local.c: replies made here ---------------------------------------------------- */

/* Begins a local block with room for `need_bytes`; what was written stays in those before it.
 * False if the arena has none; nothing has changed then. */
bool validate_local_grow(struct validate_shard *shard, struct batch *batch, uint64_t need_bytes);

/* Gives back the blocks of a batch that is home, of which `block` is the newest. */
void validate_local_give(struct validate_shard *shard, uint32_t block);

/* Makes the stream written since `mark` the command's reply. */
void validate_local_answer(struct validate_shard *shard, struct batch_command *command,
                           struct reply_mark mark);

/* Marks the command with its refusal; apply writes the words. */
void validate_refuse(struct validate_shard *shard, struct batch_command *command,
                     enum batch_refusal refusal);

/* Writes the reply of a command about the connection, into as much room as it needs. */
void validate_local_write(struct validate_shard *shard, struct connection_run *run);

#endif
