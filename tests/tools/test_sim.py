#!/usr/bin/env python3
"""weir sim as a person meets it: usage, exit status, what it prints; and a seed repeats itself.

usage: test_sim.py WEIR
"""

import json
import subprocess
import sys
import unittest

WEIR = sys.argv.pop(1)


def sim(*arguments):
    return subprocess.run([WEIR, "sim", *arguments], capture_output=True, text=True, check=False)


class Usage(unittest.TestCase):
    def test_a_wrong_use_is_said_and_is_status_2(self):
        for arguments in (
                [], ["--seed"], ["--seed", "x"], ["--seeds", "5..3"], ["--seeds", "5"],
                ["--seed", "1", "--nodes", "0"], ["--seed", "1", "--nodes", "8"],
                ["--seeds", "1..2", "--jobs", "0"], ["--seeds", "1..2", "--trace"],
                ["--seeds", "1..2", "--minimize"], ["--seed", "1", "--what"],
                ["--seeds", "1..2", "--calm"], ["--seed", "1", "--only", "0"],
                ["--seed", "1", "--until"], ["--seed", "1", "--minimize", "--seconds", "0"]):
            with self.subTest(arguments=arguments):
                done = sim(*arguments)
                self.assertEqual(done.returncode, 2)
                self.assertEqual(done.stdout, "")
                self.assertIn("weir sim", done.stderr)
                self.assertEqual(done.stderr.count("\n"), 1)

    def test_help_names_every_option(self):
        done = sim("--help")
        self.assertEqual(done.returncode, 0)
        for option in ("--seed", "--seeds", "--nodes", "--trace", "--trace-all", "--minimize",
                       "--seconds", "--jobs", "--json", "--only", "--without", "--until",
                       "--first-nodes", "--clients", "--calm", "--plain"):
            self.assertIn(option + " ", done.stdout)


class Runs(unittest.TestCase):
    def test_a_seed_repeats_itself(self):
        first, second = sim("--seed", "1", "--nodes", "3"), sim("--seed", "1", "--nodes", "3")
        self.assertEqual(first.returncode, 0, first.stdout)
        self.assertIn("nothing broke", first.stdout)
        self.assertRegex(first.stdout, r"trace [0-9a-f]{16}")
        self.assertEqual(first.stdout, second.stdout)
        self.assertNotEqual(first.stdout, sim("--seed", "2", "--nodes", "3").stdout)

    def test_the_story_has_the_plan_the_phases_and_the_elections(self):
        done = sim("--seed", "1", "--nodes", "3", "--trace")
        self.assertEqual(done.returncode, 0, done.stdout)
        for text in ("seed 1: 3 nodes", "---- safety", "---- liveness", "---- peace", " leads in",
                     "begins #1:", "answered:"):
            self.assertIn(text, done.stdout)

    def test_what_is_taken_away_from_a_plan_is_not_in_it(self):
        done = sim("--seed", "1", "--nodes", "3", "--only", "2", "--until", "3.5", "--calm",
                   "--trace")
        self.assertEqual(done.returncode, 0, done.stdout)
        self.assertRegex(done.stdout, r"\n#2 ")
        self.assertNotRegex(done.stdout, r"\n#[13] ")
        self.assertIn("---- safety: for 3.500 s", done.stdout)
        self.assertNotIn("begins #3", done.stdout)

    def test_a_range_sums_up_and_is_quiet_in_a_pipe(self):
        done = sim("--seeds", "1..3", "--jobs", "2", "--nodes", "1")
        self.assertEqual(done.returncode, 0, done.stdout)
        self.assertEqual(done.stderr, "")
        self.assertIn("3 of 1..3, 0 broke", done.stdout)
        self.assertIn("times real time", done.stdout)

    def test_json_is_an_object_a_line(self):
        one = json.loads(sim("--seed", "1", "--nodes", "1", "--json").stdout)
        self.assertEqual((one["seed"], one["failed"]), (1, False))
        self.assertGreaterEqual(one["time_s"], 20)
        self.assertGreaterEqual(one["ok"], 200)
        many = json.loads(sim("--seeds", "1..2", "--nodes", "1", "--json").stdout)
        self.assertEqual((many["seeds"], many["broken"]), (2, 0))
        self.assertGreater(many["times_real_time"], 0)


if __name__ == "__main__":
    unittest.main()
