/*
 * EXEC: what was kept becomes one command, for the log or for apply.
 *
 * Happy path: the store has all of it; the head is written, and the block is the batch's.
 *
 * Commands about the connection that were kept run now, one after the other, as commands of a
 * scratch batch; their replies are added to the store, and so are the errors that were kept.
 *
 * Failure modes: see validate_transaction.c; whatever refuses an EXEC ends its transaction.
 */

#include <string.h>

#include "base/assert.h"
#include "base/bytes.h"
#include "stages/validate_internal.h"

enum {
    /* What is written at first of a reply of a command about the connection. */
    STORE_REPLY_BYTES = 512,
    /* What a machine's growth may rise by, at most, for each byte by which the longest value has
       become longer since the command was judged. */
    GROWTH_OF_LONGEST = 4,
};

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
    struct validate_transaction *transaction = validate_transaction_of(shard);
    uint32_t slot = batch->connection.slot;
    ASSERT(command == &batch->commands[batch->command_count - 1]); /* parse ends a batch with it */
    if (validate_store_reserve(shard, transaction, 0) == STORE_NONE) {
        validate_refuse(shard, command, REFUSAL_OVERLOAD);
        validate_transaction_reset(shard, slot);
        return;
    }
    if (!exec_growth_fits(shard, transaction)) {
        validate_refuse(shard, command, REFUSAL_MEMORY);
        validate_transaction_reset(shard, slot);
        return;
    }
    uint8_t *bytes = validate_store_at(shard, transaction);
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
            entry_command_bytes(ENTRY_TRANSACTION_ARGUMENTS, 0, validate_store_used(transaction),
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
    struct validate_transaction *transaction = validate_transaction_of(shard);
    uint32_t slot = shard->work.batch->connection.slot;
    bool writes_once = command->once == BATCH_ONCE_NONE || transaction->writes;
    if (transaction->state == TRANSACTION_NONE) {
        validate_canned(command, CONNECTION_REPLY_EXEC_ALONE);
        return;
    }
    if (transaction->state == TRANSACTION_BROKEN) {
        validate_canned(command, CONNECTION_REPLY_EXEC_ERRORS);
    } else if (transaction->term != node_figure(&shard->node->replicate.term)) {
        validate_canned(command, CONNECTION_REPLY_EXEC_LOST);
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
    const uint8_t *commands = validate_store_at(shard, transaction) + ENTRY_TRANSACTION_HEAD_BYTES +
                              transaction->watch_bytes;
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
                                           &shard->connections[shard->work.batch->connection.slot],
                                       .to_read = shard->to_read};
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
    struct validate_transaction *transaction = validate_transaction_of(shard);
    for (;;) {
        uint32_t room = store->wanted > STORE_REPLY_BYTES ? store->wanted : STORE_REPLY_BYTES;
        enum store_room reserved =
            validate_store_reserve(shard, transaction, ENTRY_REPLY_HEADER_BYTES + room);
        if (reserved != STORE_READY) {
            return reserved;
        }
        struct entry_command kept;
        (void)kept_read(shard, transaction, &kept);
        uint8_t *head = validate_store_at(shard, transaction) + validate_store_used(transaction);
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
    struct validate_transaction *transaction = validate_transaction_of(shard);
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
            if (room == STORE_NONE || !validate_store_suits(shard, transaction, 0)) {
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
