#!/usr/bin/env python3
"""bench/compare from its arguments to its files, with runs too short to mean anything.

    test_compare.py BINARY_DIR

Ends with status 77 (skipped) where there is no Redis.
"""

import json
import os
import subprocess
import sys
import tempfile
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "support"))
from redis_programs import path_with_server  # noqa: E402

COMPARE = os.path.join(HERE, "..", "..", "bench", "compare")
BINARY_DIR = sys.argv.pop(1)
SCRATCH = tempfile.TemporaryDirectory(prefix="weir-compare-")
ENVIRONMENT = {**os.environ, "PATH": path_with_server(SCRATCH.name) or ""}
TEXTS = {"server", "durability", "pinning", "test"}
ABOVE_ZERO = {"depth", "operations", "throughput_per_s", "p50_ms", "p99_ms", "max_ms"}
NOT_BELOW_ZERO = {"round", "server_cpu_s", "cpu_us_per_operation", "switches_per_operation"}


class Compare(unittest.TestCase):
    def setUp(self):
        self.output = os.path.join(SCRATCH.name, self.id().rpartition(".")[2])

    def compare(self, *arguments):
        return subprocess.run([COMPARE, "--bin", BINARY_DIR, "--output", self.output, *arguments],
                              env=ENVIRONMENT, stdin=subprocess.DEVNULL, capture_output=True,
                              text=True, check=False)

    def read(self, name):
        with open(os.path.join(self.output, name), encoding="utf-8") as file:
            return file.read()

    def test_wrong_usage_is_said_before_anything_runs(self):
        for arguments, words in (
                (["--tests", "nonsense"], "--tests: 'nonsense' is none of ping_inline, ping_mbulk"),
                (["--servers", "nonsense"], "'nonsense' is none of redis, null, weir, weir:MAP"),
                (["--servers", "redis,weir:NONSENSE"], "expected a CPU number (or the map fused"),
                (["--durability", "some"], "'some' is none of memory, durable"),
                (["--depths", "1,0"], "'0' is no depth"), (["--rounds", "x"], "is no number"),
                (["--seconds", "0"], "above 0"), (["--tests"], "needs a value"), (["x"], "--help")):
            done = self.compare(*arguments)
            self.assertEqual((done.returncode, done.stdout), (2, ""), (arguments, done.stderr))
            self.assertTrue(done.stderr.startswith("compare: "), done.stderr)
            self.assertEqual(len(done.stderr.splitlines()), 1, done.stderr)
            self.assertIn(words, done.stderr)
            self.assertFalse(os.path.exists(self.output), arguments)

    def test_help_is_an_answer(self):
        for asked in ("-h", "--help"):
            done = self.compare(asked)
            self.assertEqual((done.returncode, done.stderr), (0, ""))
            self.assertIn("--durability LIST", done.stdout)

    def test_every_run_is_kept_with_all_its_figures(self):
        cpus = len(os.sched_getaffinity(0))
        pinnings = ["pinned", "unpinned"] if cpus > 1 else ["unpinned"]
        done = self.compare("--rounds", "1", "--seconds", "0.05", "--depths", "1", "--tests",
                            "set,get", "--pinning", ",".join(pinnings))
        self.assertEqual(done.returncode, 0, done.stderr)
        kept = json.loads(self.read("runs.json"))
        self.assertEqual(kept["host"]["cpus"], cpus)
        self.assertRegex(kept["host"]["redis"], r"^\d+\.\d+")
        self.assertEqual(kept["options"]["tests"], ["set", "get"])
        self.assertIn("disk", kept)  # None where it cannot be measured
        cells = {(run["pinning"], run["durability"], run["server"], run["test"])
                 for run in kept["runs"]}
        self.assertEqual(cells, {
            (pinning, durability, server, test) for pinning in pinnings for test in ("set", "get")
            for durability, server in (("memory", "redis"), ("memory", "null"), ("memory", "weir"),
                                       ("durable", "redis"), ("durable", "weir"))})
        self.assertEqual(len(kept["runs"]), len(cells))
        for run in kept["runs"]:
            self.assertEqual(set(run), TEXTS | ABOVE_ZERO | NOT_BELOW_ZERO | {"command"})
            self.assertTrue(all(run[name] > 0 for name in ABOVE_ZERO), run)
            self.assertTrue(all(run[name] >= 0 for name in NOT_BELOW_ZERO), run)
            if run["server"] == "weir":
                mode = "none" if run["durability"] == "memory" else "fsync"
                self.assertEqual(run["command"][-4:], ["--map", "fused", "--durability", mode])
        rows = json.loads(self.read("summary.json"))
        self.assertEqual(len(rows), len(cells) + 2 * len(pinnings))  # null's serve the durable ones
        for row in rows:
            self.assertEqual(row["rate_over_redis"] is None, row["server"] == "redis")
            self.assertEqual(row["rate_over_null"] is None, row["server"] == "null")
        self.assertIn(self.read("table.txt"), done.stdout)
        charts = sorted(name for name in os.listdir(self.output) if name.endswith(".svg"))
        self.assertEqual(len(charts), 4 * len(pinnings), charts)
        self.assertFalse(os.path.exists(os.path.join(self.output, "scratch")))


if __name__ == "__main__":
    if not ENVIRONMENT["PATH"]:
        print("skipped: there is no Redis here (apt-get install redis-tools)")
        sys.exit(77)
    unittest.main(verbosity=2)
