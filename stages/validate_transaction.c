/*
 * MULTI, EXEC, DISCARD, WATCH, UNWATCH: what a connection keeps until its EXEC.
 *
 * Happy path: WATCH notes its keys and goes to apply as a read; its batch comes round again with
 * the index after which it ran.  MULTI opens the transaction.  What comes then is judged by its
 * form and kept as the record that it would be in the log.  EXEC makes one record of all that,
 * which goes through the log as a write, or to apply as a read if nothing in it writes.
 *
 * The store's block (validate_store.c) is handed to the batch with its EXEC (validate_exec.c), and
 * comes home with the batch's local blocks.
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
#include "base/mutant.h"
#include "stages/validate_internal.h"

enum {
    STORE_KEYS_SLICE = 256, /* key hashes, and arguments, copied in one go */
};

/* ---- keeping a command --------------------------------------------------------------------- */

void validate_transaction_break(struct validate_shard *shard) {
    struct validate_transaction *transaction = validate_transaction_of(shard);
    if (transaction->state == TRANSACTION_OPEN) {
        transaction->state = TRANSACTION_BROKEN;
    }
}

static void refuse_in(struct validate_shard *shard, struct batch_command *command,
                      enum batch_refusal refusal) {
    validate_refuse(shard, command, refusal);
    validate_transaction_break(shard);
}

bool validate_transaction_forbids(struct validate_shard *shard, struct batch_command *command) {
    if (validate_transaction_of(shard)->state == TRANSACTION_NONE) {
        return false;
    }
    validate_canned(command, CONNECTION_REPLY_NOT_INSIDE);
    validate_transaction_break(shard);
    return true;
}

/* Begins to keep a record of these arguments of the command; `error` is kept in its place. */
static void keep_begin(struct validate_shard *shard, struct batch_command *command, uint16_t id,
                       uint64_t argument_bytes, uint32_t error_bytes) {
    struct validate_work *work = &shard->work;
    struct validate_transaction *transaction = validate_transaction_of(shard);
    bool local = id == ENTRY_COMMAND_ID_REPLY;
    uint32_t count = error_bytes > 0 ? 2 : command->argument_count - (local ? 0 : 1);
    uint32_t keys = local ? 0 : command->key_count;
    uint32_t bytes = entry_command_bytes(count, keys, argument_bytes, false);
    if (bytes == 0 || !validate_store_suits(shard, transaction, bytes)) {
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
    struct validate_transaction *transaction = validate_transaction_of(shard);
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
        validate_canned(command, CONNECTION_REPLY_ARGUMENTS);
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
    struct validate_transaction *transaction = validate_transaction_of(shard);
    struct batch_command *command = &work->batch->commands[work->command];
    if (!store->begun) {
        switch (validate_store_reserve(shard, transaction, store->record_bytes)) {
        case STORE_READY: break;
        case STORE_LATER: return false;
        case STORE_NONE:
            refuse_in(shard, command, REFUSAL_OVERLOAD);
            work->slices = SLICES_NONE;
            return true;
        }
        store->begun = true;
        entry_command_begin(&store->writer,
                            validate_store_at(shard, transaction) +
                                validate_store_used(transaction),
                            store->id, store->argument_count, store->key_count);
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
    validate_canned(command, CONNECTION_REPLY_QUEUED);
    work->slices = SLICES_NONE;
    return true;
}

bool validate_transaction_growth(struct validate_shard *shard, const struct batch_command *command,
                                 const struct machine_argument *arguments) {
    struct validate_transaction *transaction = validate_transaction_of(shard);
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

/* ---- MULTI, DISCARD, WATCH, UNWATCH --------------------------------------------------------- */

static void begin(struct validate_shard *shard, struct validate_transaction *transaction) {
    if (transaction->watch_count == 0 && transaction->state == TRANSACTION_NONE) {
        transaction->term = node_figure(&shard->node->replicate.term);
    }
}

void validate_multi(struct validate_shard *shard, struct batch_command *command) {
    struct validate_transaction *transaction = validate_transaction_of(shard);
    if (transaction->state != TRANSACTION_NONE) {
        validate_canned(command, CONNECTION_REPLY_NESTED);
        return;
    }
    begin(shard, transaction);
    transaction->state = TRANSACTION_OPEN;
    validate_canned(command, CONNECTION_REPLY_OK);
}

void validate_discard(struct validate_shard *shard, struct batch_command *command) {
    bool inside = validate_transaction_of(shard)->state != TRANSACTION_NONE;
    if (inside) {
        validate_transaction_reset(shard, shard->work.batch->connection.slot);
    }
    validate_canned(command, inside ? CONNECTION_REPLY_OK : CONNECTION_REPLY_DISCARD_ALONE);
}

void validate_unwatch(struct validate_shard *shard, struct batch_command *command) {
    ASSERT(validate_transaction_of(shard)->state == TRANSACTION_NONE);
    validate_transaction_reset(shard, shard->work.batch->connection.slot);
    validate_canned(command, CONNECTION_REPLY_OK);
}

void validate_watch(struct validate_shard *shard, struct batch_command *command) {
    struct validate_transaction *transaction = validate_transaction_of(shard);
    if (transaction->state != TRANSACTION_NONE) {
        validate_canned(command, CONNECTION_REPLY_WATCH_INSIDE);
    } else if (shard->machine->changed == NULL) {
        validate_canned(command, CONNECTION_REPLY_UNWATCHABLE);
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
    watch_drop(validate_transaction_of(shard));
    shard->work.slices = SLICES_NONE;
    return true;
}

bool validate_watch_on(struct validate_shard *shard) {
    struct validate_work *work = &shard->work;
    struct batch *batch = work->batch;
    struct validate_transaction *transaction = validate_transaction_of(shard);
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
        if (!validate_store_suits(shard, transaction, bytes)) {
            return watch_refuse(shard, command, REFUSAL_ENTRY_SIZE);
        }
        switch (validate_store_reserve(shard, transaction, bytes)) {
        case STORE_READY: break;
        case STORE_LATER: return false;
        case STORE_NONE: return watch_refuse(shard, command, REFUSAL_OVERLOAD);
        }
        watch.key_hash =
            machine_key_hash(watch.key, watch.key_bytes, shard->node->signals.hash_seed);
        entry_watch_write(validate_store_at(shard, transaction) + validate_store_used(transaction),
                          &watch);
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
    uint8_t *at = validate_store_at(shard, transaction) + ENTRY_TRANSACTION_HEAD_BYTES +
                  transaction->watch_bytes - transaction->pending_bytes;
    for (uint32_t i = 0; i < transaction->pending_count; i++) {
        bool present = (batch->watch_present[i / 64] >> (i % 64) & 1) != 0;
        at += entry_watch_settle(at, batch->watch_index + MUTANT(WATCH_TOO_LATE, 1U, 0U), present);
    }
    validate_spend(shard, transaction->pending_count / 4);
    transaction->pending_bytes = 0;
    transaction->pending_count = 0;
}
