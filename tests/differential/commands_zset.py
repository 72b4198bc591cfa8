"""The grammar of the commands about sorted sets, for commands.py.

Ranges of members are asked of keys whose members all have the score 0: what Redis answers for
others depends on how it searches.
"""

from grammar import Row

LIMIT = "LIMIT position position"


def sources(options):
    """numkeys key ... and options, of which some say a word for each key."""
    def of(keys):
        words = [option.replace("WEIGHTS", "WEIGHTS" + " weight" * len(keys.split()))
                 for option in options]
        return f"{keys} {{{'|'.join(words)}}}" if words else keys
    return (f"<one-key {of('zset-key')}|2 {of('zset-key zset-key')}|2 {of('zset-key set-key')}|"
            f"3 {of('zset-key zset-key zset-key')}>")


AGGREGATE = "AGGREGATE <SUM|MIN|MAX>"

SORTED_SETS = (
    Row("zadd", "<zset-key {NX|XX|GT|LT|CH|INCR} (score field)+|lex-key (zero field)+>", 60),
    Row("zincrby", "zset-key score field", 10),
    Row("zrem", "<zset-key|lex-key> field+", 6),
    Row("zscore", "zset-key field", 6),
    Row("zmscore", "zset-key field+", 6),
    Row("zcard", "<zset-key|lex-key>"),
    Row("zcount", "zset-key score-bound score-bound", 6),
    Row("zlexcount", "lex-key lex-bound lex-bound", 6),
    Row("zrank", "zset-key field", 6),
    Row("zrevrank", "zset-key field", 6),
    Row("zrange", f"<zset-key position position {{REV|WITHSCORES|{LIMIT}}}|"
        f"zset-key score-bound score-bound BYSCORE {{REV|WITHSCORES|{LIMIT}}}|"
        f"lex-key lex-bound lex-bound BYLEX {{REV|WITHSCORES|{LIMIT}}}>", 30),
    Row("zrevrange", f"zset-key position position {{WITHSCORES|{LIMIT}}}", 8),
    Row("zrangebyscore", f"zset-key score-bound score-bound {{WITHSCORES|{LIMIT}}}", 12),
    Row("zrevrangebyscore", f"zset-key score-bound score-bound {{WITHSCORES|{LIMIT}}}", 12),
    Row("zrangebylex", f"lex-key lex-bound lex-bound {{WITHSCORES|{LIMIT}}}", 10),
    Row("zrevrangebylex", f"lex-key lex-bound lex-bound {{WITHSCORES|{LIMIT}}}", 10),
    Row("zrangestore", f"zset-key <zset-key position position {{REV|{LIMIT}}}|"
        f"zset-key score-bound score-bound BYSCORE {{REV|{LIMIT}}}|"
        f"lex-key lex-bound lex-bound BYLEX {{REV|{LIMIT}}}>", 12),
    Row("zremrangebyrank", "zset-key position position"),
    Row("zremrangebyscore", "zset-key score-bound score-bound"),
    Row("zremrangebylex", "lex-key lex-bound lex-bound"),
    Row("zpopmin", "zset-key [pop-count]", 6),
    Row("zpopmax", "zset-key [pop-count]", 6),
    Row("zmpop", "<one-key zset-key|2 zset-key zset-key|3 zset-key zset-key zset-key> <MIN|MAX> "
        "[COUNT positive-count]", 10),
    Row("zunion", sources(["WEIGHTS", AGGREGATE, "WITHSCORES"]), 16),
    Row("zinter", sources(["WEIGHTS", AGGREGATE, "WITHSCORES"]), 16),
    Row("zdiff", sources(["WITHSCORES"]), 10),
    Row("zunionstore", "zset-key " + sources(["WEIGHTS", AGGREGATE]), 12),
    Row("zinterstore", "zset-key " + sources(["WEIGHTS", AGGREGATE]), 12),
    Row("zdiffstore", "zset-key " + sources([]), 8),
    Row("zintercard", sources(["LIMIT limit"]), 8),
    Row("zrandmember", "zset-key [random-count [WITHSCORES]]", 10, reply="some members"),
    Row("zscan", "zset-key cursor {MATCH pattern|COUNT count}", 8, reply="scan"),
)
