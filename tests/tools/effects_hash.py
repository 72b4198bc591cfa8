"""The effects of the commands about hashes, for test_commands.py."""

from effects import does

HASHES = {
    "hset": does((("HSET", "h", "f", "a", "g", "b"), 2), (("HSET", "h", "f", "c", "i", "d"), 1),
                 (("HGET", "h", "f"), b"c")),
    "hget": does((("HGET", "h", "f"), None), (("HSET", "h", "f", "a"), 1),
                 (("HGET", "h", "f"), b"a"), (("HGET", "h", "g"), None)),
    "hdel": does((("HSET", "h", "f", "a", "g", "b"), 2), (("HDEL", "h", "f", "i"), 1),
                 (("HGET", "h", "f"), None), (("HDEL", "h", "g"), 1), (("EXISTS", "h"), 0)),
    "hlen": does((("HLEN", "h"), 0), (("HSET", "h", "f", "a", "g", "b"), 2), (("HLEN", "h"), 2)),
}
