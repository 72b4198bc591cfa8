#!/usr/bin/env python3
"""The table of scenarios names each of S1 to S62 once, in order, and links to what there is.

    test_scenarios_table.py TABLE.md DIRECTORY
"""

import os
import re
import sys
import unittest


class Table(unittest.TestCase):
    def setUp(self):
        with open(TABLE, encoding="utf-8") as file:
            self.rows = re.findall(r"^\| (S\d+) \| (.+?) \| (.+) \|$", file.read(), re.M)

    def test_each_scenario_has_one_row_in_order(self):
        self.assertEqual([row[0] for row in self.rows], [f"S{i}" for i in range(1, 63)])

    def test_each_row_says_what_must_hold_and_where_it_is_tested(self):
        for name, what, where in self.rows:
            self.assertTrue(len(what) > 10, name)
            self.assertRegex(where, "scenarios/|imulator|real cluster|`[a-z]+_[a-z_]+`", name)

    def test_every_link_leads_to_a_file_and_every_file_has_a_link(self):
        linked = re.findall(r"\(scenarios/(\w+)\.txt\)", " ".join(row[2] for row in self.rows))
        files = sorted(name[:-4] for name in os.listdir(DIRECTORY) if name.startswith("s"))
        self.assertEqual(sorted(set(linked)), files)
        for name, _, where in self.rows:
            for link in re.findall(r"\(scenarios/s(\d+)_", where):
                self.assertEqual(int(link), int(name[1:]), name)


if __name__ == "__main__":
    DIRECTORY = sys.argv.pop()
    TABLE = sys.argv.pop()
    unittest.main(verbosity=2)
