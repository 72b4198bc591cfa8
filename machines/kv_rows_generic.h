#ifndef WEIR_MACHINES_KV_ROWS_GENERIC_H
#define WEIR_MACHINES_KV_ROWS_GENERIC_H

/* The rows of the commands about keys, whatever their type (kv_rows.h). Their ids are 1 to 99, and
 * 240 on. */

#define KV_ROWS_GENERIC(X)                                                                         \
    X(DEL, kv_del, NULL, "del", 3, -2, KV_WRITE, 1, -1, 1, "generic", "1.0.0", "Delete a key",     \
      "key [key ...]")                                                                             \
    X(EXISTS, kv_exists, NULL, "exists", 4, -2, KV_READ_FAST, 1, -1, 1, "generic", "1.0.0",        \
      "Determine if a key exists", "key [key ...]")                                                \
    X(TTL, kv_ttl, NULL, "ttl", 12, 2, KV_READ_FAST | MACHINE_CLOCK, 1, 1, 1, "generic", "1.0.0",  \
      "Get the time to live for a key in seconds", "key")                                          \
    X(PTTL, kv_pttl, NULL, "pttl", 13, 2, KV_READ_FAST | MACHINE_CLOCK, 1, 1, 1, "generic",        \
      "2.6.0", "Get the time to live for a key in milliseconds", "key")                            \
    X(EXPIRE, kv_expire, kv_validate_generic, "expire", 14, -3, KV_WRITE_FAST, 1, 1, 1, "generic", \
      "1.0.0", "Set a key's time to live in seconds", "key seconds [NX | XX | GT | LT]")           \
    X(PEXPIRE, kv_expire, kv_validate_generic, "pexpire", 15, -3, KV_WRITE_FAST, 1, 1, 1,          \
      "generic", "2.6.0", "Set a key's time to live in milliseconds",                              \
      "key milliseconds [NX | XX | GT | LT]")                                                      \
    X(PERSIST, kv_persist, NULL, "persist", 16, 2, KV_WRITE_FAST, 1, 1, 1, "generic", "2.2.0",     \
      "Remove the expiration from a key", "key")                                                   \
    X(TYPE, kv_type, NULL, "type", 17, 2, KV_READ_FAST, 1, 1, 1, "generic", "1.0.0",               \
      "Determine the type stored at key", "key")                                                   \
    X(DBSIZE, kv_dbsize, NULL, "dbsize", 18, 1, KV_READ_FAST | MACHINE_ALL_KEYS, 0, 0, 0,          \
      "server", "1.0.0", "Return the number of keys in the selected database", "")                 \
    X(FLUSHALL, kv_flush, kv_validate_generic, "flushall", 19, -1, KV_WRITE | MACHINE_ALL_KEYS, 0, \
      0, 0, "server", "1.0.0", "Remove all keys from all databases", "[ASYNC | SYNC]")             \
    X(FLUSHDB, kv_flush, kv_validate_generic, "flushdb", 20, -1, KV_WRITE | MACHINE_ALL_KEYS, 0,   \
      0, 0, "server", "1.0.0", "Remove all keys from the current database", "[ASYNC | SYNC]")      \
    X(KEYS, kv_keys, NULL, "keys", 21, 2, KV_LIST_ALL, 0, 0, 0, "generic", "1.0.0",                \
      "Find all keys matching the given pattern", "pattern")                                       \
    X(SCAN, kv_scan, kv_validate_generic, "scan", 22, -2, KV_LIST_ALL, 0, 0, 0, "generic",         \
      "2.8.0", "Incrementally iterate the keys space",                                             \
      "cursor [MATCH pattern] [COUNT count] [TYPE type]")                                          \
    X(UNLINK, kv_del, NULL, "unlink", 42, -2, KV_WRITE_FAST, 1, -1, 1, "generic", "4.0.0",         \
      "Delete a key, its memory being given back as with DEL", "key [key ...]")                    \
    X(TOUCH, kv_exists, NULL, "touch", 43, -2, KV_READ_FAST, 1, -1, 1, "generic", "3.2.1",         \
      "Returns the number of existing keys specified", "key [key ...]")                            \
    X(RENAME, kv_rename, NULL, "rename", 44, 3, KV_WRITE, 1, 2, 1, "generic", "1.0.0",             \
      "Rename a key", "key newkey")                                                                \
    X(RENAMENX, kv_rename, NULL, "renamenx", 45, 3, KV_WRITE_FAST, 1, 2, 1, "generic", "1.0.0",    \
      "Rename a key, only if the new key does not exist", "key newkey")                            \
    X(COPY, kv_copy, kv_validate_generic, "copy", 46, -3, KV_AMPLIFY, 1, 2, 1, "generic", "6.2.0", \
      "Copy a key", "source destination [DB destination-db] [REPLACE]")                            \
    X(RANDOMKEY, kv_randomkey, NULL, "randomkey", 47, 1, KV_LIST_ALL, 0, 0, 0, "generic", "1.0.0", \
      "Return a random key from the keyspace", "")                                                 \
    X(EXPIREAT, kv_expire, kv_validate_generic, "expireat", 48, -3, KV_WRITE_FAST, 1, 1, 1,        \
      "generic", "1.2.0", "Set the expiration for a key as a UNIX timestamp",                      \
      "key unix-time-seconds [NX | XX | GT | LT]")                                                 \
    X(PEXPIREAT, kv_expire, kv_validate_generic, "pexpireat", 49, -3, KV_WRITE_FAST, 1, 1, 1,      \
      "generic", "2.6.0",                                                                          \
      "Set the expiration for a key as a UNIX timestamp specified in milliseconds",                \
      "key unix-time-milliseconds [NX | XX | GT | LT]")                                            \
    X(EXPIRETIME, kv_expiretime, NULL, "expiretime", 50, 2, KV_READ_FAST, 1, 1, 1, "generic",      \
      "7.0.0", "Get the expiration Unix timestamp for a key", "key")                               \
    X(PEXPIRETIME, kv_expiretime, NULL, "pexpiretime", 51, 2, KV_READ_FAST, 1, 1, 1, "generic",    \
      "7.0.0", "Get the expiration Unix timestamp for a key in milliseconds", "key")               \
    X(MEMORY, kv_memory, kv_validate_generic, "memory", 242, -2, KV_READ, 2, 2, 1, "server",       \
      "4.0.0", "Tell how many bytes of memory a key costs", "USAGE key [SAMPLES count] | HELP")    \
    X(OBJECT, kv_object, kv_validate_generic, "object", 52, -2, KV_READ, 2, 2, 1, "generic",       \
      "2.2.3", "Tell how the value of a key is encoded", "ENCODING key | HELP")                    \
    X(SORT, kv_sort, kv_validate_sort, "sort", 240, -2, KV_AMPLIFY | MACHINE_ODD_KEYS, 1, 1, 1,    \
      "generic", "1.0.0", "Sort the elements in a list, set or sorted set",                        \
      "key [BY nosort] [LIMIT offset count] [ASC | DESC] [ALPHA] [STORE destination]")             \
    X(SORT_RO, kv_sort, kv_validate_sort, "sort_ro", 241, -2, KV_READ, 1, 1, 1, "generic",         \
      "7.0.0", "Sort the elements in a list, set or sorted set. Read-only variant of SORT.",       \
      "key [BY nosort] [LIMIT offset count] [ASC | DESC] [ALPHA]")

#endif
