#ifndef WEIR_MACHINES_KV_ROWS_LIST_H
#define WEIR_MACHINES_KV_ROWS_LIST_H

/* The rows of the commands about lists (kv_rows.h). Their ids are 100 to 129. The blocking ones
 * (BLPOP and the like) are not here: a client that waits would be part of the state. */

#define KV_ROWS_LIST(X)                                                                            \
    X(LPUSH, kv_lpush, NULL, "lpush", 100, -3, KV_GROW_FAST, 1, 1, 1, "list", "1.0.0",             \
      "Prepend one or multiple elements to a list", "key element [element ...]")                   \
    X(RPUSH, kv_rpush, NULL, "rpush", 101, -3, KV_GROW_FAST, 1, 1, 1, "list", "1.0.0",             \
      "Append one or multiple elements to a list", "key element [element ...]")                    \
    X(LPUSHX, kv_lpush, NULL, "lpushx", 102, -3, KV_GROW_FAST, 1, 1, 1, "list", "2.2.0",           \
      "Prepend an element to a list, only if the list exists", "key element [element ...]")        \
    X(RPUSHX, kv_rpush, NULL, "rpushx", 103, -3, KV_GROW_FAST, 1, 1, 1, "list", "2.2.0",           \
      "Append an element to a list, only if the list exists", "key element [element ...]")         \
    X(LPOP, kv_lpop, kv_validate_list, "lpop", 104, -2, KV_WRITE_FAST, 1, 1, 1, "list", "1.0.0",   \
      "Remove and get the first elements in a list", "key [count]")                                \
    X(RPOP, kv_rpop, kv_validate_list, "rpop", 105, -2, KV_WRITE_FAST, 1, 1, 1, "list", "1.0.0",   \
      "Remove and get the last elements in a list", "key [count]")                                 \
    X(LLEN, kv_llen, NULL, "llen", 106, 2, KV_READ_FAST, 1, 1, 1, "list", "1.0.0",                 \
      "Get the length of a list", "key")                                                           \
    X(LRANGE, kv_lrange, kv_validate_list, "lrange", 107, 4, KV_READ, 1, 1, 1, "list", "1.0.0",    \
      "Get a range of elements from a list", "key start stop")                                     \
    X(LINDEX, kv_lindex, NULL, "lindex", 108, 3, KV_READ, 1, 1, 1, "list", "1.0.0",                \
      "Get an element from a list by its index", "key index")                                      \
    X(LSET, kv_lset, NULL, "lset", 109, 4, KV_GROW, 1, 1, 1, "list", "1.0.0",                      \
      "Set the value of an element in a list by its index", "key index element")                   \
    X(LINSERT, kv_linsert, kv_validate_list, "linsert", 110, 5, KV_GROW, 1, 1, 1, "list", "2.2.0", \
      "Insert an element before or after another element in a list",                               \
      "key BEFORE | AFTER pivot element")                                                          \
    X(LREM, kv_lrem, kv_validate_list, "lrem", 111, 4, KV_WRITE, 1, 1, 1, "list", "1.0.0",         \
      "Remove elements from a list", "key count element")                                          \
    X(LTRIM, kv_ltrim, kv_validate_list, "ltrim", 112, 4, KV_WRITE, 1, 1, 1, "list", "1.0.0",      \
      "Trim a list to the specified range", "key start stop")                                      \
    X(LPOS, kv_lpos, kv_validate_list, "lpos", 113, -3, KV_READ, 1, 1, 1, "list", "6.0.6",         \
      "Return the index of matching elements on a list",                                           \
      "key element [RANK rank] [COUNT num-matches] [MAXLEN len]")                                  \
    X(LMOVE, kv_lmove, kv_validate_list, "lmove", 114, 5, KV_GROW, 1, 2, 1, "list", "6.2.0",       \
      "Pop an element from a list, push it to another list and return it",                         \
      "source destination LEFT | RIGHT LEFT | RIGHT")                                              \
    X(RPOPLPUSH, kv_rpoplpush, NULL, "rpoplpush", 115, 3, KV_GROW, 1, 2, 1, "list", "1.2.0",       \
      "Remove the last element in a list, prepend it to another list and return it",               \
      "source destination")                                                                        \
    X(LMPOP, kv_lmpop, kv_validate_list, "lmpop", 116, -4, KV_WRITE | MACHINE_ODD_KEYS, 0, 0, 0,   \
      "list", "7.0.0", "Pop elements from a list",                                                 \
      "numkeys key [key ...] LEFT | RIGHT [COUNT count]")

#endif
