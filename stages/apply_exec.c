/*
 * EXEC and WATCH, which the machine does not know: it executes what is in a transaction.
 *
 * They are decided here, from the entry alone, so that every replica and every restart decides
 * alike.  An EXEC is one piece of work: nothing else is executed on the machine, and no snapshot
 * begins, between two of its commands.
 *
 *   NONE ─► WATCHED ─► one has changed: null ─► NONE
 *              └─ none has ─► OPEN ─► RUN ◄─► (runs of commands; known replies) ─► NONE
 *                               └──► MOVE ◄──┘   more room for its reply
 *   NONE ─► WATCH ─► NONE
 *
 * Happy path: no watched key has changed since; the commands are executed in runs, as those of a
 * batch are, and their replies stand behind the array's head, one after the other.  Where a reply
 * is known already (entry/transaction.h) it is copied.
 *
 * WATCH says of each of its keys whether it is there, and after which entry that was; its batch
 * takes that to validate.
 *
 * Failure modes: the reply has no room: it moves to a larger block, in slices.  There is none: an
 * EXEC that only reads is refused; one that writes goes on, nobody listens, and the connection
 * ends.  A reply under ONCE begins in the shard's own room, on every replica: one that has no room
 * there is not kept.
 */

#include <string.h>

#include "base/assert.h"
#include "base/bytes.h"
#include "base/mutant.h"
#include "stages/apply_internal.h"

enum {
    EXEC_MOVE_BYTES = 16 * 1024, /* in one go: some 5 us */
    EXEC_UNIT_BYTES = 400,       /* moved for a unit of the machine's */
    EXEC_WATCH_UNITS = 2,
};

static void spend(uint32_t *units, uint64_t count) {
    *units -= *units < count ? *units : (uint32_t)count;
}

/* ---- the reply's room ----------------------------------------------------------------------- */

/* Nobody listens from here on. */
static void fall_silent(struct apply_shard *shard) {
    struct apply_exec *exec = &shard->exec;
    exec->writer = NULL;
    if (exec->waiting != NULL) {
        shard->work.batch->flags |= BATCH_ABORT;
    }
}

/* Only reads: it can still be refused. */
static void refuse(struct apply_shard *shard, uint64_t need_bytes) {
    struct apply_exec *exec = &shard->exec;
    struct batch_command *command = exec->waiting;
    bool too_large = need_bytes > shard->node->options->reply_bytes_max;
    command->fate = FATE_REFUSED;
    command->refusal = too_large ? REFUSAL_REPLY_SIZE : REFUSAL_OVERLOAD;
    apply_reply_canned(shard, shard->work.batch, command);
    exec->step = APPLY_EXEC_NONE;
    shard->work.running = false;
}

/* More room: so many bytes behind what is there.  What is there is to be moved first, or nobody
 * listens any more, or it is refused. */
static void room_grow(struct apply_shard *shard, uint64_t need_bytes) {
    struct apply_exec *exec = &shard->exec;
    struct batch *batch = shard->work.batch;
    ASSERT(exec->writer != NULL && need_bytes > 0 && exec->step != APPLY_EXEC_MOVE);
    uint64_t used = (uint64_t)(exec->writer->position - exec->begin);
    exec->writer->overflow_bytes = 0;
    if (exec->once) {
        shard->once.kept = false;
    }
    if (batch == NULL) {
        exec->writer = NULL;
        return;
    }
    bool grown = apply_replies_grow(shard, batch, 2 * used + need_bytes) ||
                 apply_replies_grow(shard, batch, used + need_bytes);
    if (!grown && exec->waiting->fate == FATE_READ) {
        refuse(shard, used + need_bytes);
        return;
    }
    if (!grown) {
        fall_silent(shard);
        return;
    }
    exec->from = exec->begin;
    exec->move_left = used;
    exec->writer = &batch->reply;
    exec->begin = batch->reply.position;
    exec->before_move = exec->step;
    exec->resumes = shard->work.running;
    exec->step = APPLY_EXEC_MOVE;
    shard->work.running = false;
}

void apply_exec_reply_full(struct apply_shard *shard) {
    struct apply_exec *exec = &shard->exec;
    ASSERT(exec->step == APPLY_EXEC_RUN && exec->writer != NULL);
    room_grow(shard, exec->writer->overflow_bytes);
    shard->work.run.reply = exec->writer; /* as moved, or nobody */
}

static void step_move(struct apply_shard *shard, uint32_t *units) {
    struct apply_exec *exec = &shard->exec;
    uint64_t slice = exec->move_left < EXEC_MOVE_BYTES ? exec->move_left : EXEC_MOVE_BYTES;
    if (slice > 0) {
        memcpy(exec->writer->position, exec->from, slice);
    }
    exec->writer->position += slice;
    exec->from += slice;
    exec->move_left -= slice;
    spend(units, 1 + slice / EXEC_UNIT_BYTES);
    if (exec->move_left == 0) {
        exec->step = exec->before_move;
        shard->work.running = exec->resumes;
    }
}

/* ---- the steps ------------------------------------------------------------------------------ */

static void begin(struct apply_shard *shard, struct batch_command *waiting, bool once) {
    struct apply_exec *exec = &shard->exec;
    ASSERT(exec->step == APPLY_EXEC_WATCHED);
    exec->cursor = entry_transaction_cursor(&exec->transaction);
    exec->watches_left = exec->transaction.watch_count;
    exec->watch = exec->transaction.watches;
    exec->reply = exec->transaction.replies;
    exec->reply_offset = 0;
    exec->waiting = waiting;
    exec->once = once;
    exec->changed = false;
    exec->writer = once                        ? &shard->once.writer
                   : shard->work.batch != NULL ? &shard->work.batch->reply
                                               : NULL;
    exec->begin = exec->writer != NULL ? exec->writer->position : NULL;
}

void apply_exec_begin(struct apply_shard *shard, const struct entry_command *command,
                      struct batch_command *waiting, bool once) {
    struct apply_exec *exec = &shard->exec;
    ASSERT(exec->step == APPLY_EXEC_NONE && command->id == ENTRY_COMMAND_ID_EXEC);
    entry_transaction_read(command, &exec->transaction);
    exec->step = APPLY_EXEC_WATCHED;
    begin(shard, waiting, once);
}

void apply_exec_begin_read(struct apply_shard *shard, struct batch_command *waiting) {
    struct apply_exec *exec = &shard->exec;
    const struct entry_argument *argument = shard->work.batch->exec;
    ASSERT(exec->step == APPLY_EXEC_NONE && waiting->fate == FATE_READ);
    exec->transaction = (struct entry_transaction){
        .command_count = bytes_get_u32(argument[0].data),
        .watch_count = bytes_get_u32(argument[0].data + 4),
        .watches = argument[1].data,
        .commands = argument[2].data,
        .replies = argument[3].data,
        .watch_bytes = argument[1].length_bytes,
        .command_bytes = argument[2].length_bytes,
        .reply_bytes = argument[3].length_bytes,
    };
    exec->step = APPLY_EXEC_WATCHED;
    begin(shard, waiting, false);
}

/* The reply is complete, as far as anybody listens. */
static void end(struct apply_shard *shard) {
    struct apply_exec *exec = &shard->exec;
    uint8_t *reply = exec->writer != NULL ? exec->begin : NULL;
    uint32_t reply_bytes =
        exec->writer != NULL ? (uint32_t)(exec->writer->position - exec->begin) : 0;
    exec->step = APPLY_EXEC_NONE;
    if (exec->once) {
        apply_once_executed(shard, reply, reply_bytes);
        return;
    }
    bool reads = exec->waiting != NULL && exec->waiting->fate == FATE_READ;
    node_figure_add(reads ? &shard->node->apply.reads : &shard->node->apply.writes, 1);
    if (exec->waiting != NULL) {
        exec->waiting->reply = reply;
        exec->waiting->reply_bytes = reply_bytes;
    }
}

/* Looks at the next watched key. */
static void step_watched(struct apply_shard *shard, uint32_t *units) {
    struct apply_exec *exec = &shard->exec;
    if (exec->watches_left == 0) {
        exec->step = APPLY_EXEC_OPEN;
        return;
    }
    struct entry_watch watch;
    uint32_t bytes = entry_watch_read(exec->watch, &watch);
    const struct machine_watch watched = {.key = {watch.key, watch.key_bytes},
                                          .hash = watch.key_hash,
                                          .index = watch.index,
                                          .present = watch.present};
    struct machine_moment moment = apply_moment(shard);
    spend(units, EXEC_WATCH_UNITS + bytes / EXEC_UNIT_BYTES);
    /* Where keys cannot be watched nothing is; but an entry may say so all the same. */
    if (shard->operations->changed == NULL ||
        MUTANT(WATCH_IGNORES_CHANGE, false,
               shard->operations->changed(shard->machine, &watched, &moment))) {
        exec->changed = true;
        exec->step = APPLY_EXEC_OPEN;
        return;
    }
    exec->watch += bytes;
    exec->watches_left--;
}

/* Writes what the reply begins with: all of it, if a watched key has changed. */
static void step_open(struct apply_shard *shard) {
    struct apply_exec *exec = &shard->exec;
    if (exec->writer != NULL) {
        if (exec->changed) {
            reply_null_array(exec->writer);
        } else {
            reply_array(exec->writer, exec->transaction.command_count);
        }
        if (exec->writer->overflow_bytes > 0) {
            room_grow(shard, exec->writer->overflow_bytes);
            return;
        }
    }
    if (exec->changed) {
        exec->changed = false;
        end(shard);
        return;
    }
    exec->step = APPLY_EXEC_RUN;
}

/* Copies the next known reply. */
static void reply_copy(struct apply_shard *shard, uint32_t *units) {
    struct apply_exec *exec = &shard->exec;
    uint32_t length = bytes_get_u32(exec->reply);
    uint32_t left = length - exec->reply_offset;
    uint32_t slice = left < EXEC_MOVE_BYTES ? left : (uint32_t)EXEC_MOVE_BYTES;
    if (exec->writer != NULL) {
        if ((size_t)(exec->writer->end - exec->writer->position) < left) {
            room_grow(shard, left);
            return;
        }
        memcpy(exec->writer->position, exec->reply + ENTRY_REPLY_HEADER_BYTES + exec->reply_offset,
               slice);
        exec->writer->position += slice;
    }
    exec->reply_offset += slice;
    spend(units, 1 + slice / EXEC_UNIT_BYTES);
    if (exec->reply_offset < length) {
        return;
    }
    struct entry_command passed;
    bool there = entry_cursor_next(&exec->cursor, &passed);
    ASSERT(there && passed.id == ENTRY_COMMAND_ID_REPLY);
    exec->reply += ENTRY_REPLY_HEADER_BYTES + entry_stride_bytes(length);
    exec->reply_offset = 0;
}

/* A planted defect: the first command is passed over. */
static bool first_is_lost(struct apply_exec *exec) {
    struct entry_command passed;
    bool is_lost = MUTANT_IS(EXEC_LOSES_COMMAND) && exec->transaction.command_count > 1 &&
                   exec->cursor.commands_left == exec->transaction.command_count &&
                   entry_cursor_next(&exec->cursor, &passed);
    if (is_lost && exec->writer != NULL) {
        reply_null(exec->writer);
    }
    return is_lost;
}

static void step_run(struct apply_shard *shard, uint32_t *units) {
    struct apply_exec *exec = &shard->exec;
    if (MUTANT(EXEC_LOSES_COMMAND, first_is_lost(exec), false)) {
        return;
    }
    if (exec->cursor.commands_left == 0) {
        end(shard);
    } else if (entry_cursor_id(&exec->cursor) == ENTRY_COMMAND_ID_REPLY) {
        reply_copy(shard, units);
    } else {
        apply_run_begin(shard); /* which takes what comes next, as much as fits a run */
    }
}

/* ---- WATCH ---------------------------------------------------------------------------------- */

void apply_watch_begin(struct apply_shard *shard, struct batch_command *command) {
    struct apply_exec *exec = &shard->exec;
    ASSERT(exec->step == APPLY_EXEC_NONE && batch_is_watch(command));
    ASSERT(command->argument_count - 1 <= BATCH_WATCH_KEYS_MAX);
    exec->waiting = command;
    exec->watches_left = command->argument_count - 1;
    exec->step = APPLY_EXEC_WATCH;
}

static void step_watch(struct apply_shard *shard, uint32_t *units) {
    struct apply_exec *exec = &shard->exec;
    struct batch *batch = shard->work.batch;
    struct batch_command *command = exec->waiting;
    struct machine_moment moment = apply_moment(shard);
    if (exec->watches_left > 0) {
        uint32_t key = command->argument_count - 1 - exec->watches_left;
        struct machine_argument argument;
        argument.data = batch_argument(batch, command, key + 1, &argument.length_bytes);
        uint64_t hash =
            machine_key_hash(argument.data, argument.length_bytes, shard->genesis.hash_seed);
        if (shard->operations->holds(shard->machine, &argument, hash, &moment)) {
            batch->watch_present[key / 64] |= UINT64_C(1) << (key % 64);
        }
        spend(units, EXEC_WATCH_UNITS + argument.length_bytes / EXEC_UNIT_BYTES);
        exec->watches_left--;
        return;
    }
    batch->watch_index = moment.index;
    exec->step = APPLY_EXEC_NONE;
    command->fate = FATE_LOCAL;
    command->detail = CONNECTION_REPLY_OK;
    apply_reply_canned(shard, batch, command);
    node_figure_add(&shard->node->apply.reads, 1);
}

void apply_exec_on(struct apply_shard *shard, uint32_t *units) {
    switch (shard->exec.step) {
    case APPLY_EXEC_WATCHED: step_watched(shard, units); return;
    case APPLY_EXEC_OPEN: step_open(shard); return;
    case APPLY_EXEC_RUN: step_run(shard, units); return;
    case APPLY_EXEC_MOVE: step_move(shard, units); return;
    case APPLY_EXEC_WATCH: step_watch(shard, units); return;
    case APPLY_EXEC_NONE: break;
    }
    UNREACHABLE("a step that is taken here");
}
