#ifndef WEIR_MACHINES_KV_ROWS_HASH_H
#define WEIR_MACHINES_KV_ROWS_HASH_H

/* The rows of the commands about hashes (kv_rows.h). Their ids are 200 to 239. */

#define KV_ROWS_HASH(X)                                                                         \
    X(HGET, kv_hget, NULL, "hget", 200, 3, KV_READ_FAST, 1, 1, 1, "hash", "2.0.0",              \
      "Get the value of a hash field", "key field")                                             \
    X(HSET, kv_hset, kv_validate_hash, "hset", 201, -4, KV_GROW_FAST, 1, 1, 1, "hash", "2.0.0", \
      "Set the string value of a hash field", "key field value [field value ...]")              \
    X(HDEL, kv_hdel, NULL, "hdel", 202, -3, KV_WRITE_FAST, 1, 1, 1, "hash", "2.0.0",            \
      "Delete one or more hash fields", "key field [field ...]")                                \
    X(HLEN, kv_hlen, NULL, "hlen", 203, 2, KV_READ_FAST, 1, 1, 1, "hash", "2.0.0",              \
      "Get the number of fields in a hash", "key")

#endif
