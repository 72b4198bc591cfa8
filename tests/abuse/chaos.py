#!/usr/bin/env python3
"""Many clients at random, of every bad kind at once, and beside them one that behaves.

    chaos.py [--seconds N] [--seed N] [--map MAP]

Worker processes hold connections that send right commands, wrong bytes, halves of requests and
bulks of 16 MiB, that play with AUTH and HELLO, do not read, half-close, close and reset, in an
order drawn from a seed. Now and then a worker is killed with all its connections, and another
begins.

Throughout, a polite client must get exactly the answers that a dictionary gives, a visitor who
connects anew must be served, and every byte that any client gets must be RESP: on a connection
that sent nothing wrong, one reply a command, in order. Afterwards the node must be as it was
before: connections, descriptors, backlog, memory, an idle processor; it must stop with status 0,
and hold what the polite client wrote when it starts again.
"""

import argparse
import collections
import os
import random
import socket
import subprocess
import sys
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "support"))
from weir_test import (  # noqa: E402
    ErrorReply, IDLE_SHARE, Incomplete, Node, Scratch, decode, request, until)

PASSWORD = "chaos-of-a-password"
MEBIBYTE = 1 << 20
BULK_MAX = 16 * MEBIBYTE
WORKERS = 3
WORKER_CONNECTIONS = 40
# Far more than there are at a time: a connection counts until the node has noticed that it is gone,
# which under a sanitizer takes longer than making the next.
MAXCLIENTS = 4000
UNSENT_MAX = 20 * MEBIBYTE  # what one connection may have unsent before it gets no more to do
KEYS = [b"c:%d" % number for number in range(64)] + [b"c:large"]


# ---- the bad clients ---------------------------------------------------------------------------

class Connection:
    """One connection of a worker. It is honest until it sends what is no command."""

    def __init__(self, port, rng):
        self.socket = socket.socket()
        if rng.random() < 0.2:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        self.socket.connect(("127.0.0.1", port))
        self.socket.setblocking(False)
        self.unsent = bytearray()
        self.data = bytearray()
        self.expected = collections.deque()  # of an honest one: a token, or None for any reply
        self.honest = True
        self.reads = rng.random() < 0.8
        self.writes = True  # False: half-closed, or about to be

    def command(self, *words, token=None):
        self.unsent += request(*words)
        self.expected.append(token)

    def lie(self, data):
        self.honest = False
        self.unsent += data

    def send(self, rng):
        """Sends some of what is to be sent; False if the node has closed."""
        try:
            while self.unsent:
                piece = rng.choice((1, 7, 100, 4096, 65536, MEBIBYTE))
                sent = self.socket.send(self.unsent[:piece])
                del self.unsent[:sent]
                if rng.random() < 0.3:
                    break
        except BlockingIOError:
            pass
        except (ConnectionError, BrokenPipeError):
            return False
        return True

    def receive(self, rng):
        """Receives something, and judges it; False at the end of the stream."""
        try:
            data = self.socket.recv(rng.choice((10, 1000, 100000, MEBIBYTE)))
        except BlockingIOError:
            return True
        except ConnectionError:
            return False
        if not data:
            return False
        self.data += data
        at = 0
        while at < len(self.data):
            try:
                reply, at = decode(self.data, at)  # ValueError if it is no RESP
            except Incomplete:
                break
            if self.honest:
                self.judge(reply)
        del self.data[:at]
        return True

    def judge(self, reply):
        if not self.expected:
            raise AssertionError(f"a reply to no command: {reply!r}"[:200])
        token = self.expected.popleft()
        if token is not None and reply != token and not isinstance(reply, ErrorReply):
            raise AssertionError(f"{reply!r} in place of {token!r}"[:300])

    def end(self, rng):
        if rng.random() < 0.5:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        self.socket.close()


def right_commands(connection, rng):
    for _ in range(rng.choice((1, 1, 3, 20, 200))):
        key = rng.choice(KEYS)
        token = b"token:%d" % rng.randrange(1 << 40)
        words = rng.choice((
            ("GET", key), ("SET", key, rng.randbytes(rng.choice((0, 1, 50, 3000)))),
            ("SET", key, "1", "PX", rng.randrange(1, 50), "GET"), ("INCR", key), ("DEL", key),
            ("APPEND", key, b"x" * rng.choice((1, 500))), ("MGET", *rng.sample(KEYS, 5)),
            ("MSET", key, "1", rng.choice(KEYS), "2"), ("KEYS", "c:*"), ("SCAN", "0"),
            ("TTL", key), ("EXPIRE", key, "100"), ("STRLEN", key), ("TYPE", key),
            ("COMMAND", "DOCS", "get"), ("INFO",), ("CLIENT", "LIST"), ("CONFIG", "GET", "*"),
            ("NO", "SUCH", "COMMAND"), ("GET",), ("SELECT", "1"), ("ECHO", token)))
        connection.command(*words, token=token if words[0] == "ECHO" else None)


def large_values(connection, rng):
    if rng.random() < 0.3:
        connection.command("SET", "c:large", rng.randbytes(1000) * rng.choice((20, 300, 1000)))
    for _ in range(rng.choice((1, 5, 30))):
        connection.command("GET", "c:large")


def games_with_names(connection, rng):
    for _ in range(rng.choice((1, 4))):
        connection.command(*rng.choice((
            ("AUTH", PASSWORD), ("AUTH", PASSWORD), ("AUTH", "default", PASSWORD),
            ("AUTH", "wrong"), ("AUTH", "nobody", PASSWORD), ("AUTH",), ("AUTH", "a", "b", "c"),
            ("AUTH", b"\0" * 5000),
            ("HELLO", "3"), ("HELLO", "2"), ("HELLO", "4"), ("HELLO", "x"), ("RESET",),
            ("HELLO", "3", "AUTH", "default", PASSWORD), ("HELLO", "3", "AUTH", "default", "wrong"),
            ("HELLO", "2", "SETNAME", "chaos"), ("CLIENT", "SETNAME", "a b"), ("CLIENT", "ID"),
            ("CLIENT", "SETINFO", "lib-name", "chaos"), ("PING",))))


def wrong_bytes(connection, rng):
    good = bytearray(request("SET", rng.choice(KEYS), rng.randbytes(30)))
    kind = rng.randrange(6)
    if kind == 0:
        connection.lie(rng.randbytes(rng.choice((1, 10, 5000))))
    elif kind == 1:
        good[rng.randrange(len(good))] = rng.randrange(256)
        connection.lie(good)
    elif kind == 2:
        at = rng.randrange(len(good))
        connection.lie(good[:at] + rng.randbytes(3) + good[at:])
    elif kind == 3:
        connection.lie(good[:rng.randrange(len(good))] + request("PING"))
    elif kind == 4:
        connection.lie(b"*%d\r\n$%d\r\n" % (rng.choice((-2, 0, 5, 1 << 20, 1 << 40)),
                                           rng.choice((-2, 0, 5, BULK_MAX + 1, 1 << 40))))
    else:
        connection.lie(b"inline " + rng.randbytes(rng.choice((5, 300))) + b"\r\n")


def half_a_request(connection, rng):
    data = request("SET", rng.choice(KEYS), b"h" * rng.choice((10, 20000, 300000)))
    connection.lie(data[:rng.randrange(1, len(data))])


def giant_bulk(connection, rng):
    size = rng.choice((MEBIBYTE, 5 * MEBIBYTE, BULK_MAX))
    head = b"*3\r\n$3\r\nSET\r\n$7\r\nc:large\r\n$%d\r\n" % size
    if rng.random() < 0.5:
        connection.lie(head + bytes(rng.randrange(size)))  # it never ends
    else:
        connection.unsent += head + bytes(size) + b"\r\n"
        connection.expected.append(None)
        connection.command("SET", "c:large", "small again")


def half_close(connection, rng):
    connection.writes = rng.random() < 0.3
    if not connection.writes and not connection.unsent:
        try:
            connection.socket.shutdown(socket.SHUT_WR)
        except OSError:
            pass


def leave(connection, _):
    connection.command("QUIT")
    connection.writes = False


MOVES = (right_commands,) * 8 + (large_values, games_with_names, games_with_names, wrong_bytes,
                                 half_a_request, giant_bulk, half_close, leave)


def work(port, seed):
    """A worker: goes on until it is killed."""
    rng = random.Random(seed)
    connections = []
    while True:
        if not connections or len(connections) < WORKER_CONNECTIONS and rng.random() < 0.5:
            connection = Connection(port, rng)
            if rng.random() < 0.9:
                connection.command("AUTH", PASSWORD)
            connections.append(connection)
        connection = rng.choice(connections)
        if connection.writes and len(connection.unsent) < UNSENT_MAX:
            rng.choice(MOVES)(connection, rng)
        alive = connection.send(rng)
        for other in rng.sample(connections, min(8, len(connections))):
            if other.reads and not other.receive(rng):
                alive = alive and other is not connection
                other.end(rng)
                connections.remove(other)
        if connection in connections and (not alive or rng.random() < 0.02):
            connection.end(rng)
            connections.remove(connection)


# ---- the good client ---------------------------------------------------------------------------

class Polite:
    """A client with keys of its own, and the dictionary that says what it must be told."""

    def __init__(self, node, rng):
        self.node = node
        self.rng = rng
        self.model = {}
        self.commands = 0
        self.refused = 0
        self.slowest_s = 0.0
        self.connect()

    def connect(self):
        self.client = self.node.client()
        self.client.call("AUTH", PASSWORD)

    def step(self, test):
        """A few commands in one pipeline."""
        rng, model = self.rng, self.model
        commands = []
        for _ in range(rng.choice((1, 1, 1, 10))):
            key = b"polite:%d" % rng.randrange(50)
            value = rng.randbytes(rng.choice((1, 20, 800)))
            number = rng.randrange(1000)
            commands.append(rng.choice((
                ("GET", key), ("STRLEN", key), ("SET", key, value), ("APPEND", key, value[:20]),
                ("DEL", key), ("EXISTS", key), ("SET", key, value, "XX", "GET"),
                ("INCRBY", b"polite:n%d" % (number % 7), number), ("MGET", key, b"polite:1"),
                ("ECHO", value))))
        if rng.random() < 0.02:
            commands.append(("SET", b"polite:huge", rng.randbytes(1000) * rng.choice((30, 200))))
            commands.append(("GET", b"polite:huge"))
        begin = time.monotonic()
        replies = self.client.pipeline(commands)
        self.slowest_s = max(self.slowest_s, time.monotonic() - begin)
        for words, reply in zip(commands, replies):
            self.commands += 1
            if isinstance(reply, ErrorReply) and str(reply).startswith("TRYAGAIN "):
                # Memory for what does not fit a batch may be taken by others: it was not done.
                test.assertIn(b"polite:huge", words)
                self.refused += 1
                continue
            test.assertEqual(reply, self.answer(*words), words[:2])

    def answer(self, name, key, *rest):
        model = self.model
        old = model.get(key)
        if name == "GET":
            return old
        if name == "STRLEN":
            return len(old or b"")
        if name == "EXISTS":
            return int(key in model)
        if name == "DEL":
            return int(model.pop(key, None) is not None)
        if name == "ECHO":
            return key
        if name == "MGET":
            return [old, model.get(rest[0])]
        if name == "APPEND":
            model[key] = (old or b"") + rest[0]
            return len(model[key])
        if name == "INCRBY":
            model[key] = b"%d" % (int(old or 0) + rest[0])
            return int(model[key])
        assert name == "SET"
        if len(rest) > 1 and old is None:
            return None
        model[key] = rest[0]
        return old if len(rest) > 1 else "OK"

    def info(self, name):
        text = self.client.call("INFO").decode()
        return [line.split(":", 1)[1] for line in text.splitlines()
                if line.startswith(name + ":")][0]


# ---- the test ----------------------------------------------------------------------------------

class Chaos(unittest.TestCase):
    SECONDS = 20
    SEED = 1
    MAP = "fused"

    def setUp(self):
        self.rng = random.Random(self.SEED)
        scratch = Scratch()
        self.addCleanup(scratch.__exit__, None, None, None)
        self.node = Node(os.path.join(scratch.__enter__(), "data"), "--map", self.MAP,
                         config={"requirepass": PASSWORD, "maxclients": MAXCLIENTS})
        self.addCleanup(self.node.__exit__)
        self.node.start()
        self.workers = []
        self.begun = 0
        self.addCleanup(self.workers_end)

    def worker_begin(self):
        self.begun += 1
        self.workers.append(subprocess.Popen(
            ["setpriv", "--pdeathsig", "KILL", sys.executable, os.path.abspath(__file__),
             "--worker", str(self.node.port), "--seed", str(self.SEED * 1000 + self.begun)],
            stdin=subprocess.DEVNULL))

    def workers_end(self):
        for worker in self.workers:
            worker.kill()
            worker.wait()
        self.workers = []

    def check_workers(self):
        for worker in self.workers:
            self.assertIsNone(worker.poll(), "a worker found a reply that must not be, see above")

    def visit(self):
        """Somebody new, without and then with the password."""
        with self.node.client() as client:
            reply = client.pipeline([("GET", "polite:1")])[0]
            self.assertTrue(str(reply).startswith("NOAUTH "), reply)
            self.assertEqual(client.call("AUTH", PASSWORD), "OK")
            self.assertEqual(client.call("PING"), "PONG")

    def test_a_polite_client_among_many_that_are_not(self):
        polite = Polite(self.node, self.rng)
        for _ in range(200):
            polite.step(self)
        descriptors = self.node.descriptors()
        resident_kb = self.node.status_kb("VmRSS")

        end = time.monotonic() + self.SECONDS
        next_kill = time.monotonic() + 1
        rounds = 0
        while time.monotonic() < end:
            while len(self.workers) < WORKERS:
                self.worker_begin()
            polite.step(self)
            rounds += 1
            if rounds % 20 == 0:
                self.assertTrue(self.node.running(), self.node.log())
                self.check_workers()
                self.visit()
            if time.monotonic() > next_kill:
                next_kill = time.monotonic() + self.rng.uniform(0.5, 3)
                worker = self.workers.pop(self.rng.randrange(WORKERS))
                worker.kill()
                worker.wait()
        self.check_workers()
        self.workers_end()
        self.report(polite)
        self.check_baseline(polite, descriptors, resident_kb)
        self.check_restart(polite)

    def report(self, polite):
        figures = {name: int(polite.info(name)) for name in (
            "total_connections_received", "total_commands_processed", "commands_refused",
            "acl_access_denied_auth", "slow_readers_closed", "receive_buffers_exhausted")}
        print(f"{self.MAP}, seed {self.SEED}: {polite.commands} polite commands, "
              f"{polite.refused} large ones refused, slowest pipeline {polite.slowest_s:.3f} s; "
              f"{self.begun} workers; {figures}; "
              f"highest resident {self.node.status_kb('VmHWM') >> 10} MiB")
        # It was chaos indeed.
        self.assertGreater(polite.commands, 20 * self.SECONDS)
        self.assertGreater(self.begun, WORKERS)
        self.assertGreater(figures["total_connections_received"], 10 * self.SECONDS)
        self.assertGreater(figures["commands_refused"], 10 * self.SECONDS)
        self.assertGreater(figures["acl_access_denied_auth"], 0)

    def check_baseline(self, polite, descriptors, resident_kb):
        until(lambda: polite.info("connected_clients") == "1", "connections stay behind")
        until(lambda: self.node.descriptors() <= descriptors, "descriptors stay behind")
        self.assertEqual(polite.info("client_backlog_bytes"), "0")
        others = set(polite.client.call("KEYS", "*")) - set(polite.model)
        if others:
            polite.client.call("DEL", *others)  # some may have expired by now
        self.assertEqual(polite.client.call("DBSIZE"), len(polite.model))
        # What may remain resident: receive buffers, tables and rooms of 1,024 batches, the log's
        # memory (64 MiB), and a little that arenas and machine keep; they give the rest back.
        most_kb = resident_kb + (64 + 64 + 32) * 1024

        def trimmed():
            polite.client.call("PING")
            return self.node.status_kb("VmRSS") <= most_kb
        try:
            until(trimmed, "memory stays behind")
        finally:
            print(f"resident before {resident_kb >> 10} MiB, "
                  f"after {self.node.status_kb('VmRSS') >> 10} MiB")
        until(lambda: self.node.share_while_silent(polite.client, 1.0) < IDLE_SHARE,
              "it never becomes idle")

    def check_restart(self, polite):
        polite.client.close()
        self.assertEqual(self.node.stop(), 0, self.node.log())
        self.node.start()
        polite.connect()
        for key, value in polite.model.items():
            self.assertEqual(polite.client.call("GET", key), value)
        self.assertEqual(polite.client.call("DBSIZE"), len(polite.model))
        self.assertEqual(self.node.stop(), 0, self.node.log())


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--map", default="fused")
    parser.add_argument("--worker", type=int, metavar="PORT", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker is not None:
        work(arguments.worker, arguments.seed)
    Chaos.SECONDS, Chaos.SEED, Chaos.MAP = arguments.seconds, arguments.seed, arguments.map
    unittest.main(argv=[sys.argv[0]], verbosity=2)


if __name__ == "__main__":
    main()
