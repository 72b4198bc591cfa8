"""The grammar of the commands about hashes, for commands.py."""

from grammar import Row

HASHES = (
    Row("hset", "hash-key (field value)+", 12),
    Row("hget", "hash-key field"),
    Row("hdel", "hash-key field+"),
    Row("hlen", "hash-key", 2),
)
