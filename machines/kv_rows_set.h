#ifndef WEIR_MACHINES_KV_ROWS_SET_H
#define WEIR_MACHINES_KV_ROWS_SET_H

/* The rows of the commands about sets (kv_rows.h). Their ids are 130 to 159. */

#define KV_ROWS_SET(X)                                                                             \
    X(SADD, kv_sadd, kv_validate_set, "sadd", 130, -3, KV_GROW_FAST, 1, 1, 1, "set", "1.0.0",      \
      "Add one or more members to a set", "key member [member ...]")                               \
    X(SREM, kv_srem, NULL, "srem", 131, -3, KV_WRITE_FAST, 1, 1, 1, "set", "1.0.0",                \
      "Remove one or more members from a set", "key member [member ...]")                          \
    X(SISMEMBER, kv_sismember, NULL, "sismember", 132, 3, KV_READ_FAST, 1, 1, 1, "set", "1.0.0",   \
      "Determine if a given value is a member of a set", "key member")                             \
    X(SMISMEMBER, kv_smismember, NULL, "smismember", 133, -3, KV_READ_FAST, 1, 1, 1, "set",        \
      "6.2.0", "Returns the membership associated with the given elements for a set",              \
      "key member [member ...]")                                                                   \
    X(SMEMBERS, kv_smembers, NULL, "smembers", 134, 2, KV_READ_UNORDERED, 1, 1, 1, "set", "1.0.0", \
      "Get all the members in a set", "key")                                                       \
    X(SCARD, kv_scard, NULL, "scard", 135, 2, KV_READ_FAST, 1, 1, 1, "set", "1.0.0",               \
      "Get the number of members in a set", "key")                                                 \
    X(SPOP, kv_spop, kv_validate_set, "spop", 136, -2, KV_WRITE_FAST | MACHINE_UNORDERED, 1, 1, 1, \
      "set", "1.0.0", "Remove and return one or multiple random members from a set",               \
      "key [count]")                                                                               \
    X(SRANDMEMBER, kv_srandmember, kv_validate_set, "srandmember", 137, -2, KV_READ_UNORDERED, 1,  \
      1, 1, "set", "1.0.0", "Get one or multiple random members from a set", "key [count]")        \
    X(SMOVE, kv_smove, NULL, "smove", 138, 4, KV_WRITE_FAST, 1, 2, 1, "set", "1.0.0",              \
      "Move a member from one set to another", "source destination member")                        \
    X(SINTER, kv_sinter, NULL, "sinter", 139, -2, KV_READ_UNORDERED, 1, -1, 1, "set", "1.0.0",     \
      "Intersect multiple sets", "key [key ...]")                                                  \
    X(SINTERSTORE, kv_sinterstore, NULL, "sinterstore", 140, -3, KV_AMPLIFY, 1, -1, 1, "set",      \
      "1.0.0", "Intersect multiple sets and store the resulting set in a key",                     \
      "destination key [key ...]")                                                                 \
    X(SUNION, kv_sunion, NULL, "sunion", 141, -2, KV_READ_UNORDERED, 1, -1, 1, "set", "1.0.0",     \
      "Add multiple sets", "key [key ...]")                                                        \
    X(SUNIONSTORE, kv_sunionstore, NULL, "sunionstore", 142, -3, KV_AMPLIFY, 1, -1, 1, "set",      \
      "1.0.0", "Add multiple sets and store the resulting set in a key",                           \
      "destination key [key ...]")                                                                 \
    X(SDIFF, kv_sdiff, NULL, "sdiff", 143, -2, KV_READ_UNORDERED, 1, -1, 1, "set", "1.0.0",        \
      "Subtract multiple sets", "key [key ...]")                                                   \
    X(SDIFFSTORE, kv_sdiffstore, NULL, "sdiffstore", 144, -3, KV_AMPLIFY, 1, -1, 1, "set",         \
      "1.0.0", "Subtract multiple sets and store the resulting set in a key",                      \
      "destination key [key ...]")                                                                 \
    X(SINTERCARD, kv_sintercard, kv_validate_set, "sintercard", 145, -3,                           \
      KV_READ | MACHINE_ODD_KEYS, 0, 0, 0, "set", "7.0.0",                                         \
      "Intersect multiple sets and return the cardinality of the result",                          \
      "numkeys key [key ...] [LIMIT limit]")                                                       \
    X(SSCAN, kv_sscan, kv_validate_scan_elements, "sscan", 146, -3, KV_READ_UNORDERED, 1, 1, 1,    \
      "set", "2.8.0", "Incrementally iterate Set elements",                                        \
      "key cursor [MATCH pattern] [COUNT count]")

#endif
