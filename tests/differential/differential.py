#!/usr/bin/env python3
"""weir answers as Redis 7.0.15 does, byte for byte: the same streams to both.

    differential.py [--seeds FIRST..LAST] [--long] [--list] [TEST ...]

Streams come from the grammar of every command (commands.py), from seeds; sessions of real clients
come from recordings/ (record.py makes them). A difference that differences.py does not explain
fails, made small, as a script for redis-cli. So does an entry there that explains nothing, a
command without a grammar, and an option that was never executed.
"""

import argparse
import os
import sys
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "..", "support")]
import servers  # noqa: E402
from commands import ROWS  # noqa: E402
from connections import Connections  # noqa: E402
from differences import DIFFERENCES  # noqa: E402
from kinds import Draw  # noqa: E402
from runner import Failure, Runner, minimize, script  # noqa: E402
from sessions import run_session, session_names  # noqa: E402
from streams import Command, Stream, make_stream  # noqa: E402
from transactions import Transactions  # noqa: E402
from weir_test import LIMIT_S, Client, Scratch, request, skip, until  # noqa: E402

SEEDS = {"plain": 700, "cluster": 40, "password": 60}
SEEDS_LONG = {name: 15 * count for name, count in SEEDS.items()}
FAILURES_MAX = 8  # printed; then the run ends
DIRECTED_MAX = 400  # streams of one command, for what chance has not brought
RESETS_ONE_IN = 100  # streams, at most: what a reset takes is not compared
SCAN_STEPS_MAX = 10000
PASSWORD = "a-password"
PAIRS = {"plain": {}, "cluster": {"cluster": True}, "password": {"password": PASSWORD}}
FIRST = {"password": [(b"AUTH", PASSWORD.encode())]}


def rows_of(name):
    return [row for row in ROWS if row.servers == ("cluster" if name == "cluster" else "plain")]


class Run:
    """All seeds on all pairs of servers, and what came of it."""

    def __init__(self, directory, seeds, first_seed):
        self.directory = directory
        self.seeds = seeds
        self.first_seed = first_seed
        self.failures = []
        self.kinds = set()
        self.executed = {}
        self.tolerated = {}
        self.commands = 0
        self.resets = 0
        self.streams = 0

    def one(self, runner, stream):
        self.streams += 1
        try:
            runner.run(stream)
        except Failure as failure:
            small = minimize(runner, failure)
            if small.kind() not in self.kinds:
                self.kinds.add(small.kind())
                self.failures.append(script(small))
                print(self.failures[-1], flush=True)

    def full(self):
        return len(self.failures) >= FAILURES_MAX

    def pair(self, name):
        servers_of = "cluster" if name == "cluster" else "plain"
        with servers.Pair(self.directory, **PAIRS[name]) as pair:
            runner = Runner(pair)
            for seed in range(self.first_seed, self.first_seed + self.seeds[name]):
                if self.full():
                    return
                first = FIRST.get(name, ()) if seed % 2 else ()  # the others are refused
                self.one(runner, make_stream(seed, servers_of, first=first))
            for stream in self.by_hand(name):
                self.one(runner, stream)
            if name != "password":
                self.direct(runner, rows_of(name))
            for counts, more in ((self.executed, runner.executed),
                                 (self.tolerated, runner.tolerated)):
                for key, count in more.items():
                    counts[key] = counts.get(key, 0) + count
            self.commands += runner.commands
            self.resets += runner.resets

    @staticmethod
    def by_hand(name):
        """What chance seldom brings, or never: for each of the list that needs it."""
        streams = {
            "plain": ([(b"GET", b"k" * 70000)], [(b"SET", b"k" * 70000, b"x")],
                      [(b"CLIENT", b"SETNAME", b"n" * 64)], [(b"PING", *(b"x",) * 200)],
                      [(b"COMMAND", b"INFO", *(b"get",) * 140)], [(b"CONFIG", b"GET", b"*")],
                      [(b"SET", b"a", b"x", b"EXAT", b"1"), (b"DBSIZE",)],
                      [(b"APPEND", b"a", b"x"), (b"OBJECT", b"ENCODING", b"a")],
                      [(b"HSET", b"a", b"f", b"x"), (b"INCRBYFLOAT", b"a", b"x")],
                      [(b"RPUSH", b"a", b"2", b"1", b"10"), (b"SORT", b"a"),
                       (b"SORT", b"a", b"DESC", b"STORE", b"b"), (b"LRANGE", b"b", b"0", b"-1")],
                      [(b"RPUSH", b"a", b"x\0b", b"x\0a"), (b"SORT", b"a", b"ALPHA")],
                      [(b"RPUSH", b"a", b"b"), (b"SORT", b"a", b"GET", b"#")]),
            "password": ([(b"OBJECT", b"HELP", b"HELP")],),
        }
        for commands in streams.get(name, ()):
            yield Stream("by hand", [Command(words, request(*words)) for words in commands])

    def direct(self, runner, rows):
        """Streams of one command, until it has had all its options."""
        for row in rows:
            for attempt in range(DIRECTED_MAX):
                if self.full() or not self.missing(row, runner.executed):
                    break
                seed = f"{row.name}:{self.first_seed + attempt}"
                self.one(runner, make_stream(seed, row.servers, rows=[row]))

    @staticmethod
    def missing(row, executed):
        return sorted(label for label in row.labels | {""} if (row.name, label) not in executed)

    def all_missing(self):
        return {row.name: missing for row in ROWS
                if (missing := self.missing(row, self.executed))}

    def table(self):
        """How often each command was executed, and each of its options."""
        lines = ["command            executions  of its options"]
        for row in ROWS:
            labels = ", ".join(f"{label} {self.executed.get((row.name, label), 0)}"
                               for label in sorted(row.labels))
            lines.append(f"{row.name:18} {self.executed.get((row.name, ''), 0):10}  {labels}")
        return "\n".join(lines)


class Differential(unittest.TestCase):
    ARGUMENTS = None

    def test_every_command_answers_as_redis_does(self):
        seeds = SEEDS_LONG if self.ARGUMENTS.long else SEEDS
        with Scratch() as scratch:
            run = Run(scratch, seeds, self.ARGUMENTS.seed)
            for name in PAIRS:
                run.pair(name)
        print(run.table())
        print(f"{run.commands} commands in {run.streams} streams, {run.resets} of which ended in a "
              "reset that took replies with it")
        self.assertLess(run.resets, run.streams / RESETS_ONE_IN, "too many resets")
        for kind, count in sorted(run.tolerated.items()):
            print(f"within the tolerance of {kind}: {count}")
        for entry in DIFFERENCES:
            print(f"{entry.seen:6} {entry}")
        self.assertEqual(run.failures, [], "replies differ, see above")
        self.assertEqual(run.all_missing(), {}, "never executed")
        self.assertEqual([str(entry) for entry in DIFFERENCES if not entry.seen], [],
                         "entries of differences.py that explain nothing")

    def test_every_command_of_weir_has_a_grammar(self):
        with Scratch() as scratch, servers.Pair(scratch) as pair:
            self.assertEqual(pair.commands_of_weir(), {row.name for row in ROWS})

    def test_recorded_sessions_of_clients_are_answered_as_redis_does(self):
        with Scratch() as scratch, servers.Pair(scratch) as pair:
            known = pair.commands_of_weir()
            for name in session_names():
                runner = Runner(pair)
                with self.subTest(name):
                    absent = run_session(runner, name, known)
                    print(f"{name}: {runner.commands} commands"
                          + (f"; weir does not have {' '.join(sorted(absent))}" if absent else ""))
                    self.assertGreater(runner.commands, 0)

    def test_a_scan_in_steps_finds_the_same_keys(self):
        with Scratch() as scratch, servers.Pair(scratch) as pair:
            for count, keys in ((1, 30), (10, 300), (100, 5000)):
                found = []
                pair.empty()
                for client in pair.flush.values():
                    names = [f"key:{number}" for number in range(keys)]
                    client.call("MSET", *(word for name in names for word in (name, "x")))
                    found.append(self.scan(client, "MATCH", "key:*[13579]", "COUNT", count))
                self.assertEqual(sorted(found[0]), sorted(set(found[0])))
                self.assertEqual(sorted(found[0]), sorted(found[1]))
                self.assertEqual(len(found[0]), keys // 2)

    @staticmethod
    def scan(client, *options):
        cursor, found, steps = b"0", [], 0
        while cursor != b"0" or not steps:
            cursor, keys = client.call("SCAN", cursor, *options)
            found += keys
            steps += 1
            assert steps < SCAN_STEPS_MAX, "the scan does not end"
        return found

    def test_a_key_whose_time_has_come_is_gone_for_every_command(self):
        writes = (("SET", "gone", "1", "PX", "1"), ("SET", "here", "1"), ("PEXPIRE", "here", "1"),
                  ("SET", "there", "5", "EX", "5000"))
        asked = (("GET", "gone"), ("EXISTS", "gone", "here", "there"), ("TTL", "gone"),
                 ("PTTL", "here"), ("TYPE", "gone"), ("STRLEN", "here"), ("MGET", "gone", "there"),
                 ("PERSIST", "gone"), ("EXPIRE", "gone", "100"), ("DEL", "gone"), ("KEYS", "*"),
                 ("SET", "gone", "2", "XX"), ("SET", "gone", "3", "NX", "GET"), ("INCR", "here"),
                 ("APPEND", "gone", "4"), ("TTL", "here"), ("DBSIZE",))
        with Scratch() as scratch, servers.Pair(scratch) as pair:
            answers = []
            for client in pair.flush.values():
                for words in writes:
                    client.call(*words)
                until(lambda: client.call("EXISTS", "gone", "here") == 0, "they stay")
                answers.append([(words, str(client.pipeline([words])[0])) for words in asked])
            self.assertEqual(*answers)

    def test_shutdown_ends_both_without_a_reply(self):
        for words in (("SHUTDOWN", "NOSAVE"), ("shutdown", "nosave", "NOSAVE")):
            with Scratch() as scratch, servers.Pair(scratch) as pair:
                for client in (Client(port) for port in pair.ports.values()):
                    with client:
                        client.send(request(*words) + request("PING"))
                        self.assertEqual(client.rest(), b"")
                self.assertEqual(pair.redis.process.wait(LIMIT_S), 0)
                self.assertEqual(pair.node.wait(), 0)

    def test_the_same_seed_gives_the_same_stream(self):
        for seed in (1, 2, "set:3"):
            one, other = (make_stream(seed, "plain") for _ in range(2))
            self.assertEqual(list(one.pieces()), list(other.pieces()))
        self.assertNotEqual(Draw(1).amounts, Draw(2).amounts)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--seed", type=int, default=1, help="the first seed")
    parser.add_argument("--long", action="store_true")
    arguments, rest = parser.parse_known_args()
    Differential.ARGUMENTS = arguments
    with Scratch() as scratch:
        missing = servers.redis_is_missing(scratch)
    if missing:
        skip(missing)
    assert issubclass(Connections, unittest.TestCase)  # its tests run with those above
    assert issubclass(Transactions, unittest.TestCase)  # likewise
    unittest.main(argv=[sys.argv[0], *rest], verbosity=2)


if __name__ == "__main__":
    main()
