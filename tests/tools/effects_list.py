"""The effects of the commands about lists, for test_commands.py."""

from effects import does, error

ABC = (("RPUSH", "l", "a", "b", "c"), 3)


def now(*elements):
    """What the list l holds."""
    return ("LRANGE", "l", "0", "-1"), [element.encode() for element in elements]


LISTS = {
    "lpush": does((("LPUSH", "l", "a", "b"), 2), (("LPUSH", "l", "c"), 3), now("c", "b", "a")),
    "rpush": does((("RPUSH", "l", "a", "b"), 2), (("RPUSH", "l", "c"), 3), now("a", "b", "c")),
    "lpushx": does((("LPUSHX", "l", "a"), 0), (("EXISTS", "l"), 0), ABC,
                   (("LPUSHX", "l", "x", "y"), 5), now("y", "x", "a", "b", "c")),
    "rpushx": does((("RPUSHX", "l", "a"), 0), (("EXISTS", "l"), 0), ABC,
                   (("RPUSHX", "l", "x", "y"), 5), now("a", "b", "c", "x", "y")),
    "lpop": does((("LPOP", "l"), None), ABC, (("LPOP", "l"), b"a"),
                 (("LPOP", "l", "9"), [b"b", b"c"]), (("EXISTS", "l"), 0)),
    "rpop": does((("RPOP", "l"), None), ABC, (("RPOP", "l"), b"c"),
                 (("RPOP", "l", "9"), [b"b", b"a"]), (("EXISTS", "l"), 0)),
    "llen": does((("LLEN", "l"), 0), ABC, (("LLEN", "l"), 3)),
    "lrange": does((("LRANGE", "l", "0", "-1"), []), ABC,
                   (("LRANGE", "l", "-2", "5"), [b"b", b"c"]),
                   (("LRANGE", "l", "2", "1"), [])),
    "lindex": does((("LINDEX", "l", "0"), None), ABC, (("LINDEX", "l", "-1"), b"c"),
                   (("LINDEX", "l", "3"), None)),
    "lset": does((("LSET", "l", "0", "x"), error("ERR no such key")), ABC,
                 (("LSET", "l", "-2", "x"), "OK"), now("a", "x", "c"),
                 (("LSET", "l", "3", "x"), error("ERR index out of range"))),
    "linsert": does((("LINSERT", "l", "BEFORE", "b", "x"), 0), ABC,
                    (("LINSERT", "l", "BEFORE", "b", "x"), 4),
                    (("LINSERT", "l", "AFTER", "c", "y"), 5),
                    (("LINSERT", "l", "AFTER", "none", "z"), -1), now("a", "x", "b", "c", "y")),
    "lrem": does((("RPUSH", "l", "a", "b", "a", "c", "a"), 5), (("LREM", "l", "-1", "a"), 1),
                 now("a", "b", "a", "c"), (("LREM", "l", "0", "a"), 2), now("b", "c")),
    "ltrim": does(ABC, (("LTRIM", "l", "1", "-1"), "OK"), now("b", "c"),
                  (("LTRIM", "l", "5", "9"), "OK"), (("EXISTS", "l"), 0)),
    "lpos": does((("RPUSH", "l", "a", "b", "a", "a"), 4), (("LPOS", "l", "a"), 0),
                 (("LPOS", "l", "a", "RANK", "-1"), 3), (("LPOS", "l", "x"), None),
                 (("LPOS", "l", "a", "COUNT", "0", "RANK", "2"), [2, 3]),
                 (("LPOS", "l", "a", "COUNT", "0", "MAXLEN", "3"), [0, 2])),
    "lmove": does(ABC, (("LMOVE", "l", "m", "RIGHT", "LEFT"), b"c"),
                  (("LMOVE", "l", "l", "LEFT", "RIGHT"), b"a"), now("b", "a"),
                  (("LRANGE", "m", "0", "-1"), [b"c"]),
                  (("LMOVE", "none", "m", "LEFT", "LEFT"), None)),
    "rpoplpush": does(ABC, (("RPOPLPUSH", "l", "l"), b"c"), now("c", "a", "b"),
                      (("RPOPLPUSH", "none", "l"), None)),
    "lmpop": does((("LMPOP", "1", "l", "LEFT"), None), ABC,
                  (("LMPOP", "2", "none", "l", "RIGHT", "COUNT", "2"), [b"l", [b"c", b"b"]]),
                  now("a")),
}
