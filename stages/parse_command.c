/* A parsed command becomes one of its batch: looked up, its keys hashed.  Nothing can fail; a key
 * that is too long is the command's refusal. */

#include <string.h>
#include <strings.h>

#include "base/assert.h"
#include "stages/connection_commands.h"
#include "stages/node_settings.h"
#include "stages/once.h"
#include "stages/parse_internal.h"

static bool name_is(const uint8_t *name, uint32_t length_bytes, const char *what) {
    return length_bytes == strlen(what) && strncasecmp((const char *)name, what, length_bytes) == 0;
}

/* A machine command was added: its keys are to be hashed. */
static void keys_begin(struct parse_shard *shard, const struct batch *batch,
                       struct batch_command *command) {
    struct parse_work *work = &shard->work;
    command->key_first = batch->key_count;
    command->key_count = 0;
    const struct machine_command *row = &shard->node->options->machine->commands[command->row];
    if (!directory_arity_suits(row->arity, command->argument_count)) {
        return; /* validate will refuse it; its keys mean nothing */
    }
    directory_keys(shard->directory, command->row, batch, command, 0, &work->keys);
    work->keys_left = machine_keys_count(&work->keys);
}

bool parse_keys_hash(struct parse_shard *shard, struct batch *batch) {
    struct parse_work *work = &shard->work;
    uint32_t key_bytes_max = shard->node->options->machine->key_bytes_max;
    struct batch_command *command = &batch->commands[batch->command_count - 1];
    while (work->keys_left > 0) {
        if (shard->units <= 0) {
            return false;
        }
        uint32_t length_bytes;
        const uint32_t argument = machine_keys_at(&work->keys, command->key_count);
        const uint8_t *key = batch_argument(batch, command, argument + 1, &length_bytes);
        if (length_bytes > key_bytes_max) {
            command->fate = FATE_REFUSED;
            command->refusal = REFUSAL_KEY_SIZE;
            command->key_count = 0;
            batch->key_count = command->key_first;
            work->keys_left = 0;
            break;
        }
        batch->key_hashes[batch->key_count++] =
            machine_key_hash(key, length_bytes, shard->node->signals.hash_seed);
        command->key_count++;
        work->keys_left--;
        parse_spend(shard, 1 + stage_bytes_units(length_bytes));
    }
    return true;
}

struct batch_command *parse_command(struct parse_shard *shard, struct batch *batch, uint8_t *base,
                                    const struct resp_command *parsed) {
    ASSERT(batch->command_count < BATCH_COMMANDS_MAX);
    struct batch_command *command = &batch->commands[batch->command_count++];
    *command = (struct batch_command){.base = base,
                                      .argument_first = batch->argument_count,
                                      .argument_count = parsed->argument_count,
                                      .is_inline = parsed->is_inline};
    batch->argument_count += parsed->argument_count;
    uint32_t length_bytes;
    const uint8_t *name = batch_argument(batch, command, 0, &length_bytes);
    directory_find(shard->directory, name, length_bytes, &command->table, &command->row);
    if (command->table == TABLE_CONNECTION && once_is(command)) {
        shard->work.ends = once_unwrap(batch, command, shard->directory);
    }
    if (command->table == TABLE_CONNECTION && command->row == CONNECTION_EXEC) {
        shard->work.ends = true;
    }
    if (command->table == TABLE_CONNECTION && command->row == CONNECTION_WAIT) {
        shard->work.ends = true;
        batch->flags |= BATCH_WAITS;
    }
    if (command->table == TABLE_MACHINE) {
        keys_begin(shard, batch, command);
    }
    parse_spend(shard, 1);
    return command;
}

bool parse_command_stops(const struct parse_shard *shard, const struct batch_command *command,
                         const struct batch *batch, bool authenticated) {
    if (command->table == TABLE_CONNECTION && command->row == CONNECTION_WATCH) {
        return true;
    }
    uint32_t length_bytes;
    const uint8_t *name = batch_argument(batch, command, 0, &length_bytes);
    if (command->table == TABLE_CONNECTION && command->row == CONNECTION_CLIENT &&
        command->argument_count > 1) {
        name = batch_argument(batch, command, 1, &length_bytes);
        return name_is(name, length_bytes, "pause");
    }
    if (!node_password_required(shard->node)) {
        return false;
    }
    if (authenticated) {
        return name_is(name, length_bytes, "reset");
    }
    return name_is(name, length_bytes, "auth") || name_is(name, length_bytes, "hello");
}
