/*
 * The command table: what the world is told (COMMAND, COMMAND DOCS), and what parse and validate
 * need. Its rows are in kv_rows.h and the files of the types. Ids stand in the log for ever: a new
 * command takes the next free one of its type, wherever its row is.
 *
 * Not here although Redis has them in these groups: whatever is not listed is unknown.
 */

#include "machines/kv.h"

enum {
    KV_READ = MACHINE_READ,
    KV_READ_FAST = MACHINE_READ | MACHINE_FAST,
    KV_READ_UNORDERED = MACHINE_READ | MACHINE_UNORDERED,
    KV_WRITE = MACHINE_WRITE,
    KV_WRITE_FAST = MACHINE_WRITE | MACHINE_FAST,
    KV_GROW = MACHINE_WRITE | MACHINE_GROWS,
    KV_GROW_FAST = MACHINE_WRITE | MACHINE_GROWS | MACHINE_FAST,
    KV_AMPLIFY = MACHINE_WRITE | MACHINE_GROWS | MACHINE_AMPLIFIES,
    KV_AMPLIFY_FAST = KV_AMPLIFY | MACHINE_FAST,
    KV_LIST_ALL = MACHINE_READ | MACHINE_ALL_KEYS | MACHINE_UNORDERED,
};

#define KV_COMMAND(row, execute, validate, command, number, argument_count, flag_set, first, last, \
                   step, command_group, version, text, form)                                       \
    [KV_ROW_##row] = {.name = command,                                                             \
                      .summary = text,                                                             \
                      .arguments = form,                                                           \
                      .group = command_group,                                                      \
                      .since = version,                                                            \
                      .id = number,                                                                \
                      .arity = argument_count,                                                     \
                      .flags = flag_set,                                                           \
                      .first_key = first,                                                          \
                      .last_key = last,                                                            \
                      .key_step = step},

const struct machine_command kv_commands[KV_ROWS] = {KV_ROWS_ALL(KV_COMMAND)};
