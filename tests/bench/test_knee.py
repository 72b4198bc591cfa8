#!/usr/bin/env python3
"""bench/knee finds the knee of a server whose knee is known, and goes from its arguments to its
files with runs too short to mean anything.

    test_knee.py BINARY_DIR
"""

import importlib.machinery
import importlib.util
import json
import os
import subprocess
import sys
import tempfile
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
PROGRAM = os.path.join(HERE, "..", "..", "bench", "knee")
BINARY_DIR = sys.argv.pop(1)
SCRATCH = tempfile.TemporaryDirectory(prefix="weir-knee-")
sys.dont_write_bytecode = True
LOADER = importlib.machinery.SourceFileLoader("knee", PROGRAM)
SPEC = importlib.util.spec_from_loader("knee", LOADER)
knee = importlib.util.module_from_spec(SPEC)
LOADER.exec_module(knee)


class Search(unittest.TestCase):
    def search(self, holds):
        return knee.search(lambda rate: {"rate": rate, "held": holds(rate)}, 1000, 1 << 20)

    def test_a_server_that_holds_nothing_has_none(self):
        found, runs = self.search(lambda rate: False)
        self.assertIsNone(found)
        self.assertEqual([run["rate"] for run in runs], [1000, 1000])

    def test_the_knee_is_found_to_a_sixteenth_and_is_a_rate_that_was_held(self):
        for true in (1000, 1001, 1999, 2000, 30000, 77777, 500000):
            found, runs = self.search(lambda rate, true=true: rate <= true)
            self.assertIn({"rate": found, "held": True}, runs)
            self.assertTrue(found <= true <= found * 17 / 16 + 1, (found, true))

    def test_a_hiccup_is_not_the_knee(self):
        hiccups = {4000, 24000}

        def holds(rate):
            if rate in hiccups:
                hiccups.remove(rate)
                return False
            return rate <= 30000
        self.assertGreater(self.search(holds)[0], 28000)
        self.assertFalse(hiccups)

    def test_the_search_ends_at_the_last_rate(self):
        found, runs = self.search(lambda rate: True)
        self.assertEqual(max(run["rate"] for run in runs), found)
        self.assertTrue((1 << 19) < found <= 1 << 20)

    def test_a_rate_is_held_if_the_answers_come_and_in_time(self):
        def held(done, p99):
            return knee.is_held({"rate": 1000, "done_per_s": done, "p99_ms": p99}, 20.0)
        self.assertTrue(held(980, 20.0))
        self.assertFalse(held(979, 1.0))
        self.assertFalse(held(1000, 20.1))


class Report(unittest.TestCase):
    def test_ratios_are_taken_within_a_round(self):
        runs = [{"server": server, "round": number, "knee_per_s": 100, "load_average": 1.0,
                 "half": {"p50_ms": 1.0, "p99_ms": p99}}
                for number, both in enumerate(((1, 10), (8, 40), (2, 4)))
                for server, p99 in zip(("weir3", "etcd"), both)]
        weir3 = knee.summarize(runs)[0]
        self.assertEqual((weir3["p99_ms"], weir3["low_ms"], weir3["high_ms"]), (2, 1, 8))
        self.assertAlmostEqual(weir3["p99_over"]["etcd"], 0.2)
        self.assertIn("0.20  aim 0.2: reached", knee.table_text(knee.summarize(runs)))


class Program(unittest.TestCase):
    def run_knee(self, output, *arguments):
        return subprocess.run([PROGRAM, "--bin", BINARY_DIR, "--output", output, *arguments],
                              env={**os.environ, "WEIR_BENCH_SHORT": "1"}, capture_output=True,
                              stdin=subprocess.DEVNULL, text=True, check=False)

    def test_wrong_usage_is_said_before_anything_runs(self):
        output = os.path.join(SCRATCH.name, "none")
        for arguments, words in ((["--servers", "null"], "'null' is none of redis, weir, weir3"),
                                 (["--slo", "0"], "above 0"), (["--slo", "x"], "is no number"),
                                 (["--slo", "nan"], "above 0"), (["--json=1"], "--help"),
                                 (["--slo"], "needs a value")):
            done = self.run_knee(output, *arguments)
            self.assertEqual((done.returncode, done.stdout), (2, ""), (arguments, done.stderr))
            self.assertIn(words, done.stderr)
            self.assertFalse(os.path.exists(output), arguments)

    def test_a_bound_that_nobody_meets_is_a_failure(self):
        done = self.run_knee(os.path.join(SCRATCH.name, "strict"), "--servers", "weir", "--slo",
                             "0.001")
        self.assertEqual(done.returncode, 1, done.stdout)
        self.assertIn("weir does not hold 1000 a second with p99 of at most 0.001 ms", done.stderr)

    def test_every_rate_that_was_tried_is_kept(self):
        output = os.path.join(SCRATCH.name, "kept")
        done = self.run_knee(output, "--servers", "weir3", "--slo", "10000", "--json")
        self.assertEqual(done.returncode, 0, done.stderr)
        [row] = json.loads(done.stdout)["rows"]
        with open(os.path.join(output, "runs.json"), encoding="utf-8") as file:
            [run] = json.load(file)["runs"]
        self.assertIn(run["knee_per_s"], [one["rate"] for one in run["tried"] if one["held"]])
        self.assertEqual(run["half"]["rate"], run["knee_per_s"] // 2)
        self.assertEqual(row["p99_ms"], run["half"]["p99_ms"])
        self.assertEqual(sorted(os.listdir(output)),
                         ["p99-at-half.svg", "runs.json", "summary.json", "table.txt"])


if __name__ == "__main__":
    unittest.main(verbosity=2)
