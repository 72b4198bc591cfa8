#!/usr/bin/env python3
"""The load generator among several servers of which one leads, and what it records.

    test_load_follow.py WEIR_BENCH NULL_SERVER

The servers are those of test_load.py, threads of this test that answer what it says.
"""

import collections
import json
import os
import re
import subprocess
import sys
import tempfile
import threading
import unittest

sys.path.insert(0, os.path.dirname(__file__))
from test_load import WEIR_BENCH, FakeServer, free_port, ok  # noqa: E402

LINE = re.compile(r"client (\d+) connection (\d+) #(\d+) \[(\d+), (\d+|never)\] (\w+): (.*)\n")


def bench(servers, *arguments):
    text = ",".join(f"127.0.0.1:{port}" for port in servers)
    return subprocess.run([WEIR_BENCH, "--server", text, *arguments], capture_output=True,
                          text=True, check=False, stdin=subprocess.DEVNULL, timeout=60)


def bench_json(servers, *arguments):
    done = bench(servers, "--json", *arguments)
    assert done.stdout, done.stderr
    return done.returncode, json.loads(done.stdout)


def moved_to(server):
    return f"-MOVED 12 127.0.0.1:{server.port}\r\n".encode()


def slots_of(*ports):
    """What CLUSTER SLOTS says: one range, the first port leads."""
    nodes = b"".join(b"*4\r\n$9\r\n127.0.0.1\r\n:%d\r\n$2\r\nid\r\n*0\r\n" % port
                     for port in ports)
    return b"*1\r\n*%d\r\n:0\r\n:16383\r\n%b" % (2 + len(ports), nodes)


class Store:
    """SET and GET that work, for servers that share it."""

    def __init__(self):
        self.values, self.lock = {}, threading.Lock()

    def answer(self, words, _number=0):
        with self.lock:
            if words[0] == b"SET":
                self.values[words[1]] = words[2]
                return b"+OK\r\n"
            value = self.values.get(words[1])
        return b"$-1\r\n" if value is None else b"$%d\r\n%b\r\n" % (len(value), value)

    def append(self, words, number=0):
        with self.lock:
            if words[0] == b"APPEND":
                self.values[words[1]] = self.values.get(words[1], b"") + words[2]
                return b":%d\r\n" % len(self.values[words[1]])
        return self.answer(words, number)


class Follows(unittest.TestCase):
    def test_it_goes_where_it_is_sent(self):
        with FakeServer(ok) as leader, FakeServer(lambda *_: moved_to(leader)) as follower:
            status, report = bench_json([follower.port, free_port()], "--operations", "1000",
                                        "--connections", "4")
            self.assertEqual(status, 0, report)
            self.assertEqual(report["refused"], 4)
            self.assertEqual(len(follower.requests), 4)
        self.assertEqual((report["redirects"], report["errors"], report["unknown"]), (4, 0, 0))
        self.assertEqual(len(leader.requests) + 4, 1000)

    def test_sent_to_a_name_it_asks_the_others_that_it_knows(self):
        with FakeServer(ok) as leader, \
                FakeServer(lambda *_: b"-MOVED 12 leader.example:7379\r\n") as follower:
            status, report = bench_json([follower.port, leader.port], "--operations", "100",
                                        "--connections", "2")
        self.assertEqual((status, report["errors"], report["unknown"]), (0, 0, 0), report)
        self.assertEqual(len(leader.requests), 100 - report["refused"])
        self.assertLess(len(follower.requests), 10)

    def test_it_begins_with_the_leader_that_a_node_names(self):
        with FakeServer(ok) as leader, FakeServer(ok) as follower:
            follower.probed[b"CLUSTER"] = slots_of(leader.port, follower.port)
            status, report = bench_json([follower.port], "--operations", "100")
            self.assertEqual((status, report["follows"]), (0, True))
            self.assertEqual((len(follower.requests), len(leader.requests)), (0, 100))

    def test_a_node_that_is_not_there_is_passed_over_at_the_start(self):
        with FakeServer(ok) as leader:
            status, report = bench_json([free_port(), leader.port], "--operations", "50")
        self.assertEqual((status, report["operations"]), (0, 50))
        self.assertEqual(report["port"], str(leader.port))

    def test_what_was_lost_is_unknown_and_never_sent_again(self):
        store, seen = Store(), collections.Counter()

        def dies(words, number):
            seen[words[2]] += 1
            return None if number >= 40 else store.answer(words)

        def lives(words, _number):
            seen[words[2]] += 1
            return store.answer(words)

        with FakeServer(dies) as first, FakeServer(lives) as second, \
                tempfile.TemporaryDirectory() as scratch:
            status, report = bench_json([first.port, second.port], "--operations", "500",
                                        "--connections", "3", "--depth", "4", "--keys", "7",
                                        "--history", f"{scratch}/history")
            with open(f"{scratch}/history", encoding="ascii") as file:
                lines = [LINE.fullmatch(line).groups() for line in file]
        self.assertEqual(status, 0, report)
        outcomes = collections.Counter(line[5] for line in lines)
        self.assertEqual(outcomes["unknown"], report["unknown"])
        self.assertTrue(3 <= report["unknown"] <= 12, report)
        self.assertEqual(outcomes["ok"] + outcomes["unknown"], 500)
        self.assertTrue(all(line[4] == "never" for line in lines if line[5] == "unknown"))
        self.assertEqual(set(seen.values()), {1})  # values are unique, and none came twice

    def test_refusals_are_asked_elsewhere_with_pauses_that_grow(self):
        with FakeServer(lambda *_: b"-CLUSTERDOWN nobody leads\r\n") as one, \
                FakeServer(lambda *_: b"-CLUSTERDOWN nobody leads\r\n") as other:
            status, report = bench_json([one.port, other.port], "--duration", "500ms",
                                        "--connections", "1")
            asked = len(one.requests) + len(other.requests)
            self.assertTrue(min(len(one.requests), len(other.requests)) > 2)
        self.assertEqual((status, report["errors"], report["operations"]), (1, 0, 0))
        self.assertEqual(report["refused"], asked)
        self.assertLess(asked, 40)  # 2, 4, 8, ... 100 ms, less at most a half
        self.assertGreater(report["gaps"][0]["ms"], 499)

    def test_who_is_overloaded_is_left_alone_for_a_moment_and_not_left(self):
        with FakeServer(lambda _, number: b"-TRYAGAIN\r\n" if number % 5 == 0 else b"+OK\r\n") \
                as busy, FakeServer(ok) as other:
            status, report = bench_json([busy.port, other.port], "--operations", "100",
                                        "--connections", "1")
            self.assertEqual((len(busy.requests), len(other.requests)), (100, 0))
        self.assertEqual((status, report["refused"], report["reconnects"]), (0, 20, 0))

    def test_who_says_nothing_is_left(self):
        with FakeServer(lambda _, number: b"" if number > 20 else b"+OK\r\n") as hangs, \
                FakeServer(ok) as other:
            status, report = bench_json([hangs.port, other.port], "--operations", "200",
                                        "--connections", "2", "--timeout", "150ms")
        self.assertEqual((status, report["errors"]), (0, 0), report)
        self.assertGreaterEqual(report["unknown"], 2)  # on a busy machine others may be as late
        self.assertLess(report["unknown"], 20)  # but it does not go back to who says nothing
        self.assertEqual(report["operations"] + report["unknown"], 200)
        self.assertGreaterEqual(max(gap["ms"] for gap in report["gaps"]), 150)

    def test_at_a_rate_what_was_refused_is_served_later(self):
        with FakeServer(ok) as leader, FakeServer(lambda *_: moved_to(leader)) as follower:
            status, report = bench_json([follower.port, leader.port], "--rate", "2000",
                                        "--operations", "1000", "--connections", "4")
        self.assertGreater(report["refused"], 0)
        self.assertEqual(report["rate"]["scheduled"], 1000)
        # None is missing for having been refused; on a busy machine the last ones come too late.
        self.assertEqual(report["operations"] + report["rate"]["unsent"], 1000)
        self.assertGreater(report["operations"], 100)
        self.assertEqual(status, 0 if report["rate"]["held"] else 1)

    def test_the_gap_is_shown_with_what_was_served_around_it(self):
        with FakeServer(lambda _, number: None if number > 2000 else b"+OK\r\n") as first, \
                FakeServer(lambda *_: b"-CLUSTERDOWN not yet\r\n") as second:
            done = bench([first.port, second.port], "--duration", "600ms", "--connections", "2")
        self.assertRegex(done.stdout, r"\ngap +\d+\.\d ms without an acknowledged write, from ")
        self.assertRegex(done.stdout, r"\n +0\.\d+ s +\d+  #+\n")
        self.assertRegex(done.stdout, r"\n +0\.\d+ s +0  nothing\n")
        self.assertRegex(done.stdout, r"\nfailover +0 redirects followed, \d+ refused, \d+ of ")

    def test_reads_are_what_is_served_where_nothing_is_written(self):
        with FakeServer(lambda *_: b"$-1\r\n") as server:
            status, report = bench_json([server.port], "--operations", "50", "--mix", "get")
        self.assertEqual((status, report["gaps_without"]), (0, "an answered read"))
        with FakeServer(ok) as server:
            _, report = bench_json([server.port], "--operations", "50", "--mix", "get,set")
        self.assertEqual(report["gaps_without"], "an acknowledged write")

    def test_alone_everything_is_an_error_as_ever(self):
        with FakeServer(lambda _, number: b"-TRYAGAIN x\r\n" if number == 5 else b"+OK\r\n") as one:
            status, report = bench_json([one.port], "--operations", "50")
        self.assertEqual((status, report["errors"], report["follows"]), (1, 1, False))


class Records(unittest.TestCase):
    def setUp(self):
        scratch = tempfile.TemporaryDirectory()
        self.path = os.path.join(scratch.name, "history")
        self.addCleanup(scratch.cleanup)

    def lines(self):
        with open(self.path, encoding="ascii") as file:
            return [LINE.fullmatch(line).groups() for line in file]

    def test_what_cannot_be_recorded_is_wrong_usage(self):
        for arguments in (["--value-size", "15"], ["--history-operations", "0"],
                          ["--mix", "ping", "--read-back"],
                          ["--command", "DEL" + " k" * 200]):
            done = bench([1], "--history", self.path, *arguments)
            self.assertEqual(done.returncode, 2, (arguments, done.stderr))
        self.assertEqual(bench([1], "--server", "a:1,b").returncode, 2)

    def test_each_operation_has_its_line_and_each_key_is_read_back(self):
        store = Store()
        for arguments in ([], ["--depth", "8", "--threads", "2"], ["--rate", "500"]):
            with FakeServer(store.answer) as server:
                status, report = bench_json([server.port], "--operations", "300", "--connections",
                                            "5", "--mix", "set:1,get:1", "--keys", "40",
                                            "--history", self.path, "--read-back", *arguments)
                sent = len(server.requests)
            is_held = report.get("rate", {"held": True})["held"]
            self.assertEqual((status, report["read_back"]), (0 if is_held else 1, 40), report)
            self.assertTrue(report["history_complete"])
            lines = self.lines()
            self.assertEqual((len(lines), sent), (report["operations"] + 40,) * 2)
            self.assertTrue(report["operations"] == 300 or not is_held or "--rate" in arguments)
            self.assertEqual({line[5] for line in lines}, {"ok"})
            last = {words.split()[1]: words for *_, words in lines[-40:]} if not arguments else {}
            for key, words in last.items():
                value = store.values.get(key.encode())
                self.assertIn("$-1" if value is None else value.decode(), words)
            places = [line[1:3] for line in lines]
            self.assertEqual(len(set(places)), len(places))

    def test_replies_that_come_in_pieces_are_recorded_whole(self):
        with FakeServer(lambda *_: b"*2\r\n$3\r\na\r\n\r\n:5\r\n") as server:
            done = bench([server.port], "--operations", "20", "--connections", "1", "--depth", "7",
                         "--mix", "get", "--history", self.path)
        self.assertEqual(done.returncode, 0, done.stdout)
        self.assertEqual([line[6].split(" -> ")[1] for line in self.lines()],
                         [r"*2\r\n$3\r\na\r\n\r\n:5\r\n"] * 20)

    def test_a_reply_that_has_no_room_is_not_recorded_and_ends_the_run(self):
        large = b"$70000\r\n" + 70000 * b"x" + b"\r\n"
        with FakeServer(lambda *_: large) as server:
            done = bench([server.port], "--operations", "50", "--connections", "2", "--mix", "get",
                         "--history", self.path)
        self.assertEqual(done.returncode, 1)
        self.assertRegex(done.stdout, r"values must not grow")
        self.assertNotIn("ok", {line[5] for line in self.lines()})

    def test_replies_that_outgrow_their_room_by_a_little_are_not_recorded(self):
        store = Store()
        with FakeServer(store.append) as server:
            done = bench([server.port], "--operations", "3000", "--connections", "1", "--mix",
                         "append,get", "--keys", "1", "--value-size", "16", "--history", self.path)
        self.assertEqual(done.returncode, 1, done.stdout)
        self.assertRegex(done.stdout, r"values must not grow")
        for *_, outcome, words in self.lines():
            if outcome == "ok" and words.startswith("GET"):
                self.assertTrue(words.endswith((r"\r\n", "$-1")), words[-40:])

    def test_a_history_that_is_full_ends_the_run_and_is_said(self):
        with FakeServer(ok) as server:
            done = bench([server.port], "--duration", "1m", "--connections", "2",
                         "--history", self.path, "--history-operations", "100")
        self.assertEqual(done.returncode, 1)
        self.assertRegex(done.stdout, r"history .* ended early, since it has as many operations")
        self.assertTrue(99 <= len(self.lines()) <= 101)

    def test_a_file_that_cannot_be_written_is_said(self):
        with FakeServer(ok) as server:
            done = bench([server.port], "--operations", "5", "--history", "/nonexistent/history")
        self.assertEqual(done.returncode, 1)
        self.assertIn("/nonexistent/history", done.stderr)


if __name__ == "__main__":
    unittest.main(argv=[sys.argv[0]])
