"""When two replies that are not the same bytes are equal nevertheless.

What no two servers can answer alike (the time, the order of an unordered table) has a tolerance by
the kind of the reply, as tight as it can be. What weir answers otherwise on purpose, or because it
has more or less than Redis, stands in differences.py, with the reason.
"""

from weir_test import ErrorReply, decode

MS_ROUNDING = 2  # each server rounds its own clock


class Exchange:
    """One command and what the two servers replied; from when to when that was, in unix ms."""

    def __init__(self, command, redis, weir, begin_ms, end_ms):
        self.command = command
        self.redis = redis
        self.weir = weir
        self.begin_ms = begin_ms
        self.end_ms = end_ms

    def values(self):
        return decode(self.redis)[0], decode(self.weir)[0]

    def name(self):
        """The command's first word, or its first two if it is a container."""
        words = [word.lower() for word in self.command.words[:2]]
        return b"|".join(words if words[0] in CONTAINERS else words[:1]).decode(errors="replace")


CONTAINERS = (b"client", b"cluster", b"command", b"config", b"object", b"memory", b"slowlog")


def within(exchange, unit_ms):
    """Both are numbers of units of time that differ by no more than what passed meanwhile."""
    redis, weir = exchange.values()
    if type(redis) is not int or type(weir) is not int or min(redis, weir) < 0:
        return False
    passed_ms = exchange.end_ms - exchange.begin_ms + MS_ROUNDING
    return abs(redis - weir) <= -(-passed_ms // unit_ms)


def same_time(exchange):
    """Both are a time, to the microsecond, that lies within the stream's own."""
    for value in exchange.values():
        if not isinstance(value, list) or len(value) != 2 or not value[1].isdigit() or \
                len(value[1]) > 6:
            return False
        now_ms = int(value[0]) * 1000 + int(value[1]) // 1000
        if not exchange.begin_ms - MS_ROUNDING <= now_ms <= exchange.end_ms + MS_ROUNDING:
            return False
    return True


def same_set(exchange):
    redis, weir = exchange.values()
    if isinstance(redis, dict):
        return redis == weir
    return isinstance(redis, list) and isinstance(weir, list) and sorted(redis) == sorted(weir)


def same_pairs(exchange):
    """The same map, or, flat, the same pairs."""
    redis, weir = exchange.values()
    if isinstance(redis, dict):
        return redis == weir
    return isinstance(redis, list) and isinstance(weir, list) and len(redis) % 2 == 0 and \
        sorted(zip(redis[::2], redis[1::2])) == sorted(zip(weir[::2], weir[1::2])) and \
        len(redis) == len(weir)


def some_key(exchange):
    """A key, if there is one."""
    redis, weir = exchange.values()
    return isinstance(redis, bytes) and isinstance(weir, bytes)


def both_cost(exchange):
    """Bytes that a key costs: of both, or of neither."""
    redis, weir = exchange.values()
    if isinstance(redis, list) and isinstance(weir, list):
        return redis[0] == weir[0] and redis[-2:] == weir[-2:]
    return type(redis) is int and type(weir) is int and min(redis, weir) > 0


def some_members(exchange):
    """One, or as many."""
    redis, weir = exchange.values()
    if isinstance(redis, list) and isinstance(weir, list):
        return len(redis) == len(weir) and set(map(type, redis)) == set(map(type, weir))
    return isinstance(redis, bytes) and isinstance(weir, bytes)


def popped(exchange):
    """All members, or one."""
    redis, weir = exchange.values()
    return same_set(exchange) or len(exchange.command.words) == 2 and some_key(exchange)


def same_scan(exchange):
    """A whole scan has the same keys; of one that goes on, both must: see the test of scans."""
    words = exchange.command.words
    cursor = words[1 if words[0].lower() == b"scan" else 2]
    redis, weir = exchange.values()
    for value in (redis, weir):
        if not isinstance(value, list) or len(value) != 2 or not value[0].isdigit() or \
                not isinstance(value[1], list):
            return False
    if cursor != b"0":
        return True  # a cursor that was never given out
    if redis[0] == weir[0] == b"0":
        return sorted(redis[1]) == sorted(weir[1])
    return b"0" not in (redis[0], weir[0]) or COUNT_IS_SMALL(exchange.command.words)


def COUNT_IS_SMALL(words):
    """Whether a scan may end early in one server and not in the other: it asks for few keys."""
    numbers = [word for word, before in zip(words[1:], words) if before.upper() == b"COUNT"]
    return not numbers or int(numbers[-1]) < 1000


TOLERANCES = {
    "seconds to live": (lambda exchange: within(exchange, 1000),
                        "time passes between the two: by as much they may differ, not more"),
    "milliseconds to live": (lambda exchange: within(exchange, 1),
                             "time passes between the two: by as much they may differ, not more"),
    "time": (same_time, "each has its own moment, within the stream's begin and end"),
    "any order": (same_set, "both have tables with a random seed: the order says nothing"),
    "any order of pairs": (same_pairs, "as above: of fields with their values"),
    "some key": (some_key, "each takes one at random"),
    "bytes": (both_cost, "each has its own structures, and help for the subcommands that it has"),
    "popped": (popped, "each takes one at random, or all in its own order"),
    "some members": (some_members, "each takes them at random: as many, and no error"),
    "scan": (same_scan, "cursors are places in a table; the keys of a whole scan are compared, "
                        "and those of a scan in steps in a test of its own"),
}


def is_error(reply, *beginnings):
    """Whether a reply is an error that begins with one of the texts."""
    return reply[:1] == b"-" and any(reply[1:].startswith(text) for text in beginnings or (b"",))


def equal(exchange):
    """Equal as bytes or within the tolerance; which of the two."""
    if exchange.redis == exchange.weir:
        return "same bytes"
    row = exchange.command.row
    if not exchange.redis or not exchange.weir:  # it did not come
        return None
    if row is None or row.reply == "exact" or is_error(exchange.redis) or is_error(exchange.weir):
        return None
    return row.reply if TOLERANCES[row.reply][0](exchange) else None


__all__ = ["ErrorReply", "Exchange", "TOLERANCES", "equal", "is_error"]
