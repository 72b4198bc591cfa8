#!/usr/bin/env python3
"""An older copy put back: of the whole directory, which is a restore, or of single files.

What a node can notice by itself it must refuse, and weir inspect must say the same. What it cannot
notice is stated here too, as docs/operations.md states it.
"""

import glob
import os
import shutil
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "support"))
from weir_test import Node, NodeEnded, Scratch, weir  # noqa: E402

MEBIBYTE = 1 << 20


class OldCopies(unittest.TestCase):
    def setUp(self):
        scratch = Scratch()
        self.addCleanup(scratch.__exit__, None, None, None)
        scratch = scratch.__enter__()
        self.data, self.old, self.new = (os.path.join(scratch, name)
                                         for name in ("data", "old", "new"))
        self.node = Node(self.data, config={"snapshot-log-bytes": "0"})
        self.addCleanup(self.node.__exit__)

    def life(self, value, fill_mib=0):
        """Starts, sets the key, stops."""
        with self.node.start().client() as client:
            self.assertEqual(client.call("SET", "key", value), "OK")
            for _ in range(fill_mib):
                self.assertEqual(client.call("SET", "large", b"x" * MEBIBYTE), "OK")
        self.assertEqual(self.node.stop(), 0, self.node.log())

    def put_back(self, *patterns):
        """The newest directory, with the files that match taken from the old copy."""
        shutil.rmtree(self.data)
        shutil.copytree(self.new, self.data)
        for pattern in patterns:
            names = [os.path.basename(path) for path in glob.glob(os.path.join(self.old, pattern))]
            self.assertTrue(names, pattern)
            for name in names:
                shutil.copy2(os.path.join(self.old, name), os.path.join(self.data, name))

    def lives(self, fill_mib=0):
        self.life("old")
        shutil.copytree(self.data, self.old)
        self.life("newer", fill_mib)
        self.life("newest")
        shutil.copytree(self.data, self.new)

    def refused(self, words, inspect_words):
        with self.assertRaises(NodeEnded) as ended:
            self.node.start()
        self.assertEqual(ended.exception.status, 1)
        self.assertRegex(ended.exception.text, words)
        inspected = weir("inspect", "--data", self.data)
        self.assertEqual(inspected.returncode, 1, inspected.stdout)
        self.assertRegex(inspected.stdout, inspect_words)

    def value(self):
        with self.node.start().client() as client:
            value = client.call("GET", "key")
        self.assertEqual(self.node.stop(), 0)
        return value

    def test_term_and_vote_older_than_the_log_are_refused(self):
        self.lives()
        self.put_back("vote")
        self.refused(r"term and vote \(term 2\) do not fit the log \(last term 4\)",
                     r"damage +file=vote .*older copy")

    def test_a_segment_older_than_its_successor_is_refused(self):
        self.lives(fill_mib=70)
        self.put_back("log-0000000000000001")
        self.refused(r"weir serve: log-0000000000000001: ",
                     r"damage +file=log-0000000000000001 ")

    def test_a_directory_of_one_moment_is_a_restore(self):
        self.lives()
        shutil.rmtree(self.data)
        shutil.copytree(self.old, self.data)
        self.assertEqual(weir("inspect", "--data", self.data).returncode, 0)
        self.assertEqual(self.value(), b"old")

    def test_a_whole_log_older_than_term_and_vote_is_not_noticed(self):
        """Nor can it be: a node that was killed before the first entry of a term looks the same."""
        self.lives()
        self.put_back("log-*")
        self.assertEqual(weir("inspect", "--data", self.data).returncode, 0)
        self.assertEqual(self.value(), b"old")


if __name__ == "__main__":
    unittest.main(verbosity=2)
