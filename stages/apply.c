/*
 * The apply stage: the work on one item, and the turn of a poll.  Reply room is in apply_replies.c,
 * snapshots are in apply_snapshot.c, digests in apply_digest.c, commands of client sessions in
 * apply_once.c, transactions in apply_exec.c, and the shard is made in apply_start.c.
 *
 * Happy path: an item is cut into runs, a run being consecutive machine commands of one batch, or
 * of one entry; the machine executes a run in one call.  When an item is finished its batch goes to
 * serialize, and the index applied is published for replicate.
 *
 * Failure modes: out of budget: gone on with at the next poll.  A reply without room: more room, or
 * a refusal.  A machine that cannot be made (no memory) fails the node.  The entry is damaged:
 * cannot be, it was checked when it was written or read; asserted.
 */

#include "stages/apply.h"

#include "base/assert.h"
#include "base/log.h"
#include "base/mutant.h"
#include "stages/apply_internal.h"
#include "stages/refusal.h"

enum { APPLY_TAKE_MAX = 64 };

/* ---- runs ---------------------------------------------------------------------------------- */

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
    work->run.reply = shard->exec.step != APPLY_EXEC_NONE   ? shard->exec.writer
                      : shard->once.step != APPLY_ONCE_NONE ? &shard->once.writer
                      : work->batch == NULL                 ? NULL
                                                            : &work->batch->reply;
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

/* What a batch's next commands are: a run of machine commands, or one that the machine never sees.
 * Returns false when there are none left. */
static bool batch_next(struct apply_shard *shard, uint32_t *units) {
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

/* The next writes of an entry that no batch waits for; false when there are none left. */
static bool entry_next(struct apply_shard *shard) {
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

/* Goes on collecting the run, and starts it; false when the units are spent. */
static bool run_collect(struct apply_shard *shard, uint32_t *units) {
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

/* Goes on with the run; false when the budget is spent. */
static bool run_continue(struct apply_shard *shard, uint32_t *units) {
    struct apply_work *work = &shard->work;
    work->run.budget = *units;
    enum machine_progress progress = shard->operations->execute(shard->machine, &work->run);
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

/* ---- entries ------------------------------------------------------------------------------- */

static void units_spend(uint32_t *units, uint32_t spent) {
    *units -= *units < spent ? *units : spent;
}

/* Begins the next entry of the item. */
static void entry_begin(struct apply_shard *shard, uint32_t *units) {
    struct apply_work *work = &shard->work;
    work->header = entry_header_read(work->entry);
    ASSERT(work->header.index == shard->tail.index + 1 || MUTANT_IS(APPLIES_TWICE));
    work->entry_open = true;
    work->cursor = (struct entry_cursor){0};
    switch (work->header.kind) {
    case ENTRY_COMMANDS:
        ASSERT(shard->machine != NULL);
        if (!shard->digests.diverged) {
            entry_cursor_begin(&work->cursor, work->entry);
        }
        break;
    case ENTRY_GENESIS: {
        ASSERT(shard->machine == NULL);
        struct entry_genesis genesis = entry_genesis_read(work->entry + ENTRY_HEADER_BYTES);
        if (apply_machine_make(shard, &genesis) != WEIR_OK) {
            node_fail(shard->node, "no memory for the machine");
        }
        break;
    }
    case ENTRY_TIME: shard->maintaining = true; break;
    case ENTRY_DIGEST: units_spend(units, apply_digest_compare(shard)); break;
    case ENTRY_ADDRESS: {
        struct entry_address address;
        bool valid = entry_address_read(work->entry + ENTRY_HEADER_BYTES,
                                        work->header.length_bytes - ENTRY_HEADER_BYTES, &address);
        ASSERT(valid); /* it was checked when it came into the log */
        addresses_set(&shard->node->addresses, &address);
        break;
    }
    case ENTRY_CONFIGURATION: { /* the core's business, but snapshots tell it */
        int result = configuration_read(work->entry + ENTRY_HEADER_BYTES,
                                        work->header.length_bytes - ENTRY_HEADER_BYTES,
                                        &shard->configuration);
        ASSERT(result == WEIR_OK); /* the log has checked it */
        break;
    }
    default: break; /* no-op: the core's business */
    }
}

/* Whether the open entry is the first one behind the snapshot that the node has started from, and
 * is applied for the first time (for a planted defect). */
static bool is_first_after_snapshot(const struct apply_shard *shard) {
    const struct apply_work *work = &shard->work;
    uint64_t snapshot_index = shard->node->recovery.tail.index;
    return work->header.kind == ENTRY_COMMANDS && work->batch == NULL && snapshot_index > 0 &&
           work->header.index == snapshot_index + 1 && shard->tail.index == snapshot_index;
}

static void entry_end(struct apply_shard *shard, uint32_t *units) {
    struct apply_work *work = &shard->work;
    bool again = MUTANT(APPLIES_TWICE, is_first_after_snapshot(shard), false);
    shard->tail = (struct entry_tail){.index = work->header.index,
                                      .term = work->header.term,
                                      .log_time_ms = work->header.log_time_ms,
                                      .chain = work->header.chain};
    shard->tail_ns = shard->now_ns;
    shard->snapshot.log_bytes += work->header.length_bytes;
    work->entry_open = false;
    if (again) {
        return;
    }
    work->entries_left--;
    work->entry += entry_stride_bytes(work->header.length_bytes);
    units_spend(units, apply_digest_note(shard));
}

/* Goes on with the item; true when it is finished. */
static bool item_continue(struct apply_shard *shard, uint32_t *units) {
    struct apply_work *work = &shard->work;
    for (;;) {
        if (work->running) {
            if (!run_continue(shard, units)) {
                return false;
            }
        } else if (work->collecting) {
            if (!run_collect(shard, units)) {
                return false;
            }
        } else if (shard->exec.step != APPLY_EXEC_NONE) {
            apply_exec_on(shard, units);
        } else if (shard->once.step != APPLY_ONCE_NONE) {
            if (!apply_once_on(shard, units)) {
                return false;
            }
        } else if (work->entries_left > 0 && !work->entry_open) {
            entry_begin(shard, units);
        } else if (work->batch != NULL && batch_next(shard, units)) {
            /* a canned reply, or a run to be collected */
        } else if (work->batch == NULL && work->entry_open && entry_next(shard)) {
            /* likewise */
        } else if (work->entry_open) {
            entry_end(shard, units);
        } else {
            return true;
        }
        if (*units == 0) {
            return false;
        }
    }
}

static void item_begin(struct apply_shard *shard, const struct apply_item *item) {
    struct apply_work *work = &shard->work;
    ASSERT(!work->active);
    ASSERT(item->entry_count == 0 || !apply_installing(shard));
    *work = (struct apply_work){
        .active = true, .item = *item, .entry = item->entry, .entries_left = item->entry_count};
    if (item->batch != BATCH_NO_BLOCK) {
        work->batch = pipeline_batch(shard->pipeline, item->batch);
        ASSERT(work->batch->owner == STAGE_APPLY);
        ASSERT(item->entry_count <= 1);
        apply_replies_begin(work->batch);
        if (apply_digest_rejected(shard) || apply_installing(shard)) {
            apply_digest_refuse(work->batch);
        }
    }
}

static void item_end(struct apply_shard *shard) {
    struct apply_work *work = &shard->work;
    work->active = false;
    if (work->batch != NULL) {
        batch_hand_over(work->batch, STAGE_APPLY, STAGE_SERIALIZE);
        uint32_t taken = ring_u32_enqueue(shard->to_serialize, &work->batch->id, 1);
        ASSERT(taken == 1); /* as long as the pool */
    }
}

/* ---- the turn ------------------------------------------------------------------------------ */

void apply_note_send(struct apply_shard *shard) {
    uint32_t note = 0;
    (void)ring_u32_enqueue(shard->to_replicate, &note, 1); /* full: it is awake anyway */
}

void apply_publish(struct apply_shard *shard) {
    struct node_apply_figures *figures = &shard->node->apply;
    struct node_signals *signals = &shard->node->signals;
    if (shard->machine != NULL) {
        uint64_t deadline_ms = shard->operations->next_deadline_ms(shard->machine);
        node_figure_set(&figures->memory_bytes, shard->operations->memory_bytes(shard->machine));
        if (shard->operations->longest_bytes != NULL) {
            node_figure_set(&figures->longest_bytes,
                            shard->operations->longest_bytes(shard->machine));
        }
        node_figure_set(&figures->record_count, shard->operations->record_count(shard->machine));
        node_figure_set(&figures->next_deadline_ms, deadline_ms);
        /* Earlier than what it knows; or what it knows has passed, and its timer with it. */
        if (deadline_ms < shard->deadline_told_ms ||
            (deadline_ms > shard->deadline_told_ms &&
             shard->deadline_told_ms <= shard->tail.log_time_ms)) {
            apply_note_send(shard);
        }
        shard->deadline_told_ms = deadline_ms;
    }
    node_figure_set(&figures->sessions, sessions_count(shard->sessions));
    node_figure_set(&figures->applied_index, shard->tail.index);
    node_figure_set(&figures->applied_chain, shard->tail.chain);
    node_figure_set(&figures->log_time_ms, shard->tail.log_time_ms);
    node_applied_publish(signals, shard->tail.index);
    atomic_fence_full(); /* partner: the fence in replicate's want_applied */
    if (atomic_load_relaxed_u32(&signals->applied_wanted) != 0) {
        atomic_store_relaxed_u32(&signals->applied_wanted, 0);
        apply_note_send(shard);
    }
}

static void blocks_come_home(struct apply_shard *shard) {
    uint32_t blocks[APPLY_TAKE_MAX];
    uint32_t count;
    /* All of them, no more than there are batches: none may lie here while we sleep. */
    do {
        count = ring_u32_dequeue(shard->from_write, blocks, APPLY_TAKE_MAX);
        for (uint32_t i = 0; i < count; i++) {
            apply_replies_give(shard, blocks[i]);
        }
    } while (count == APPLY_TAKE_MAX);
}

/* Makes sure that there is an item to begin; false if there is none. */
static bool intake_fill(struct apply_shard *shard) {
    if (shard->intake_next == shard->intake_count) {
        shard->intake_next = 0;
        shard->intake_count =
            ring_apply_dequeue(shard->from_replicate, shard->intake, APPLY_INTAKE_MAX);
        for (uint32_t i = 0; i < shard->intake_count; i++) {
            __builtin_prefetch(shard->intake[i].entry);
        }
    }
    return shard->intake_next < shard->intake_count;
}

/* The clock by which TTL is answered: log time as it now is, if this node leads; otherwise as it
 * was in the last entry, and what has passed since that was applied, which is not more. */
static uint64_t leader_clock_ms(const struct apply_shard *shard) {
    uint64_t clock_ns = node_figure(&shard->node->replicate.log_clock_ns);
    return clock_ns != 0 ? (clock_ns + shard->now_ns) / 1000000
                         : shard->tail.log_time_ms + (shard->now_ns - shard->tail_ns) / 1000000;
}

static struct stage_result apply_poll(void *state, const struct stage_moment *moment,
                                      uint32_t budget) {
    struct apply_shard *shard = state;
    struct stage_result result = {0};
    shard->now_ns = moment->monotonic_ns;
    shard->clock_ms = leader_clock_ms(shard);
    blocks_come_home(shard);
    uint32_t units = APPLY_POLL_UNITS;
    while (result.work < budget && units > 0) {
        if (!shard->work.active) {
            if (!intake_fill(shard)) {
                break;
            }
            const struct apply_item *item = &shard->intake[shard->intake_next++];
            if (item->entry_count == 0 && item->batch == BATCH_NO_BLOCK) {
                result.work++;
                if (item->first_index != 0) {
                    apply_install_begin(shard, item->first_index);
                }
                continue; /* or only a nudge */
            }
            item_begin(shard, item);
        }
        shard->snapshot.starved = false;
        if (!item_continue(shard, &units)) {
            result.work += !shard->snapshot.starved; /* else the writer's completion wakes us */
            break;
        }
        result.work++;
        item_end(shard);
    }
    bool worked = result.work > 0;
    if (apply_installing(shard)) {
        worked |= apply_install_turn(shard, &units);
    } else {
        shard->maintaining |= worked;
        worked |= apply_maintain_turn(shard, &units);
        worked |= apply_sessions_turn(shard);
    }
    if (units > 0 && machine_host_trim(shard->pages)) {
        units -= units < APPLY_TRIM_UNITS ? units : APPLY_TRIM_UNITS;
        worked = true; /* there is more */
    }
    if (worked) {
        apply_publish(shard);
    }
    worked |= apply_snapshot_turn(shard, moment->monotonic_ns);
    if (worked && result.work == 0) {
        result.work = 1; /* housekeeping that must go on */
    }
    if (!worked) {
        (void)arena_trim(shard->arena, moment->monotonic_ns);
    }
    uint32_t emitted = shard->snapshot.emitting ? (uint32_t)APPLY_EMIT_UNITS : 0;
    result.units = (APPLY_POLL_UNITS - units + emitted) * APPLY_STAGE_UNITS;
    return result;
}

static bool apply_drain(void *state, const struct stage_moment *moment) {
    struct apply_shard *shard = state;
    blocks_come_home(shard);
    return !shard->work.active && shard->intake_next == shard->intake_count &&
           ring_ready(shard->from_replicate, 1) == 0 && ring_ready(shard->from_write, 1) == 0 &&
           apply_snapshot_rest(shard, moment->monotonic_ns);
}

const struct stage stage_apply = {.id = STAGE_APPLY,
                                  .name = "apply",
                                  .init = apply_init,
                                  .start = apply_start,
                                  .poll = apply_poll,
                                  .drain = apply_drain,
                                  .fini = apply_fini};
