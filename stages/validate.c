/*
 * The validate stage.
 *
 * Happy path: a batch's commands are judged one after the other; each becomes a write, a read, or
 * is answered here.  The batch goes to replicate in the order in which it came.
 *
 * A reply made here stands in a local block of the batch, taken from this shard's arena when the
 * first one is needed; when it is full a larger one is begun.  The blocks are a list, newest first;
 * the batch carries the newest one's number, and write sends the list home by it.
 * A long answer (CLIENT LIST over all connections) is made in slices, in the place where it will be
 * sent from; its batch is put aside meanwhile, and those of other connections pass.  The list of a
 * machine command's very many arguments is made in slices too, but there the batch stays the
 * shard's present work: what is long in it are bytes that its client has sent.
 *
 * Failure modes: a refused command keeps its place, marked with the reason; apply writes the
 * words.  No memory for a reply: the command is refused as overload.  A connection that said QUIT,
 * or what is not RESP, is CLOSING: commands behind that are dropped, in this batch and in later
 * ones, and nothing of them takes effect.
 */

#include "stages/validate.h"

#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/bytes.h"
#include "entry/entry.h"
#include "stages/node_record.h"
#include "stages/node_settings.h"
#include "stages/validate_internal.h"

/* ---- commands of the machine --------------------------------------------------------------- */

/* Notes the arguments [from, to) of a command, without its name; returns their bytes. */
static uint64_t arguments_note(const struct batch *batch, const struct batch_command *command,
                               struct machine_argument *arguments, uint32_t from, uint32_t to) {
    const struct resp_argument *argument = &batch->arguments[command->argument_first + 1];
    uint64_t bytes = 0;
    for (uint32_t i = from; i < to; i++) {
        arguments[i] = (struct machine_argument){.data = command->base + argument[i].offset,
                                                 .length_bytes = argument[i].length};
        bytes += argument[i].length;
    }
    return bytes;
}

/* The machine's own refusal, moved from the shard's scratch to the batch's block. */
static void answer_machine_error(struct validate_shard *shard, struct batch_command *command,
                                 const struct reply_writer *error) {
    struct batch *batch = shard->work.batch;
    struct reply_writer *writer = &shard->work.reply;
    size_t length = reply_used_bytes(error);
    ASSERT(length > 0 && error->overflow_bytes == 0);
    node_figure_add(&shard->node->validate.refused, 1);
    bool fits =
        batch->local_block != BATCH_NO_BLOCK && (size_t)(writer->end - writer->position) >= length;
    if (!fits && !validate_local_grow(shard, batch, length)) {
        command->fate = FATE_REFUSED;
        command->refusal = REFUSAL_OVERLOAD;
        return;
    }
    struct reply_mark mark = reply_mark(writer);
    memcpy(writer->position, error->begin, length);
    writer->position += length;
    validate_local_answer(shard, command, mark);
    validate_spend(shard, validate_reply_units(length));
}

static bool is_inside(const struct validate_shard *shard) {
    return shard->transactions[shard->work.batch->connection.slot].state != TRANSACTION_NONE;
}

/* Whether the machine accepts the command's form; if not, it has its answer. */
static bool machine_accepts(struct validate_shard *shard, struct batch_command *command,
                            const struct machine_argument *arguments) {
    if (shard->machine->validate == NULL) {
        return true;
    }
    struct machine_options options = shard->node->options->machine_options;
    options.value_bytes_max = node_value_bytes_max(shard->node); /* whatever apply goes by */
    struct reply_writer error;
    reply_begin(&error, shard->error_room, sizeof(shard->error_room));
    enum machine_verdict verdict = shard->machine->validate(
        command->row, arguments, command->argument_count - 1, &options, &error);
    if (verdict == MACHINE_ACCEPT) {
        return true;
    }
    if (is_inside(shard)) {
        validate_transaction_keep_error(shard, command, (uint32_t)reply_used_bytes(&error));
    } else {
        answer_machine_error(shard, command, &error);
    }
    return false;
}

void validate_record(struct validate_shard *shard, struct batch_command *command,
                     uint32_t record_bytes) {
    struct batch *batch = shard->work.batch;
    if (record_bytes == 0 ||
        record_bytes > shard->entry_body_bytes_max - batch->write_entry_bytes) {
        validate_refuse(shard, command, REFUSAL_ENTRY_SIZE);
        return;
    }
    command->fate = FATE_WRITE;
    batch->write_count++;
    batch->write_entry_bytes += record_bytes;
}

/* Judges a command of the machine's by its arguments, of so many bytes. */
static void judge_arguments(struct validate_shard *shard, struct batch_command *command,
                            const struct machine_argument *arguments, uint64_t argument_bytes) {
    struct batch *batch = shard->work.batch;
    if (!machine_accepts(shard, command, arguments)) {
        return;
    }
    if (is_inside(shard)) {
        if ((shard->machine->commands[command->row].flags & MACHINE_AMPLIFIES) != 0 &&
            !validate_transaction_growth(shard, command, arguments)) {
            validate_refuse(shard, command, REFUSAL_MEMORY);
            validate_transaction_break(shard);
            return;
        }
        validate_transaction_keep(shard, command, argument_bytes);
        return;
    }
    if ((shard->machine->commands[command->row].flags & MACHINE_WRITE) == 0) {
        command->fate = FATE_READ;
        batch->read_count++;
        return;
    }
    if ((shard->machine->commands[command->row].flags & MACHINE_AMPLIFIES) != 0 &&
        !validate_growth_fits(shard, command, arguments)) {
        validate_refuse(shard, command, REFUSAL_MEMORY);
        return;
    }
    validate_note_length(shard, argument_bytes);
    uint32_t record_bytes = entry_command_bytes(command->argument_count - 1, command->key_count,
                                                argument_bytes, command->once != BATCH_ONCE_NONE);
    validate_record(shard, command, record_bytes);
}

/* Notes on the arguments of a command with many, and judges it; false if the units are spent
 * before. */
static bool arguments_on(struct validate_shard *shard) {
    struct validate_work *work = &shard->work;
    struct batch_command *command = &work->batch->commands[work->command];
    struct machine_argument *arguments = (void *)arena_memory(shard->arena, work->arguments_block);
    uint32_t count = command->argument_count - 1;
    while (work->arguments_noted < count) {
        if (shard->units <= 0) {
            return false;
        }
        uint32_t from = work->arguments_noted;
        uint32_t left = count - from;
        uint32_t to = from + (left < VALIDATE_ARGUMENTS_NEAR ? left : VALIDATE_ARGUMENTS_NEAR);
        work->arguments_bytes += arguments_note(work->batch, command, arguments, from, to);
        work->arguments_noted = to;
        validate_spend(shard, VALIDATE_ARGUMENTS_NEAR / 4);
    }
    work->slices = SLICES_NONE;
    judge_arguments(shard, command, arguments, work->arguments_bytes); /* it may have to be kept */
    arena_give(shard->arena, work->arguments_block);
    return true;
}

/* Judges a command of the machine's, whose arity is right, on a connection that may speak. */
static void judge_machine(struct validate_shard *shard, struct batch_command *command) {
    struct validate_work *work = &shard->work;
    const struct machine_command *row = &shard->machine->commands[command->row];
    uint32_t count = command->argument_count - 1;
    if ((row->flags & MACHINE_GROWS) != 0 && validate_memory_is_full(shard)) {
        validate_refuse(shard, command, REFUSAL_MEMORY);
        return;
    }
    if (count <= VALIDATE_ARGUMENTS_NEAR) {
        uint64_t bytes = arguments_note(work->batch, command, shard->arguments, 0, count);
        judge_arguments(shard, command, shard->arguments, bytes);
        return;
    }
    work->arguments_block =
        arena_take(shard->arena, (uint64_t)count * sizeof(struct machine_argument));
    if (work->arguments_block == BATCH_NO_BLOCK) {
        validate_refuse(shard, command, REFUSAL_OVERLOAD);
        return;
    }
    work->arguments_noted = 0;
    work->arguments_bytes = 0;
    work->slices = SLICES_ARGUMENTS;
}

/* ---- one batch ----------------------------------------------------------------------------- */

static bool arity_suits(const struct validate_shard *shard, const struct batch_command *command) {
    int16_t arity = directory_arity(shard->directory, command->table, command->row);
    return directory_arity_suits(arity, command->argument_count);
}

/* "One or two" is an arity that the table cannot say. So PING itself finds out, as in Redis: who
 * may not ask is told that first. */
static bool ping_suits(const struct batch_command *command) {
    return command->row != CONNECTION_PING || command->argument_count <= 2;
}

/* A command about transactions, or, inside of one, any about the connection that is not heard at
 * once; false if it is neither. */
static bool judge_transaction(struct validate_shard *shard, struct batch_command *command) {
    switch (command->row) {
    case CONNECTION_MULTI: validate_multi(shard, command); return true;
    case CONNECTION_EXEC: validate_exec(shard, command); return true;
    case CONNECTION_DISCARD: validate_discard(shard, command); return true;
    case CONNECTION_WATCH: validate_watch(shard, command); return true;
    case CONNECTION_QUIT: return false;
    case CONNECTION_RESET:
        validate_transaction_reset(shard, shard->work.batch->connection.slot);
        return false;
    case CONNECTION_UNWATCH:
        if (!is_inside(shard)) {
            validate_unwatch(shard, command);
            return true;
        }
        break;
    default: break;
    }
    if (is_inside(shard)) {
        validate_transaction_keep_local(shard, command);
        return true;
    }
    return false;
}

static void judge_connection(struct validate_shard *shard, struct connection *connection,
                             struct batch_command *command, const struct stage_moment *moment) {
    if (!validate_subcommand(shard->work.batch, command)) {
        validate_refuse(shard, command, REFUSAL_UNKNOWN_SUBCOMMAND);
    } else if (!arity_suits(shard, command)) {
        validate_refuse(shard, command, REFUSAL_ARITY);
    } else if (connection->state == CONNECTION_LOCKED &&
               (connection_commands[command->row].flags & CONNECTION_UNAUTHENTICATED) == 0) {
        validate_refuse(shard, command, REFUSAL_NO_AUTH);
    } else if (!ping_suits(command)) {
        validate_refuse(shard, command, REFUSAL_ARITY);
    } else if (judge_transaction(shard, command)) {
        /* kept, or answered, or begun */
    } else if (command->row == CONNECTION_ONCE_OPEN) {
        if (validate_open_suits(shard, command)) {
            validate_record(shard, command, entry_command_bytes(0, 0, 0, true));
        }
    } else if (command->row == CONNECTION_WAIT) {
        validate_wait(shard, command);
    } else if (command->argument_count > CONNECTION_ARGUMENTS_MAX) {
        command->fate = FATE_LOCAL;
        command->detail = CONNECTION_REPLY_ARGUMENTS;
    } else {
        validate_run(shard, connection, command, moment);
    }
}

static void judge(struct validate_shard *shard, struct connection *connection,
                  struct batch_command *command, const struct stage_moment *moment) {
    ASSERT_HOT(command->reply == NULL);
    bool is_answer = command->fate == FATE_LOCAL; /* of a WAIT that was judged before */
    if (!is_answer) {
        connection_reply_next(connection);
    }
    if (command->fate == FATE_REFUSED) {
        node_figure_add(&shard->node->validate.refused, 1); /* by parse */
    } else if (is_answer) {
        ASSERT(connection_waits(command)); /* what it waited for: by parse */
    } else if (command->table == TABLE_NONE) {
        validate_refuse(shard, command, REFUSAL_UNKNOWN_COMMAND);
    } else if (command->once != BATCH_ONCE_NONE &&
               !validate_once_suits(shard, connection, command)) {
        /* refused */
    } else if (command->table == TABLE_CONNECTION) {
        judge_connection(shard, connection, command, moment);
    } else if (!arity_suits(shard, command)) {
        validate_refuse(shard, command, REFUSAL_ARITY);
    } else if (connection->state == CONNECTION_LOCKED) {
        validate_refuse(shard, command, REFUSAL_NO_AUTH);
    } else {
        judge_machine(shard, command);
    }
    if (command->fate == FATE_REFUSED) {
        validate_transaction_break(shard);
        if (batch_is_exec(command)) { /* its form is wrong: it takes the transaction with it */
            validate_transaction_reset(shard, shard->work.batch->connection.slot);
        }
    }
    /* After the effect: HELLO's own reply is in the version that it asked for. */
    command->resp_version = connection->resp_version;
    command->silent = is_answer ? connection->wait_silent : connection_is_silent(connection);
    connection->wait_silent = command->silent;
    command->reads = connection_reads(connection, node_reads(shard->node));
    command->reads_anywhere = connection->accepts_replica || command->reads == READ_STALE;
    if (command->reads < shard->work.batch->reads) {
        shard->work.batch->reads = command->reads;
    }
}

/* How far a look at the present work has come. */
enum judge_step {
    JUDGE_DONE,  /* to the last command */
    JUDGE_LATER, /* the units are spent */
    JUDGE_ASIDE, /* its text is not complete: others may pass */
};

/* Goes on with what is done in slices. */
static enum judge_step slices_on(struct validate_shard *shard, const struct stage_moment *moment) {
    switch (shard->work.slices) {
    case SLICES_NONE: return JUDGE_DONE;
    case SLICES_PLACE:
    case SLICES_COMPOSE: return validate_compose(shard, moment) ? JUDGE_DONE : JUDGE_ASIDE;
    case SLICES_ARGUMENTS: return arguments_on(shard) ? JUDGE_DONE : JUDGE_LATER;
    case SLICES_KEEP: return validate_transaction_keep_on(shard) ? JUDGE_DONE : JUDGE_LATER;
    case SLICES_EXEC:
        if (!validate_exec_on(shard, moment)) {
            return JUDGE_LATER;
        }
        validate_publish(shard, shard->work.batch->connection.slot,
                         &shard->connections[shard->work.batch->connection.slot]);
        return JUDGE_DONE;
    case SLICES_WATCH: return validate_watch_on(shard) ? JUDGE_DONE : JUDGE_LATER;
    }
    UNREACHABLE("a kind of slices");
}

/* Judges on from work.command. */
static enum judge_step judge_on(struct validate_shard *shard, struct connection *connection,
                                const struct stage_moment *moment) {
    struct validate_work *work = &shard->work;
    while (work->command < work->batch->command_count) {
        if (shard->units <= 0) {
            return JUDGE_LATER;
        }
        if (work->slices == SLICES_NONE) {
            validate_spend(shard, 1);
            judge(shard, connection, &work->batch->commands[work->command], moment);
            if (work->slices == SLICES_PLACE && (shard->composed || !validate_place_free(shard))) {
                return JUDGE_ASIDE; /* one slice in a poll, unless nobody else has anything */
            }
        }
        while (work->slices != SLICES_NONE) {
            enum judge_step step = slices_on(shard, moment);
            if (step != JUDGE_DONE) {
                return step;
            }
        }
        work->command++;
    }
    return JUDGE_DONE;
}

/* Whether CLIENT KILL has ended the connection: nothing more of it is done. */
static bool is_killed(const struct validate_shard *shard, const struct batch *batch) {
    const struct node_record *record = &shard->node->records[batch->connection.slot];
    return atomic_load_relaxed_u32(&record->killed) == batch->connection.generation;
}

/* Looks at the batch as a whole before its commands: connection, flags, counts. */
static void batch_begin(struct validate_shard *shard, struct batch *batch) {
    struct connection *connection = &shard->connections[batch->connection.slot];
    ASSERT(batch->owner == STAGE_VALIDATE && shard->work.slices == SLICES_NONE);
    batch->write_count = 0;
    batch->read_count = 0;
    batch->write_entry_bytes = 0;
    batch->growth_bytes = 0;
    batch->long_classes = 0;
    batch->reads = READ_MODES - 1;
    batch->local_block = BATCH_NO_BLOCK;
    if ((batch->flags & BATCH_OPEN) != 0) {
        connection->generation = batch->connection.generation;
        connection_transit(connection, CONNECTION_OPENED, node_password_required(shard->node));
        validate_publish(shard, batch->connection.slot, connection);
    }
    ASSERT(connection->generation == batch->connection.generation);
    validate_watch_settle(shard, batch);
    if (connection->state != CONNECTION_CLOSING && is_killed(shard, batch)) {
        connection_transit(connection, CONNECTION_CLOSED, node_password_required(shard->node));
    }
    if (connection->state == CONNECTION_LOCKED && !node_password_required(shard->node)) {
        connection_transit(connection, CONNECTION_UNLOCKED, false); /* CONFIG SET took it away */
        validate_publish(shard, batch->connection.slot, connection);
    }
    if (connection->state == CONNECTION_CLOSING) {
        batch->command_count = 0;
    }
    shard->work.batch = batch;
    shard->work.command = 0;
}

/* The connection is gone: whoever gets its slot must find nothing of it. */
static void connection_forget(struct validate_shard *shard, struct batch *batch,
                              struct connection *connection) {
    struct node_record *record = &shard->node->records[batch->connection.slot];
    validate_transaction_reset(shard, batch->connection.slot);
    connection_transit(connection, CONNECTION_ENDED, node_password_required(shard->node));
    validate_publish(shard, batch->connection.slot, connection);
    atomic_store_relaxed_u32(&record->last_command, 0);
    node_figure_set(&record->last_command_ms, 0);
    node_figure_set(&record->commands, 0);
    struct node_record nameless = {.open = 0};
    node_record_publish_names(record, &nameless);
}

/* Judged to its last command: the figures, the connection's end, and on to replicate. */
static void batch_finish(struct validate_shard *shard, struct connection *connection,
                         const struct stage_moment *moment) {
    struct batch *batch = shard->work.batch;
    batch->judged_ms = moment->wall_ms;
    bool answers = (batch->flags & BATCH_GOES_ON) != 0 && batch->wait_reached != BATCH_NO_ANSWER;
    if (batch->command_count > 0 && !answers) { /* else it was counted when it began to wait */
        struct node_record *record = &shard->node->records[batch->connection.slot];
        const struct batch_command *last = &batch->commands[batch->command_count - 1];
        node_figure_add(&shard->node->validate.commands, batch->command_count);
        node_figure_add(&record->commands, batch->command_count);
        node_figure_set(&record->last_command_ms, moment->wall_ms);
        if (last->table != TABLE_NONE) {
            atomic_store_relaxed_u32(&record->last_command,
                                     (uint32_t)last->table << 16 | last->row);
        }
    }
    if ((batch->flags & (BATCH_CLOSE_AFTER | BATCH_ABORT)) != 0 &&
        connection->state != CONNECTION_CLOSING) {
        connection_transit(connection, CONNECTION_CLOSED, node_password_required(shard->node));
        validate_publish(shard, batch->connection.slot, connection);
    }
    if ((batch->flags & BATCH_END) != 0) {
        connection_forget(shard, batch, connection);
    }
    shard->work.batch = NULL;
    ASSERT(shard->done_count < shard->done_max);
    shard->done[shard->done_count++] = batch->id;
    batch_hand_over(batch, STAGE_VALIDATE, STAGE_REPLICATE);
    struct batch *next = validate_next_in_line(shard, batch);
    if (next != NULL) {
        batch_begin(shard, next);
    }
}

/* ---- the stage ----------------------------------------------------------------------------- */

static void blocks_come_home(struct validate_shard *shard) {
    uint32_t blocks[VALIDATE_TAKE_MAX];
    uint32_t count;
    /* All of them, no more than there are batches: none may lie here while we sleep. */
    do {
        count = ring_u32_dequeue(shard->from_write, blocks, VALIDATE_TAKE_MAX);
        for (uint32_t i = 0; i < count; i++) {
            validate_local_give(shard, blocks[i]);
        }
    } while (count == VALIDATE_TAKE_MAX);
}

/* Takes batches from parse, if none are left. */
static bool intake(struct validate_shard *shard, uint32_t count_max) {
    ASSERT(count_max <= VALIDATE_TAKE_MAX);
    if (shard->ids_next == shard->ids_count) {
        shard->ids_next = 0;
        shard->ids_count = ring_u32_dequeue(shard->from_parse, shard->ids, count_max);
    }
    return shard->ids_next < shard->ids_count;
}

/* Finds the next present work: a slice for one that composes, then what has arrived, then what
 * composes again.  False if there is none. */
static bool work_find(struct validate_shard *shard) {
    if (shard->work.batch != NULL || (!shard->composed && validate_take_up(shard))) {
        return true;
    }
    while (shard->ids_next < shard->ids_count && shard->units > 0) {
        struct batch *batch = pipeline_batch(shard->pipeline, shard->ids[shard->ids_next++]);
        validate_spend(shard, 1);
        if (!validate_stand_in_line(shard, batch)) {
            batch_begin(shard, batch);
            return true;
        }
    }
    return validate_take_up(shard);
}

/* Judges the present work as far as it gets; false if the poll is over with that. */
static bool work_on(struct validate_shard *shard, const struct stage_moment *moment) {
    struct connection *connection = &shard->connections[shard->work.batch->connection.slot];
    switch (judge_on(shard, connection, moment)) {
    case JUDGE_DONE: batch_finish(shard, connection, moment); return true;
    case JUDGE_ASIDE: validate_put_aside(shard); return true;
    case JUDGE_LATER: return false;
    }
    UNREACHABLE("a step of judging");
}

static struct stage_result validate_poll(void *state, const struct stage_moment *moment,
                                         uint32_t budget) {
    struct validate_shard *shard = state;
    blocks_come_home(shard);
    uint32_t wanted = budget < VALIDATE_TAKE_MAX ? budget : VALIDATE_TAKE_MAX;
    uint32_t room = ring_room(shard->to_replicate, wanted);
    shard->done_max = room < wanted ? room : wanted;
    bool arrived = intake(shard, wanted);
    if (!arrived && shard->work.batch == NULL && shard->aside_count == 0) {
        (void)arena_trim(shard->arena, moment->monotonic_ns);
        return (struct stage_result){0};
    }
    if (shard->done_max == 0) {
        return (struct stage_result){.blocked = true};
    }
    shard->units = STAGE_POLL_UNITS;
    shard->composed = false;
    shard->done_count = 0;
    while (shard->units > 0 && shard->done_count < shard->done_max && work_find(shard)) {
        if (!work_on(shard, moment)) {
            break;
        }
    }
    /* There was room for them, and nobody else fills this ring. */
    uint32_t handed = ring_u32_enqueue(shard->to_replicate, shard->done, shard->done_count);
    ASSERT(handed == shard->done_count);
    return (struct stage_result){.work = shard->done_count > 0 ? shard->done_count : 1,
                                 .units = (uint32_t)(STAGE_POLL_UNITS - shard->units)};
}

static bool validate_drain(void *state, const struct stage_moment *moment) {
    struct validate_shard *shard = state;
    (void)moment;
    blocks_come_home(shard);
    return shard->ids_next == shard->ids_count && shard->work.batch == NULL &&
           shard->aside_count == 0 && ring_ready(shard->from_parse, 1) == 0;
}

static void validate_fini(void *state) {
    struct validate_shard *shard = state;
    arena_destroy(shard->arena);
    validate_aside_fini(shard);
    free(shard->transactions);
    free(shard->connections);
    free(shard);
}

static int validate_init(void **out, const struct stage_environment *environment,
                         struct error_text *error) {
    const struct validate_options *options = environment->options;
    struct pipeline *pipeline = environment->pipeline;
    struct node *node = pipeline_node(pipeline);
    struct validate_shard *shard = calloc(1, sizeof(*shard));
    if (shard == NULL) {
        error_text_set(error, "no memory for the validate stage");
        return WEIR_ENOMEM;
    }
    shard->connections = calloc(node->options->connections_max, sizeof(*shard->connections));
    shard->transactions = calloc(node->options->connections_max, sizeof(*shard->transactions));
    if (shard->connections == NULL || shard->transactions == NULL ||
        validate_aside_init(shard, pipeline_batch_total(pipeline),
                            node->options->connections_max) != WEIR_OK ||
        arena_create(&shard->arena, VALIDATE_ARENA_BYTES) != WEIR_OK) {
        error_text_set(error, "no memory for the validate stage's %u connections",
                       node->options->connections_max);
        validate_aside_fini(shard);
        free(shard->transactions);
        free(shard->connections);
        free(shard);
        return WEIR_ENOMEM;
    }
    ASSERT(node->options->log.entry_bytes_max > ENTRY_HEADER_BYTES);
    shard->pipeline = pipeline;
    shard->node = node;
    shard->directory = options->directory;
    shard->machine = directory_machine(options->directory);
    shard->entry_body_bytes_max = node->options->log.entry_bytes_max - ENTRY_HEADER_BYTES;
    shard->from_parse = pipeline_ring(pipeline, STAGE_PARSE, 0, STAGE_VALIDATE, environment->shard);
    shard->to_replicate =
        pipeline_ring(pipeline, STAGE_VALIDATE, environment->shard, STAGE_REPLICATE, 0);
    shard->to_read = pipeline_ring(pipeline, STAGE_VALIDATE, environment->shard, STAGE_READ, 0);
    shard->from_write = pipeline_ring(pipeline, STAGE_WRITE, 0, STAGE_VALIDATE, environment->shard);
    *out = shard;
    return WEIR_OK;
}

const struct stage stage_validate = {.id = STAGE_VALIDATE,
                                     .name = "validate",
                                     .init = validate_init,
                                     .poll = validate_poll,
                                     .drain = validate_drain,
                                     .fini = validate_fini};
