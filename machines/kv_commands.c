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
    KV_AMPLIFY = MACHINE_WRITE | MACHINE_GROWS | MACHINE_AMPLIFIES,
    KV_AMPLIFY_FAST = KV_AMPLIFY | MACHINE_FAST,
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
    KV_COMMAND(KV_ROW_GETSET, "getset", 23, 3, KV_GROW_FAST, 1, 1, 1, "string", "1.0.0",
               "Set the string value of a key and return its old value", "key value"),
    KV_COMMAND(KV_ROW_GETDEL, "getdel", 24, 2, KV_WRITE_FAST, 1, 1, 1, "string", "6.2.0",
               "Get the value of a key and delete the key", "key"),
    KV_COMMAND(KV_ROW_GETEX, "getex", 25, -2, KV_WRITE_FAST, 1, 1, 1, "string", "6.2.0",
               "Get the value of a key and optionally set its expiration",
               "key [EX seconds | PX milliseconds | EXAT unix-time-seconds | "
               "PXAT unix-time-milliseconds | PERSIST]"),
    KV_COMMAND(KV_ROW_SETNX, "setnx", 26, 3, KV_GROW_FAST, 1, 1, 1, "string", "1.0.0",
               "Set the value of a key, only if the key does not exist", "key value"),
    KV_COMMAND(KV_ROW_SETEX, "setex", 27, 4, KV_GROW, 1, 1, 1, "string", "2.0.0",
               "Set the value and expiration of a key", "key seconds value"),
    KV_COMMAND(KV_ROW_PSETEX, "psetex", 28, 4, KV_GROW, 1, 1, 1, "string", "2.6.0",
               "Set the value and expiration in milliseconds of a key", "key milliseconds value"),
    KV_COMMAND(KV_ROW_MSETNX, "msetnx", 29, -3, KV_GROW, 1, -1, 2, "string", "1.0.1",
               "Set multiple keys to multiple values, only if none of the keys exist",
               "key value [key value ...]"),
    KV_COMMAND(KV_ROW_GETRANGE, "getrange", 30, 4, KV_READ, 1, 1, 1, "string", "2.4.0",
               "Get a substring of the string stored at a key", "key start end"),
    KV_COMMAND(KV_ROW_SUBSTR, "substr", 31, 4, KV_READ, 1, 1, 1, "string", "1.0.0",
               "Get a substring of the string stored at a key", "key start end"),
    KV_COMMAND(KV_ROW_SETRANGE, "setrange", 32, 4, KV_AMPLIFY, 1, 1, 1, "string", "2.2.0",
               "Overwrite part of a string at key starting at the specified offset",
               "key offset value"),
    KV_COMMAND(KV_ROW_INCRBYFLOAT, "incrbyfloat", 33, 3, KV_AMPLIFY_FAST, 1, 1, 1, "string",
               "2.6.0", "Increment the float value of a key by the given amount", "key increment"),
    KV_COMMAND(KV_ROW_DECRBY, "decrby", 34, 3, KV_GROW_FAST, 1, 1, 1, "string", "1.0.0",
               "Decrement the integer value of a key by the given number", "key decrement"),
    KV_COMMAND(KV_ROW_LCS, "lcs", 35, -3, KV_READ, 1, 2, 1, "string", "7.0.0",
               "Find longest common substring",
               "key1 key2 [LEN] [IDX] [MINMATCHLEN min-match-len] [WITHMATCHLEN]"),
    KV_COMMAND(KV_ROW_SETBIT, "setbit", 36, 4, KV_AMPLIFY, 1, 1, 1, "bitmap", "2.2.0",
               "Sets or clears the bit at offset in the string value stored at key",
               "key offset value"),
    KV_COMMAND(KV_ROW_GETBIT, "getbit", 37, 3, KV_READ_FAST, 1, 1, 1, "bitmap", "2.2.0",
               "Returns the bit value at offset in the string value stored at key", "key offset"),
    KV_COMMAND(KV_ROW_BITCOUNT, "bitcount", 38, -2, KV_READ, 1, 1, 1, "bitmap", "2.6.0",
               "Count set bits in a string", "key [start end [BYTE | BIT]]"),
    KV_COMMAND(KV_ROW_BITPOS, "bitpos", 39, -3, KV_READ, 1, 1, 1, "bitmap", "2.8.7",
               "Find first bit set or clear in a string", "key bit [start [end [BYTE | BIT]]]"),
    KV_COMMAND(KV_ROW_BITOP, "bitop", 40, -4, KV_AMPLIFY, 2, -1, 1, "bitmap", "2.6.0",
               "Perform bitwise operations between strings", "operation destkey key [key ...]"),
    KV_COMMAND(KV_ROW_CAS, "cas", 41, -4, KV_GROW, 1, 1, 1, "string", "0.1.0",
               "Set the value of a key, or delete it, only if its value is the expected one",
               "key expected new [ABSENT] [DELETE | EX seconds | PX milliseconds | "
               "EXAT unix-time-seconds | PXAT unix-time-milliseconds | KEEPTTL]"),
    KV_COMMAND(KV_ROW_UNLINK, "unlink", 42, -2, KV_WRITE_FAST, 1, -1, 1, "generic", "4.0.0",
               "Delete a key, its memory being given back as with DEL", "key [key ...]"),
    KV_COMMAND(KV_ROW_TOUCH, "touch", 43, -2, KV_READ_FAST, 1, -1, 1, "generic", "3.2.1",
               "Returns the number of existing keys specified", "key [key ...]"),
    KV_COMMAND(KV_ROW_RENAME, "rename", 44, 3, KV_WRITE, 1, 2, 1, "generic", "1.0.0",
               "Rename a key", "key newkey"),
    KV_COMMAND(KV_ROW_RENAMENX, "renamenx", 45, 3, KV_WRITE_FAST, 1, 2, 1, "generic", "1.0.0",
               "Rename a key, only if the new key does not exist", "key newkey"),
    KV_COMMAND(KV_ROW_COPY, "copy", 46, -3, KV_AMPLIFY, 1, 2, 1, "generic", "6.2.0", "Copy a key",
               "source destination [DB destination-db] [REPLACE]"),
    KV_COMMAND(KV_ROW_RANDOMKEY, "randomkey", 47, 1, KV_LIST_ALL, 0, 0, 0, "generic", "1.0.0",
               "Return a random key from the keyspace", ""),
    KV_COMMAND(KV_ROW_EXPIREAT, "expireat", 48, -3, KV_WRITE_FAST, 1, 1, 1, "generic", "1.2.0",
               "Set the expiration for a key as a UNIX timestamp",
               "key unix-time-seconds [NX | XX | GT | LT]"),
    KV_COMMAND(KV_ROW_PEXPIREAT, "pexpireat", 49, -3, KV_WRITE_FAST, 1, 1, 1, "generic", "2.6.0",
               "Set the expiration for a key as a UNIX timestamp specified in milliseconds",
               "key unix-time-milliseconds [NX | XX | GT | LT]"),
    KV_COMMAND(KV_ROW_EXPIRETIME, "expiretime", 50, 2, KV_READ_FAST, 1, 1, 1, "generic", "7.0.0",
               "Get the expiration Unix timestamp for a key", "key"),
    KV_COMMAND(KV_ROW_PEXPIRETIME, "pexpiretime", 51, 2, KV_READ_FAST, 1, 1, 1, "generic", "7.0.0",
               "Get the expiration Unix timestamp for a key in milliseconds", "key"),
    KV_COMMAND(KV_ROW_OBJECT, "object", 52, -2, KV_READ, 2, 2, 1, "generic", "2.2.3",
               "Tell how the value of a key is encoded", "ENCODING key | HELP"),
};
/* clang-format on */
