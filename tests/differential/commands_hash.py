"""The grammar of the commands about hashes, for commands.py."""

from grammar import Row

HASHES = (
    Row("hset", "hash-key (field value)+", 12),
    Row("hmset", "hash-key (field value)+"),
    Row("hsetnx", "hash-key field value"),
    Row("hget", "hash-key field"),
    Row("hmget", "hash-key field+"),
    Row("hdel", "hash-key field+"),
    Row("hlen", "hash-key", 2),
    Row("hexists", "hash-key field", 2),
    Row("hstrlen", "hash-key field", 2),
    Row("hgetall", "hash-key", reply="any order of pairs"),
    Row("hkeys", "hash-key", 2, reply="any order"),
    Row("hvals", "hash-key", 2, reply="any order"),
    Row("hscan", "hash-key cursor {MATCH pattern|COUNT count}", reply="scan"),
    Row("hrandfield", "hash-key [random-count [WITHVALUES]]", 6, reply="some members"),
    Row("hincrby", "hash-key field integer", 6),
    Row("hincrbyfloat", "hash-key field float", 6),
)
