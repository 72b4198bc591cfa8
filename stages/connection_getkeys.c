/*
 * COMMAND GETKEYS: which arguments of a command are keys.
 *
 * The command stands behind the two words, with its name and, of a container, its subcommand.  Its
 * keys are found as parse finds them.
 */

#include "stages/connection_run.h"

#include <string.h>

#include "base/assert.h"

enum { GETKEYS_NAME = 2 }; /* the argument with the command's name */

/* Where the keys are: arguments of this batch's command. */
struct getkeys {
    struct machine_keys keys;
    uint32_t first; /* the argument that keys count from: the one behind the name */
};

/* The command whose name is argument `name`; false if there is none. */
static bool getkeys_find(const struct connection_run *run, uint32_t name, uint8_t *table,
                         uint16_t *row) {
    uint32_t length = 0;
    const uint8_t *text = batch_argument(run->batch, run->command, name, &length);
    directory_find(run->directory, text, length, table, row);
    if (*table != TABLE_CONNECTION ||
        (connection_commands[*row].flags & CONNECTION_CONTAINER) == 0 ||
        name + 1 == run->command->argument_count) {
        return *table != TABLE_NONE;
    }
    text = batch_argument(run->batch, run->command, name + 1, &length);
    *row = connection_subcommand_find(*row, text, length);
    return *row != CONNECTION_ROW_COUNT;
}

/* The keys of one of our commands: of WATCH all arguments, of ONCE those of the command in it. */
static enum connection_reply getkeys_ours(const struct connection_run *run, uint16_t row,
                                          uint32_t name, struct getkeys *out);

/* The keys of the command whose name is argument `name`: 0, or the error. */
static enum connection_reply getkeys_of(const struct connection_run *run, uint32_t name,
                                        struct getkeys *out) {
    uint8_t table = TABLE_NONE;
    uint16_t row = 0;
    if (!getkeys_find(run, name, &table, &row)) {
        return CONNECTION_REPLY_GETKEYS_COMMAND;
    }
    if (table == TABLE_CONNECTION) {
        return getkeys_ours(run, row, name, out);
    }
    const struct machine_command *command = &directory_machine(run->directory)->commands[row];
    bool is_odd = (command->flags & MACHINE_ODD_KEYS) != 0;
    if (command->first_key == 0 && !is_odd) {
        return CONNECTION_REPLY_GETKEYS_NONE;
    }
    if (!directory_arity_suits(command->arity, run->command->argument_count - name)) {
        return CONNECTION_REPLY_GETKEYS_ARITY;
    }
    directory_keys(run->directory, row, run->batch, run->command, name, &out->keys);
    out->first = name + 1;
    if (machine_keys_count(&out->keys) > 0) {
        return 0;
    }
    return is_odd ? CONNECTION_REPLY_GETKEYS_ARGUMENTS : CONNECTION_REPLY_GETKEYS_NONE;
}

static enum connection_reply getkeys_ours(const struct connection_run *run, uint16_t row,
                                          uint32_t name, struct getkeys *out) {
    uint32_t count = run->command->argument_count - name;
    if (row != CONNECTION_WATCH && row != CONNECTION_ONCE) {
        return CONNECTION_REPLY_GETKEYS_NONE;
    }
    if (!directory_arity_suits(connection_commands[row].arity, count)) {
        return CONNECTION_REPLY_GETKEYS_ARITY;
    }
    if (row == CONNECTION_ONCE) { /* deeper by three arguments each: it ends */
        return getkeys_of(run, name + 3, out);
    }
    out->keys = (struct machine_keys){.run = {{.first = 0, .count = count - 1, .step = 1}}};
    out->first = name + 1;
    return 0;
}

enum connection_step connection_command_getkeys(struct connection_run *run) {
    struct getkeys found = {0};
    ASSERT(run->command->argument_count >= GETKEYS_NAME + 2);
    enum connection_reply error = getkeys_of(run, GETKEYS_NAME, &found);
    return error != 0 ? connection_canned(run, error) : CONNECTION_WRITES;
}

void connection_command_getkeys_write(const struct connection_run *run,
                                      struct reply_writer *writer) {
    struct getkeys found = {0};
    enum connection_reply error = getkeys_of(run, GETKEYS_NAME, &found);
    ASSERT(error == 0);
    uint32_t count = machine_keys_count(&found.keys);
    reply_array(writer, count);
    for (uint32_t key = 0; key < count; key++) {
        uint32_t length = 0;
        const uint8_t *text = batch_argument(
            run->batch, run->command, found.first + machine_keys_at(&found.keys, key), &length);
        reply_bulk(writer, text, length);
    }
}
