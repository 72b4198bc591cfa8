/*
 * MULTI, EXEC, DISCARD, WATCH, UNWATCH: what a connection keeps until its EXEC.
 *
 * Happy path: WATCH notes its keys and goes to apply as a read; its batch comes round again with
 * the index after which it ran.  MULTI opens the transaction.  What comes then is judged by its
 * form and kept as the record that it would be in the log.  EXEC makes one record of all that,
 * which goes through the log as a write, or to apply as a read if nothing in it writes.
 *
 *     store, a block of this shard's arena:   | head | watched keys | commands | replies |
 *
 * The block is handed to the batch with its EXEC, whose record's arguments are these four parts
 * (entry/transaction.h), and comes home with the batch's local blocks.
 *
 * A command about the connection is kept with its arguments and runs at the EXEC; its reply is the
 * next of the replies.  So is the error of a command that the machine finds wrong: as in Redis, it
 * is kept, and its error stands among the replies.
 *
 *     NONE ──MULTI──► OPEN ──refused──► BROKEN ──EXEC: EXECABORT, DISCARD, RESET──► NONE
 *                       └──EXEC, DISCARD, RESET──► NONE
 *
 * Failure modes: a command that is refused breaks the transaction.  The store is full (the largest
 * entry, or the memory for all stores): refused.  The node led in another term when it began: its
 * EXEC is refused.  An EXEC that is refused anywhere, here or later, ends its transaction.  A WATCH
 * that did not run watches nothing.
 *
 * Nothing long in one poll: the store is moved, and what is long is copied to it, in slices.
 */

#include <string.h>

#include "base/assert.h"
#include "base/bytes.h"
#include "stages/validate_internal.h"

enum {
    STORE_KEYS_SLICE = 256, /* key hashes, and arguments, copied in one go */
    /* What is written at first of a reply of a command about the connection. */
    STORE_REPLY_BYTES = 512,
    /* What a machine's growth may rise by, at most, for each byte by which the longest value has
       become longer since the command was judged. */
    GROWTH_OF_LONGEST = 4,
};

static struct validate_transaction *transaction_of(struct validate_shard *shard) {
    return &shard->transactions[shard->work.batch->connection.slot];
}

/* ---- the store ----------------------------------------------------------------------------- */

static uint8_t *store_bytes(const struct validate_shard *shard,
                            const struct validate_transaction *transaction) {
    ASSERT(transaction->has_block);
    return arena_memory(shard->arena, transaction->block) + sizeof(struct validate_block);
}

static uint32_t store_used(const struct validate_transaction *transaction) {
    return ENTRY_TRANSACTION_HEAD_BYTES + transaction->watch_bytes + transaction->command_bytes +
           transaction->reply_bytes;
}

static uint64_t store_capacity(const struct validate_shard *shard, uint32_t block) {
    return arena_block_bytes(shard->arena, block) - sizeof(struct validate_block);
}

void validate_transaction_reset(struct validate_shard *shard, uint32_t slot) {
    struct validate_transaction *transaction = &shard->transactions[slot];
    if (transaction->has_block) {
        shard->store_bytes -= arena_block_bytes(shard->arena, transaction->block);
        arena_give(shard->arena, transaction->block);
    }
    *transaction = (struct validate_transaction){0};
}

enum store_room { STORE_READY, STORE_LATER, STORE_NONE };

/* A larger block; false if there is none. */
static bool store_take(struct validate_shard *shard, uint64_t wanted, uint32_t *block) {
    *block = arena_take(shard->arena, wanted + sizeof(struct validate_block));
    if (*block == BATCH_NO_BLOCK) {
        return false;
    }
    uint64_t bytes = arena_block_bytes(shard->arena, *block);
    if (shard->store_bytes + bytes > VALIDATE_STORE_BYTES_MAX) {
        arena_give(shard->arena, *block);
        return false;
    }
    shard->store_bytes += bytes;
    return true;
}

/* Sees to it that so many bytes more have room; moves what is there, in slices. */
static enum store_room store_reserve(struct validate_shard *shard,
                                     struct validate_transaction *transaction, uint32_t bytes) {
    struct validate_store *store = &shard->work.store;
    uint32_t used = store_used(transaction);
    if (transaction->has_block && !store->moving &&
        store_capacity(shard, transaction->block) >= (uint64_t)used + bytes) {
        return STORE_READY;
    }
    if (!store->moving) {
        if (!store_take(shard, (uint64_t)used + bytes, &store->block)) {
            return STORE_NONE;
        }
        store->moving = true;
        store->moved = transaction->has_block ? 0 : used;
    }
    uint8_t *to = arena_memory(shard->arena, store->block) + sizeof(struct validate_block);
    while (store->moved < used) {
        if (shard->units <= 0) {
            return STORE_LATER;
        }
        uint32_t left = used - store->moved;
        uint32_t slice = left < STAGE_SLICE_BYTES ? left : (uint32_t)STAGE_SLICE_BYTES;
        memcpy(to + store->moved, store_bytes(shard, transaction) + store->moved, slice);
        store->moved += slice;
        validate_spend(shard, stage_bytes_units(slice));
    }
    if (transaction->has_block) {
        shard->store_bytes -= arena_block_bytes(shard->arena, transaction->block);
        arena_give(shard->arena, transaction->block);
    }
    transaction->block = store->block;
    transaction->has_block = true;
    store->moving = false;
    return STORE_READY;
}

/* Whether the record of the EXEC, with so many bytes more, still is one that the log takes. */
static bool store_suits(const struct validate_shard *shard,
                        const struct validate_transaction *transaction, uint64_t more) {
    uint32_t bytes =
        entry_command_bytes(ENTRY_TRANSACTION_ARGUMENTS, 0, store_used(transaction) + more, true);
    return bytes != 0 && bytes <= shard->entry_body_bytes_max;
}

/* ---- keeping a command --------------------------------------------------------------------- */

void validate_transaction_break(struct validate_shard *shard) {
    struct validate_transaction *transaction = transaction_of(shard);
    if (transaction->state == TRANSACTION_OPEN) {
        transaction->state = TRANSACTION_BROKEN;
    }
}

static void refuse_in(struct validate_shard *shard, struct batch_command *command,
                      enum batch_refusal refusal) {
    validate_refuse(shard, command, refusal);
    validate_transaction_break(shard);
}

static void canned(struct batch_command *command, enum connection_reply reply) {
    command->fate = FATE_LOCAL;
    command->detail = (uint8_t)reply;
}

bool validate_transaction_forbids(struct validate_shard *shard, struct batch_command *command) {
    if (transaction_of(shard)->state == TRANSACTION_NONE) {
        return false;
    }
    canned(command, CONNECTION_REPLY_NOT_INSIDE);
    validate_transaction_break(shard);
    return true;
}

/* Begins to keep a record of these arguments of the command; `error` is kept in its place. */
static void keep_begin(struct validate_shard *shard, struct batch_command *command, uint16_t id,
                       uint64_t argument_bytes, uint32_t error_bytes) {
    struct validate_work *work = &shard->work;
    struct validate_transaction *transaction = transaction_of(shard);
    bool local = id == ENTRY_COMMAND_ID_REPLY;
    uint32_t count = error_bytes > 0 ? 2 : command->argument_count - (local ? 0 : 1);
    uint32_t keys = local ? 0 : command->key_count;
    uint32_t bytes = entry_command_bytes(count, keys, argument_bytes, false);
    if (bytes == 0 || !store_suits(shard, transaction, bytes)) {
        refuse_in(shard, command, REFUSAL_ENTRY_SIZE);
        return;
    }
    work->store = (struct validate_store){.id = id,
                                          .record_bytes = bytes,
                                          .argument_count = count,
                                          .key_count = keys,
                                          .error_bytes = error_bytes};
    work->slices = SLICES_KEEP;
}

void validate_transaction_keep(struct validate_shard *shard, struct batch_command *command,
                               uint64_t argument_bytes) {
    const struct machine_command *row = &shard->machine->commands[command->row];
    struct validate_transaction *transaction = transaction_of(shard);
    ASSERT(transaction->state != TRANSACTION_NONE && command->table == TABLE_MACHINE);
    transaction->writes |= (row->flags & MACHINE_WRITE) != 0;
    transaction->grows |= (row->flags & MACHINE_GROWS) != 0;
    keep_begin(shard, command, row->id, argument_bytes, 0);
}

void validate_transaction_keep_error(struct validate_shard *shard, struct batch_command *command,
                                     uint32_t error_bytes) {
    ASSERT(error_bytes > 0 && error_bytes <= sizeof(shard->error_room));
    keep_begin(shard, command, ENTRY_COMMAND_ID_REPLY, error_bytes, error_bytes);
}

void validate_transaction_keep_local(struct validate_shard *shard, struct batch_command *command) {
    const struct batch *batch = shard->work.batch;
    uint64_t bytes = 0;
    if (command->row == CONNECTION_SHUTDOWN || command->row == CONNECTION_WAIT ||
        command->row == CONNECTION_ONCE || command->row == CONNECTION_ONCE_OPEN ||
        connection_row_composes(command->row)) {
        (void)validate_transaction_forbids(shard, command);
        return;
    }
    if (command->argument_count > CONNECTION_ARGUMENTS_MAX) {
        canned(command, CONNECTION_REPLY_ARGUMENTS);
        validate_transaction_break(shard);
        return;
    }
    for (uint32_t i = 0; i < command->argument_count; i++) {
        uint32_t length;
        (void)batch_argument(batch, command, i, &length);
        bytes += length;
    }
    keep_begin(shard, command, ENTRY_COMMAND_ID_REPLY, bytes, 0);
}

/* Argument `index` of what is kept. */
static const uint8_t *kept_argument(const struct validate_shard *shard,
                                    const struct batch_command *command, uint32_t index,
                                    uint32_t *length) {
    const struct validate_store *store = &shard->work.store;
    if (store->error_bytes > 0) { /* no name, then the error */
        *length = index == 0 ? 0 : store->error_bytes;
        return shard->error_room;
    }
    bool local = store->id == ENTRY_COMMAND_ID_REPLY;
    return batch_argument(shard->work.batch, command, index + (local ? 0 : 1), length);
}

/* Copies the next piece of the record; true when it is complete. */
static bool keep_copy(struct validate_shard *shard, const struct batch_command *command) {
    struct validate_store *store = &shard->work.store;
    const uint64_t *hashes = shard->work.batch->key_hashes + command->key_first;
    for (uint32_t i = 0; i < STORE_KEYS_SLICE && store->key < store->key_count; i++) {
        entry_command_key(&store->writer, hashes[store->key++]);
        validate_spend(shard, i % 4 == 0);
    }
    if (store->key < store->key_count) {
        return false;
    }
    for (uint32_t i = 0; i < STORE_KEYS_SLICE && store->argument < store->argument_count; i++) {
        uint32_t length;
        const uint8_t *data = kept_argument(shard, command, store->argument, &length);
        if (store->argument_bytes == 0) {
            entry_command_argument(&store->writer, length);
        }
        uint32_t left = length - store->argument_bytes;
        uint32_t slice = left < STAGE_SLICE_BYTES ? left : (uint32_t)STAGE_SLICE_BYTES;
        entry_command_data(&store->writer, data + store->argument_bytes, slice);
        store->argument_bytes += slice;
        validate_spend(shard, stage_bytes_units(slice) + (i % 4 == 0));
        if (store->argument_bytes < length) {
            return false;
        }
        store->argument++;
        store->argument_bytes = 0;
    }
    return store->argument == store->argument_count;
}

bool validate_transaction_keep_on(struct validate_shard *shard) {
    struct validate_work *work = &shard->work;
    struct validate_store *store = &work->store;
    struct validate_transaction *transaction = transaction_of(shard);
    struct batch_command *command = &work->batch->commands[work->command];
    if (!store->begun) {
        switch (store_reserve(shard, transaction, store->record_bytes)) {
        case STORE_READY: break;
        case STORE_LATER: return false;
        case STORE_NONE:
            refuse_in(shard, command, REFUSAL_OVERLOAD);
            work->slices = SLICES_NONE;
            return true;
        }
        store->begun = true;
        entry_command_begin(&store->writer,
                            store_bytes(shard, transaction) + store_used(transaction), store->id,
                            store->argument_count, store->key_count);
    }
    while (!keep_copy(shard, command)) {
        if (shard->units <= 0) {
            return false;
        }
    }
    uint32_t written = entry_command_end(&store->writer);
    ASSERT(written == store->record_bytes);
    transaction->command_bytes += written;
    transaction->command_count++;
    transaction->local_count += store->id == ENTRY_COMMAND_ID_REPLY;
    canned(command, CONNECTION_REPLY_QUEUED);
    work->slices = SLICES_NONE;
    return true;
}

bool validate_transaction_growth(struct validate_shard *shard, const struct batch_command *command,
                                 const struct machine_argument *arguments) {
    struct validate_transaction *transaction = transaction_of(shard);
    if (shard->machine->growth_bytes == NULL) {
        return true;
    }
    uint64_t longest = validate_longest_value(shard);
    if (transaction->amplifying == 0) {
        transaction->longest_bytes = longest;
    }
    transaction->amplifying++;
    longest = longest > transaction->value_bytes ? longest : transaction->value_bytes;
    uint64_t value_bytes;
    transaction->growth_bytes += shard->machine->growth_bytes(
        command->row, arguments, command->argument_count - 1, longest, &value_bytes);
    if (value_bytes > transaction->value_bytes) {
        transaction->value_bytes = value_bytes;
    }
    return validate_growth_is_free(shard, transaction->growth_bytes);
}

/* ---- EXEC ---------------------------------------------------------------------------------- */

/* Whether what the transaction may need still fits below the limit; if so, the batch bears it. */
static bool exec_growth_fits(struct validate_shard *shard,
                             const struct validate_transaction *transaction) {
    if (transaction->grows && validate_memory_is_full(shard)) {
        return false;
    }
    if (transaction->amplifying == 0) {
        return true;
    }
    uint64_t longest = validate_longest_value(shard);
    uint64_t risen =
        longest > transaction->longest_bytes ? longest - transaction->longest_bytes : 0;
    uint64_t growth =
        transaction->growth_bytes + GROWTH_OF_LONGEST * risen * transaction->amplifying;
    if (!validate_growth_is_free(shard, growth)) {
        return false;
    }
    validate_growth_take(shard, growth, transaction->value_bytes);
    return true;
}

/* All is in the store: the command becomes what it is for the log, or for apply. */
static void exec_finish(struct validate_shard *shard, struct batch_command *command) {
    struct batch *batch = shard->work.batch;
    struct validate_transaction *transaction = transaction_of(shard);
    uint32_t slot = batch->connection.slot;
    ASSERT(command == &batch->commands[batch->command_count - 1]); /* parse ends a batch with it */
    if (store_reserve(shard, transaction, 0) == STORE_NONE) {
        validate_refuse(shard, command, REFUSAL_OVERLOAD);
        validate_transaction_reset(shard, slot);
        return;
    }
    if (!exec_growth_fits(shard, transaction)) {
        validate_refuse(shard, command, REFUSAL_MEMORY);
        validate_transaction_reset(shard, slot);
        return;
    }
    uint8_t *bytes = store_bytes(shard, transaction);
    entry_transaction_head(bytes, transaction->command_count, transaction->watch_count);
    const uint32_t lengths[ENTRY_TRANSACTION_ARGUMENTS] = {
        ENTRY_TRANSACTION_HEAD_BYTES, transaction->watch_bytes, transaction->command_bytes,
        transaction->reply_bytes};
    for (uint32_t i = 0; i < ENTRY_TRANSACTION_ARGUMENTS; i++) {
        batch->exec[i] = (struct entry_argument){.data = bytes, .length_bytes = lengths[i]};
        bytes += lengths[i];
    }
    if (transaction->writes) {
        uint32_t record_bytes =
            entry_command_bytes(ENTRY_TRANSACTION_ARGUMENTS, 0, store_used(transaction),
                                command->once != BATCH_ONCE_NONE);
        validate_note_length(shard, transaction->command_bytes);
        validate_record(shard, command, record_bytes);
    } else {
        command->fate = FATE_READ;
        batch->read_count++;
    }
    if (command->fate == FATE_REFUSED) {
        validate_transaction_reset(shard, slot);
        return;
    }
    /* The block is the batch's: nothing else is written to its local blocks any more. */
    struct validate_block *head = (void *)arena_memory(shard->arena, transaction->block);
    *head = (struct validate_block){.next = batch->local_block};
    batch->local_block = transaction->block;
    shard->store_bytes -= arena_block_bytes(shard->arena, transaction->block);
    *transaction = (struct validate_transaction){0};
}

void validate_exec(struct validate_shard *shard, struct batch_command *command) {
    struct validate_transaction *transaction = transaction_of(shard);
    uint32_t slot = shard->work.batch->connection.slot;
    bool writes_once = command->once == BATCH_ONCE_NONE || transaction->writes;
    if (transaction->state == TRANSACTION_NONE) {
        canned(command, CONNECTION_REPLY_EXEC_ALONE);
        return;
    }
    if (transaction->state == TRANSACTION_BROKEN) {
        canned(command, CONNECTION_REPLY_EXEC_ERRORS);
    } else if (transaction->term != node_figure(&shard->node->replicate.term)) {
        canned(command, CONNECTION_REPLY_EXEC_LOST);
    } else if (!writes_once) {
        validate_refuse(shard, command, REFUSAL_ONCE_COMMAND);
    } else if (transaction->local_count > 0) {
        shard->work.store = (struct validate_store){0};
        shard->work.slices = SLICES_EXEC;
        return;
    } else {
        shard->work.store = (struct validate_store){0};
        exec_finish(shard, command);
        return;
    }
    validate_transaction_reset(shard, slot);
}

/* The kept command at the store's place; returns its record's length. */
static uint32_t kept_read(const struct validate_shard *shard,
                          const struct validate_transaction *transaction,
                          struct entry_command *command) {
    const struct validate_store *store = &shard->work.store;
    const uint8_t *commands =
        store_bytes(shard, transaction) + ENTRY_TRANSACTION_HEAD_BYTES + transaction->watch_bytes;
    struct entry_cursor cursor = {.position = commands + store->place,
                                  .end = commands + transaction->command_bytes,
                                  .commands_left = 1};
    const uint8_t *before = cursor.position;
    bool there = entry_cursor_next(&cursor, command);
    ASSERT(there);
    return (uint32_t)(cursor.position - before);
}

/* Makes the kept command about the connection one of the scratch batch. */
static void scratch_fill(struct validate_shard *shard, const struct entry_command *kept) {
    struct batch_command *command = &shard->scratch_command;
    ASSERT(kept->argument_count >= 1 && kept->argument_count <= CONNECTION_ARGUMENTS_MAX);
    *command = (struct batch_command){.base = (uint8_t *)(uintptr_t)kept->arguments,
                                      .argument_count = kept->argument_count};
    uint32_t offset = 0;
    for (uint32_t i = 0; i < kept->argument_count; i++) {
        uint32_t length = bytes_get_u32(kept->argument_lengths + (size_t)4 * i);
        shard->scratch_arguments[i] = (struct resp_argument){.offset = offset, .length = length};
        offset += length;
    }
    shard->scratch_batch.arguments = shard->scratch_arguments;
    shard->scratch_batch.argument_count = kept->argument_count;
    shard->scratch_batch.connection = shard->work.batch->connection;
    shard->scratch_batch.commands = command;
    shard->scratch_batch.command_count = 1;
}

/* Writes the reply of a command about the connection; its effect comes once, before it. */
static void scratch_reply(struct validate_shard *shard, const struct entry_command *kept,
                          struct reply_writer *writer, const struct stage_moment *moment) {
    struct validate_store *store = &shard->work.store;
    struct batch_command *command = &shard->scratch_command;
    struct connection_run *run = &shard->work.run;
    uint8_t detail = command->detail;
    scratch_fill(shard, kept);
    uint32_t length;
    const uint8_t *name = batch_argument(&shard->scratch_batch, command, 0, &length);
    directory_find(shard->directory, name, length, &command->table, &command->row);
    bool found = validate_subcommand(&shard->scratch_batch, command);
    ASSERT(found && command->table == TABLE_CONNECTION); /* as when it was kept */
    if (command->row == CONNECTION_UNWATCH) {
        reply_ok(writer); /* the EXEC forgets what is watched in any case */
        return;
    }
    command->fate = FATE_LOCAL;
    if (!store->effected) {
        store->effected = true;
        *run = (struct connection_run){.node = shard->node,
                                       .directory = shard->directory,
                                       .connection =
                                           &shard->connections[shard->work.batch->connection.slot]};
        run->moment = moment;
        run->batch = &shard->scratch_batch;
        run->command = command;
        enum connection_step step = connection_effect(run);
        ASSERT(step == CONNECTION_CANNED || step == CONNECTION_WRITES);
        store->is_canned = step == CONNECTION_CANNED;
        validate_spend(shard, run->units);
    } else {
        command->detail = detail;
    }
    run->moment = moment;
    if (store->is_canned) {
        connection_reply_write(writer, &shard->scratch_batch, command);
    } else {
        connection_write(run, writer);
    }
}

/* Adds the reply of the kept command; STORE_READY: it is there. */
static enum store_room exec_reply(struct validate_shard *shard, const struct stage_moment *moment) {
    struct validate_store *store = &shard->work.store;
    struct validate_transaction *transaction = transaction_of(shard);
    for (;;) {
        uint32_t room = store->wanted > STORE_REPLY_BYTES ? store->wanted : STORE_REPLY_BYTES;
        enum store_room reserved =
            store_reserve(shard, transaction, ENTRY_REPLY_HEADER_BYTES + room);
        if (reserved != STORE_READY) {
            return reserved;
        }
        struct entry_command kept;
        (void)kept_read(shard, transaction, &kept);
        uint8_t *head = store_bytes(shard, transaction) + store_used(transaction);
        struct reply_writer writer;
        reply_begin(&writer, head + ENTRY_REPLY_HEADER_BYTES, room);
        uint32_t error_bytes = bytes_get_u32(kept.argument_lengths) > 0 || kept.argument_count < 2
                                   ? 0
                                   : bytes_get_u32(kept.argument_lengths + 4);
        if (error_bytes > room) {
            store->wanted = entry_stride_bytes(error_bytes);
            continue;
        }
        if (error_bytes > 0) {
            memcpy(writer.position, kept.arguments, error_bytes);
            writer.position += error_bytes;
        } else {
            scratch_reply(shard, &kept, &writer, moment);
        }
        uint32_t length = (uint32_t)reply_used_bytes(&writer);
        if (writer.overflow_bytes > 0 || entry_stride_bytes(length) > room) {
            store->wanted = entry_stride_bytes(length + (uint32_t)writer.overflow_bytes);
            continue;
        }
        ASSERT(length > 0);
        bytes_put_u32(head, length);
        bytes_put_u32(head + 4, 0);
        memset(writer.position, 0, entry_stride_bytes(length) - length);
        transaction->reply_bytes += ENTRY_REPLY_HEADER_BYTES + entry_stride_bytes(length);
        validate_spend(shard, validate_reply_units(length));
        store->effected = false;
        store->wanted = 0;
        return STORE_READY;
    }
}

bool validate_exec_on(struct validate_shard *shard, const struct stage_moment *moment) {
    struct validate_work *work = &shard->work;
    struct validate_store *store = &work->store;
    struct validate_transaction *transaction = transaction_of(shard);
    struct batch_command *command = &work->batch->commands[work->command];
    while (store->place < transaction->command_bytes) {
        if (shard->units <= 0) {
            return false;
        }
        struct entry_command kept;
        uint32_t record_bytes = kept_read(shard, transaction, &kept);
        validate_spend(shard, 1);
        if (kept.id == ENTRY_COMMAND_ID_REPLY) {
            enum store_room room = exec_reply(shard, moment);
            if (room == STORE_LATER) {
                return false;
            }
            if (room == STORE_NONE || !store_suits(shard, transaction, 0)) {
                validate_refuse(shard, command,
                                room == STORE_NONE ? REFUSAL_OVERLOAD : REFUSAL_ENTRY_SIZE);
                validate_transaction_reset(shard, work->batch->connection.slot);
                work->slices = SLICES_NONE;
                return true;
            }
        }
        store->place += record_bytes;
    }
    work->slices = SLICES_NONE;
    exec_finish(shard, command);
    command->resp_version = shard->connections[work->batch->connection.slot].resp_version;
    return true;
}

/* ---- MULTI, DISCARD, WATCH, UNWATCH --------------------------------------------------------- */

static void begin(struct validate_shard *shard, struct validate_transaction *transaction) {
    if (transaction->watch_count == 0 && transaction->state == TRANSACTION_NONE) {
        transaction->term = node_figure(&shard->node->replicate.term);
    }
}

void validate_multi(struct validate_shard *shard, struct batch_command *command) {
    struct validate_transaction *transaction = transaction_of(shard);
    if (transaction->state != TRANSACTION_NONE) {
        canned(command, CONNECTION_REPLY_NESTED);
        return;
    }
    begin(shard, transaction);
    transaction->state = TRANSACTION_OPEN;
    canned(command, CONNECTION_REPLY_OK);
}

void validate_discard(struct validate_shard *shard, struct batch_command *command) {
    bool inside = transaction_of(shard)->state != TRANSACTION_NONE;
    if (inside) {
        validate_transaction_reset(shard, shard->work.batch->connection.slot);
    }
    canned(command, inside ? CONNECTION_REPLY_OK : CONNECTION_REPLY_DISCARD_ALONE);
}

void validate_unwatch(struct validate_shard *shard, struct batch_command *command) {
    ASSERT(transaction_of(shard)->state == TRANSACTION_NONE);
    validate_transaction_reset(shard, shard->work.batch->connection.slot);
    canned(command, CONNECTION_REPLY_OK);
}

void validate_watch(struct validate_shard *shard, struct batch_command *command) {
    struct validate_transaction *transaction = transaction_of(shard);
    if (transaction->state != TRANSACTION_NONE) {
        canned(command, CONNECTION_REPLY_WATCH_INSIDE);
    } else if (shard->machine->changed == NULL) {
        canned(command, CONNECTION_REPLY_UNWATCHABLE);
    } else if (command->argument_count - 1 > BATCH_WATCH_KEYS_MAX) {
        validate_refuse(shard, command, REFUSAL_WATCH_KEYS);
    } else {
        ASSERT(transaction->pending_count == 0);
        begin(shard, transaction);
        shard->work.store = (struct validate_store){0};
        shard->work.slices = SLICES_WATCH;
    }
}

/* Takes back what a WATCH has noted that does not run. */
static void watch_drop(struct validate_transaction *transaction) {
    transaction->watch_bytes -= transaction->pending_bytes;
    transaction->watch_count -= transaction->pending_count;
    transaction->pending_bytes = 0;
    transaction->pending_count = 0;
}

static bool watch_refuse(struct validate_shard *shard, struct batch_command *command,
                         enum batch_refusal refusal) {
    validate_refuse(shard, command, refusal);
    watch_drop(transaction_of(shard));
    shard->work.slices = SLICES_NONE;
    return true;
}

bool validate_watch_on(struct validate_shard *shard) {
    struct validate_work *work = &shard->work;
    struct batch *batch = work->batch;
    struct validate_transaction *transaction = transaction_of(shard);
    struct batch_command *command = &batch->commands[work->command];
    while (work->store.argument < command->argument_count - 1) {
        if (shard->units <= 0) {
            return false;
        }
        struct entry_watch watch = {0};
        watch.key = batch_argument(batch, command, work->store.argument + 1, &watch.key_bytes);
        if (watch.key_bytes > shard->machine->key_bytes_max) {
            return watch_refuse(shard, command, REFUSAL_KEY_SIZE);
        }
        uint32_t bytes = entry_watch_bytes(watch.key_bytes);
        if (!store_suits(shard, transaction, bytes)) {
            return watch_refuse(shard, command, REFUSAL_ENTRY_SIZE);
        }
        switch (store_reserve(shard, transaction, bytes)) {
        case STORE_READY: break;
        case STORE_LATER: return false;
        case STORE_NONE: return watch_refuse(shard, command, REFUSAL_OVERLOAD);
        }
        watch.key_hash =
            machine_key_hash(watch.key, watch.key_bytes, shard->node->signals.hash_seed);
        entry_watch_write(store_bytes(shard, transaction) + store_used(transaction), &watch);
        transaction->watch_bytes += bytes;
        transaction->watch_count++;
        transaction->pending_bytes += bytes;
        transaction->pending_count++;
        work->store.argument++;
        validate_spend(shard, 2 + 2 * stage_bytes_units(bytes));
    }
    transaction->pending_batch = batch->id;
    batch->watch_index = 0;
    memset(batch->watch_present, 0, sizeof(batch->watch_present));
    command->fate = FATE_READ;
    batch->read_count++;
    work->slices = SLICES_NONE;
    return true;
}

void validate_watch_settle(struct validate_shard *shard, const struct batch *batch) {
    struct validate_transaction *transaction = &shard->transactions[batch->connection.slot];
    if (transaction->pending_count == 0 || transaction->pending_batch != batch->id) {
        return;
    }
    if (batch->watch_index == 0) {
        watch_drop(transaction); /* refused: it has its answer */
        return;
    }
    uint8_t *at = store_bytes(shard, transaction) + ENTRY_TRANSACTION_HEAD_BYTES +
                  transaction->watch_bytes - transaction->pending_bytes;
    for (uint32_t i = 0; i < transaction->pending_count; i++) {
        bool present = (batch->watch_present[i / 64] >> (i % 64) & 1) != 0;
        at += entry_watch_settle(at, batch->watch_index, present);
    }
    validate_spend(shard, transaction->pending_count / 4);
    transaction->pending_bytes = 0;
    transaction->pending_count = 0;
}
