#!/usr/bin/env python3
"""The differential test finds what is planted, and nothing where there is nothing to find.

In weir's place stands a second Redis: the same one, or one that lacks a command.
"""

import os
import sys
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "..", "support")]
import servers  # noqa: E402
from commands import ROWS  # noqa: E402
from comparisons import Exchange, equal  # noqa: E402
from differences import difference_of  # noqa: E402
from differential import Run  # noqa: E402
from runner import Failure, Runner, minimize, script  # noqa: E402
from streams import Command, Stream, make_stream  # noqa: E402
from weir_test import Client, Scratch, request, skip  # noqa: E402

SEEDS = range(1, 60)
ROW = {row.name: row for row in ROWS}


class Twins(servers.Pair):
    """Two of Redis, the second with options of its own."""

    def __init__(self, directory, *options):  # pylint: disable=super-init-not-called
        self.directory = directory
        self.redis = servers.Redis(directory)
        self.node = servers.Redis(directory, *options)
        self.ports = {"redis": self.redis.port, "weir": self.node.port}
        self.flush = {name: Client(port) for name, port in self.ports.items()}

    def __exit__(self, *_):
        for client in self.flush.values():
            client.close()
        self.redis.stop()
        self.node.stop()


class Planted(unittest.TestCase):
    def test_a_command_that_is_missing_is_found_and_made_small(self):
        with Scratch() as scratch, \
                Twins(scratch, "--rename-command", "INCRBY", "") as twins:
            runner = Runner(twins)
            for seed in SEEDS:
                try:
                    runner.run(make_stream(seed, "plain"))
                except Failure as failure:
                    small = minimize(runner, failure)
                    self.assertEqual(len(small.stream.commands) - small.index, 2, script(small))
                    self.assertIn("incrby", script(small).lower())
                    self.assertIn(f"# seed {seed}\n", script(small))
                    return
        self.fail("nothing was found")

    def test_a_difference_that_needs_two_commands_keeps_both(self):
        mebibyte = 1 << 20
        words = [(b"PING",), (b"SET", b"a", b"x" * (mebibyte - 10)), (b"GET", b"b"), (b"PING",),
                 (b"APPEND", b"a", b"y" * 20), (b"PING",), (b"GET", b"c")]
        commands = [Command(one, request(*one)) for one in words]
        with Scratch() as scratch, \
                Twins(scratch, "--proto-max-bulk-len", str(mebibyte)) as twins:
            runner = Runner(twins)
            with self.assertRaises(Failure) as caught:
                runner.run(Stream("by hand", commands, (5, 9)))
            small = minimize(runner, caught.exception)
        left = [command.words[0] for command in small.stream.commands]
        self.assertEqual(left[:2] + left[3:], [b"SET", b"APPEND"])  # and the end of the stream
        self.assertEqual(small.stream.cuts, ())

    def test_of_two_that_are_the_same_nothing_is_said(self):
        with Scratch() as scratch, Twins(scratch) as twins:
            runner = Runner(twins)
            for seed in SEEDS:
                runner.run(make_stream(seed, "plain"))
            self.assertGreater(runner.commands, 1000)

    def test_a_tolerance_takes_no_more_than_it_says(self):
        array = request  # a reply of bulks has the same bytes

        def taken(name, redis, weir, *words):
            command = Command((name.encode(), *words), b"", ROW[name])
            return equal(Exchange(command, redis, weir, 1000000, 1000100)) is not None
        for name, redis, weir, right in (
                ("pttl", b":5000\r\n", b":5100\r\n", True),
                ("pttl", b":5000\r\n", b":5200\r\n", False),
                ("pttl", b":-1\r\n", b":5\r\n", False),
                ("pttl", b":5000\r\n", b"$-1\r\n", False),
                ("ttl", b":50\r\n", b":51\r\n", True),
                ("ttl", b":50\r\n", b":52\r\n", False),
                ("time", array(b"1000", b"5"), array(b"1000", b"9"), True),
                ("time", array(b"1000", b"5"), array(b"1009", b"9"), False),
                ("keys", array(b"a", b"b"), array(b"b", b"a"), True),
                ("keys", array(b"a", b"b"), array(b"b", b"b"), False),
                ("scan", b"*2\r\n$1\r\n0\r\n*0\r\n", b"*2\r\n$1\r\n0\r\n*1\r\n$1\r\na\r\n", False),
                ("scan", b"*2\r\n$1\r\n0\r\n*0\r\n", b"*2\r\n$1\r\n5\r\n*0\r\n", False),
                ("get", b"$1\r\na\r\n", b"$1\r\nb\r\n", False)):
            with self.subTest(name, redis=redis, weir=weir):
                self.assertEqual(taken(name, redis, weir, b"0", b"COUNT", b"1000"), right)

    def test_an_entry_explains_only_what_it_is_about(self):
        def explained(name, redis, weir):
            return difference_of(Exchange(Command((name.encode(),), b"", ROW[name]), redis, weir,
                                          0, 0))
        unknown = b"-ERR unknown command 'x'\r\n"
        self.assertIsNotNone(explained("once", unknown, b"-SESSION no\r\n"))
        self.assertIsNone(explained("get", unknown, b"$-1\r\n"))
        self.assertIsNone(explained("once", b"+OK\r\n", b"-SESSION no\r\n"))

    def test_an_option_that_was_not_executed_is_named(self):
        row = ROW["set"]
        executed = {("set", label): 1 for label in row.labels | {""}}
        self.assertEqual(Run.missing(row, executed), [])
        del executed["set", "GET + NX"]
        self.assertEqual(Run.missing(row, executed), ["GET + NX"])


if __name__ == "__main__":
    with Scratch() as place:
        missing = servers.redis_is_missing(place)
    if missing:
        skip(missing)
    unittest.main(verbosity=2)
