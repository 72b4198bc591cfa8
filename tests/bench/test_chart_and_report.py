#!/usr/bin/env python3
"""bench/chart.py draws what it is given; bench/compare's summary is the arithmetic it claims."""

import json
import os
import subprocess
import sys
import unittest
import xml.dom.minidom

SOURCE = os.environ.get("WEIR_SOURCE_DIR", os.path.join(os.path.dirname(__file__), "..", ".."))
sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(SOURCE, "bench"))
import chart  # noqa: E402
import compare_report  # noqa: E402


def line_chart(**changes):
    drawing = {"title": "a < b & c", "kind": "line", "x": [1, 16, 128], "x_label": "x",
               "y_label": "y", "note": "n",
               "series": [{"name": "one", "y": [10, 20, 40], "low": [9, 18, 30],
                           "high": [11, 22, 50]}, {"name": "two", "y": [5, None, 8]}]}
    drawing.update(changes)
    return drawing


def heights(svg, kind):
    """The y of every mark of a kind, in order."""
    document = xml.dom.minidom.parseString(svg)
    return [float(node.getAttribute("cy")) for node in document.getElementsByTagName(kind)]


class Chart(unittest.TestCase):
    def test_it_is_well_formed_with_foreign_text_escaped(self):
        for changes in ({}, {"kind": "bar"}, {"y_log": True}):
            document = xml.dom.minidom.parseString(chart.draw(line_chart(**changes)))
            texts = [node.firstChild.data for node in document.getElementsByTagName("text")
                     if node.firstChild]
            self.assertIn("a < b & c", texts)
            self.assertIn("two", texts)

    def test_heights_are_proportional_to_values(self):
        # Three points and the mark of the legend, which comes last.
        first, second, third, _ = heights(chart.draw(line_chart()), "circle")
        self.assertAlmostEqual((first - second) * 2, second - third, delta=0.3)

    def test_equal_factors_are_equal_distances_on_a_logarithmic_axis(self):
        first, second, third, _ = heights(chart.draw(line_chart(y_log=True)), "circle")
        self.assertAlmostEqual(first - second, second - third, delta=0.2)
        self.assertGreater(first, second)

    def test_everything_drawn_stays_inside(self):
        for y in ([0, 0, 0], [1e-9, 1, 1e9], [999999, 1000000, 1000001], [7, 7, 7]):
            for log in (False, True):
                drawing = line_chart(y_log=log, series=[{"name": "s", "y": y}])
                for height in heights(chart.draw(drawing), "circle"):
                    self.assertTrue(0 <= height <= chart.HEIGHT, (y, log, height))

    def test_a_series_of_the_wrong_length_is_refused(self):
        done = subprocess.run([sys.executable, os.path.join(SOURCE, "bench", "chart.py")],
                              input=json.dumps(line_chart(x=[1, 2])), capture_output=True,
                              text=True, check=False)
        self.assertEqual(done.returncode, 1)
        self.assertIn("chart: ", done.stderr)
        self.assertEqual(done.stdout, "")


def run(server, durability, rate, cpu, round_number, depth=1):
    return {"server": server, "durability": durability, "pinning": "pinned", "test": "set",
            "depth": depth, "round": round_number, "throughput_per_s": rate,
            "cpu_us_per_operation": cpu, "switches_per_operation": 0.5, "p50_ms": 1.0,
            "p99_ms": 2.0}


class Report(unittest.TestCase):
    def setUp(self):
        runs = []
        # The machine gets slower from round to round; the ratios within a round do not move.
        for round_number, slow in enumerate((1.0, 0.5, 0.25)):
            runs.append(run("redis", "memory", 1000 * slow, 10, round_number))
            runs.append(run("weir", "memory", 3000 * slow, 5, round_number))
            runs.append(run("null", "memory", 4000 * slow, 1, round_number))
            runs.append(run("weir", "durable", 2000 * slow, 6, round_number))
        self.rows = {(row["durability"], row["server"]): row
                     for row in compare_report.summarize(runs)}

    def test_ratios_are_taken_within_a_round(self):
        weir = self.rows["memory", "weir"]
        self.assertEqual(weir["throughput_per_s"], 1500)
        self.assertEqual((weir["low"], weir["high"]), (750, 3000))
        self.assertEqual(weir["rate_over_redis"], 3)
        self.assertEqual(weir["rate_over_null"], 0.75)
        self.assertEqual(weir["cpu_over_redis"], 0.5)
        self.assertIsNone(self.rows["memory", "redis"]["rate_over_redis"])

    def test_durable_rows_are_compared_with_the_null_server_too(self):
        self.assertEqual(self.rows["durable", "weir"]["rate_over_null"], 0.5)
        self.assertIsNone(self.rows["durable", "weir"]["rate_over_redis"])

    def test_the_table_and_the_charts_hold_every_row(self):
        rows = list(self.rows.values())
        text = compare_report.table_text(rows)
        self.assertEqual(sum(line.lstrip().startswith("set") for line in text.splitlines()),
                         len(rows))
        names = [name for name, _ in compare_report.charts(rows, "")]
        self.assertEqual(names, ["set-durable-pinned", "set-memory-pinned"])
        for _, drawing in compare_report.charts(rows, "note"):
            xml.dom.minidom.parseString(chart.draw(drawing))


class Usage(unittest.TestCase):
    def test_wrong_options_are_status_two(self):
        for arguments in (["--foo"], ["--servers", "etcd"], ["--depths", "0"], ["--rounds", "x"],
                          ["--durability", "none"], ["--rounds"], ["--seconds", "0"]):
            done = subprocess.run([sys.executable, os.path.join(SOURCE, "bench", "compare"),
                                   *arguments], capture_output=True, text=True, check=False)
            self.assertEqual(done.returncode, 2, arguments)
            self.assertTrue(done.stderr.startswith("compare: "), arguments)


if __name__ == "__main__":
    unittest.main()
