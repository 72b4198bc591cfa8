#!/usr/bin/env python3
"""tools/test_report counts what ctest really wrote: a small project is built and run for it."""

import os
import subprocess
import sys
import tempfile
import unittest

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", ".."))
REPORT = [sys.executable, os.path.join(ROOT, "tools", "test_report")]

PROJECT = """
cmake_minimum_required(VERSION 3.25)
project(planted NONE)
enable_testing()
add_test(NAME passes COMMAND echo fine)
add_test(NAME fails COMMAND sh -c "echo the cause; exit 3")
add_test(NAME crashes COMMAND sh -c "kill -SEGV $$")
add_test(NAME missing COMMAND /nonexistent/program)
add_test(NAME hangs COMMAND sh -c "read line < fifo")
add_test(NAME skips COMMAND sh -c "echo no such kernel; exit 77")
add_test(NAME skips_inside COMMAND sh -c "echo '[  SKIPPED ] one_of_its_tests'")
add_test(NAME skips_one COMMAND sh -c
    "echo '[       OK ] this'; echo 'SKIP: no such thing'; echo '[  SKIPPED ] that'")
add_test(NAME skips_and_fails COMMAND sh -c
    "echo '[  FAILED  ] this'; echo '[  SKIPPED ] that'; exit 1")
set_tests_properties(hangs PROPERTIES TIMEOUT 1)
set_tests_properties(skips skips_inside skips_one skips_and_fails PROPERTIES
    SKIP_RETURN_CODE 77 SKIP_REGULAR_EXPRESSION "\\\\[  SKIPPED \\\\]")
"""


class Report(unittest.TestCase):
    """From ctest's file to the last line."""

    @classmethod
    def setUpClass(cls):
        cls.directory = tempfile.TemporaryDirectory()
        cls.addClassCleanup(cls.directory.cleanup)
        cls.write("CMakeLists.txt", PROJECT)
        build = cls.path("build")
        os.mkdir(build)
        os.mkfifo(os.path.join(build, "fifo"))
        subprocess.run(["cmake", "-G", "Ninja", "-S", cls.directory.name, "-B", build],
                       capture_output=True, check=True)
        subprocess.run(["ctest", "--test-dir", build, "--output-junit", cls.path("junit.xml"),
                        "--output-log", cls.path("log")], capture_output=True, check=False)
        written = [cls.path(name) for name in ("junit.xml", "log", "output")]
        cls.read = subprocess.run(REPORT + ["asan"] + written, capture_output=True, text=True,
                                  check=True)
        cls.rows = {row.split("\t")[2]: row.split("\t") for row in cls.read.stdout.splitlines()}

    @classmethod
    def path(cls, name):
        return os.path.join(cls.directory.name, name)

    @classmethod
    def write(cls, name, text):
        with open(cls.path(name), "w", encoding="utf-8") as file:
            file.write(text)
        return cls.path(name)

    def summarize(self, rows, skips=""):
        names = self.write("names", "passes\nskips\nskips_inside\n")
        return subprocess.run(
            REPORT + ["--summary", self.write("results", rows), self.write("skips", skips), names],
            capture_output=True, text=True, check=False)

    def expect(self, result, status, last_line, words=""):
        self.assertEqual(result.returncode, status, result.stdout + result.stderr)
        self.assertEqual(result.stdout.splitlines()[-1], last_line)
        self.assertIn(words, result.stdout)

    def test_each_verdict_is_told_apart(self):
        verdicts = {name: row[0] for name, row in self.rows.items()}
        self.assertEqual(verdicts, {
            "passes": "passed", "fails": "failed", "crashes": "failed", "missing": "failed",
            "hangs": "failed", "skips": "skipped", "skips_inside": "skipped",
            "skips_one": "passed", "skips_one/that": "skipped", "skips_and_fails": "failed"})

    def test_a_failure_carries_its_reason(self):
        for name, reason in (("fails", "Failed"), ("crashes", "SEGFAULT"), ("hangs", "Timeout"),
                             ("missing", "Unable to find executable")):
            self.assertIn(reason, self.rows[name][3])

    def test_a_skip_carries_its_reason(self):
        self.assertEqual(self.rows["skips"][3], "no such kernel")
        self.assertEqual(self.rows["skips_inside"][3], "without a reason: one_of_its_tests")
        self.assertEqual(self.rows["skips_one/that"][3], "SKIP: no such thing")

    def test_output_is_kept_and_a_failure_is_shown(self):
        with open(os.path.join(self.path("output"), "passes.txt"), encoding="utf-8") as file:
            self.assertEqual(file.read().strip(), "fine")
        self.assertIn("asan: fails", self.read.stderr)
        self.assertIn("the cause", self.read.stderr)
        self.assertNotIn("fine", self.read.stderr)

    def test_no_results_are_a_failure(self):
        absent = [self.path(name) for name in ("absent.xml", "absent.log", "none")]
        read = subprocess.run(REPORT + ["asan"] + absent, capture_output=True, text=True,
                              check=True)
        self.assertEqual(read.stdout, "failed\tasan\tctest\tleft no results\n")

    def test_the_last_line_counts(self):
        rows = "passed\trelease\tpasses\t\npassed\tasan\tpasses\t\nskipped\tasan\tskips\told\n"
        result = self.summarize(rows, "# list\nskips\tneeds a newer kernel\n")
        self.expect(result, 0, "2 passed, 0 failed, 1 skipped", "needs a newer kernel")

    def test_a_case_is_listed_by_its_program_and_its_name(self):
        rows = "passed\tasan\tskips\t\nskipped\tasan\tskips/that\told kernel\n"
        self.expect(self.summarize(rows, "skips/that\tneeds a newer kernel\n"), 0,
                    "1 passed, 0 failed, 1 skipped")
        for skips in ("", "skips/this\tneeds a newer kernel\n", "skips\tneeds one\n"):
            self.expect(self.summarize(rows, skips), 1, "1 passed, 1 failed, 0 skipped",
                        "does not list it: old kernel")

    def test_an_unlisted_skip_is_a_failure(self):
        result = self.summarize("skipped\tasan\tskips\told kernel\n")
        self.expect(result, 1, "0 passed, 1 failed, 0 skipped", "does not list it: old kernel")

    def test_a_failure_is_named(self):
        result = self.summarize("passed\tasan\tpasses\t\nfailed\tasan\tfails\tExit 3\n")
        self.expect(result, 1, "1 passed, 1 failed, 0 skipped", "FAILED   asan: fails: Exit 3")

    def test_an_empty_run_is_a_failure(self):
        self.expect(self.summarize(""), 1, "0 passed, 1 failed, 0 skipped", "no test was run")

    def test_a_listed_name_that_no_test_has_is_a_failure(self):
        result = self.summarize("passed\tasan\tpasses\t\n", "gone\tonce needed\n")
        self.expect(result, 1, "1 passed, 1 failed, 0 skipped", "no test is called gone")

    def test_a_line_without_a_reason_is_a_failure(self):
        result = self.summarize("passed\tasan\tpasses\t\n", "skips \n")
        self.expect(result, 1, "1 passed, 1 failed, 0 skipped", "not a name, a tab and a reason")


if __name__ == "__main__":
    unittest.main()
