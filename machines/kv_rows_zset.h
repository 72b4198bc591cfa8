#ifndef WEIR_MACHINES_KV_ROWS_ZSET_H
#define WEIR_MACHINES_KV_ROWS_ZSET_H

/* The rows of the commands about sorted sets (kv_rows.h). Their ids are 160 to 199. */

#define KV_ROWS_ZSET(X)                                                                            \
    X(ZADD, kv_zadd, kv_validate_zset, "zadd", 160, -4, KV_GROW_FAST, 1, 1, 1, "sorted-set",       \
      "1.2.0",                                                                                     \
      "Add one or more members to a sorted set, or update its score if it already exists",         \
      "key [NX | XX] [GT | LT] [CH] [INCR] score member [score member ...]")                       \
    X(ZREM, kv_zrem, NULL, "zrem", 161, -3, KV_WRITE_FAST, 1, 1, 1, "sorted-set", "1.2.0",         \
      "Remove one or more members from a sorted set", "key member [member ...]")                   \
    X(ZSCORE, kv_zscore, NULL, "zscore", 162, 3, KV_READ_FAST, 1, 1, 1, "sorted-set", "1.2.0",     \
      "Get the score associated with the given member in a sorted set", "key member")              \
    X(ZMSCORE, kv_zmscore, NULL, "zmscore", 163, -3, KV_READ_FAST, 1, 1, 1, "sorted-set", "6.2.0", \
      "Get the score associated with the given members in a sorted set",                           \
      "key member [member ...]")                                                                   \
    X(ZINCRBY, kv_zadd, kv_validate_zset, "zincrby", 164, 4, KV_GROW_FAST, 1, 1, 1, "sorted-set",  \
      "1.2.0", "Increment the score of a member in a sorted set", "key increment member")          \
    X(ZCARD, kv_zcard, NULL, "zcard", 165, 2, KV_READ_FAST, 1, 1, 1, "sorted-set", "1.2.0",        \
      "Get the number of members in a sorted set", "key")                                          \
    X(ZCOUNT, kv_zcount, kv_validate_zset, "zcount", 166, 4, KV_READ_FAST, 1, 1, 1, "sorted-set",  \
      "2.0.0", "Count the members in a sorted set with scores within the given values",            \
      "key min max")                                                                               \
    X(ZLEXCOUNT, kv_zcount, kv_validate_zset, "zlexcount", 167, 4, KV_READ_FAST, 1, 1, 1,          \
      "sorted-set", "2.8.9",                                                                       \
      "Count the number of members in a sorted set between a given lexicographical range",         \
      "key min max")                                                                               \
    X(ZRANK, kv_zrank, NULL, "zrank", 168, 3, KV_READ_FAST, 1, 1, 1, "sorted-set", "2.0.0",        \
      "Determine the index of a member in a sorted set", "key member")                             \
    X(ZREVRANK, kv_zrank, NULL, "zrevrank", 169, 3, KV_READ_FAST, 1, 1, 1, "sorted-set", "2.0.0",  \
      "Determine the index of a member in a sorted set, with scores ordered from high to low",     \
      "key member")                                                                                \
    X(ZRANGE, kv_zrange, kv_validate_zset, "zrange", 170, -4, KV_READ, 1, 1, 1, "sorted-set",      \
      "1.2.0", "Return a range of members in a sorted set",                                        \
      "key start stop [BYSCORE | BYLEX] [REV] [LIMIT offset count] [WITHSCORES]")                  \
    X(ZREVRANGE, kv_zrange, kv_validate_zset, "zrevrange", 171, -4, KV_READ, 1, 1, 1,              \
      "sorted-set", "1.2.0",                                                                       \
      "Return a range of members in a sorted set, by index, with scores ordered from high to low", \
      "key start stop [WITHSCORES]")                                                               \
    X(ZRANGEBYSCORE, kv_zrange, kv_validate_zset, "zrangebyscore", 172, -4, KV_READ, 1, 1, 1,      \
      "sorted-set", "1.0.5", "Return a range of members in a sorted set, by score",                \
      "key min max [WITHSCORES] [LIMIT offset count]")                                             \
    X(ZREVRANGEBYSCORE, kv_zrange, kv_validate_zset, "zrevrangebyscore", 173, -4, KV_READ, 1, 1,   \
      1, "sorted-set", "2.2.0",                                                                    \
      "Return a range of members in a sorted set, by score, with scores ordered from high to low", \
      "key max min [WITHSCORES] [LIMIT offset count]")                                             \
    X(ZRANGEBYLEX, kv_zrange, kv_validate_zset, "zrangebylex", 174, -4, KV_READ, 1, 1, 1,          \
      "sorted-set", "2.8.9",                                                                       \
      "Return a range of members in a sorted set, by lexicographical range",                       \
      "key min max [LIMIT offset count]")                                                          \
    X(ZREVRANGEBYLEX, kv_zrange, kv_validate_zset, "zrevrangebylex", 175, -4, KV_READ, 1, 1, 1,    \
      "sorted-set", "2.8.9",                                                                       \
      "Return a range of members in a sorted set, by lexicographical range, "                      \
      "ordered from higher to lower strings",                                                      \
      "key max min [LIMIT offset count]")                                                          \
    X(ZRANGESTORE, kv_zrangestore, kv_validate_zset, "zrangestore", 176, -5, KV_AMPLIFY, 1, 2, 1,  \
      "sorted-set", "6.2.0", "Store a range of members from sorted set into another key",          \
      "dst src min max [BYSCORE | BYLEX] [REV] [LIMIT offset count]")                              \
    X(ZREMRANGEBYRANK, kv_zremrange, kv_validate_zset, "zremrangebyrank", 177, 4, KV_WRITE, 1, 1,  \
      1, "sorted-set", "2.0.0", "Remove all members in a sorted set within the given indexes",     \
      "key start stop")                                                                            \
    X(ZREMRANGEBYSCORE, kv_zremrange, kv_validate_zset, "zremrangebyscore", 178, 4, KV_WRITE, 1,   \
      1, 1, "sorted-set", "1.2.0", "Remove all members in a sorted set within the given scores",   \
      "key min max")                                                                               \
    X(ZREMRANGEBYLEX, kv_zremrange, kv_validate_zset, "zremrangebylex", 179, 4, KV_WRITE, 1, 1, 1, \
      "sorted-set", "2.8.9",                                                                       \
      "Remove all members in a sorted set between the given lexicographical range", "key min max") \
    X(ZPOPMIN, kv_zpop, kv_validate_zset, "zpopmin", 180, -2, KV_WRITE_FAST, 1, 1, 1,              \
      "sorted-set", "5.0.0", "Remove and return members with the lowest scores in a sorted set",   \
      "key [count]")                                                                               \
    X(ZPOPMAX, kv_zpop, kv_validate_zset, "zpopmax", 181, -2, KV_WRITE_FAST, 1, 1, 1,              \
      "sorted-set", "5.0.0", "Remove and return members with the highest scores in a sorted set",  \
      "key [count]")                                                                               \
    X(ZMPOP, kv_zmpop, kv_validate_zset, "zmpop", 182, -4, KV_WRITE | MACHINE_ODD_KEYS, 0, 0, 0,   \
      "sorted-set", "7.0.0", "Remove and return members with scores in a sorted set",              \
      "numkeys key [key ...] MIN | MAX [COUNT count]")                                             \
    X(ZUNION, kv_zalgebra, kv_validate_zset, "zunion", 183, -3, KV_READ | MACHINE_ODD_KEYS, 0, 0,  \
      0, "sorted-set", "6.2.0", "Add multiple sorted sets",                                        \
      "numkeys key [key ...] [WEIGHTS weight [weight ...]] "                                       \
      "[AGGREGATE SUM | MIN | MAX] [WITHSCORES]")                                                  \
    X(ZINTER, kv_zalgebra, kv_validate_zset, "zinter", 184, -3, KV_READ | MACHINE_ODD_KEYS, 0, 0,  \
      0, "sorted-set", "6.2.0", "Intersect multiple sorted sets",                                  \
      "numkeys key [key ...] [WEIGHTS weight [weight ...]] "                                       \
      "[AGGREGATE SUM | MIN | MAX] [WITHSCORES]")                                                  \
    X(ZDIFF, kv_zalgebra, kv_validate_zset, "zdiff", 185, -3, KV_READ | MACHINE_ODD_KEYS, 0, 0, 0, \
      "sorted-set", "6.2.0", "Subtract multiple sorted sets",                                      \
      "numkeys key [key ...] [WITHSCORES]")                                                        \
    X(ZUNIONSTORE, kv_zalgebra, kv_validate_zset, "zunionstore", 186, -4,                          \
      KV_AMPLIFY | MACHINE_ODD_KEYS, 1, 1, 1, "sorted-set", "2.0.0",                               \
      "Add multiple sorted sets and store the resulting sorted set in a new key",                  \
      "destination numkeys key [key ...] [WEIGHTS weight [weight ...]] "                           \
      "[AGGREGATE SUM | MIN | MAX]")                                                               \
    X(ZINTERSTORE, kv_zalgebra, kv_validate_zset, "zinterstore", 187, -4,                          \
      KV_AMPLIFY | MACHINE_ODD_KEYS, 1, 1, 1, "sorted-set", "2.0.0",                               \
      "Intersect multiple sorted sets and store the resulting sorted set in a new key",            \
      "destination numkeys key [key ...] [WEIGHTS weight [weight ...]] "                           \
      "[AGGREGATE SUM | MIN | MAX]")                                                               \
    X(ZDIFFSTORE, kv_zalgebra, kv_validate_zset, "zdiffstore", 188, -4,                            \
      KV_AMPLIFY | MACHINE_ODD_KEYS, 1, 1, 1, "sorted-set", "6.2.0",                               \
      "Subtract multiple sorted sets and store the resulting sorted set in a new key",             \
      "destination numkeys key [key ...]")                                                         \
    X(ZINTERCARD, kv_zalgebra, kv_validate_zset, "zintercard", 189, -3,                            \
      KV_READ | MACHINE_ODD_KEYS, 0, 0, 0, "sorted-set", "7.0.0",                                  \
      "Intersect multiple sorted sets and return the cardinality of the result",                   \
      "numkeys key [key ...] [LIMIT limit]")                                                       \
    X(ZRANDMEMBER, kv_zrandmember, kv_validate_zset, "zrandmember", 190, -2, KV_READ_UNORDERED, 1, \
      1, 1, "sorted-set", "6.2.0", "Get one or multiple random elements from a sorted set",        \
      "key [count [WITHSCORES]]")                                                                  \
    X(ZSCAN, kv_zscan, kv_validate_scan_elements, "zscan", 191, -3, KV_READ_UNORDERED, 1, 1, 1,    \
      "sorted-set", "2.8.0", "Incrementally iterate sorted sets elements and associated scores",   \
      "key cursor [MATCH pattern] [COUNT count]")

#endif
