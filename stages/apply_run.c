/*
 * Runs: consecutive machine commands of one batch, of one entry, or of one EXEC, which the machine
 * executes in one call.
 *
 * Happy path: commands are added until there is one that the machine does not see, or the run is
 * long enough; their arguments are noted, in slices; the machine executes it, and the replies are
 * where the commands want them.
 *
 * Failure modes: out of budget: gone on with at the next poll.  A reply without room: more room, or
 * a refusal; commands behind it are collected again.
 */

#include "base/assert.h"
#include "base/mutant.h"
#include "stages/apply_internal.h"
#include "stages/node_settings.h"
#include "stages/refusal.h"
#include "stages/slowlog.h"

static struct machine_operation *run_add(struct apply_shard *shard, uint16_t row) {
    struct machine_run *run = &shard->work.run;
    ASSERT(run->count < BATCH_COMMANDS_MAX);
    struct machine_operation *operation = &run->operations[run->count++];
    *operation = (struct machine_operation){.row = row,
                                            .command_id = shard->operations->commands[row].id,
                                            .arguments = shard->arguments + shard->argument_count};
    return operation;
}

/* Notes the next arguments of the last operation; false if the units are spent before the last. */
static bool run_fill(struct apply_shard *shard, uint32_t *units) {
    struct apply_work *work = &shard->work;
    const struct machine_operation *operation = &work->run.operations[work->run.count - 1];
    uint32_t slice_end = work->fill_next + APPLY_ARGUMENTS_SLICE;
    while (work->fill_next < operation->argument_count) {
        if (work->fill_next == slice_end) {
            *units -= *units < APPLY_SLICE_UNITS ? *units : APPLY_SLICE_UNITS;
            slice_end += APPLY_ARGUMENTS_SLICE;
            if (*units == 0) {
                return false;
            }
        }
        ASSERT_HOT(shard->argument_count < shard->arguments_capacity);
        struct machine_argument *argument = &shard->arguments[shard->argument_count++];
        if (work->fill_command != NULL) {
            argument->data = batch_argument(work->batch, work->fill_command, work->fill_next + 1,
                                            &argument->length_bytes);
        } else {
            argument->data = work->fill_data;
            argument->length_bytes =
                bytes_get_u32(work->fill_lengths + 4 * (size_t)work->fill_next);
            work->fill_data += argument->length_bytes;
        }
        work->fill_next++;
    }
    return true;
}

/* Adds a command of the open entry, but for its arguments. */
static void run_add_command(struct apply_shard *shard, const struct entry_command *command) {
    struct apply_work *work = &shard->work;
    int32_t row = machine_id_find(shard->operations, command->id);
    ASSERT(row >= 0); /* ids stay for ever; another machine's log is refused at start */
    struct machine_operation *operation = run_add(shard, (uint16_t)row);
    operation->argument_count = command->argument_count;
    operation->key_count = command->key_count;
    operation->key_hashes = (const uint64_t *)(const void *)command->key_hashes;
    work->fill_next = 0;
    work->fill_command = NULL;
    work->fill_lengths = command->argument_lengths;
    work->fill_data = command->arguments;
}

/* Adds the next write of the open entry, but for its arguments. */
static void run_add_write(struct apply_shard *shard) {
    struct entry_command command;
    bool there = entry_cursor_next(&shard->work.cursor, &command);
    ASSERT(there);
    run_add_command(shard, &command);
}

/* Adds a read of the batch, but for its arguments. */
static void run_add_read(struct apply_shard *shard, const struct batch_command *command) {
    struct machine_operation *operation = run_add(shard, command->row);
    operation->argument_count = command->argument_count - 1;
    operation->key_count = command->key_count;
    operation->key_hashes = shard->work.batch->key_hashes + command->key_first;
    shard->work.fill_next = 0;
    shard->work.fill_command = command;
}

static void run_begin(struct apply_shard *shard) {
    struct apply_work *work = &shard->work;
    work->run = (struct machine_run){.operations = shard->run_operations};
    work->run_first = work->command;
    work->collecting = true;
    shard->argument_count = 0;
}

void apply_run_begin(struct apply_shard *shard) {
    run_begin(shard);
}

void apply_run_once(struct apply_shard *shard) {
    struct apply_work *work = &shard->work;
    run_begin(shard);
    work->run_first -= work->batch != NULL; /* apply_once_begin has passed it */
    run_add_command(shard, &shard->once.command);
}

/* A batch with an entry has its moment as a whole: a run without writes in it, cut off by a command
 * that the machine never sees, is no earlier than the runs before it. */
struct machine_moment apply_moment(const struct apply_shard *shard) {
    const struct apply_work *work = &shard->work;
    struct machine_moment moment = {.index = shard->tail.index,
                                    .log_time_ms = shard->tail.log_time_ms};
    if (work->entry_open) {
        moment.index = work->header.index;
        moment.log_time_ms = work->header.log_time_ms;
        moment.random = work->header.chain; /* the same on every replica, unknown before */
    }
    moment.log_time_ms = MUTANT(EXPIRES_BY_CLOCK, io_wall_ms(shard->io), moment.log_time_ms);
    moment.clock_ms = moment.log_time_ms > shard->clock_ms ? moment.log_time_ms : shard->clock_ms;
    return moment;
}

static void run_start(struct apply_shard *shard) {
    struct apply_work *work = &shard->work;
    work->run.moment = apply_moment(shard);
    if (shard->exec.step != APPLY_EXEC_NONE && work->entry_open) {
        /* A read in a transaction of the log: its reply may be remembered. */
        work->run.moment.clock_ms = work->run.moment.log_time_ms;
    }
    work->run.reply = shard->exec.step != APPLY_EXEC_NONE   ? shard->exec.writer
                      : shard->once.step != APPLY_ONCE_NONE ? &shard->once.writer
                      : work->batch == NULL                 ? NULL
                                                            : &work->batch->reply;
    shard->run_begin_ns = shard->now_ns;
    work->collecting = false;
    work->running = true;
}

/* The next command of the open entry is an EXEC. */
static void exec_begin_write(struct apply_shard *shard, struct batch_command *waiting) {
    struct entry_command command;
    bool there = entry_cursor_next(&shard->work.cursor, &command);
    ASSERT(there);
    apply_exec_begin(shard, &command, waiting, false);
}

bool apply_batch_next(struct apply_shard *shard, uint32_t *units) {
    struct apply_work *work = &shard->work;
    struct batch *batch = work->batch;
    if (work->command == batch->command_count) {
        return false;
    }
    struct batch_command *command = &batch->commands[work->command];
    if (command->fate != FATE_READ && command->fate != FATE_WRITE) {
        uint32_t cost = 1 + refusal_units(batch, command, shard->directory) / APPLY_STAGE_UNITS;
        apply_reply_canned(shard, batch, command);
        *units -= *units < cost ? *units : cost;
        work->command++;
        return true;
    }
    if (command->fate == FATE_WRITE && command->once != BATCH_ONCE_NONE) {
        apply_once_begin(shard);
        return true;
    }
    if (command->table == TABLE_MACHINE) {
        run_begin(shard);
        return true;
    }
    work->command++;
    if (batch_is_watch(command)) {
        apply_watch_begin(shard, command);
    } else if (command->fate == FATE_READ) {
        apply_exec_begin_read(shard, command);
    } else {
        exec_begin_write(shard, command);
    }
    return true;
}

bool apply_entry_next(struct apply_shard *shard) {
    if (shard->work.cursor.commands_left == 0) {
        return false;
    }
    if (entry_cursor_at_session(&shard->work.cursor)) {
        apply_once_begin(shard);
        return true;
    }
    if (entry_cursor_id(&shard->work.cursor) == ENTRY_COMMAND_ID_EXEC) {
        exec_begin_write(shard, NULL);
        return true;
    }
    run_begin(shard);
    return true;
}

/* The same for the EXEC under way: what follows without a known reply in between. */
static bool run_extend_exec(struct apply_shard *shard) {
    struct apply_exec *exec = &shard->exec;
    const struct machine_run *run = &shard->work.run;
    struct entry_cursor cursor = exec->cursor;
    struct entry_command command;
    if (run->count == BATCH_COMMANDS_MAX || entry_cursor_id(&cursor) == ENTRY_COMMAND_ID_REPLY ||
        !entry_cursor_next(&cursor, &command) ||
        (run->count > 0 &&
         (uint64_t)shard->argument_count + command.argument_count > shard->arguments_capacity)) {
        return false;
    }
    exec->cursor = cursor;
    run_add_command(shard, &command);
    uint32_t flags = shard->operations->commands[run->operations[run->count - 1].row].flags;
    shard->once.differs |= exec->once && (flags & MACHINE_UNORDERED) != 0;
    return true;
}

/* Adds one more operation to the run; false if there is none, or the run is long enough. */
static bool run_extend(struct apply_shard *shard) {
    struct apply_work *work = &shard->work;
    const struct machine_run *run = &work->run;
    if (shard->exec.step != APPLY_EXEC_NONE) {
        return run_extend_exec(shard);
    }
    if (shard->once.step != APPLY_ONCE_NONE) {
        return false;
    }
    if (work->batch == NULL) {
        if (work->cursor.commands_left == 0 || run->count == BATCH_COMMANDS_MAX ||
            entry_cursor_at_session(&work->cursor) ||
            entry_cursor_id(&work->cursor) == ENTRY_COMMAND_ID_EXEC ||
            (run->count > 0 &&
             shard->argument_count + BATCH_ARGUMENTS_MAX >= shard->arguments_capacity)) {
            return false;
        }
        run_add_write(shard);
        return true;
    }
    if (work->command == work->batch->command_count) {
        return false;
    }
    const struct batch_command *command = &work->batch->commands[work->command];
    if (command->once != BATCH_ONCE_NONE || command->table != TABLE_MACHINE) {
        return false;
    }
    if (command->fate == FATE_WRITE) {
        run_add_write(shard);
    } else if (command->fate == FATE_READ) {
        run_add_read(shard, command);
    } else {
        return false;
    }
    work->command++;
    return true;
}

bool apply_run_collect(struct apply_shard *shard, uint32_t *units) {
    struct apply_work *work = &shard->work;
    do {
        if (work->run.count > 0 && !run_fill(shard, units)) {
            return false;
        }
    } while (run_extend(shard));
    ASSERT(work->run.count > 0);
    run_start(shard);
    return true;
}

/* The run's operations up to `next` are done: their commands know where their replies are. */
static void run_replies(struct apply_shard *shard, uint32_t done) {
    struct apply_work *work = &shard->work;
    uint32_t reads = 0;
    for (uint32_t i = 0; i < done; i++) {
        const struct machine_operation *operation = &work->run.operations[i];
        if (shard->operations->commands[operation->row].flags & MACHINE_READ) {
            reads++;
        }
        if (work->batch != NULL) {
            struct batch_command *command = &work->batch->commands[work->run_first + i];
            command->reply = operation->reply;
            command->reply_bytes = operation->reply_bytes;
        }
    }
    node_figure_add(&shard->node->apply.reads, reads);
    node_figure_add(&shard->node->apply.writes, done - reads);
}

/* A reply does not fit: more room.  Or a read is refused, and the run ends before it; a write is
 * applied all the same, with what is behind it in the run, and the client, who cannot be told, must
 * not guess. */
static void run_reply_full(struct apply_shard *shard) {
    struct apply_work *work = &shard->work;
    if (shard->exec.step != APPLY_EXEC_NONE) {
        apply_exec_reply_full(shard);
        return;
    }
    if (apply_once_reply_full(shard)) {
        return;
    }
    struct batch *batch = work->batch;
    struct reply_writer *writer = &batch->reply;
    uint64_t need = writer->overflow_bytes;
    reply_rewind(writer, (struct reply_mark){.position = writer->position, .overflow_bytes = 0});
    if (apply_replies_grow(shard, batch, need)) {
        return;
    }
    uint32_t refused = work->run_first + work->run.next;
    if (batch->commands[refused].fate == FATE_WRITE) {
        batch->flags |= BATCH_ABORT;
        work->run.reply = NULL;
        return;
    }
    run_replies(shard, work->run.next);
    work->running = false;
    ASSERT(batch->commands[refused].fate == FATE_READ);
    batch->commands[refused].fate = FATE_REFUSED;
    /* Too large for ever, or only now that others hold the memory? */
    bool too_large = need > shard->node->options->reply_bytes_max;
    batch->commands[refused].refusal = too_large ? REFUSAL_REPLY_SIZE : REFUSAL_OVERLOAD;
    apply_reply_canned(shard, batch, &batch->commands[refused]);
    /* The operations behind it are collected again; their writes are still in the cursor only if
       they were not decoded, so the cursor goes back to the first of them. */
    uint32_t writes_before = 0;
    for (uint32_t i = 0; i < refused; i++) {
        writes_before += batch->commands[i].fate == FATE_WRITE;
    }
    if (work->entry_open) {
        entry_cursor_begin(&work->cursor, work->entry);
        struct entry_command skipped;
        for (uint32_t i = 0; i < writes_before; i++) {
            entry_cursor_next(&work->cursor, &skipped);
        }
    }
    work->command = refused + 1;
}

/* Operations from `from` up to the next one are done: notes those that took long.  The first was
 * begun when the run had come to it, the others in this poll. */
static void run_slow(struct apply_shard *shard, uint32_t from) {
    const struct apply_work *work = &shard->work;
    uint64_t slow_from = node_slow_from(shard->node);
    uint64_t took_us = (shard->now_ns - shard->run_begin_ns) / 1000;
    if (work->run.next == from) {
        return;
    }
    shard->run_begin_ns = shard->now_ns;
    if (slow_from == 0 || work->batch == NULL || (slow_from > 1 && took_us < slow_from - 1)) {
        return;
    }
    uint32_t end = slow_from == 1 ? work->run.next : from + 1;
    bool is_exec = shard->exec.step != APPLY_EXEC_NONE; /* its commands are one */
    for (uint32_t i = from; i < end; i++, took_us = 0) {
        const struct batch_command *command =
            is_exec ? shard->exec.waiting : &work->batch->commands[work->run_first + i];
        if (command != NULL) {
            slowlog_note(shard->node, work->batch, command, took_us);
        }
    }
}

bool apply_run_continue(struct apply_shard *shard, uint32_t *units) {
    struct apply_work *work = &shard->work;
    uint32_t from = work->run.next;
    work->run.budget = *units;
    enum machine_progress progress = shard->operations->execute(shard->machine, &work->run);
    run_slow(shard, from);
    *units = work->run.budget;
    switch (progress) {
    case MACHINE_DONE:
        ASSERT(work->run.next == work->run.count);
        work->running = false;
        if (shard->exec.step != APPLY_EXEC_NONE) {
            return true; /* which goes on */
        }
        if (shard->once.step != APPLY_ONCE_NONE) {
            ASSERT(work->run.count == 1);
            apply_once_executed(shard, work->run.operations[0].reply,
                                work->run.operations[0].reply_bytes);
            return true;
        }
        run_replies(shard, work->run.count);
        return true;
    case MACHINE_MORE:
        /* With budget left it waits for an emit; and that, if it is full, for the disk. */
        shard->snapshot.awaited = work->run.budget > 0;
        shard->snapshot.starved = work->run.budget > 0 && shard->snapshot.full;
        *units = 0;
        return false;
    case MACHINE_REPLY_FULL: run_reply_full(shard); return true;
    }
    UNREACHABLE("a progress of machine.h");
}
