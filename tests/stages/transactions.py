#!/usr/bin/env python3
"""Transactions on whole nodes: on every map, over restarts and snapshots, at the limits."""

import os
import re
import sys
import threading
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "support"))
from weir_test import MAPS, ErrorReply, Node, Scratch, until  # noqa: E402

MEBIBYTE = 1 << 20
DISCARDED = "EXECABORT Transaction discarded because of"


def plain(reply):
    """A reply that can be compared: errors as their texts."""
    if isinstance(reply, list):
        return [plain(element) for element in reply]
    return str(reply) if isinstance(reply, ErrorReply) else reply


class Transactions(unittest.TestCase):
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

    def execute(self, client, *commands, execute=("EXEC",)):
        """What the EXEC answers."""
        return plain(client.pipeline([("MULTI",), *commands, execute])[-1])

    def test_what_cannot_be_in_a_transaction_is_refused(self):
        client = self.client(self.node(durability="none"))
        session = client.call("ONCE.OPEN")
        inside = "ERR Command not allowed inside a transaction"
        for words in (("INFO",), ("CLIENT", "LIST"), ("CLIENT", "INFO"), ("WAIT", "0", "0"),
                      ("SHUTDOWN",), ("ONCE.OPEN",), ("ONCE", session, "1", "INCR", "n")):
            said = [plain(reply) for reply in
                    client.pipeline([("MULTI",), words, ("SET", "k", "v"), ("EXEC",)])]
            self.assertEqual(said, ["OK", inside, "QUEUED", f"{DISCARDED} previous errors."], words)
        keys = [f"key{number}" for number in range(513)]
        self.assertEqual(plain(client.pipeline([("WATCH", *keys)])[0]),
                         "ERR too many keys: a WATCH takes at most 512")
        self.assertEqual(plain(client.pipeline([("WATCH", "x" * 70000)])[0]),
                         "ERR key too long: the limit is 65536 bytes")
        self.assertEqual(self.execute(client, ("GET", "x" * 70000)),
                         f"{DISCARDED} previous errors.")
        self.assertEqual(client.call("DBSIZE"), 0)

    def test_the_machine_without_keys_has_transactions_and_nothing_to_watch(self):
        client = self.client(self.node("--machine", "log", durability="none"))
        self.assertEqual(plain(client.pipeline([("WATCH", "k")])[0]),
                         "ERR this machine has no keys that can be watched")
        self.assertEqual(self.execute(client, ("LOG.APPEND", "a"), ("LOG.APPEND", "b"),
                                      ("LOG.LEN",)), [0, 1, 2])

    def test_under_once_a_transaction_is_executed_once(self):
        node = self.node(durability="write")
        client, other = self.client(node), self.client(node)
        session = client.call("ONCE.OPEN")

        def once(sequence, *commands):
            return self.execute(client, *commands, execute=("ONCE", session, sequence, "EXEC"))
        counted = (("INCR", "n"), ("GET", "n"), ("PING", "x"), ("SET", "n", "x", "EX", "y"))
        first = [1, b"1", b"x", "ERR value is not an integer or out of range"]
        self.assertEqual(once(1, *counted), first)
        self.assertEqual(once(1, *counted), first)
        # Whoever repeats it may have watched something else, or in vain.
        client.call("WATCH", "n")
        other.call("INCR", "n")
        self.assertEqual(once(1, *counted), first)
        self.assertIn("belongs to another command", once(1, ("INCR", "n")))
        client.call("WATCH", "n")
        other.call("INCR", "n")
        self.assertIsNone(once(2, ("INCR", "n")))
        self.assertIsNone(once(2, ("INCR", "n")))  # that was its answer
        self.assertIn("ONCE takes a command that writes", once(3, ("GET", "n")))
        self.assertIn("without MULTI", plain(client.pipeline(
            [("ONCE", session, 4, "EXEC")])[0]))
        long = (("SET", "s", "x" * 3000), ("GET", "s"), ("GET", "s"), ("INCR", "n"))
        self.assertEqual(once(5, *long), ["OK", b"x" * 3000, b"x" * 3000, 4])
        node.kill()
        node.start()
        client = self.client(node)
        self.assertEqual(once(1, *counted), first)
        self.assertTrue(once(5, *long).startswith("APPLIED sequence 5"))
        self.assertEqual(client.call("GET", "n"), b"4")

    def test_what_once_keeps_of_a_transaction_is_the_same_on_every_member(self):
        """So nothing that depends on a table's layout; times to live are by the entry's time."""
        node = self.node(durability="write")
        client = self.client(node)
        client.call("MSET", "a", "1", "b", "2")
        client.call("SET", "brief", "x", "PX", "100000000")
        session = client.call("ONCE.OPEN")

        def once(sequence, *commands):
            return self.execute(client, ("INCR", "n"), *commands,
                                execute=("ONCE", session, sequence, "EXEC"))
        listed = once(1, ("KEYS", "[ab]"))
        self.assertEqual((listed[0], sorted(listed[1])), (1, [b"a", b"b"]))
        for sequence, words in ((1, ("KEYS", "[ab]")), (2, ("RANDOMKEY",)), (3, ("SCAN", "0"))):
            if sequence > 1:
                self.assertEqual(once(sequence, words)[0], sequence)
            self.assertTrue(once(sequence, words).startswith(f"APPLIED sequence {sequence} "))
        said = {sequence: once(sequence, ("PTTL", "brief"), ("GET", "a"))
                for sequence in range(4, 60)}
        node.kill()
        client = self.client(node.start())
        for sequence, reply in said.items():
            self.assertEqual(once(sequence, ("PTTL", "brief"), ("GET", "a")), reply)
        self.assertEqual(client.call("GET", "n"), b"59")

    def conversation(self, node):
        """Transactions of many commands, and readers who see all of one or nothing."""
        client, reader = self.client(node), self.client(node)
        over, wrong = threading.Event(), []

        def read():
            while not over.is_set():
                values = reader.call("MGET", *(f"k{number}" for number in range(0, 1000, 50)))
                if len(set(values)) != 1:
                    wrong.append(values)
        thread = threading.Thread(target=read)
        thread.start()
        said = [self.execute(client, *((("SET", f"k{number}", f"{turn}")
                                        for number in range(1000))), ("GET", "k999"))[-1]
                for turn in range(20)]
        over.set()
        thread.join()
        self.assertEqual(wrong, [])
        said += self.execute(client, *[("PING", "p" * 2000)] * 40, ("GET", "k0"))
        said += self.execute(client, ("SET", "big", "b" * MEBIBYTE), *[("GET", "big")] * 5,
                             ("MSET", *(f"m{number}" for number in range(20000))), ("DBSIZE",))
        return said

    def test_they_are_the_same_on_every_map(self):
        heard = [self.conversation(self.node("--map", name, durability="none")) for name in MAPS]
        for other in heard[1:]:
            self.assertEqual(other, heard[0])
        self.assertEqual(heard[0][:20], [f"{turn}".encode() for turn in range(20)])
        self.assertEqual(heard[0][60:], [b"19", "OK", *[b"b" * MEBIBYTE] * 5, "OK", 11001])

    def test_a_restart_and_a_snapshot_keep_what_was_executed_and_what_is_watched(self):
        node = self.node(config={"snapshot-log-bytes": "1mb"}, durability="write")
        client = self.client(node)
        for turn in range(30):
            client.call("WATCH", f"n{turn % 3}")
            self.assertEqual(self.execute(client, ("INCR", "n0"), ("INCR", "n1"),
                                          ("SET", "fill", "x" * 100000)),
                             [turn + 1, turn + 1, "OK"])
        until(lambda: client.call("SET", "fill", "y" * 100000) and
              re.search(rb"snapshots_completed:[1-9]", client.call("INFO", "persistence")),
              "a snapshot is taken")
        node.kill()
        client = self.client(node.start())
        self.assertEqual(client.call("MGET", "n0", "n1"), [b"30", b"30"])
        client.call("WATCH", "n0", "none")
        self.assertEqual(self.execute(client, ("INCR", "n0")), [31])
        self.assertEqual(node.stop(), 0)

    def test_what_exceeds_the_limits_is_refused_whole(self):
        node = self.node(config={"proto-max-bulk-len": "1mb", "maxmemory": "64mb"},
                         durability="none")
        client = self.client(node)
        too_large = [("SET", f"k{number}", "x" * 1000000) for number in range(3)]
        said = [plain(reply) for reply in client.pipeline([("MULTI",), *too_large, ("EXEC",)])]
        self.assertIn("ERR command too large", said[-2])
        self.assertEqual(said[-1], f"{DISCARDED} previous errors.")
        self.assertEqual(client.call("DBSIZE"), 0)
        # A few short commands that would need more memory than there is, one after the other.
        self.assertIn("OOM", "".join(map(str, map(plain, client.pipeline(
            [("MULTI",), *[("SETRANGE", f"r{number}", "1000000", "x") for number in range(60)],
             ("EXEC",)])))))
        self.assertEqual(client.call("DBSIZE"), 0)
        # All stores together: who has no room is refused, and the others can go on.
        crowd = [self.client(node) for _ in range(90)]
        kept = []
        for one in crowd:
            kept.append(plain(one.pipeline([("MULTI",), ("SET", "s", "x" * 1000000)])[1]))
        self.assertIn("QUEUED", kept)
        self.assertTrue(kept[-1].startswith("TRYAGAIN"), kept[-1])
        self.assertEqual(plain(crowd[0].call("EXEC")), ["OK"])
        for one in crowd:
            one.close()
        until(lambda: self.execute(client, ("SET", "s", "x" * 1000000)) == ["OK"], "it is free")

    def test_long_ones_make_no_long_polls(self):
        node = self.node(durability="none")
        client = self.client(node)
        for _ in range(3):
            said = self.execute(client, *[("APPEND", "a", "x" * 50000)] * 100,
                                *[("GETRANGE", "a", "0", "60000")] * 100,
                                *[("SET", f"k{number}", "v") for number in range(5000)],
                                ("DEL", *(f"k{number}" for number in range(5000))),
                                ("FLUSHALL",))
            self.assertEqual(said[-2:], [5000, "OK"])
        node.tell_of_long_polls()


if __name__ == "__main__":
    unittest.main(verbosity=2)
