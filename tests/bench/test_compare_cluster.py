#!/usr/bin/env python3
"""bench/compare --cluster from its arguments to its files, with runs too short to mean anything.

    test_compare_cluster.py BINARY_DIR Usage | Report | Measured | Etcd

Measured and Etcd end with status 77 (skipped) where there is no Redis, and no etcd or h2load.
"""

import json
import os
import subprocess
import sys
import tempfile
import unittest
import xml.dom.minidom

HERE = os.path.dirname(os.path.abspath(__file__))
BENCH = os.path.join(HERE, "..", "..", "bench")
sys.dont_write_bytecode = True
sys.path[:0] = [os.path.join(HERE, "..", "support"), BENCH]
import chart  # noqa: E402
import cluster_report  # noqa: E402
import compare_servers  # noqa: E402
import etcd_load  # noqa: E402
from compare_programs import Failure  # noqa: E402
from redis_programs import path_with_server  # noqa: E402

COMPARE = os.path.join(BENCH, "compare")
BINARY_DIR = sys.argv.pop(1)
SCRATCH = tempfile.TemporaryDirectory(prefix="weir-compare-")
ENVIRONMENT = {**os.environ, "PATH": path_with_server(SCRATCH.name) or os.environ["PATH"]}


def compare(output, *arguments, **environment):
    return subprocess.run([COMPARE, "--cluster", "--bin", BINARY_DIR, "--output", output,
                           *arguments], env={**ENVIRONMENT, **environment},
                          stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)


class Usage(unittest.TestCase):
    def test_wrong_usage_is_said_before_anything_runs(self):
        output = os.path.join(SCRATCH.name, "none")
        for arguments, words in (
                (["--tests", "incr"], "'incr' is none of set, get"),
                (["--servers", "redis,null"], "'null' is none of redis, weir, weir3"),
                (["--client", "memtier"], "neither weir nor redis-benchmark"),
                (["--depths", "1,0"], "'0' is no depth"),
                (["--streams", "x"], "'x' is no number of streams"),
                (["--rounds", "x"], "is no number"), (["--seconds", "nan"], "above 0"),
                (["--seconds", "0"], "above 0"), (["--json=1"], "see --help"),
                (["--tests"], "needs a value"), (["x"], "--help")):
            done = compare(output, *arguments)
            self.assertEqual((done.returncode, done.stdout), (2, ""), (arguments, done.stderr))
            self.assertTrue(done.stderr.startswith("compare: "), done.stderr)
            self.assertIn(words, done.stderr)
            self.assertFalse(os.path.exists(output), arguments)

    def test_a_server_that_is_asked_for_and_missing_is_said_with_its_package(self):
        empty = os.path.join(SCRATCH.name, "empty")
        os.makedirs(empty)
        os.symlink(sys.executable, os.path.join(empty, "python3"))
        for server, words in (("etcd", "apt-get install etcd-server"),
                              ("redis", "apt-get install redis-server")):
            done = compare(os.path.join(SCRATCH.name, "none"), "--servers", server, PATH=empty)
            self.assertEqual((done.returncode, done.stdout), (1, ""), done.stderr)
            self.assertIn(words, done.stderr)

    def test_help_is_an_answer(self):
        done = subprocess.run([COMPARE, "--cluster", "--help"], capture_output=True, text=True,
                              check=False)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertIn("--streams LIST", done.stdout)


def run(server, depth, round_number, rate, test="set"):
    return {"server": server, "test": test, "depth": depth, "round": round_number,
            "throughput_per_s": rate, "p50_ms": 1.0, "p99_ms": 2.0, "leader_cpu_us": 3.0,
            "follower_cpu_us": 0.0 if server == "redis" else 1.5,
            "nodes": 1 if server == "redis" else 3}


class Report(unittest.TestCase):
    # The machine is twice as fast in the second round, and slow for Redis in the third.
    RUNS = [run("redis", 16, 0, 100), run("weir3", 16, 0, 190), run("redis", 16, 1, 200),
            run("weir3", 16, 1, 420), run("redis", 16, 2, 10), run("weir3", 16, 2, 250),
            run("etcd", 20, 0, 10), run("etcd", 20, 1, 10)]

    def found(self, rival):
        return [row for row in cluster_report.aims(self.RUNS) if row["rival"] == rival]

    def test_ratios_are_taken_within_a_round(self):
        [redis] = self.found("redis")
        self.assertAlmostEqual(redis["ratio"], 2.1)
        self.assertAlmostEqual(redis["low"], 1.9)
        self.assertAlmostEqual(redis["high"], 25.0)
        self.assertEqual(redis["verdict"], "reached")

    def test_etcd_with_twenty_streams_stands_against_depth_sixteen(self):
        [etcd] = self.found("etcd")
        self.assertEqual((etcd["depth"], etcd["rival_depth"], etcd["aim"]), (16, 20, 28))
        self.assertAlmostEqual(etcd["ratio"], (19 + 42) / 2)

    def test_a_verdict_is_missed_reached_stretch_or_none(self):
        verdicts = [cluster_report.verdict(*values) for values in
                    ((1.9, 2, 2.5), (2, 2, 2.5), (2.5, 2, 2.5), (9, 2, None), (9, None, None))]
        self.assertEqual(verdicts, ["missed", "reached", "stretch", "reached", "-"])

    def test_the_table_and_the_charts_hold_every_row(self):
        rows = cluster_report.summarize(self.RUNS)
        self.assertEqual([(row["server"], row["rounds"], row["throughput_per_s"]) for row in rows],
                         [("redis", 3, 100), ("weir3", 3, 250), ("etcd", 2, 10)])
        text = cluster_report.table_text(rows)
        self.assertEqual(len(text.splitlines()), 2 + len(rows))
        drawings = dict(cluster_report.charts(rows, "note"))
        self.assertEqual(set(drawings), {"throughput-set", "cpu-set"})
        self.assertEqual(drawings["throughput-set"]["x"], ["16", "20 (etcd)"])
        for drawing in drawings.values():
            xml.dom.minidom.parseString(chart.draw(drawing))


class Measured(unittest.TestCase):
    def test_every_run_is_kept_with_all_its_figures(self):
        output = os.path.join(SCRATCH.name, "measured")
        done = compare(output, "--servers", "redis,weir3,weir3:lease", "--depths", "1,16",
                       "--rounds", "1", "--seconds", "0.05", "--json")
        self.assertEqual(done.returncode, 0, done.stderr)
        summary = json.loads(done.stdout)
        with open(os.path.join(output, "runs.json"), encoding="utf-8") as file:
            runs = json.load(file)["runs"]
        self.assertEqual({(one["server"], one["test"], one["depth"]) for one in runs},
                         {(server, test, depth) for server in ("redis", "weir3", "weir3:lease")
                          for test in ("set", "get") for depth in (1, 16)
                          if server != "weir3:lease" or test == "get"})
        for one in runs:
            self.assertTrue(all(one[name] > 0 for name in ("operations", "throughput_per_s",
                                                           "p50_ms", "p99_ms", "max_ms")), one)
            self.assertEqual(one["nodes"], 1 if one["server"] == "redis" else 3)
            self.assertGreaterEqual(one["leader_cpu_us"], 0)
        self.assertEqual(len(summary["rows"]), len(runs))
        self.assertEqual(len([aim for aim in summary["aims"] if aim["aim"]]), 4)
        self.assertEqual(sorted(os.listdir(output)),
                         ["cpu-get.svg", "cpu-set.svg", "runs.json", "summary.json", "table.txt",
                          "throughput-get.svg", "throughput-set.svg"])


class Etcd(unittest.TestCase):
    def test_puts_that_fail_with_status_200_are_noticed(self):
        options = {"bin": BINARY_DIR}
        with compare_servers.make("etcd", os.path.join(SCRATCH.name, "etcd"), options) as servers:
            def put(requests):
                return etcd_load.run_put(servers.port, 4, requests, servers.scratch, options)

            version = etcd_load.stored(servers.port)[1]
            result = put(200)
            self.assertEqual(etcd_load.stored(servers.port)[1], version + 200)
            self.assertTrue(all(result[name] > 0 for name in ("throughput_per_s", "p99_ms")))
            read = etcd_load.run_range(servers.port, 4, 200, servers.scratch, options)
            self.assertEqual(read["operations"], 200)
            servers.check_leader()
            leader, followers = servers.processor_seconds()
            self.assertTrue(leader > 0 and followers > 0)
            # A Put without a key: HTTP status 200, and in the trailers grpc-status 3.
            right, etcd_load.put_body = etcd_load.put_body, lambda key, value: etcd_load.framed(
                etcd_load.field(2, value))
            try:
                with self.assertRaisesRegex(Failure, "did not all take place"):
                    put(100)
                with self.assertRaisesRegex(Failure, "does not take a Put"):
                    etcd_load.check_put(servers.port, servers.scratch, options)
            finally:
                etcd_load.put_body = right


def skip_reason(wanted):
    if "Measured" in wanted and not path_with_server(SCRATCH.name):
        return "there is no Redis here (apt-get install redis-tools)"
    if "Etcd" in wanted:
        return compare_servers.missing("etcd", {"bin": BINARY_DIR})
    return None


if __name__ == "__main__":
    reason = skip_reason(sys.argv[1:])
    if reason:
        print(f"skipped: {reason}")
        sys.exit(77)
    unittest.main(verbosity=2)
