"""Histories of clients in Python, in the text form that weir check-history reads (docs/formats.md).

A Recorder collects lines in memory, from any number of threads; `write` puts them into a file. A
Lane is one connection of one client after the other: it asks one command at a time and records it.
What it may not do is to ask again after an unknown outcome as if nothing had happened.
"""

import functools
import re
import threading
import time

from weir_test import Client, ErrorReply

# The codes that promise that nothing was done: history_outcome_of of sim/history.c.
REFUSALS = ("MOVED", "CLUSTERDOWN", "TRYAGAIN", "READONLY", "OOM", "MISCONF", "NOAUTH", "NOPERM",
            "SESSION", "EXECABORT", "LOADING")


def raw_reply(value):
    """A decoded reply as RESP 2 bytes again."""
    if value is None:
        return b"$-1\r\n"
    if isinstance(value, ErrorReply):
        return b"-%b\r\n" % str(value).encode(errors="surrogateescape")
    if isinstance(value, int):
        return b":%d\r\n" % value
    if isinstance(value, str):
        return b"+%b\r\n" % value.encode(errors="surrogateescape")
    if isinstance(value, bytes):
        return b"$%d\r\n%b\r\n" % (len(value), value)
    return b"*%d\r\n" % len(value) + b"".join(map(raw_reply, value))


def outcome_of(value):
    """What a reply says of its operation: ok, refused or unknown."""
    code = str(value).split(" ", 1)[0] if isinstance(value, ErrorReply) else ""
    if code == "UNKNOWN":
        return "unknown"
    if code in REFUSALS or str(value) == "ERR max number of clients reached" and code:
        return "refused"
    return "ok"


@functools.lru_cache
def escapes(plain):
    """What each byte is in the text form; those that `plain` matches stay as they are."""
    names = {0x0d: "\\r", 0x0a: "\\n", 0x5c: "\\\\"}
    return [names.get(byte) or (chr(byte) if re.match(plain, chr(byte)) else f"\\x{byte:02x}")
            for byte in range(256)]


def escaped(data, plain):
    return "".join(map(escapes(plain).__getitem__, data))


def word_text(word):
    data = str(word).encode() if isinstance(word, (int, str)) else word
    return escaped(data, r'[!#-=?-~]') or '""'


def operation_line(client, connection, sequence, invoked_ns, returned_ns, outcome, words, reply):
    """One line. `returned_ns` may be None; `reply` is bytes, empty if none came."""
    returned = "never" if returned_ns is None else str(returned_ns)
    text = f" -> {escaped(reply, '[ -~]')}" if reply else ""
    return (f"client {client} connection {connection} #{sequence} [{invoked_ns}, {returned}] "
            f"{outcome}: {' '.join(map(word_text, words))}{text}\n")


class Recorder:
    """Lines of all lanes, and the numbers that must not be used twice."""

    def __init__(self):
        self.lines, self.mutex, self.numbers = [], threading.Lock(), {}

    def number(self, what):
        """1, 2, 3, ... of what: clients, connections."""
        with self.mutex:
            self.numbers[what] = self.numbers.get(what, 0) + 1
            return self.numbers[what]

    def add(self, *fields):
        line = operation_line(*fields)
        with self.mutex:
            self.lines.append(line)

    def write(self, path):
        with self.mutex, open(path, "w", encoding="ascii") as file:
            file.writelines(self.lines)


class Lane:
    """A client: one command under way at most, on one connection at a time."""

    def __init__(self, recorder, limit_s=5):
        self.recorder, self.limit_s = recorder, limit_s
        self.number, self.client = recorder.number("client"), None

    def connect(self, port):
        """OSError if nobody listens there."""
        self.leave()
        self.client = Client(port, limit_s=self.limit_s)
        self.connection, self.sequence = self.recorder.number("connection"), 0

    def leave(self):
        if self.client is not None:
            self.client.close()
        self.client = None

    def ask(self, *words):
        """(outcome, reply), recorded. A lost connection is ("unknown", None), and is left."""
        self.sequence += 1
        invoked_ns, returned_ns = time.monotonic_ns(), None
        try:
            value = self.client.pipeline([words])[0]
            returned_ns = time.monotonic_ns()
            outcome, reply = outcome_of(value), raw_reply(value)
        except OSError:
            value, outcome, reply = None, "unknown", b""
            self.leave()
        self.recorder.add(self.number, self.connection, self.sequence, invoked_ns, returned_ns,
                          outcome, words, reply)
        return outcome, value
