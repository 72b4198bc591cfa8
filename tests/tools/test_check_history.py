#!/usr/bin/env python3
"""weir check-history: what it refuses, what it finds, and what it says of real nodes."""

import json
import os
import random
import shutil
import sys
import threading
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "support"))
from histories import Lane, Recorder, operation_line  # noqa: E402
from weir_test import Node, Scratch, weir  # noqa: E402

RIGHT, WRONG, USAGE, UNDECIDED = 0, 1, 2, 3

SET_A = r"client 1 connection 1 #1 [10, 20] ok: SET k a -> +OK\r\n"
SET_B = r"client 1 connection 1 #2 [30, 40] ok: SET k b -> +OK\r\n"
GET_A_LATE = r"client 2 connection 2 #1 [50, 60] ok: GET k -> $1\r\na\r\n"
GET_B_LATE = r"client 2 connection 2 #1 [50, 60] ok: GET k -> $1\r\nb\r\n"
LOST_SET = r"client 3 connection 3 #1 [25, never] unknown: SET k c"
GET_C = r"client 2 connection 2 #2 [70, 80] ok: GET k -> $1\r\nc\r\n"


class CheckHistory(unittest.TestCase):
    def setUp(self):
        scratch = Scratch()
        self.scratch = scratch.__enter__()
        self.addCleanup(scratch.__exit__, None, None, None)
        self.files = 0

    def file(self, *lines):
        self.files += 1
        path = os.path.join(self.scratch, f"history-{self.files}")
        with open(path, "w", encoding="ascii") as file:
            file.writelines(line + "\n" for line in lines)
        return path

    def check(self, *arguments):
        done = weir("check-history", *arguments)
        return done.returncode, done.stdout, done.stderr

    def verdict(self, wanted, *lines):
        status, output, errors = self.check(self.file(*lines))
        self.assertEqual(status, wanted, output + errors)
        return output

    # ---- what cannot be read --------------------------------------------------------------------

    def refused(self, part, *arguments):
        status, output, errors = self.check(*arguments)
        self.assertEqual(status, USAGE, output + errors)
        self.assertIn(part, errors)

    def test_it_needs_a_file(self):
        self.refused("FILE")
        self.refused("--verbose", "--verbose")
        self.refused("--steps", self.file(SET_A), "--steps", "0")

    def test_a_file_that_is_not_there_is_named(self):
        self.refused("nothing-here: No such file", os.path.join(self.scratch, "nothing-here"))

    def test_a_line_that_is_no_operation_is_named_with_its_number(self):
        path = self.file("# a comment", SET_A, "client 1 asks for k")
        self.refused(f"{path}: line 3 is no operation: client 1 asks", path)

    def test_two_operations_of_a_connection_with_one_number_are_refused(self):
        self.refused("has the number of another one", self.file(SET_A, SET_A))

    def test_numbers_of_a_connection_that_go_against_time_are_refused(self):
        self.refused("was invoked before the one that stands before it",
                     self.file(SET_A.replace("#1", "#3"), SET_B))

    def test_a_connection_of_two_clients_is_refused(self):
        self.refused("is of another client",
                     self.file(SET_A, SET_B.replace("client 1", "client 9")))

    def test_a_log_that_is_not_there_is_refused(self):
        self.refused("no-data", self.file(SET_A), "--log", os.path.join(self.scratch, "no-data"))
        self.refused("there is no log in it", self.file(SET_A), "--log", self.scratch)

    # ---- what it finds --------------------------------------------------------------------------

    def test_a_stale_read_is_found_and_printed(self):
        output = self.verdict(WRONG, SET_A, SET_B, GET_A_LATE)
        self.assertIn("key k: no order of its operations explains the replies", output)
        self.assertIn("client 2 connection 2 #1 [50, 60] ok: GET k", output)

    def test_a_lost_acknowledged_write_is_found(self):
        self.verdict(WRONG, SET_A, r"client 2 connection 2 #1 [50, 60] ok: GET k -> $-1\r\n")
        incr = r"client 1 connection 1 #{0} [{0}0, {0}5] ok: INCR n -> :{1}\r\n"
        self.verdict(WRONG, incr.format(1, 1), incr.format(2, 2), incr.format(3, 2))

    def test_a_refused_write_that_was_seen_is_found(self):
        refused = r"client 3 connection 3 #1 [25, 28] refused: SET k c -> -MOVED 1 a:1\r\n"
        self.verdict(WRONG, SET_A, refused, GET_C)

    def test_a_write_of_unknown_outcome_may_be_seen_or_not_but_is_not_taken_back(self):
        self.verdict(RIGHT, SET_A, SET_B, LOST_SET, GET_B_LATE)
        self.verdict(RIGHT, SET_A, SET_B, LOST_SET, GET_B_LATE, GET_C)
        self.verdict(WRONG, SET_A, SET_B, LOST_SET, GET_C.replace("[70, 80]", "[50, 55]"),
                     GET_B_LATE.replace("#1 [50, 60]", "#3 [90, 99]"))

    def test_a_read_that_may_be_old_is_not_judged(self):
        self.verdict(RIGHT, SET_A, SET_B, GET_A_LATE.replace("ok:", "ok stale:"))

    def test_nothing_answered_is_undecided(self):
        self.assertIn("no operation was answered", self.verdict(UNDECIDED, LOST_SET))
        self.verdict(UNDECIDED)

    def test_commands_about_deadlines_are_undecided(self):
        self.verdict(UNDECIDED, SET_A,
                     r"client 1 connection 1 #2 [30, 40] ok: EXPIRE k 9 -> :1\r\n")

    def test_a_bound_that_is_reached_is_undecided(self):
        path = self.file(SET_A, SET_B, GET_B_LATE)
        self.assertEqual(self.check(path, "--steps", "1")[0], UNDECIDED)
        self.assertEqual(self.check(path, "--steps", "100")[0], RIGHT)

    def test_many_megabytes_of_values_of_one_key_are_judged(self):
        lines = [LOST_SET]  # so that the key is searched
        for number in range(1, 25):
            value = f"{number:04}" + "x" * (1 << 20)
            lines.append(f"client 1 connection 1 #{number} [{100 * number}, {100 * number + 10}] "
                         f"ok: SET k {value} -> +OK\\r\\n")
        lines.append(GET_C.replace("#2 [70, 80]", "#1 [9000, 9010]"))
        self.verdict(RIGHT, *lines)

    def test_several_files_are_one_history_with_numbers_of_their_own(self):
        writer, reader = self.file(SET_A, SET_B), self.file(GET_A_LATE.replace(" 2 ", " 1 "))
        status, output, _ = self.check("--json", writer, reader)
        self.assertEqual(status, WRONG)
        found = json.loads(output)
        self.assertEqual(found["verdict"], "violated")
        files = [record for record in found["records"] if record["record"] == "file"]
        self.assertEqual([file["connections_from"] for file in files], [0, 2])
        self.assertTrue(any("client 3 connection 3 #1 [50, 60] ok: GET k" in record["line"]
                            for record in found["records"] if record["record"] == "explanation"))

    def test_any_bytes_come_back_from_the_text(self):
        word = bytes(range(256))
        lines = [operation_line(1, 1, 1, 1, 2, "ok", ["SET", word, b""], b"+OK\r\n"),
                 operation_line(1, 1, 2, 3, 4, "ok", ["GET", word], b"$0\r\n\r\n"),
                 operation_line(1, 1, 3, 5, 6, "ok", ["APPEND", word, word], b":256\r\n"),
                 operation_line(1, 1, 4, 7, 8, "ok", ["GET", word], b"$256\r\n%b\r\n" % word)]
        self.verdict(RIGHT, *(line[:-1] for line in lines))

    # ---- real nodes -----------------------------------------------------------------------------

    def recorded(self, node):
        """Four lanes over few keys, and their history; the node stops."""
        recorder = Recorder()

        def work(lane, rng):
            lane.connect(node.port)
            for number in range(100):
                key = f"k{rng.randrange(5)}"
                words = rng.choice([("SET", key, f"{lane.number}-{number}"), ("GET", key),
                                    ("APPEND", key, f".{lane.number}-{number}"), ("DEL", key)])
                self.assertEqual(lane.ask(*words)[0], "ok")
            lane.leave()
        threads = [threading.Thread(target=work, args=(Lane(recorder), random.Random(seed)))
                   for seed in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        path = os.path.join(self.scratch, "recorded")
        recorder.write(path)
        return path, recorder

    def test_a_real_node_is_judged_by_its_log_too(self):
        node = Node(os.path.join(self.scratch, "data"))
        with node.start():
            path, recorder = self.recorded(node)
            self.refused("another process uses it", path, "--log", node.directory)
            self.assertEqual(node.stop(), 0)
        status, output, errors = self.check(path, "--log", node.directory)
        self.assertEqual(status, RIGHT, output + errors)
        writes = sum(" GET " not in line for line in recorder.lines)
        self.assertIn(f"replay    verdict=ok writes={writes} ", output)

        # An acknowledged write that the log does not have, and nobody read.
        planted = self.file(r"client 1 connection 1 #1 [10, 20] ok: SET planted x -> +OK\r\n")
        status, output, _ = self.check(path, planted)
        self.assertEqual(status, RIGHT, output)
        status, output, _ = self.check(path, planted, "--log", node.directory)
        self.assertEqual(status, WRONG)
        self.assertIn("SET planted x", output)

        # A write in the log that nobody asked for.
        some = self.file(*[line.rstrip("\n") for line in recorder.lines if "connection 1 " in line])
        self.assertEqual(self.check(some, "--log", node.directory)[0], WRONG)

        # A flipped byte in the log, and a log that does not begin with entry 1.
        copy = os.path.join(self.scratch, "copy")
        shutil.copytree(node.directory, copy)
        with open(f"{copy}/log-0000000000000001", "r+b") as file:
            file.seek(4096 + 700)
            byte = file.read(1)[0]
            file.seek(-1, os.SEEK_CUR)
            file.write(bytes([byte ^ 1]))
        self.refused("log-0000000000000001 at offset", path, "--log", copy)


if __name__ == "__main__":
    unittest.main(verbosity=2)
