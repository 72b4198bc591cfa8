"""The effects of the commands about sets, for test_commands.py."""

from effects import does

AB = (("SADD", "s", "a", "b"), 2)
BC = (("SADD", "t", "b", "c"), 2)
SETS = {
    "sadd": does((("SISMEMBER", "s", "a"), 0), AB, (("SADD", "s", "a", "c"), 1),
                 (("SISMEMBER", "s", "a"), 1), (("SCARD", "s"), 3)),
    "srem": does(AB, (("SREM", "s", "a", "x"), 1), (("SISMEMBER", "s", "a"), 0),
                 (("SREM", "s", "b"), 1), (("EXISTS", "s"), 0)),
    "sismember": does((("SISMEMBER", "s", "a"), 0), AB, (("SISMEMBER", "s", "a"), 1)),
    "smismember": does(AB, (("SMISMEMBER", "s", "a", "x", "b"), [1, 0, 1])),
    "smembers": does((("SMEMBERS", "s"), []), AB, (("SMEMBERS", "s"), [b"a", b"b"])),
    "scard": does((("SCARD", "s"), 0), AB, (("SCARD", "s"), 2)),
    "spop": does(AB, (("SPOP", "s"), lambda reply: reply in (b"a", b"b")), (("SCARD", "s"), 1),
                 (("SPOP", "s", "5"), lambda reply: len(reply) == 1), (("EXISTS", "s"), 0),
                 (("SPOP", "s"), None)),
    "srandmember": does(AB, (("SRANDMEMBER", "s"), lambda reply: reply in (b"a", b"b")),
                        (("SRANDMEMBER", "s", "5"), lambda reply: sorted(reply) == [b"a", b"b"]),
                        (("SRANDMEMBER", "s", "-5"), lambda reply: len(reply) == 5),
                        (("SCARD", "s"), 2)),
    "smove": does(AB, BC, (("SMOVE", "s", "t", "a"), 1), (("SMOVE", "s", "t", "a"), 0),
                  (("SISMEMBER", "s", "a"), 0), (("SISMEMBER", "t", "a"), 1)),
    "sinter": does(AB, BC, (("SINTER", "s", "t"), [b"b"]), (("SINTER", "s", "x"), [])),
    "sinterstore": does(AB, BC, (("SINTERSTORE", "s", "s", "t"), 1), (("SMEMBERS", "s"), [b"b"])),
    "sintercard": does(AB, BC, (("SINTERCARD", "2", "s", "t"), 1),
                       (("SINTERCARD", "1", "s", "LIMIT", "1"), 1)),
    "sunion": does(AB, BC, (("SUNION", "s", "t"), [b"a", b"b", b"c"])),
    "sunionstore": does(AB, BC, (("SUNIONSTORE", "u", "s", "t"), 3), (("SCARD", "u"), 3)),
    "sdiff": does(AB, BC, (("SDIFF", "s", "t"), [b"a"])),
    "sdiffstore": does(AB, BC, (("SDIFFSTORE", "t", "s", "t"), 1), (("SMEMBERS", "t"), [b"a"])),
    "sscan": does(AB, (("SSCAN", "s", "0", "MATCH", "b"), [b"0", [b"b"]])),
}
