"""A stream goes to both servers; what they reply is compared; one that fails is made small."""

import os
import time

from comparisons import Exchange, equal
from differences import difference_of
from servers import Connection, Hang
from streams import Command, Stream
from weir_test import request

SENTINEL = b"the end of the stream"
RUNS_MAX = 300  # of a stream that is being made small


class Failure(Exception):
    """A difference that nothing explains."""

    def __init__(self, stream, index, exchange, text):
        super().__init__(text)
        self.stream = stream
        self.index = index
        self.exchange = exchange

    def kind(self):
        """What is the same in failures of one cause, as far as one can tell."""
        if self.exchange is None:
            return str(self)
        return self.exchange.name(), self.exchange.redis[:40], self.exchange.weir[:40]


def now_ms():
    return time.time_ns() // 1000000


def play(port, stream):
    """What one server replies to the stream: the replies, whether it ended the connection, and
    whether it did so before it had read all: then TCP takes away replies that are on their way."""
    with Connection(port) as connection:
        whole = 0
        for piece, whole in stream.pieces():
            connection.exchange(piece, whole)
        if stream.commands[-1].ends:
            # One that was spoilt does not end it: then what follows is answered.
            connection.exchange(request("PING"), whole + 1)
        return connection.replies, connection.ended, connection.reset


def is_sentinel(command):
    return command.words[-1] == SENTINEL


def with_sentinel(stream):
    """Its last reply says that there were as many replies as commands."""
    if stream.commands and stream.commands[-1].ends:
        return stream
    words = (b"ECHO", SENTINEL)
    return Stream(stream.seed, [*stream.commands, Command(words, request(*words))], stream.cuts)


class Runner:
    """Runs streams on a pair of servers, and counts what was executed."""

    def __init__(self, pair):
        self.pair = pair
        self.executed = {}  # (command, label) -> count
        self.tolerated = {}  # kind -> count
        self.commands = 0
        self.resets = 0

    def run(self, stream):
        """Raises Failure at the first difference that nothing explains."""
        stream = with_sentinel(stream)
        self.pair.empty()
        begin_ms = now_ms()
        try:
            redis, redis_ended, redis_reset = play(self.pair.ports["redis"], stream)
            weir, weir_ended, weir_reset = play(self.pair.ports["weir"], stream)
        except Hang as hang:
            raise Failure(stream, len(stream.commands) - 1, None, f"no answer: {hang}") from None
        end_ms = now_ms()
        if (redis_reset or weir_reset) and len(redis) != len(weir):
            self.resets += 1
            redis, weir = (replies[:min(len(redis), len(weir))] for replies in (redis, weir))
        for index, command in enumerate(stream.commands[:max(len(redis), len(weir))]):
            one = redis[index] if index < len(redis) else b""
            other = weir[index] if index < len(weir) else b""
            self.compare(stream, index, Exchange(command, one, other, begin_ms, end_ms))
        if (len(redis), redis_ended) != (len(weir), weir_ended):
            raise Failure(stream, len(stream.commands) - 1, None,
                          f"{len(redis)} replies of Redis, ended: {redis_ended}; "
                          f"{len(weir)} of weir, ended: {weir_ended}")

    def compare(self, stream, index, exchange):
        how = equal(exchange)
        if how is None:
            entry = difference_of(exchange)
            if entry is None:
                raise Failure(stream, index, exchange,
                              f"redis {exchange.redis[:400]!r}\n  weir  {exchange.weir[:400]!r}")
            entry.seen += 1
        elif how != "same bytes":
            self.tolerated[how] = self.tolerated.get(how, 0) + 1
        self.count(exchange.command)

    def count(self, command):
        self.commands += 1
        if command.row is not None:
            for label in ("", *command.labels):
                key = (command.row.name, label)
                self.executed[key] = self.executed.get(key, 0) + 1


def fails(runner, stream):
    """The failure of a stream; None if it has none. Coverage is not counted."""
    executed, commands = dict(runner.executed), runner.commands
    try:
        runner.run(stream)
    except Failure as failure:
        return failure
    finally:
        runner.executed, runner.commands = executed, commands
    return None


def minimize(runner, failure):
    """Delta debugging: the fewest commands, and no cut if it goes without, that still differ."""
    runs = 0

    def attempt(commands, cuts):
        nonlocal runs
        runs += 1
        if not commands or runs > RUNS_MAX:
            return None
        return fails(runner, Stream(stream.seed, commands, cuts))

    stream = failure.stream
    best = failure
    commands = [command for command in stream.commands if not is_sentinel(command)]
    cuts = stream.cuts
    shorter = attempt(commands, ())
    if shorter:
        best, cuts = shorter, ()
    parts = 2
    while len(commands) > 1 and runs <= RUNS_MAX:
        size = -(-len(commands) // parts)
        for begin in range(0, len(commands), size):
            rest = commands[:begin] + commands[begin + size:]
            found = attempt(rest, cuts)
            if found:
                best, commands, parts = found, rest, max(parts - 1, 2)
                break
        else:
            if size == 1:
                break
            parts = min(2 * parts, len(commands))
    return best


def cli_word(word):
    """A word as redis-cli reads it."""
    if word and all(33 <= byte < 127 and byte not in b"\"'\\;#" for byte in word):
        return word.decode()
    return '"' + "".join(chr(byte) if 32 <= byte < 127 and byte not in b'"\\'
                         else f"\\x{byte:02x}" for byte in word) + '"'


def script(failure):
    """What to type into redis-cli to see it again."""
    stream = failure.stream
    lines = [f"# seed {stream.seed}"]
    if stream.cuts:
        lines.append(f"# it needs its bytes to be cut at {sorted(stream.cuts)}")
    for index, command in enumerate(stream.commands):
        if is_sentinel(command) and index != failure.index:
            continue
        text = " ".join(cli_word(word) for word in command.words)
        if command.data != request(*command.words):
            text += f"   # as {command.data[:100]!r}"
        if index == failure.index:
            text += "   # <- differs:"
        lines.append(text)
    return os.linesep.join(lines) + f"\n  {failure}\n"
