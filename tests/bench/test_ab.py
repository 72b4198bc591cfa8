#!/usr/bin/env python3
"""bench/ab against commands whose ratio is known, and its statistics against known answers."""

import json
import os
import subprocess
import sys
import tempfile
import unittest

SOURCE = os.environ.get("WEIR_SOURCE_DIR", os.path.join(os.path.dirname(__file__), "..", ".."))
sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(SOURCE, "bench"))
import statistics_of_runs  # noqa: E402

AB = os.path.join(SOURCE, "bench", "ab")

# Counts its own calls in a file and prints base * factor * (1 + wobble of that call).
FAKE = """
import json, sys
path, factor = sys.argv[1], float(sys.argv[2])
try:
    call = int(open(path).read())
except FileNotFoundError:
    call = 0
open(path, "w").write(str(call + 1))
wobble = [0.00, 0.30, -0.20, 0.10, 0.05][call % 5]
value = 1000 * factor * (1 + wobble)
print(json.dumps({"results": [{"rate": value}], "name": "fake"}))
"""


class Statistics(unittest.TestCase):
    def test_the_median_of_odd_and_even_counts(self):
        self.assertEqual(statistics_of_runs.median([3, 1, 2]), 2)
        self.assertEqual(statistics_of_runs.median([4, 1, 3, 2]), 2.5)
        with self.assertRaises(ValueError):
            statistics_of_runs.median([])

    def test_a_quantile_interpolates(self):
        self.assertEqual(statistics_of_runs.quantile([0, 10], 0.25), 2.5)
        self.assertEqual(statistics_of_runs.quantile([7], 0.99), 7)

    def test_ratios_need_pairs_above_zero(self):
        self.assertEqual(statistics_of_runs.paired_ratios([2, 4], [4, 2]), [2, 0.5])
        with self.assertRaises(ValueError):
            statistics_of_runs.paired_ratios([1], [1, 2])
        with self.assertRaises(ValueError):
            statistics_of_runs.paired_ratios([0], [1])

    def test_equal_values_have_an_interval_without_width(self):
        self.assertEqual(statistics_of_runs.bootstrap_interval([1.5] * 9), (1.5, 1.5))

    def test_the_interval_holds_the_median_and_narrows_with_more_values(self):
        few = [1.0, 1.1, 1.2, 1.3, 1.4]
        many = few * 20
        low, high = statistics_of_runs.bootstrap_interval(few)
        self.assertTrue(1.0 <= low < 1.2 < high <= 1.4)
        low_many, high_many = statistics_of_runs.bootstrap_interval(many)
        self.assertTrue(low <= low_many <= 1.2 <= high_many <= high)
        self.assertLess(high_many - low_many, high - low)
        self.assertEqual(statistics_of_runs.bootstrap_interval(few), (low, high))

    def test_the_interval_covers_the_truth_as_often_as_it_says(self):
        import random
        source = random.Random(3)
        covered = 0
        for _ in range(200):
            sample = [source.gauss(10, 2) for _ in range(15)]
            low, high = statistics_of_runs.bootstrap_interval(sample, resamples=300)
            covered += low <= 10 <= high
        self.assertTrue(180 <= covered <= 200, covered)


class Script(unittest.TestCase):
    def setUp(self):
        self.directory = tempfile.TemporaryDirectory()
        self.fake = os.path.join(self.directory.name, "fake.py")
        with open(self.fake, "w", encoding="utf-8") as file:
            file.write(FAKE)

    def tearDown(self):
        self.directory.cleanup()

    def ab(self, *arguments):
        return subprocess.run([sys.executable, AB, *arguments], capture_output=True, text=True,
                              cwd=self.directory.name, check=False)

    def side(self, name, factor):
        return [sys.executable, self.fake, os.path.join(self.directory.name, name), str(factor)]

    def test_a_known_ratio_is_found_although_the_runs_wobble(self):
        done = self.ab("--pairs", "10", "--metric", ".results[0].rate", "--json", "--output",
                       "runs.json", "--", *self.side("a", 1), "--", *self.side("b", 1.25))
        self.assertEqual(done.returncode, 0, done.stderr)
        summary = json.loads(done.stdout)
        self.assertAlmostEqual(summary["ratio_median"], 1.25)
        self.assertAlmostEqual(summary["ratio_low"], 1.25)
        self.assertAlmostEqual(summary["ratio_high"], 1.25)
        self.assertEqual(summary["verdict"], "B is better")
        with open(os.path.join(self.directory.name, "runs.json"), encoding="utf-8") as file:
            runs = json.load(file)["runs"]
        self.assertEqual([run["side"] for run in runs], ["A", "B"] * 11)
        self.assertEqual([run["pair"] for run in runs][:4], [-1, -1, 0, 0])

    def test_a_regular_expression_finds_the_figure_and_lower_can_be_better(self):
        done = self.ab("--pairs", "3", "--warmups", "0", "--metric", r'"rate": ([\d.]+)', "--lower",
                       "--json", "--", *self.side("a", 1), "--", *self.side("b", 2))
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertAlmostEqual(json.loads(done.stdout)["ratio_median"], 2)
        self.assertEqual(json.loads(done.stdout)["verdict"], "A is better")

    def test_the_same_on_both_sides_shows_no_difference(self):
        done = self.ab("--pairs", "5", "--metric", ".results[0].rate", "--", *self.side("a", 1),
                       "--", *self.side("b", 1))
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("no difference shown", done.stdout)

    def test_a_server_is_started_for_each_side_and_stopped(self):
        server = ("import http.server, sys\n"
                  "class H(http.server.BaseHTTPRequestHandler):\n"
                  "    def do_GET(self):\n"
                  "        self.send_response(200); self.end_headers()\n"
                  "        self.wfile.write(b'value ' + sys.argv[2].encode())\n"
                  "http.server.HTTPServer(('127.0.0.1', int(sys.argv[1])), H).serve_forever()\n")
        client = ("import sys, urllib.request\n"
                  "u = 'http://127.0.0.1:%s/' % sys.argv[1]\n"
                  "print(urllib.request.urlopen(u).read().decode())\n")
        for name, text in (("server.py", server), ("client.py", client)):
            with open(os.path.join(self.directory.name, name), "w", encoding="utf-8") as file:
                file.write(text)
        done = self.ab("--pairs", "2", "--warmups", "0", "--metric", r"value (\d+)", "--json",
                       "--server-a", f"{sys.executable} server.py {{port}} 10",
                       "--server-b", f"{sys.executable} server.py {{port}} 30",
                       "--", sys.executable, "client.py", "{port}")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertAlmostEqual(json.loads(done.stdout)["ratio_median"], 3)

    def test_a_failing_run_is_said_with_its_status(self):
        done = self.ab("--", "sh", "-c", "echo broken >&2; exit 3", "--", "true")
        self.assertEqual(done.returncode, 1)
        self.assertIn("status 3", done.stderr)
        self.assertIn("broken", done.stderr)

    def test_a_server_that_ends_is_said_with_what_it_wrote(self):
        done = self.ab("--server-a", "sh -c 'echo no such luck; exit 3'", "--server-b", "true",
                       "--", "true")
        self.assertEqual(done.returncode, 1)
        self.assertIn("ended with status 3\nthe server said:\nno such luck", done.stderr)
        done = self.ab("--server-a", "/nonexistent", "--server-b", "true", "--", "true")
        self.assertIn("server '/nonexistent' cannot be run: No such file", done.stderr)
        self.assertEqual(os.listdir(self.directory.name), ["fake.py"])  # there was no run to keep

    def test_a_client_that_fails_is_said_with_what_its_server_wrote(self):
        server = os.path.join(self.directory.name, "server.py")
        with open(server, "w", encoding="utf-8") as file:
            file.write("import socket, sys\n"
                       "print('too many of them', flush=True)\n"
                       "with socket.create_server(('127.0.0.1', int(sys.argv[1]))) as s:\n"
                       "    while True:\n"
                       "        s.accept()\n")
        command = f"{sys.executable} {server} {{port}}"
        done = self.ab("--server-a", command, "--server-b", command, "--", "false")
        self.assertEqual(done.returncode, 1)
        self.assertIn("'false' ended with status 1", done.stderr)
        self.assertIn("the server said:\ntoo many of them", done.stderr)

    def test_the_runs_before_a_failure_are_kept(self):
        command = ["sh", "-c", "echo x >>count; test $(wc -l <count) -lt 5"]
        done = self.ab("--pairs", "10", "--warmups", "0", "--output", "runs.json", "--", *command,
                       "--", *command)
        self.assertEqual(done.returncode, 1)
        self.assertIn("the 4 runs before that: runs.json", done.stderr)
        with open(os.path.join(self.directory.name, "runs.json"), encoding="utf-8") as file:
            kept = json.load(file)
        self.assertIsNone(kept["summary"])
        self.assertEqual([run["side"] for run in kept["runs"]], ["A", "B", "A", "B"])

    def test_an_output_without_the_figure_is_said(self):
        for metric in (".rate", r"rate (\d+)", ".results[7].rate", ".name"):
            done = self.ab("--pairs", "1", "--metric", metric, "--", *self.side("a", 1), "--",
                           *self.side("b", 1))
            self.assertEqual(done.returncode, 1, metric)
            self.assertIn("ab: ", done.stderr)

    def test_wrong_usage_is_status_two(self):
        for arguments in ([], ["--"], ["--", "true"], ["--pairs", "0", "--", "true", "--", "true"],
                          ["--foo", "--", "true", "--", "true"], ["--pairs"],
                          ["--server-a", "x", "--", "true"], ["--", "true", "--"]):
            done = self.ab(*arguments)
            self.assertEqual(done.returncode, 2, arguments)
            self.assertTrue(done.stderr.startswith("ab: "), arguments)


if __name__ == "__main__":
    unittest.main()
