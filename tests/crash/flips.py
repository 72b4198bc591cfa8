#!/usr/bin/env python3
"""A damaged data directory is refused, and the refusal changes nothing.

    flips.py [TEST ...]     WEIR_SEED and WEIR_FLIPS choose the offsets

The storage's own tests flip every byte in memory; here a sample of them goes through the program
(crash_flips_long takes 2,000): exit status, sentence, weir inspect, and the files untouched.
"""

import os
import random
import re
import shutil
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "support"))
from weir_test import MAPS, Node, NodeEnded, Scratch, weir  # noqa: E402

SEED = int(os.environ.get("WEIR_SEED", random.randrange(1 << 32)))
FLIPS = int(os.environ.get("WEIR_FLIPS", "200"))
SECTOR_BYTES = 512
LOG = "log-0000000000000001"


def flip(path, offset, mask):
    with open(path, "r+b", buffering=0) as file:
        file.seek(offset)
        byte = file.read(1)[0]
        file.seek(offset)
        file.write(bytes([byte ^ mask]))


def recorded_end(path):
    """Where the last write of a cleanly stopped log begins: it records that all before it holds."""
    with open(path, "rb") as file:
        length = len(file.read().rstrip(b"\0"))
    return (length - 1) // SECTOR_BYTES * SECTOR_BYTES


class Damage(unittest.TestCase):
    def setUp(self):
        scratch = Scratch()
        self.addCleanup(scratch.__exit__, None, None, None)
        self.scratch = scratch.__enter__()
        self.node = self.made("data")
        self.log = os.path.join(self.node.directory, LOG)

    def made(self, name):
        """A node that has written something and was stopped."""
        node = Node(os.path.join(self.scratch, name), "--map", MAPS[0])
        self.addCleanup(node.__exit__)
        with node.start().client() as client:
            for number in range(300):
                client.pipeline([("SET", f"key:{key}", f"{number}." * (key * 37 % 90))
                                 for key in range(number % 7 + 1)])
            self.keys = client.call("DBSIZE")
        self.assertEqual(node.stop(), 0)
        return node

    def state(self):
        """What a change of any file would change."""
        found = {}
        for name in os.listdir(self.node.directory):
            status = os.stat(os.path.join(self.node.directory, name))
            found[name] = (status.st_size, status.st_mtime_ns, status.st_ctime_ns)
        return found

    def refusal(self, *options):
        """Starts the node, which must refuse with status 1 and change nothing; its sentence."""
        before = self.state()
        with self.assertRaises(NodeEnded) as ended:
            self.node.start(*options)
        self.assertEqual(ended.exception.status, 1, ended.exception.text)
        self.assertEqual(self.state(), before, "the refusal has changed the directory")
        sentence = re.search(r"^weir serve: (.*)$", ended.exception.text, re.M)
        self.assertIsNotNone(sentence, ended.exception.text)
        return sentence.group(1)

    def inspected(self):
        """weir inspect: its status and all that it says. It never changes anything."""
        before = self.state()
        done = weir("inspect", "--data", self.node.directory)
        self.assertEqual(self.state(), before, "weir inspect has changed the directory")
        return done.returncode, done.stdout + done.stderr

    def starts_whole(self):
        with self.node.start().client() as client:
            self.assertEqual(client.call("DBSIZE"), self.keys)
        self.assertEqual(self.node.stop(), 0)


class Log(Damage):
    def test_any_flipped_byte_below_the_recorded_end_is_refused_with_file_and_offset(self):
        status, text = self.inspected()
        self.assertEqual(status, 0, text)
        end = recorded_end(self.log)
        rng = random.Random(SEED)
        offsets = {0, 7, 64, 511, 512, 4095, 4096, end - 1, end - SECTOR_BYTES}
        offsets |= {rng.randrange(end) for _ in range(FLIPS)}
        for offset in sorted(offsets):
            mask = 1 << rng.randrange(8)
            with self.subTest(seed=SEED, offset=offset, mask=mask):
                flip(self.log, offset, mask)
                try:
                    sentence = self.refusal()
                    status, text = self.inspected()
                finally:
                    flip(self.log, offset, mask)
                found = re.match(LOG + r": at offset (\d+): ", sentence)
                self.assertIsNotNone(found, sentence)
                # What fails is named by where it begins: a sector, or a header of the log's.
                self.assertLessEqual(int(found.group(1)), offset)
                self.assertLess(offset - int(found.group(1)), 4096)
                self.assertEqual(status, 1, text)
                self.assertIn(LOG, text)
        self.starts_whole()

    def test_a_flip_in_the_last_mark_or_right_behind_it_is_refused_with_file_and_offset(self):
        """It could as well be in an acknowledged write: a power cut leaves zeros, not this."""
        end = recorded_end(self.log)
        for offset in (end, end + 20, end + SECTOR_BYTES - 1, end + SECTOR_BYTES + 20):
            with self.subTest(offset=offset):
                flip(self.log, offset, 1)
                try:
                    sentence = self.refusal()
                    status, text = self.inspected()
                finally:
                    flip(self.log, offset, 1)
                sector = offset // SECTOR_BYTES * SECTOR_BYTES
                self.assertRegex(sentence, f"^{LOG}: at offset {sector}: ")
                self.assertEqual(status, 1, text)
                self.assertIn(LOG, text)
        self.starts_whole()

    def test_damage_far_behind_the_recorded_end_loses_nothing(self):
        """There it looks like the rest of a write whose header was lost."""
        flip(self.log, recorded_end(self.log) + 100000, 1)
        self.starts_whole()

    def test_a_log_that_was_cut_short_is_refused(self):
        os.truncate(self.log, recorded_end(self.log) // 2 // 4096 * 4096)
        self.assertIn(LOG, self.refusal())
        status, text = self.inspected()
        self.assertEqual(status, 1, text)

    def test_a_missing_log_is_refused(self):
        os.unlink(self.log)
        self.refusal()
        status, text = self.inspected()
        self.assertEqual(status, 1, text)

    def test_a_copied_sector_is_refused(self):
        """D8: each sector is right in itself, and at the wrong place."""
        with open(self.log, "r+b") as file:
            file.seek(8192)
            sectors = file.read(4096)
            file.seek(16384)
            file.write(sectors)
        self.assertIn(LOG, self.refusal())

    def test_another_nodes_log_is_refused(self):
        other = self.made("other")
        shutil.copy(os.path.join(other.directory, LOG), self.log)
        self.assertIn(LOG, self.refusal())
        status, text = self.inspected()
        self.assertEqual(status, 1, text)

    def test_a_directory_in_place_of_a_log_is_refused(self):
        os.unlink(self.log)
        os.mkdir(self.log)
        self.refusal()


class OtherFiles(Damage):
    def test_one_damaged_vote_slot_is_rewritten_from_the_other_two_are_refused(self):
        vote = os.path.join(self.node.directory, "vote")
        for slot in (0, 4096):
            with self.subTest(slot=slot):
                flip(vote, slot + 16, 1)
                self.starts_whole()
        flip(vote, 16, 1)
        flip(vote, 4096 + 16, 1)
        self.assertIn("vote", self.refusal())
        status, text = self.inspected()
        self.assertEqual(status, 1, text)

    def test_a_missing_vote_file_is_refused(self):
        """A node that forgot whom it voted for must not start as if it had never voted."""
        os.unlink(os.path.join(self.node.directory, "vote"))
        self.assertIn("vote", self.refusal())

    def test_a_damaged_identity_is_refused(self):
        flip(os.path.join(self.node.directory, "identity"), 40, 1)
        self.assertIn("identity", self.refusal())
        status, text = self.inspected()
        self.assertEqual(status, 1, text)

    def test_a_missing_identity_beside_a_log_is_refused(self):
        os.unlink(os.path.join(self.node.directory, "identity"))
        self.refusal()

    def test_another_nodes_identity_is_refused(self):
        other = self.made("other")
        shutil.copy(os.path.join(other.directory, "identity"), self.node.directory)
        self.refusal()

    def test_another_id_than_the_directorys_is_refused(self):
        sentence = self.refusal("--id", "2")
        self.assertIn("node 1", sentence)

    def test_a_second_process_on_the_directory_is_refused_and_the_first_goes_on(self):
        with self.node.start().client() as client:
            with Node(self.node.directory) as second:
                with self.assertRaises(NodeEnded) as ended:
                    second.start()
            self.assertEqual(ended.exception.status, 1)
            self.assertRegex(ended.exception.text, "lock|in use|another")
            self.assertEqual(client.call("SET", "still", "here"), "OK")
            done = weir("inspect", "--data", self.node.directory)
            self.assertEqual(done.returncode, 1)
        self.assertEqual(self.node.stop(), 0)


if __name__ == "__main__":
    unittest.main(verbosity=2)
