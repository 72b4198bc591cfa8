#!/usr/bin/env python3
"""ONCE on whole nodes: what a client is answered, on every map, over restarts and snapshots."""

import os
import re
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "support"))
from weir_test import MAPS, ErrorReply, Node, Scratch, request, until  # noqa: E402


def text(reply):
    return str(reply) if isinstance(reply, ErrorReply) else reply


class Once(unittest.TestCase):
    def node(self, *options, **more):
        scratch = Scratch()
        self.addCleanup(scratch.__exit__, None, None, None)
        node = Node(os.path.join(scratch.__enter__(), "data"), *options, **more)
        self.addCleanup(node.__exit__)
        return node.start()

    def client(self, node):
        client = node.client()
        self.addCleanup(client.close)
        return client

    def refused(self, client, beginning, *words):
        reply = client.pipeline([words])[0]
        self.assertIsInstance(reply, ErrorReply, words)
        self.assertTrue(str(reply).startswith(beginning), (words, str(reply)))

    def info(self, client, name):
        return int(re.search(rf"^{name}:(\d+)", client.call("INFO", "stats").decode(), re.M)[1])

    def test_what_is_no_write_or_no_number_is_refused_and_uses_nothing_up(self):
        client = self.client(self.node(durability="none"))
        session = client.call("ONCE.OPEN")
        self.refused(client, "ERR wrong number of arguments for 'once'", "ONCE")
        self.refused(client, "ERR wrong number of arguments for 'once'", "ONCE", session, "1")
        self.refused(client, "ERR unknown command 'NONE'", "ONCE", session, "1", "NONE", "x")
        self.refused(client, "ERR wrong number of arguments for 'incr'", "ONCE", session, 1, "INCR")
        for words in (("GET", "k"), ("PING",), ("ONCE", "1", "1", "INCR", "k"), ("ONCE.OPEN",),
                      ("QUIT",), ("HELLO", "3"), ("CLIENT", "ID")):
            self.refused(client, "ERR ONCE takes a command that writes", "ONCE", session, 1, *words)
        for number in ("0", "-1", "x", "", "1.0", "9223372036854775808", "01"):
            self.refused(client, "ERR session and sequence", "ONCE", session, number, "INCR", "k")
            self.refused(client, "ERR session and sequence", "ONCE", number, "1", "INCR", "k")
        for words in (("PX",), ("EX", "1"), ("PX", "1", "2"), ("1",)):
            self.refused(client, "ERR syntax error", "ONCE.OPEN", *words)
        for number in ("0", "-1", "x", "2592000001"):
            self.refused(client, "ERR a session's lifetime", "ONCE.OPEN", "PX", number)
        self.refused(client, "ERR value is not an integer", "ONCE", session, 1, "INCRBY", "k", "x")
        self.assertEqual(client.call("ONCE", session, "1", "INCR", "k"), 1)

    def test_before_authentication_nothing_is_done_under_once(self):
        node = self.node(durability="none", config={"requirepass": "secret"})
        client = self.client(node)
        self.refused(client, "NOAUTH ", "ONCE.OPEN")
        self.refused(client, "NOAUTH ", "ONCE", "1", "1", "INCR", "k")
        self.refused(client, "NOAUTH ", "ONCE", "1", "1", "AUTH", "secret")
        self.refused(client, "NOAUTH ", "PING")

    def test_an_unknown_session_is_never_executed(self):
        client = self.client(self.node(durability="none"))
        session = client.call("ONCE.OPEN")
        self.refused(client, "SESSION ", "ONCE", session + 1, "1", "INCR", "k")
        self.refused(client, "SESSION ", "ONCE", 2 ** 63 - 1, "1", "INCR", "k")
        self.assertIsNone(client.call("GET", "k"))
        self.assertEqual(self.info(client, "session_unknown"), 2)

    def conversation(self, client):
        """Everything ONCE can answer; the replies, without what depends on indexes."""
        session = client.call("ONCE.OPEN")

        def once(sequence, *words):
            return ("ONCE", session, sequence, *words)
        said = client.pipeline([
            once(1, "INCR", "n"), once(1, "INCR", "n"), ("INCR", "n"), once(1, "INCR", "n"),
            once(1, "INCR", "m"), once(1, "DECR", "n"), ("GET", "m"), ("GET", "n"),
            once(2, "INCR", "n"), once(2, "incr", "n"), ("GET", "n"),
            once(3, "SET", "s", "text"), once(3, "SET", "s", "text"), once(3, "SET", "s", "texT"),
            once(3, "SET", "stex", "t"),
            once(4, "INCR", "s"), once(4, "INCR", "s"),
            once(5, "SET", "s", "a" * 1024, "GET"), once(6, "SET", "s", "b" * 1025, "GET"),
            once(6, "SET", "s", "b" * 1025, "GET"), once(7, "SET", "s", "c", "GET"),
            once(7, "SET", "s", "c", "GET"), ("GET", "s"),
            once(8, "SET", "s", "d" * 70000, "GET"), once(9, "SET", "s", "e", "GET"),
            once(9, "SET", "s", "e", "GET"), ("STRLEN", "s"),
            once(500, "INCR", "n"), once(372, "INCR", "n"), once(373, "INCR", "n"),
            once(373, "INCR", "n"), once(1, "INCR", "n"), ("GET", "n"),
            once(600, "FLUSHALL"), ("SET", "k", "v"), once(600, "FLUSHALL"), ("DBSIZE",),
            once(601, "MSET", "a", "1", "b", "2"), ("DEL", "a"),
            once(601, "MSET", "a", "1", "b", "2"), ("GET", "a"),
        ])
        return [re.sub(r"session \d+", "session N", text(reply))
                if isinstance(reply, ErrorReply) else reply for reply in said]

    def test_the_replies_are_as_documented_and_the_same_on_every_map(self):
        heard = {}
        for options in (("--map", name) for name in MAPS):
            heard[options] = self.conversation(self.client(self.node(*options, durability="none")))
        said = heard["--map", MAPS[0]]
        for options, other in heard.items():
            self.assertEqual(other, said, options)
        other_command = "belongs to another command: nothing was done"
        self.assertEqual(said[:4], [1, 1, 2, 1])
        self.assertTrue(said[4].endswith(other_command) and said[5].endswith(other_command))
        self.assertEqual(said[4], f"SEQUENCE 1 of session N {other_command}")
        self.assertEqual(said[6:13], [None, b"2", 3, 3, b"3", "OK", "OK"])
        self.assertTrue(said[13].endswith(other_command) and said[14].endswith(other_command))
        self.assertTrue(said[15].startswith("ERR value is not an integer"))
        self.assertEqual(said[15], said[16])
        not_kept = "was applied, once; its reply was not kept"
        self.assertEqual(said[17:20], [b"text", b"a" * 1024, b"a" * 1024])
        self.assertEqual(said[20], b"b" * 1025)
        self.assertEqual(said[21], f"APPLIED sequence 7 of session N {not_kept}")
        self.assertEqual(said[22:25], [b"c", b"c", b"d" * 70000])
        self.assertEqual(said[25:27], [f"APPLIED sequence 9 of session N {not_kept}", 1])
        self.assertEqual(said[27], 4)
        self.assertTrue(said[28].startswith("SEQUENCE 372 of session N is below the last 128"))
        self.assertEqual(said[29:31], [5, 5])
        self.assertTrue(said[31].startswith("SEQUENCE 1 of session N is below the last 128"))
        self.assertEqual(said[32:], [b"5", "OK", "OK", "OK", 1, "OK", 1, "OK", None])

    def test_each_open_in_a_pipeline_has_a_session_of_its_own(self):
        client = self.client(self.node(durability="none"))
        commands = [("ONCE.OPEN",)] * 20 + [("INCR", "n")] + [("ONCE.OPEN", "PX", "5000")] * 20
        opened = client.pipeline(commands + [("PING",)])
        self.assertEqual(opened[20], 1)
        self.assertEqual(opened[-1], "PONG")
        sessions = opened[:20] + opened[21:-1]
        self.assertEqual(len(set(sessions)), 40)
        self.assertEqual(sessions, sorted(sessions))
        said = client.pipeline([("ONCE", session, "1", "INCR", "n") for session in sessions] * 2)
        self.assertEqual(said, list(range(2, 42)) * 2)
        # Cut anywhere, and sent byte by byte.
        data = b"".join(request(*words) for words in commands[15:25])
        for byte in data:
            client.send(bytes((byte,)))
        self.assertEqual(len({client.reply() for _ in range(10)}), 10)

    def test_a_session_that_is_not_used_expires_by_log_time(self):
        client = self.client(self.node(durability="none"))

        def log_time_ms():
            return int(re.search(rb"raft_log_time_ms:(\d+)", client.call("INFO", "raft"))[1])
        short, long = client.call("ONCE.OPEN", "PX", "50"), client.call("ONCE.OPEN")
        opened_ms = log_time_ms()
        until(lambda: client.call("SET", "k", "v") and log_time_ms() >= opened_ms + 50,
              "log time passes")
        self.refused(client, "SESSION ", "ONCE", short, "1", "INCR", "n")
        self.assertEqual(client.call("ONCE", long, "1", "INCR", "n"), 1)
        until(lambda: client.call("SET", "k", "v") and self.info(client, "sessions") == 1, "swept")
        self.assertEqual(self.info(client, "sessions_expired"), 1)
        self.refused(client, "SESSION ", "ONCE", short, "1", "INCR", "n")

    def test_replies_are_repeated_after_restarts_and_out_of_snapshots(self):
        node = self.node(config={"snapshot-log-bytes": "1mb"}, durability="write")
        client = self.client(node)
        expected = {}

        def repeat(client):
            for (session, sequence, *words), reply in expected.items():
                said = client.pipeline([("ONCE", session, sequence, *words)])[0]
                self.assertEqual(text(said), reply, (session, sequence))
        for number in range(40):
            session = client.call("ONCE.OPEN")
            for sequence in range(1, 1 + number * 4):
                words = ((session, sequence, "INCR", f"n{number}"),
                         (session, sequence, "SET", f"s{number}", f"{sequence}" * 40, "GET"),
                         (session, sequence, "INCR", "s0"))[sequence % 3]
                if sequence > number * 4 - 128:
                    expected[words] = None
                reply = text(client.pipeline([("ONCE", *words)])[0])
                if words in expected:
                    expected[words] = reply
        node.kill()
        repeat(self.client(node.start()))  # out of the log
        filling = self.client(node)
        snapshots = self.snapshots(filling)
        until(lambda: filling.call("SET", "fill", "x" * 100000) and
              self.snapshots(filling) >= snapshots + 2, "two snapshots are taken")
        counted = [filling.call("GET", f"n{number}") for number in range(40)]
        node.kill()
        client = self.client(node.start())
        repeat(client)  # out of a snapshot
        self.assertEqual([client.call("GET", f"n{number}") for number in range(40)], counted)
        self.assertGreater(self.info(client, "session_repeats"), 2000)
        self.assertEqual(node.stop(), 0)

    def snapshots(self, client):
        return int(re.search(r"snapshots_completed:(\d+)",
                             client.call("INFO", "persistence").decode())[1])

    def test_commands_go_on_while_snapshots_write_the_sessions_out(self):
        """Sessions change all the time, and 200 of them have something to be written."""
        node = self.node(config={"snapshot-log-bytes": "1mb"})
        client = self.client(node)
        sessions = client.pipeline([("ONCE.OPEN",)] * 200)
        began, last, sequence = self.snapshots(client), [], 0

        def round_of_all():
            nonlocal last, sequence
            sequence += 1
            last = [("ONCE", session, sequence, "SET", f"k{session}", f"{sequence:900}", "GET")
                    for session in sessions]
            client.pipeline(last)
            return self.snapshots(client) >= began + 6
        until(round_of_all, "six snapshots are taken")
        before = client.pipeline(last)
        node.kill()
        client = self.client(node.start())
        self.assertEqual(client.pipeline(last), before)
        self.assertEqual(client.pipeline([("GET", f"k{session}") for session in sessions]),
                         [b"%900d" % sequence] * 200)

    def test_when_the_table_is_full_the_one_unused_longest_goes(self):
        client = self.client(self.node(durability="none"))
        first, second = client.pipeline([("ONCE.OPEN",)] * 2)
        client.pipeline([("ONCE.OPEN",)] * 4094)
        self.assertEqual(self.info(client, "sessions"), 4096)
        self.assertEqual(client.call("ONCE", first, "1", "INCR", "n"), 1)
        newest = client.call("ONCE.OPEN")
        self.assertEqual(client.call("ONCE", newest, "1", "INCR", "n"), 2)
        self.refused(client, "SESSION ", "ONCE", second, "1", "INCR", "n")
        self.assertEqual(client.call("ONCE", first, "1", "INCR", "n"), 1)
        self.assertEqual(self.info(client, "sessions_evicted"), 1)
        self.assertEqual(self.info(client, "sessions"), 4096)

    def test_long_commands_are_told_apart_by_their_last_byte(self):
        client = self.client(self.node("--map", "split", durability="none"))
        session = client.call("ONCE.OPEN")
        value = os.urandom(3 * 1024 * 1024)
        other = value[:-1] + bytes((value[-1] ^ 1,))
        self.assertEqual(client.call("ONCE", session, "1", "APPEND", "k", value), len(value))
        self.assertEqual(client.call("ONCE", session, "1", "APPEND", "k", value), len(value))
        self.refused(client, "SEQUENCE ", "ONCE", session, "1", "APPEND", "k", other)
        self.assertTrue(client.call("GET", "k") == value)
        pairs = [word for i in range(20000) for word in (f"key{i}", "v")]
        self.assertEqual(client.call("ONCE", session, "2", "MSET", *pairs), "OK")
        self.assertEqual(client.call("ONCE", session, "2", "MSET", *pairs), "OK")
        self.refused(client, "SEQUENCE ", "ONCE", session, "2", "MSET", *pairs[:-1], "w")

    def test_the_log_machine_has_it_too(self):
        client = self.client(self.node("--machine", "log", durability="none"))
        session = client.call("ONCE.OPEN")
        self.assertEqual([client.call("ONCE", session, "1", "LOG.APPEND", "a") for _ in "abc"],
                         [0, 0, 0])
        self.assertEqual(client.call("LOG.LEN"), 1)


if __name__ == "__main__":
    unittest.main(verbosity=2)
