#!/usr/bin/env python3
"""bench/failover from its arguments to its files, with one fault of each sort.

    test_failover.py BINARY_DIR

Ends with status 77 (skipped) where no network namespace can be made.
"""

import json
import os
import subprocess
import sys
import tempfile
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
FAILOVER = os.path.join(HERE, "..", "..", "bench", "failover")
BINARY_DIR = sys.argv.pop(1)
SCRATCH = tempfile.TemporaryDirectory(prefix="weir-failover-")
ENVIRONMENT = {**os.environ, "WEIR_BENCH_SHORT": "1", "TMPDIR": SCRATCH.name}


def namespaces():
    words = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
    try:
        done = subprocess.run(["unshare", *words, "--net", "sh", "-c",
                               "ip link add hub type bridge && nft list ruleset"],
                              capture_output=True, check=False)
    except OSError:
        return False
    return done.returncode == 0


class Failover(unittest.TestCase):
    def setUp(self):
        self.output = os.path.join(SCRATCH.name, "results-" + self.id().rpartition(".")[2])

    def failover(self, *arguments):
        return subprocess.run([FAILOVER, "--bin", BINARY_DIR, "--output", self.output, *arguments],
                              env=ENVIRONMENT, stdin=subprocess.DEVNULL, capture_output=True,
                              text=True, check=False, timeout=100)

    def test_wrong_usage_is_said_before_anything_runs(self):
        for arguments, words in (
                (["--faults", "flood"], "'flood' is none of kill, stop, partition"),
                (["--rounds", "0"], "--rounds '0' is no number above 0"),
                (["--timeout-ms", "x"], "is no number"), (["--seed"], "needs a value"),
                (["x"], "--help")):
            done = self.failover(*arguments)
            self.assertEqual((done.returncode, done.stdout), (2, ""), (arguments, done.stderr))
            self.assertTrue(done.stderr.startswith("failover: "), done.stderr)
            self.assertEqual(len(done.stderr.splitlines()), 1, done.stderr)
            self.assertIn(words, done.stderr)
            self.assertFalse(os.path.exists(self.output), arguments)

    def test_help_is_an_answer(self):
        done = self.failover("--help")
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertIn("--faults LIST", done.stdout)

    def test_a_program_that_ends_is_said_and_its_log_shown(self):
        done = self.failover("--serve", "--durability nonsense")
        self.assertEqual((done.returncode, done.stdout.count("\n")), (1, 1), done.stdout)
        self.assertIn("has ended with status 2", done.stderr)
        self.assertIn("nonsense", done.stderr)
        self.assertFalse(os.path.exists(self.output))

    def test_what_takes_more_than_six_timeouts_fails(self):
        """By the T that it is told, a hundredth of what it is."""
        done = self.failover("--faults", "kill", "--timeout-ms", "2")
        self.assertEqual(done.returncode, 1, done.stderr)
        self.assertIn("after kill nobody served for more than 6 T", done.stderr)
        self.assertIn("kill", done.stdout)

    def test_every_fault_is_measured_and_nothing_is_left(self):
        done = self.failover("--json", "--seed", "7")
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        said = json.loads(done.stdout)
        self.assertEqual((said["seed"], said["timeout_ms"]), (7, 200))
        self.assertEqual([row["fault"] for row in said["faults"]], ["kill", "stop", "partition"])
        with open(os.path.join(self.output, "runs.json"), encoding="utf-8") as file:
            kept = json.load(file)
        self.assertEqual(len(kept["runs"]), 3)
        self.assertGreater(kept["counts"]["acknowledged"], 100)
        for run in kept["runs"]:
            self.assertNotEqual(run["from"], run["to"])
            self.assertGreater(run["unavailable_ms"], 0)
            if run["fault"] != "kill":  # nobody can know before
                self.assertGreater(run["unavailable_ms"], 100)
        for row in said["faults"]:
            values = [r["unavailable_ms"] for r in kept["runs"] if r["fault"] == row["fault"]]
            self.assertEqual((row["rounds"], row["worst_ms"]), (1, values[0]))
        self.assertEqual(sorted(os.listdir(self.output)),
                         ["distribution.svg", "runs.json", "table.txt"])
        left = [name for name in os.listdir(SCRATCH.name) if name.startswith("weir-failover-")]
        self.assertEqual(left, [])


if __name__ == "__main__":
    if not namespaces():
        print("skipped: no network namespace with a bridge and nft can be made here")
        sys.exit(77)
    unittest.main(verbosity=2)
