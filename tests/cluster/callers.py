"""Clients that record what they asked, when, and what they were told.

The record is a text that the project's checker reads (sim/history.h): a line an operation, with
CLOCK_MONOTONIC before its first byte left and after its last one came. What got no answer is
unknown, unless it was never sent.
"""

import os
import random
import re
import socket
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "support"))
from histories import operation_line, outcome_of  # noqa: E402
from weir_test import ErrorReply, Incomplete, decode, request  # noqa: E402

ANSWER_S = 1.0     # then the outcome is unknown
PAUSE_S = 0.02     # of a client that was refused, before it tries again
TRIES_MAX = 200    # of one operation of a client that was refused
KEYS = {"s": 6, "n": 2, "a": 1}  # of an epoch: strings, counters, what is appended to
COLLECTIONS = {"h": 2, "l": 1}   # and hashes of counters, lists
CLIENTS_MAX = 64  # amounts are unique: a client's number is what is left of one by this


def transaction(*commands, watched=()):
    """The words of an EXEC as a history has them: each command behind the number of its words."""
    commands = ([("WATCH", *watched)] if watched else []) + list(commands)
    return ("EXEC", *(str(word) for command in commands for word in (len(command), *command)))


def pieces(words):
    """What is sent for the words: of a transaction MULTI, its commands and EXEC."""
    if words[0] != "EXEC":
        return [words]
    commands, at = [("MULTI",)], 1
    while at < len(words):
        command = words[at + 1:at + 1 + int(words[at])]
        at += 1 + len(command)
        if command[0] != "WATCH":
            commands.append(command)
    return [*commands, ("EXEC",)]


class Record:
    """One client's history, written as it comes about."""

    def __init__(self, path, client):
        self.file = open(path, "w", encoding="ascii")  # pylint: disable=consider-using-with
        self.path, self.client = path, client
        self.connections = 0

    @staticmethod
    def now():
        return time.monotonic_ns()

    def connection(self):
        """A connection's number, never used before."""
        self.connections += 1
        return self.connections

    def write(self, place, invoked_ns, returned_ns, outcome, words, raw=b""):
        """`place`: connection and number within it. returned_ns None: nothing came."""
        self.file.write(operation_line(self.client, *place, invoked_ns, returned_ns, outcome,
                                       words, raw))

    def close(self):
        self.file.close()


class Line:
    """A connection to a node, which has let us in."""

    def __init__(self, to, password, limit_s=ANSWER_S):
        self.to = to
        self.socket = socket.create_connection(to, limit_s)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.data = b""
        self.sequence = 0
        self.connection = None
        self.send("AUTH", password)
        reply, _ = self.reply()
        if isinstance(reply, ErrorReply):
            self.close()
            raise ConnectionError(str(reply))

    def send(self, *words):
        self.socket.sendall(request(*words))

    def reply(self):
        """The next reply, and its bytes. TimeoutError, ConnectionError."""
        while True:
            try:
                value, end = decode(self.data)
            except Incomplete:
                more = self.socket.recv(1 << 20)
                if not more:
                    raise ConnectionError("the node has closed the connection") from None
                self.data += more
                continue
            raw, self.data = self.data[:end], self.data[end:]
            return value, raw

    def call(self, *words):
        """An operation that nobody judges."""
        self.send(*words)
        return self.reply()[0]

    def close(self):
        self.socket.close()


class Directory:
    """Where nodes are, what clients shall do now, and what has come of it: shared by all."""

    def __init__(self, places, password):
        self.places, self.password = places, password
        self.epoch = 0
        self.reads_only = False
        self.ends = threading.Event()
        self.acked_at = []       # of writes, by all clients


class Caller(threading.Thread):
    """One client. It goes where redirects point, and asks at random elsewhere."""

    def __init__(self, directory, record, seed, rate):
        super().__init__(daemon=True)
        self.directory, self.record = directory, record
        self.rng = random.Random(seed)
        self.interval_s = 1 / rate
        self.line = self.to = None
        self.value = 0
        self.answered_at = 0.0   # when an operation last was ok
        self.counts = {"ok": 0, "refused": 0, "unknown": 0}
        self.given_up = 0        # operations that were refused TRIES_MAX times
        self.asks_nothing_since = 0.0  # when it last began to wait for its next operation

    def run(self):
        try:
            due = time.monotonic()
            while not self.directory.ends.is_set():
                if type(self) is Caller and not self.directory.reads_only and \
                        self.rng.random() < 0.04:
                    self.perform_watched()
                else:
                    self.perform(*self.draw())
                self.asks_nothing_since = time.monotonic()
                due = max(due + self.interval_s, time.monotonic() - 1)
                self.directory.ends.wait(max(0, due - time.monotonic()))
        finally:  # of an exception World.sound tells
            self.leave()
            self.record.close()

    # ---- what is asked -------------------------------------------------------------------------

    def key(self, kind):
        return f"{self.directory.epoch}:{kind}{self.rng.randrange(KEYS[kind])}"

    def unique(self):
        self.value += 1
        return f"{self.record.client}.{self.value}"

    def collection(self, kind):
        return f"{self.directory.epoch}:{kind}{self.rng.randrange(COLLECTIONS[kind])}"

    def amount(self):
        self.value += 1
        return self.value * CLIENTS_MAX + self.record.client % CLIENTS_MAX

    def draw_collection(self):
        """As draw, of hashes, lists and transactions."""
        kind = self.rng.randrange(6)
        queue, of, to = (self.collection(sort) for sort in "lhh")
        if self.directory.reads_only or kind == 0:
            return False, transaction(("HGET", of, "c"), ("HGET", to, "c"),
                                      ("LRANGE", queue, "0", "3"))
        if kind == 1:
            return True, ("HINCRBY", to, "c", self.amount())
        if kind == 2:
            return True, ("RPUSH", queue, self.unique())
        if kind == 3:
            return True, transaction(("LPOP", queue), ("LPUSH", queue, self.unique()),
                                     ("RPOP", queue))
        amount = self.amount()
        return True, transaction(("HINCRBY", of, "c", -amount), ("HINCRBY", to, "c", amount))

    def draw(self):
        """(whether it writes, words)."""
        string = self.key("s")
        if self.rng.random() < 0.15:
            return self.draw_collection()
        roll = self.rng.random()
        if self.directory.reads_only or roll < 0.40:
            counter = self.key("n")
            return False, ("GET", string if roll < 0.3 else counter)
        if roll < 0.45:
            return False, ("MGET", string, self.key("s"))
        if roll < 0.75:
            return True, ("SET", string, self.unique())
        if roll < 0.90:
            return True, ("INCR", self.key("n"))
        if roll < 0.94:
            return True, ("APPEND", self.key("a"), f"{self.unique()};")
        if roll < 0.97:
            return True, ("MSET", string, self.unique(), self.key("n"), self.value)
        return True, ("DEL", string)

    # ---- how it is asked -----------------------------------------------------------------------

    def reach(self):
        """A connection; None if there is none just now."""
        if self.line is None:
            to = self.to or self.rng.choice(self.directory.places)
            self.to = None
            try:
                self.line = Line(to, self.directory.password)
            except OSError:
                return None
            self.line.connection = self.record.connection()
        return self.line

    def leave(self):
        if self.line is not None:
            self.line.close()
        self.line = None

    def pause(self):
        self.directory.ends.wait(PAUSE_S)

    def ask(self, *words):
        """(outcome, reply, its bytes, when it came). After anything but ok the line is left."""
        try:
            sent = pieces(words)
            if words[0] == "ONCE" and words[3] == "EXEC":
                sent = [*pieces(words[3:])[:-1], words[:4]]
            self.line.socket.sendall(b"".join(request(*each) for each in sent))
            for _ in sent:
                reply, raw = self.line.reply()
        except OSError:
            self.leave()
            return "unknown", None, b"", None
        came = time.monotonic_ns()
        outcome = outcome_of(reply)
        if outcome != "ok":
            self.follow(reply)
            self.leave()
        return outcome, reply, raw, came

    def follow(self, refusal):
        """The next connection goes where the refusal points."""
        moved = re.match(r"MOVED \d+ (\S+):(\d+)$", str(refusal))
        self.to = (moved.group(1), int(moved.group(2))) if moved else None

    def ended(self, writes, outcome):
        self.counts[outcome] += 1
        if outcome == "ok":
            self.answered_at = time.monotonic()
            if writes:
                self.directory.acked_at.append(self.answered_at)

    def perform_watched(self):
        """WATCH, a read, and an EXEC that is executed if nobody has changed what was read."""
        key = self.key("n")
        self.perform(False, ("WATCH", key))
        line = self.line
        if line is None:
            return
        self.perform(False, ("GET", key))
        if self.line is line and not self.directory.ends.is_set():
            self.perform(True, transaction(("INCR", key), ("SET", self.key("s"), self.unique()),
                                           watched=(key,)))
        self.leave()  # whatever it still watches

    def perform(self, writes, words):
        """Asks until it is not refused; each attempt is an operation. Unknown writes are left."""
        for _ in range(TRIES_MAX):
            if self.directory.ends.is_set():
                return
            line = self.reach()
            if line is None:
                self.pause()
                continue
            line.sequence += 1
            invoked = time.monotonic_ns()
            outcome, _, raw, came = self.ask(*words)
            self.record.write((line.connection, line.sequence), invoked, came, outcome, words, raw)
            self.ended(writes, outcome)
            if outcome == "ok" or (outcome == "unknown" and writes) or "WATCH" in words:
                return
            if self.to is None:
                self.pause()
        self.given_up += 1


class Pipelined(Caller):
    """A client that sends several operations at once, and then reads as many replies."""

    DEPTH = 8

    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.interval_s *= self.DEPTH

    def perform(self, writes, words):
        line = self.reach()
        if line is None:
            self.pause()
            return
        asked = [(writes, words), *(self.draw() for _ in range(self.DEPTH - 1))]
        invoked = time.monotonic_ns()
        failed = failed_one = False  # the connection; an operation
        try:
            line.socket.sendall(b"".join(request(*piece) for _, each in asked
                                         for piece in pieces(each)))
        except OSError:
            failed = True
        for each_writes, each in asked:
            line.sequence += 1
            outcome, raw, came = "unknown", b"", None
            if not failed:
                try:
                    for _ in pieces(each):
                        reply, raw = line.reply()
                    outcome, came = outcome_of(reply), time.monotonic_ns()
                except OSError:
                    failed = True
            self.record.write((line.connection, line.sequence), invoked, came, outcome, each, raw)
            self.ended(each_writes, outcome)
            if outcome == "refused":
                self.follow(reply)
            failed_one = failed_one or outcome != "ok"
        if failed_one:
            self.leave()
            self.pause()


class Patient(Caller):
    """
    A client that repeats each write under ONCE until it is answered. Nothing that it does ever
    fails, unless it was given up when the run ended.
    """

    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.session, self.number = None, 0
        self.slowest_s = 0.0  # of one operation, since somebody set this to 0

    def perform(self, writes, words):
        began = time.monotonic()
        if writes:
            self.write_once(words)
        else:
            super().perform(writes, words)
        self.slowest_s = max(self.slowest_s, time.monotonic() - began)

    def open_session(self):
        while self.session is None and not self.directory.ends.is_set():
            if self.reach() is not None:
                outcome, reply, _, _ = self.ask("ONCE.OPEN")
                if outcome == "ok":
                    self.session, self.number = reply, 0
            if self.session is None and self.to is None:
                self.pause()

    def write_once(self, words):
        self.open_session()
        if self.session is None:
            return
        self.number += 1
        invoked, place = time.monotonic_ns(), None
        while not self.directory.ends.is_set():
            line = self.reach()
            if line is None:
                self.pause()
                continue
            if place is None:
                line.sequence += 1
                place = (line.connection, line.sequence)
            else:
                place = (self.record.connection(), 1)
            outcome, reply, raw, came = self.ask("ONCE", self.session, self.number, *words)
            if outcome == "ok" and not str(reply).startswith("ERR "):
                self.record.write(place, invoked, came, "ok", words, raw)
                self.ended(True, "ok")
                return
            assert outcome != "ok", f"{words}: {reply}"
            if str(reply).startswith("SESSION"):
                self.session = None  # a wall clock has taken log time along
                break
            if self.to is None:
                self.pause()
        if place is not None:
            self.record.write((self.record.connection(), 1), invoked, None, "unknown", words)
            self.counts["unknown"] += 1
