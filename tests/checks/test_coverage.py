#!/usr/bin/env python3
"""tools/coverage: what it leaves out, and what it does not."""

import importlib.machinery
import importlib.util
import os
import sys
import tempfile
import unittest

ROOT = os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "..")
sys.dont_write_bytecode = True  # nothing is left beside the tool


def load(name):
    path = os.path.join(ROOT, "tools", name)
    loader = importlib.machinery.SourceFileLoader(name, path)
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader(name, loader))
    loader.exec_module(module)
    return module


coverage = load("coverage")

SOURCE = """int f(enum e e, int a) {
    ASSERT(a > 0 &&
           (a < 9));
    if (a == 3) {
        return 1;
    }
    switch (e) {
    case ONE: return 2;
    case TWO: return 3;
    }
    switch (e) {
    case ONE: return 2;
    default: UNREACHABLE("two");
    }
    switch (a) {
    case 1: return 2;
    default: return 4;
    }
}
"""


class Findings(unittest.TestCase):

    def found(self, lines):
        with tempfile.NamedTemporaryFile("w", suffix=".c") as file:
            file.write(SOURCE)
            file.flush()
            sentences, branches = coverage.findings(file.name, lines)
            return [sentence.split(":", 1)[1] for sentence in sentences], branches

    def test_a_branch_not_taken_is_told(self):
        self.assertEqual(self.found({4: [7, [7, 0]]}),
                         (["4: 1 of 2 branches not taken: if (a == 3) {"], 2))

    def test_a_line_never_run_is_told_once(self):
        self.assertEqual(self.found({4: [0, [0, 0]], 5: [0, []]})[0],
                         ["4: never run: if (a == 3) {", "5: never run: return 1;"])

    def test_a_branch_taken_is_not_told(self):
        self.assertEqual(self.found({4: [7, [5, 2]], 5: [5, []]}), ([], 2))

    def test_an_assertion_is_left_out_on_all_its_lines(self):
        self.assertEqual(self.found({2: [7, [7, 0]], 3: [7, [7, 0]]}), ([], 0))

    def test_an_unreachable_default_is_left_out(self):
        self.assertEqual(self.found({11: [7, [7, 0]], 13: [0, []]}), ([], 1))

    def test_a_switch_may_have_one_way_out_that_nothing_takes(self):
        self.assertEqual(self.found({7: [7, [3, 4, 0]]}), ([], 2))

    def test_a_case_that_nothing_takes_is_told(self):
        self.assertEqual(self.found({7: [7, [7, 0, 0]]})[0],
                         ["7: 1 of 3 branches not taken: switch (e) {"])

    def test_a_default_that_can_be_taken_must_be(self):
        self.assertEqual(self.found({15: [7, [7, 0]]})[0],
                         ["15: 1 of 2 branches not taken: switch (a) {"])


if __name__ == "__main__":
    unittest.main()
