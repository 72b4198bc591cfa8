"""The kinds of arguments, and what a stream draws them from.

A kind is a function that draws a right one, and the wrong ones. All is drawn from the stream's own
seed; nothing is taken from a clock. Deadlines lie in the past, or farther away than any run lasts
and far from each other: so no reply depends on which of the two servers was the quicker one.
"""

import random

KEYS = (b"a", b"b", b"c", b"key:1", b"key:2", b"{tag}x", b"{tag}y", b"counter", b"",
        b"\x00\xff\r\n\"", b"with space", b"long:" + b"k" * 300)
# Keys that have mostly values of one type, so that commands about that type find some.
TYPED_KEYS = {
    "hash-key": (b"h1", b"h2", b"{tag}h"),
    "list-key": (b"l1", b"l2", b"{tag}l"),
    "set-key": (b"s1", b"s2", b"{tag}s"),
    "zset-key": (b"z1", b"z2", b"{tag}z"),
}
OTHER_TYPE_ONE_IN = 12
MEMBERS = (b"a", b"b", b"c", b"d", b"1", b"2", b"17", b"-5", b"", b"\x00\xff\r\n", b"01", b"1.5",
           b"9223372036854775808", b"member " + b"m" * 100)
PATTERNS = (b"*", b"key:*", b"k?y:[12]", b"[ab]", b"[^a]", b"*{tag}*", b"c*r", b"", b"key:[1",
            b"\\a", b"a\\", b"**", b"?", b"[a-c]", b"[c-a]", b"nothing", b"*\xff*")
INTEGERS_EXTREME = (b"9223372036854775807", b"-9223372036854775808", b"4294967296", b"-1", b"0")
NOT_INTEGERS = (b"", b"x", b"1.5", b" 1", b"1 ", b"+1", b"01", b"-0", b"0x10", b"1e3", b"--1",
                b"9223372036854775808", b"-9223372036854775809", b"99999999999999999999999", b"1\0")
NOT_FLOATS = (b"", b"x", b" 1", b"1 ", b"1.5.5", b"nan", b"--1", b"1e", b"0x", b"1\0")
ODD_WORDS = (b"", b"x", b"NX", b"GET", b"0", b"-1", b"\x00\xff", b"PX", b"COUNT", b"w" * 60,
             b"with 'quotes' and\nlines", b"HELP", b"*")
FAR_S = 4102444800  # the year 2100
PAST_S = 1000000000
AMOUNTS = 4000  # of different deadlines in a stream
AMOUNT_STEP_S = 1000
LONG_VALUES = (600, 3000)  # LCS of two long ones takes their product


class Draw:
    """What one stream is drawn from."""

    def __init__(self, seed):
        self.random = random.Random(seed)
        self.choice = self.random.choice
        self.sample = self.random.sample
        self.between = self.random.randint
        self.amounts = self.random.sample(range(1, AMOUNTS), AMOUNTS - 1)

    def one_in(self, count):
        return self.random.random() * count < 1

    def any_case(self, text):
        """A literal as bytes: mostly as it is, else lower or mixed."""
        how = self.random.random()
        if how < 0.2:
            return text.lower().encode()
        if how < 0.3:
            return "".join(self.choice((c.upper(), c.lower())) for c in text).encode()
        return text.encode()

    def amount_s(self):
        """Seconds that no other deadline of the stream comes near."""
        return AMOUNT_STEP_S * self.amounts.pop()

    def odd_word(self):
        return self.choice(ODD_WORDS)


class Kind:
    def __init__(self, right, wrong=()):
        self.right = right
        self.wrong = wrong


def key(draw):
    if draw.one_in(OTHER_TYPE_ONE_IN):
        return draw.choice(TYPED_KEYS[draw.choice(list(TYPED_KEYS))])
    return draw.choice(KEYS)


def typed_key(name):
    """A key that is likely to have a value of that type."""
    def right(draw):
        return key(draw) if draw.one_in(OTHER_TYPE_ONE_IN) else draw.choice(TYPED_KEYS[name])
    return right


def field(draw):
    """A field of a hash, or a member: few, so that they meet."""
    how = draw.between(0, 19)
    if how == 0:
        return draw.random.randbytes(draw.choice((0, 1, 65, 300)))
    if how < 4:
        return b"%d" % draw.between(-3, 12)
    return b"field-%d" % draw.between(0, 15)


def element(draw):
    """An element of a list: mostly one of few, so that they meet."""
    return value(draw) if draw.one_in(5) else draw.choice((b"a", b"b", b"c", b"", b"17", b"-3"))


def value(draw):
    how = draw.between(0, 19)
    if how < 7:
        return b"%d" % draw.between(-1000, 1000)
    if how < 9:
        return draw.choice(INTEGERS_EXTREME + NOT_INTEGERS)
    if how == 9:
        return draw.choice((b"1.5", b"-0.25", b"1e10", b"3.0", b"inf"))
    if how == 10:
        return b""
    if how == 11:
        return draw.random.randbytes(draw.choice(LONG_VALUES))
    if how < 14:
        return draw.random.randbytes(draw.between(1, 60))
    return b"value-%d" % draw.between(0, 99)


def integer(draw):
    if draw.one_in(8):
        return draw.choice(INTEGERS_EXTREME)
    return b"%d" % draw.between(-1000, 1000)


def amount(unit_ms, base_s, past):
    """A deadline as a number of units from `base_s`, or one that is past."""
    def right(draw):
        if past and draw.one_in(6):
            return draw.choice(past)
        return b"%d" % ((base_s + draw.amount_s()) * 1000 // unit_ms)
    return right


def position(draw):
    """A place in a value, counted from either end."""
    return b"%d" % draw.choice((0, 0, 1, 2, 3, 5, 8, 10, 31, 100, -1, -1, -2, -5, -100, 1000,
                                9223372036854775807, -9223372036854775808))


NOT_TIMES = NOT_INTEGERS + (b"0", b"-1", b"9223372036854775807", b"-9223372036854775808",
                            b"9223372036854775", b"9223372036854776")
# SET and the like refuse what is not positive; EXPIRE and the like take it for the past.
RELATIVE_PAST = (b"0", b"-1", b"-1000")
WORDS = (b"default", b"default", b"a-password", b"x", b"a-name", b"", b"with space",
         b"pass\xffword", b"n" * 100)

KINDS = {
    "key": Kind(key),
    **{name: Kind(typed_key(name)) for name in TYPED_KEYS},
    "field": Kind(field),
    "value": Kind(value),
    "element": Kind(element),
    "pop-count": Kind(lambda draw: draw.choice((b"0", b"1", b"2", b"3", b"100",
                                                b"9223372036854775807")),
                      NOT_INTEGERS + (b"-1", b"-9223372036854775808")),
    "positive-count": Kind(lambda draw: draw.choice((b"1", b"2", b"3", b"100")),
                           NOT_INTEGERS + (b"0", b"-1", b"-9223372036854775808")),
    "one-key": Kind(lambda draw: b"1", NOT_INTEGERS + (b"0", b"-1", b"2", b"1000",
                                                       b"9223372036854775807")),
    "rank": Kind(lambda draw: draw.choice((b"1", b"2", b"3", b"-1", b"-2", b"-3", b"100",
                                           b"-9223372036854775807", b"-9223372036854775808")),
                 NOT_INTEGERS + (b"0",)),
    "integer": Kind(integer, NOT_INTEGERS),
    "float": Kind(lambda draw: draw.choice((b"1.5", b"-2", b"0.1", b"3e2", b"-1e-3", b"100",
                                            b"1e17", b"-0.3", b".5", b"5.", b"1e-17", b"+1",
                                            b"3.0", b"123456789.987654321", b"0", b"-0")),
                  NOT_FLOATS + (b"inf", b"-inf", b"1e5000")),
    "position": Kind(position, NOT_INTEGERS),
    "offset": Kind(lambda draw: b"%d" % draw.choice((0, 1, 2, 5, 10, 100, 1000)),
                   NOT_INTEGERS + (b"-1", b"536870912", b"4294967296", b"9223372036854775807",
                                   b"-9223372036854775808", b"16777216")),
    "bit-offset": Kind(lambda draw: b"%d" % draw.choice((0, 1, 6, 7, 8, 15, 31, 100, 1000, 10000)),
                       NOT_INTEGERS + (b"-1", b"4294967296", b"9223372036854775807")),
    "bit": Kind(lambda draw: draw.choice((b"0", b"1")), NOT_INTEGERS + (b"2", b"-1", b"256")),
    "member": Kind(lambda draw: draw.choice(MEMBERS)),
    "sole-key": Kind(lambda draw: b"sole"),
    "sole-member": Kind(lambda draw: b"only"),
    "all-count": Kind(lambda draw: draw.choice((b"1000", b"9223372036854775807", b"0")),
                      NOT_INTEGERS + (b"-1", b"-9223372036854775808")),
    "pop-count": Kind(lambda draw: draw.choice((b"0", b"1", b"2")), NOT_INTEGERS + (b"-1",)),
    "samples": Kind(lambda draw: draw.choice((b"0", b"1", b"5", b"100")),
                    NOT_INTEGERS + (b"-1", b"-9223372036854775808")),
    "random-count": Kind(lambda draw: draw.choice((b"0", b"1", b"3", b"100", b"-1", b"-5")),
                         NOT_INTEGERS + (b"-9223372036854775808",) * 9),
    "key-count": Kind(lambda draw: b"2", NOT_INTEGERS + (b"0", b"-1", b"3", b"4294967297")),
    "limit": Kind(lambda draw: draw.choice((b"0", b"1", b"2", b"100")), NOT_INTEGERS + (b"-1",)),
    "absent-key": Kind(lambda draw: b"never there"),
    "seconds": Kind(amount(1000, 0, ()), NOT_TIMES),
    "milliseconds": Kind(amount(1, 0, ()), NOT_TIMES),
    "unix-seconds": Kind(amount(1000, FAR_S, (b"%d" % PAST_S, b"1")), NOT_TIMES),
    "unix-milliseconds": Kind(amount(1, FAR_S, (b"%d000" % PAST_S, b"1")), NOT_TIMES),
    "expire-seconds": Kind(amount(1000, 0, RELATIVE_PAST), NOT_TIMES),
    "expire-milliseconds": Kind(amount(1, 0, RELATIVE_PAST), NOT_TIMES),
    "pattern": Kind(lambda draw: draw.choice(PATTERNS)),
    "cursor": Kind(lambda draw: b"0", (b"", b"x", b"-1", b"1.5", b" 0", b"0 ", b"0x1",
                                       b"18446744073709551616", b"99999999999999999999999")),
    "count": Kind(lambda draw: draw.choice((b"1000", b"100000", b"1000", b"1", b"3")),
                  NOT_INTEGERS + (b"0", b"-1", b"-9223372036854775808")),
    "type": Kind(lambda draw: draw.choice((b"string", b"STRING", b"list", b"hash", b"Hash",
                                           b"set", b"zset", b"x", b""))),
    "message": Kind(lambda draw: draw.choice((b"hello", b"", b"\x00\r\n", b"m" * 20000))),
    "database": Kind(lambda draw: b"0", (b"1", b"16", b"-1", b"x", b"", b"99999999999999999999",
                                         b"4294967296", b"0x0", b"00")),
    "protocol": Kind(lambda draw: draw.choice((b"2", b"3", b"3")),
                     (b"1", b"4", b"x", b"", b"-1", b"99999999999999999999", b"03", b"2.0")),
    "user": Kind(lambda draw: draw.choice(WORDS)),
    "password": Kind(lambda draw: draw.choice(WORDS)),
    "connection-name": Kind(lambda draw: draw.choice((b"name", b"a-b:c", b"", b"x" * 60)),
                            (b"with space", b"line\n", b"\xff", b"\0")),
    "client-id": Kind(lambda draw: draw.choice((b"99999", b"0", b"-1", b"9223372036854775807")),
                      (b"x", b"", b"1.5", b"9223372036854775808")),
    "command-name": Kind(lambda draw: draw.choice((b"get", b"SET", b"mget", b"client|list", b"no",
                                                   b"scan", b"", b"config|nothing", b"get|x"))),
    "parameter": Kind(lambda draw: draw.choice((b"save", b"appendonly", b"SAVE", b"nothing",
                                                b"maxclients", b"", b"port*x", b"append[o]nly"))),
    "section": Kind(lambda draw: draw.choice((b"server", b"clients", b"everything", b"ALL",
                                              b"memory", b"nothing", b"keyspace"))),
    "replicas": Kind(lambda draw: draw.choice((b"0",) * 9 + (b"1",)),
                     (b"-1", b"x", b"", b"1.5", b"9223372036854775808")),
    "timeout": Kind(lambda draw: draw.choice((b"1", b"2")), (b"-1", b"x", b"", b"1.5",
                                                             b"9223372036854775808")),
    "slow-count": Kind(lambda draw: draw.choice((b"1", b"0", b"-1", b"100")),
                       (b"-2", b"x", b"", b"1.5", b"9223372036854775808")),
    # Not -0, nor a product that is: as a score it is 0 here, in Redis if the sorted set is small.
    "score": Kind(lambda draw: draw.choice((b"%d" % draw.between(-9, 9),) * 6 + (
        b"1.5", b"-2.25", b"0.1", b"0.3", b"1e10", b"inf", b"-inf", b"+3", b"0x1p3", b".5",
        b"123456789.987654321", b"3.0e3")), NOT_FLOATS + (b"1e400", b"1e-400")),
    "zero": Kind(lambda draw: b"0", NOT_FLOATS),
    "weight": Kind(lambda draw: draw.choice((b"1", b"2", b"3", b"0.5", b"inf", b"0.1", b"10")),
                   NOT_FLOATS),
    "score-bound": Kind(lambda draw: draw.choice((b"", b"", b"(")) + draw.choice((
        b"%d" % draw.between(-10, 10),) * 4 + (b"-inf", b"+inf", b"inf", b"1.5", b"", b" 2",
                                               b"1e400", b"2\0x")),
                        (b"x", b"1 ", b"nan", b"((1", b"1.5.5", b"(-", b"[1")),
    "lex-key": Kind(lambda draw: draw.choice((b"zl1", b"zl2"))),
    "lex-bound": Kind(lambda draw: draw.choice((
        b"-", b"+", draw.choice((b"[", b"(")) + field(draw),
        draw.choice((b"[", b"(")) + field(draw))), (b"", b"x", b"++", b"-x", b"1", b"{a")),
    "session": Kind(lambda draw: draw.choice((b"1", b"2")), (b"x", b"", b"-1")),
}
