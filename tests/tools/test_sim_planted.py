#!/usr/bin/env python3
"""weir sim --minimize on planted defects: what is left breaks in the same way, by the command that
is printed, and needs all that is left.

usage: test_sim_planted.py WEIR_MUTANTS LIST

LIST is tests/sim/mutants.txt, which has a seed for each defect.
"""

import re
import subprocess
import sys
import unittest

PROGRAM, LIST = sys.argv.pop(1), sys.argv.pop(1)
# Those that take few runs, of three sorts: a rule of the core, a disk, a clock.
DEFECTS = ("commits-unverified", "acknowledges-before-sync", "expires-by-clock")
BROKE = re.compile(r"^seed (\d+) BROKE at step (\d+), ([\d.]+) s: (.*)\n  again: (.*)$", re.M)


def run(*arguments):
    return subprocess.run([PROGRAM, *arguments], capture_output=True, text=True, check=False)


def seed_of(defect):
    with open(LIST, encoding="utf-8") as lines:
        for line in lines:
            if line.split()[1:2] == [defect]:
                return line.split()[2]
    raise KeyError(defect)


def kind(finding):
    """The sentence without its numbers; of a start that failed, only that it did."""
    return re.sub(r"\d+", "N", re.sub(r"(does not start): .*", r"\1", finding))


def numbers(text):
    """The actions that `--only` names."""
    found = re.search(r" --only (\S+)", text)
    if found is None or found.group(1) == "none":
        return []
    listed = []
    for part in found.group(1).split(","):
        first, _, last = part.partition("..")
        listed += range(int(first), int(last or first) + 1)
    return listed


class Minimized(unittest.TestCase):
    def minimized(self, defect):
        seed = seed_of(defect)
        whole = run("sim", "--mutant", defect, "--seed", seed)
        done = run("sim", "--mutant", defect, "--seed", seed, "--minimize")
        self.assertEqual((whole.returncode, done.returncode), (1, 1), done.stdout + done.stderr)
        self.assertEqual(done.stderr, "")
        before, after = BROKE.search(whole.stdout), BROKE.search(done.stdout)
        self.assertEqual(kind(before.group(4)), kind(after.group(4)))
        return after

    def test_what_is_left_breaks_again_by_the_command_that_is_printed(self):
        for defect in DEFECTS:
            with self.subTest(defect=defect):
                after = self.minimized(defect)
                words = after.group(5).split()
                self.assertEqual(words[0], "weir-mutants")
                again = run(*words[1:])
                self.assertEqual(again.returncode, 1)
                self.assertEqual(BROKE.search(again.stdout).groups()[:4], after.groups()[:4])
                self.assertIn("---- how things stand", again.stdout)
                self.assertLessEqual(len(numbers(after.group(5))), 4, after.group(5))

    def test_nothing_that_is_left_can_be_left_out(self):
        after = self.minimized("commits-unverified")
        listed = numbers(after.group(5))
        self.assertGreater(len(listed), 0)
        for number in listed:
            rest = ",".join(str(each) for each in listed if each != number) or "none"
            less = re.sub(r" --only \S+", f" --only {rest}", after.group(5))
            done = run(*less.split()[1:])
            found = BROKE.search(done.stdout)
            self.assertTrue(found is None or kind(found.group(4)) != kind(after.group(4)), less)

    def test_a_seed_that_does_not_break_is_not_made_smaller(self):
        done = run("sim", "--seed", "1", "--nodes", "1", "--minimize")
        self.assertEqual(done.returncode, 0)
        self.assertIn("nothing broke", done.stdout)
        self.assertNotIn("again:", done.stdout)

    def test_json_has_the_command_too(self):
        seed = seed_of(DEFECTS[0])
        done = run("sim", "--mutant", DEFECTS[0], "--seed", seed, "--json")
        self.assertIn(f'"again": "weir-mutants sim --mutant {DEFECTS[0]} --seed {seed}"',
                      done.stdout)


if __name__ == "__main__":
    unittest.main()
