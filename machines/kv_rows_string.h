#ifndef WEIR_MACHINES_KV_ROWS_STRING_H
#define WEIR_MACHINES_KV_ROWS_STRING_H

/* The rows of the commands about strings and bits (kv_rows.h). Their ids are 1 to 99. */

#define KV_ROWS_STRING(X)                                                                          \
    X(GET, kv_get, NULL, "get", 1, 2, KV_READ_FAST, 1, 1, 1, "string", "1.0.0",                    \
      "Get the value of a key", "key")                                                             \
    X(SET, kv_set, kv_validate_string, "set", 2, -3, KV_GROW, 1, 1, 1, "string", "1.0.0",          \
      "Set the string value of a key",                                                             \
      "key value [NX | XX] [GET] [EX seconds | PX milliseconds | EXAT "                            \
      "unix-time-seconds | PXAT unix-time-milliseconds | KEEPTTL]")                                \
    X(INCR, kv_incr, NULL, "incr", 5, 2, KV_GROW_FAST, 1, 1, 1, "string", "1.0.0",                 \
      "Increment the integer value of a key by one", "key")                                        \
    X(DECR, kv_decr, NULL, "decr", 6, 2, KV_GROW_FAST, 1, 1, 1, "string", "1.0.0",                 \
      "Decrement the integer value of a key by one", "key")                                        \
    X(INCRBY, kv_incrby, kv_validate_string, "incrby", 7, 3, KV_GROW_FAST, 1, 1, 1, "string",      \
      "1.0.0", "Increment the integer value of a key by the given amount", "key increment")        \
    X(APPEND, kv_append, NULL, "append", 8, 3, KV_GROW_FAST, 1, 1, 1, "string", "2.0.0",           \
      "Append a value to a key", "key value")                                                      \
    X(STRLEN, kv_strlen, NULL, "strlen", 9, 2, KV_READ_FAST, 1, 1, 1, "string", "2.2.0",           \
      "Get the length of the value stored in a key", "key")                                        \
    X(MGET, kv_mget, NULL, "mget", 10, -2, KV_READ_FAST, 1, -1, 1, "string", "1.0.0",              \
      "Get the values of all the given keys", "key [key ...]")                                     \
    X(MSET, kv_mset, kv_validate_string, "mset", 11, -3, KV_GROW, 1, -1, 2, "string", "1.0.1",     \
      "Set multiple keys to multiple values", "key value [key value ...]")                         \
    X(GETSET, kv_getset, NULL, "getset", 23, 3, KV_GROW_FAST, 1, 1, 1, "string", "1.0.0",          \
      "Set the string value of a key and return its old value", "key value")                       \
    X(GETDEL, kv_getdel, NULL, "getdel", 24, 2, KV_WRITE_FAST, 1, 1, 1, "string", "6.2.0",         \
      "Get the value of a key and delete the key", "key")                                          \
    X(GETEX, kv_getex, kv_validate_string, "getex", 25, -2, KV_WRITE_FAST, 1, 1, 1, "string",      \
      "6.2.0", "Get the value of a key and optionally set its expiration",                         \
      "key [EX seconds | PX milliseconds | EXAT unix-time-seconds | PXAT "                         \
      "unix-time-milliseconds | PERSIST]")                                                         \
    X(SETNX, kv_setnx, NULL, "setnx", 26, 3, KV_GROW_FAST, 1, 1, 1, "string", "1.0.0",             \
      "Set the value of a key, only if the key does not exist", "key value")                       \
    X(SETEX, kv_setex, kv_validate_string, "setex", 27, 4, KV_GROW, 1, 1, 1, "string", "2.0.0",    \
      "Set the value and expiration of a key", "key seconds value")                                \
    X(PSETEX, kv_setex, kv_validate_string, "psetex", 28, 4, KV_GROW, 1, 1, 1, "string", "2.6.0",  \
      "Set the value and expiration in milliseconds of a key", "key milliseconds value")           \
    X(MSETNX, kv_msetnx, kv_validate_string, "msetnx", 29, -3, KV_GROW, 1, -1, 2, "string",        \
      "1.0.1", "Set multiple keys to multiple values, only if none of the keys exist",             \
      "key value [key value ...]")                                                                 \
    X(GETRANGE, kv_getrange, kv_validate_parts, "getrange", 30, 4, KV_READ, 1, 1, 1, "string",     \
      "2.4.0", "Get a substring of the string stored at a key", "key start end")                   \
    X(SUBSTR, kv_getrange, kv_validate_parts, "substr", 31, 4, KV_READ, 1, 1, 1, "string",         \
      "1.0.0", "Get a substring of the string stored at a key", "key start end")                   \
    X(SETRANGE, kv_setrange, kv_validate_parts, "setrange", 32, 4, KV_AMPLIFY, 1, 1, 1, "string",  \
      "2.2.0", "Overwrite part of a string at key starting at the specified offset",               \
      "key offset value")                                                                          \
    X(INCRBYFLOAT, kv_incrbyfloat, kv_validate_parts, "incrbyfloat", 33, 3, KV_AMPLIFY_FAST, 1, 1, \
      1, "string", "2.6.0", "Increment the float value of a key by the given amount",              \
      "key increment")                                                                             \
    X(DECRBY, kv_decrby, kv_validate_string, "decrby", 34, 3, KV_GROW_FAST, 1, 1, 1, "string",     \
      "1.0.0", "Decrement the integer value of a key by the given number", "key decrement")        \
    X(LCS, kv_lcs, NULL, "lcs", 35, -3, KV_READ, 1, 2, 1, "string", "7.0.0",                       \
      "Find longest common substring",                                                             \
      "key1 key2 [LEN] [IDX] [MINMATCHLEN min-match-len] [WITHMATCHLEN]")                          \
    X(SETBIT, kv_setbit, kv_validate_parts, "setbit", 36, 4, KV_AMPLIFY, 1, 1, 1, "bitmap",        \
      "2.2.0", "Sets or clears the bit at offset in the string value stored at key",               \
      "key offset value")                                                                          \
    X(GETBIT, kv_getbit, kv_validate_parts, "getbit", 37, 3, KV_READ_FAST, 1, 1, 1, "bitmap",      \
      "2.2.0", "Returns the bit value at offset in the string value stored at key", "key offset")  \
    X(BITCOUNT, kv_bitcount, NULL, "bitcount", 38, -2, KV_READ, 1, 1, 1, "bitmap", "2.6.0",        \
      "Count set bits in a string", "key [start end [BYTE | BIT]]")                                \
    X(BITPOS, kv_bitpos, kv_validate_parts, "bitpos", 39, -3, KV_READ, 1, 1, 1, "bitmap", "2.8.7", \
      "Find first bit set or clear in a string", "key bit [start [end [BYTE | BIT]]]")             \
    X(BITOP, kv_bitop, kv_validate_parts, "bitop", 40, -4, KV_AMPLIFY, 2, -1, 1, "bitmap",         \
      "2.6.0", "Perform bitwise operations between strings", "operation destkey key [key ...]")    \
    X(CAS, kv_cas, kv_validate_string, "cas", 41, -4, KV_GROW, 1, 1, 1, "string", "0.1.0",         \
      "Set the value of a key, or delete it, only if its value is the expected one",               \
      "key expected new [ABSENT] [DELETE | EX seconds | PX milliseconds | EXAT "                   \
      "unix-time-seconds | PXAT unix-time-milliseconds | KEEPTTL]")

#endif
