/*
 * The command table: what the world is told (COMMAND, COMMAND DOCS), and what parse and validate
 * need. Ids stand in the log for ever: a new command takes the next free one, wherever its row is.
 *
 * Not here although Redis has them in these groups: whatever is not listed is unknown.
 */

#include "machines/kv.h"

enum {
    KV_READ = MACHINE_READ,
    KV_READ_FAST = MACHINE_READ | MACHINE_FAST,
    KV_WRITE = MACHINE_WRITE,
    KV_WRITE_FAST = MACHINE_WRITE | MACHINE_FAST,
    KV_GROW = MACHINE_WRITE | MACHINE_GROWS,
    KV_GROW_FAST = MACHINE_WRITE | MACHINE_GROWS | MACHINE_FAST,
    KV_LIST_ALL = MACHINE_READ | MACHINE_ALL_KEYS | MACHINE_UNORDERED,
};

#define KV_COMMAND(row, command, number, argument_count, flag_set, first, last, step, \
                   command_group, version, text, form)                                \
    [row] = {.name = command,                                                         \
             .summary = text,                                                         \
             .arguments = form,                                                       \
             .group = command_group,                                                  \
             .since = version,                                                        \
             .id = number,                                                            \
             .arity = argument_count,                                                 \
             .flags = flag_set,                                                       \
             .first_key = first,                                                      \
             .last_key = last,                                                        \
             .key_step = step}

/* clang-format off: one command, two lines */
const struct machine_command kv_commands[KV_ROWS] = {
    KV_COMMAND(KV_ROW_GET, "get", 1, 2, KV_READ_FAST, 1, 1, 1, "string", "1.0.0",
               "Get the value of a key", "key"),
    KV_COMMAND(KV_ROW_SET, "set", 2, -3, KV_GROW, 1, 1, 1, "string", "1.0.0",
               "Set the string value of a key",
               "key value [NX | XX] [GET] [EX seconds | PX milliseconds | EXAT unix-time-seconds | "
               "PXAT unix-time-milliseconds | KEEPTTL]"),
    KV_COMMAND(KV_ROW_DEL, "del", 3, -2, KV_WRITE, 1, -1, 1, "generic", "1.0.0", "Delete a key",
               "key [key ...]"),
    KV_COMMAND(KV_ROW_EXISTS, "exists", 4, -2, KV_READ_FAST, 1, -1, 1, "generic", "1.0.0",
               "Determine if a key exists", "key [key ...]"),
    KV_COMMAND(KV_ROW_INCR, "incr", 5, 2, KV_GROW_FAST, 1, 1, 1, "string", "1.0.0",
               "Increment the integer value of a key by one", "key"),
    KV_COMMAND(KV_ROW_DECR, "decr", 6, 2, KV_GROW_FAST, 1, 1, 1, "string", "1.0.0",
               "Decrement the integer value of a key by one", "key"),
    KV_COMMAND(KV_ROW_INCRBY, "incrby", 7, 3, KV_GROW_FAST, 1, 1, 1, "string", "1.0.0",
               "Increment the integer value of a key by the given amount", "key increment"),
    KV_COMMAND(KV_ROW_APPEND, "append", 8, 3, KV_GROW_FAST, 1, 1, 1, "string", "2.0.0",
               "Append a value to a key", "key value"),
    KV_COMMAND(KV_ROW_STRLEN, "strlen", 9, 2, KV_READ_FAST, 1, 1, 1, "string", "2.2.0",
               "Get the length of the value stored in a key", "key"),
    KV_COMMAND(KV_ROW_MGET, "mget", 10, -2, KV_READ_FAST, 1, -1, 1, "string", "1.0.0",
               "Get the values of all the given keys", "key [key ...]"),
    KV_COMMAND(KV_ROW_MSET, "mset", 11, -3, KV_GROW, 1, -1, 2, "string", "1.0.1",
               "Set multiple keys to multiple values", "key value [key value ...]"),
    KV_COMMAND(KV_ROW_TTL, "ttl", 12, 2, KV_READ_FAST | MACHINE_CLOCK, 1, 1, 1, "generic", "1.0.0",
               "Get the time to live for a key in seconds", "key"),
    KV_COMMAND(KV_ROW_PTTL, "pttl", 13, 2, KV_READ_FAST | MACHINE_CLOCK, 1, 1, 1, "generic",
               "2.6.0", "Get the time to live for a key in milliseconds", "key"),
    KV_COMMAND(KV_ROW_EXPIRE, "expire", 14, -3, KV_WRITE_FAST, 1, 1, 1, "generic", "1.0.0",
               "Set a key's time to live in seconds", "key seconds [NX | XX | GT | LT]"),
    KV_COMMAND(KV_ROW_PEXPIRE, "pexpire", 15, -3, KV_WRITE_FAST, 1, 1, 1, "generic", "2.6.0",
               "Set a key's time to live in milliseconds", "key milliseconds [NX | XX | GT | LT]"),
    KV_COMMAND(KV_ROW_PERSIST, "persist", 16, 2, KV_WRITE_FAST, 1, 1, 1, "generic", "2.2.0",
               "Remove the expiration from a key", "key"),
    KV_COMMAND(KV_ROW_TYPE, "type", 17, 2, KV_READ_FAST, 1, 1, 1, "generic", "1.0.0",
               "Determine the type stored at key", "key"),
    KV_COMMAND(KV_ROW_DBSIZE, "dbsize", 18, 1, KV_READ_FAST | MACHINE_ALL_KEYS, 0, 0, 0, "server",
               "1.0.0", "Return the number of keys in the selected database", ""),
    KV_COMMAND(KV_ROW_FLUSHALL, "flushall", 19, -1, KV_WRITE | MACHINE_ALL_KEYS, 0, 0, 0, "server",
               "1.0.0", "Remove all keys from all databases", "[ASYNC | SYNC]"),
    KV_COMMAND(KV_ROW_FLUSHDB, "flushdb", 20, -1, KV_WRITE | MACHINE_ALL_KEYS, 0, 0, 0, "server",
               "1.0.0", "Remove all keys from the current database", "[ASYNC | SYNC]"),
    KV_COMMAND(KV_ROW_KEYS, "keys", 21, 2, KV_LIST_ALL, 0, 0, 0, "generic", "1.0.0",
               "Find all keys matching the given pattern", "pattern"),
    KV_COMMAND(KV_ROW_SCAN, "scan", 22, -2, KV_LIST_ALL, 0, 0, 0, "generic", "2.8.0",
               "Incrementally iterate the keys space",
               "cursor [MATCH pattern] [COUNT count] [TYPE type]"),
};
/* clang-format on */
