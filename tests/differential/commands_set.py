"""Commands about sets (commands.py).

Of what is chosen at random the two servers choose differently, and would then differ for good: so
SPOP takes all there is, or the only member of a key that no other command fills (so nothing is done
to SADD and SPOP as a whole).
"""

from grammar import Row

SETS = (
    Row("sadd", "<set-key member+|sole-key sole-member>", 16, whole=False),
    Row("srem", "set-key member+"),
    Row("sismember", "set-key member"),
    Row("smismember", "set-key member+"),
    Row("smembers", "set-key", reply="any order"),
    Row("scard", "set-key"),
    Row("spop", "<set-key all-count|sole-key [pop-count]|absent-key>", reply="popped",
        whole=False),
    Row("srandmember", "set-key [random-count]", 8, reply="some members"),
    Row("smove", "set-key set-key member", 6),
    Row("sinter", "set-key+", reply="any order"),
    Row("sinterstore", "set-key set-key+"),
    Row("sintercard", "<1 set-key|key-count set-key set-key> [LIMIT limit]", 6),
    Row("sunion", "set-key+", reply="any order"),
    Row("sunionstore", "set-key set-key+"),
    Row("sdiff", "set-key+", reply="any order"),
    Row("sdiffstore", "set-key set-key+"),
    Row("sscan", "set-key cursor {MATCH pattern|COUNT count}", 8, reply="scan"),
)
