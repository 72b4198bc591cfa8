#ifndef WEIR_MACHINES_KV_ROWS_HASH_H
#define WEIR_MACHINES_KV_ROWS_HASH_H

/* The rows of the commands about hashes (kv_rows.h). Their ids are 200 to 239. */

#define KV_ROWS_HASH(X)                                                                            \
    X(HGET, kv_hget, NULL, "hget", 200, 3, KV_READ_FAST, 1, 1, 1, "hash", "2.0.0",                 \
      "Get the value of a hash field", "key field")                                                \
    X(HSET, kv_hset, kv_validate_hash, "hset", 201, -4, KV_GROW_FAST, 1, 1, 1, "hash", "2.0.0",    \
      "Set the string value of a hash field", "key field value [field value ...]")                 \
    X(HDEL, kv_hdel, NULL, "hdel", 202, -3, KV_WRITE_FAST, 1, 1, 1, "hash", "2.0.0",               \
      "Delete one or more hash fields", "key field [field ...]")                                   \
    X(HLEN, kv_hlen, NULL, "hlen", 203, 2, KV_READ_FAST, 1, 1, 1, "hash", "2.0.0",                 \
      "Get the number of fields in a hash", "key")                                                 \
    X(HMSET, kv_hset, kv_validate_hash, "hmset", 204, -4, KV_GROW_FAST, 1, 1, 1, "hash", "2.0.0",  \
      "Set multiple hash fields to multiple values", "key field value [field value ...]")          \
    X(HMGET, kv_hmget, NULL, "hmget", 205, -3, KV_READ_FAST, 1, 1, 1, "hash", "2.0.0",             \
      "Get the values of all the given hash fields", "key field [field ...]")                      \
    X(HGETALL, kv_hgetall, NULL, "hgetall", 206, 2, KV_READ | MACHINE_UNORDERED, 1, 1, 1, "hash",  \
      "2.0.0", "Get all the fields and values in a hash", "key")                                   \
    X(HKEYS, kv_hgetall, NULL, "hkeys", 207, 2, KV_READ | MACHINE_UNORDERED, 1, 1, 1, "hash",      \
      "2.0.0", "Get all the fields in a hash", "key")                                              \
    X(HVALS, kv_hgetall, NULL, "hvals", 208, 2, KV_READ | MACHINE_UNORDERED, 1, 1, 1, "hash",      \
      "2.0.0", "Get all the values in a hash", "key")                                              \
    X(HEXISTS, kv_hexists, NULL, "hexists", 209, 3, KV_READ_FAST, 1, 1, 1, "hash", "2.0.0",        \
      "Determine if a hash field exists", "key field")                                             \
    X(HSTRLEN, kv_hstrlen, NULL, "hstrlen", 210, 3, KV_READ_FAST, 1, 1, 1, "hash", "3.2.0",        \
      "Get the length of the value of a hash field", "key field")                                  \
    X(HSETNX, kv_hsetnx, kv_validate_hash, "hsetnx", 211, 4, KV_GROW_FAST, 1, 1, 1, "hash",        \
      "2.0.0", "Set the value of a hash field, only if the field does not exist",                  \
      "key field value")                                                                           \
    X(HINCRBY, kv_hincrby, kv_validate_hash, "hincrby", 212, 4, KV_GROW_FAST, 1, 1, 1, "hash",     \
      "2.0.0", "Increment the integer value of a hash field by the given number",                  \
      "key field increment")                                                                       \
    X(HINCRBYFLOAT, kv_hincrbyfloat, kv_validate_hash, "hincrbyfloat", 213, 4, KV_AMPLIFY_FAST, 1, \
      1, 1, "hash", "2.6.0", "Increment the float value of a hash field by the given amount",      \
      "key field increment")                                                                       \
    X(HSCAN, kv_hscan, kv_validate_scan_elements, "hscan", 214, -3, KV_READ | MACHINE_UNORDERED,   \
      1, 1, 1, "hash", "2.8.0", "Incrementally iterate hash fields and associated values",         \
      "key cursor [MATCH pattern] [COUNT count]")                                                  \
    X(HRANDFIELD, kv_hrandfield, kv_validate_hash, "hrandfield", 215, -2,                          \
      KV_READ | MACHINE_UNORDERED, 1, 1, 1, "hash", "6.2.0",                                       \
      "Get one or multiple random fields from a hash", "key [count [WITHVALUES]]")

#endif
