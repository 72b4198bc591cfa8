#!/usr/bin/env python3
"""bench/appends_in_flight from its arguments to its files, with runs too short to mean anything;
and the link that takes time, which it puts between the nodes.

    test_appends_in_flight.py BINARY_DIR
"""

import json
import os
import random
import socket
import subprocess
import sys
import tempfile
import time
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
PROGRAM = os.path.join(HERE, "..", "..", "bench", "appends_in_flight")
BINARY_DIR = sys.argv.pop(1)
PROXY = os.path.join(BINARY_DIR, "bench", "delay_proxy")
SCRATCH = tempfile.TemporaryDirectory(prefix="weir-appends-")
DELAY_S = 0.05
LIMIT_S = 60


class Proxy(unittest.TestCase):
    def setUp(self):
        self.target = socket.create_server(("127.0.0.1", 0))
        self.target.settimeout(LIMIT_S)
        self.addCleanup(self.target.close)
        while True:
            self.port = random.randrange(15000, 30000)
            self.process = subprocess.Popen(
                [PROXY, str(int(DELAY_S * 1e6)), f"{self.port}:{self.target.getsockname()[1]}"],
                stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
            if self.process.stdout.readline() == b"ready\n":
                break
            self.process.wait()  # somebody has that port
            self.process.stdout.close()
        self.addCleanup(self.process.stdout.close)
        self.addCleanup(self.process.wait)
        self.addCleanup(self.process.kill)

    def connect(self):
        opener = socket.create_connection(("127.0.0.1", self.port), timeout=LIMIT_S)
        self.addCleanup(opener.close)
        accepted = self.target.accept()[0]
        accepted.settimeout(LIMIT_S)
        self.addCleanup(accepted.close)
        return opener, accepted

    def receive(self, end, length):
        data = bytearray()
        while len(data) < length:
            part = end.recv(length - len(data))
            self.assertTrue(part, "the stream ended early")
            data += part
        return bytes(data)

    def test_what_comes_is_late_by_the_delay_in_both_directions(self):
        for sender, receiver in (self.connect(), reversed(self.connect())):
            begin = time.monotonic()
            sender.sendall(b"early")
            self.assertEqual(self.receive(receiver, 5), b"early")
            self.assertGreaterEqual(time.monotonic() - begin, DELAY_S)

    def test_more_than_a_link_holds_arrives_whole_and_in_order(self):
        sender, receiver = self.connect()
        data = random.Random(1).randbytes(1 << 20) * 40  # a link has room for 16 MiB
        child = os.fork()
        if child == 0:
            sender.sendall(data)
            os._exit(0)
        self.assertEqual(self.receive(receiver, len(data)), data)
        self.assertEqual(os.waitpid(child, 0)[1], 0)

    def test_an_end_is_passed_on_behind_what_was_sent_and_the_other_way_stays(self):
        opener, accepted = self.connect()
        opener.sendall(b"last")
        opener.shutdown(socket.SHUT_WR)
        self.assertEqual(self.receive(accepted, 4), b"last")
        self.assertEqual(accepted.recv(1), b"")
        accepted.sendall(b"answer")
        self.assertEqual(self.receive(opener, 6), b"answer")

    def test_wrong_usage_is_status_two(self):
        for arguments in ([], ["1"], ["x", "1:2"], ["1", "1"], ["1", "0:2"], ["1", "1:65536"],
                          ["10000001", "1:2"]):
            done = subprocess.run([PROXY, *arguments], capture_output=True, check=False,
                                  timeout=LIMIT_S)
            self.assertEqual((done.returncode, done.stdout), (2, b""), arguments)


def run(output, *arguments, **environment):
    return subprocess.run([PROGRAM, "--bin", BINARY_DIR, "--output", output, *arguments],
                          env={**os.environ, **environment}, stdin=subprocess.DEVNULL,
                          capture_output=True, text=True, check=False)


class Curve(unittest.TestCase):
    def test_wrong_usage_is_said_before_anything_runs(self):
        output = os.path.join(SCRATCH.name, "none")
        for arguments, words in ((["--messages", "0"], "1 to 256"),
                                 (["--messages", "257"], "1 to 256"),
                                 (["--delays", "-1"], "no whole number"),
                                 (["--depths", "0"], "1 or more"), (["--rounds", "0"], "above 0"),
                                 (["--json=1"], "--help"), (["--bytes"], "needs a value")):
            done = run(output, *arguments)
            self.assertEqual((done.returncode, done.stdout), (2, ""), (arguments, done.stderr))
            self.assertIn(words, done.stderr)
            self.assertFalse(os.path.exists(output), arguments)

    def test_each_limit_has_a_row_and_none_beats_the_link(self):
        output = os.path.join(SCRATCH.name, "curve")
        done = run(output, "--messages", "1,64", "--bytes", "1mb", "--delays", "10", "--depths",
                   "16", "--rounds", "1", "--seconds", "0.2", "--json")
        self.assertEqual(done.returncode, 0, done.stderr)
        rows = json.loads(done.stdout)["rows"]
        self.assertEqual({(row["limit"], str(row["value"])) for row in rows},
                         {("messages", "1"), ("messages", "64"), ("bytes", "1mb")})
        for row in rows:
            self.assertGreaterEqual(row["p50_ms"], 20, "two times 10 ms")
        self.assertEqual(sorted(os.listdir(output)),
                         ["bytes-p50-depth-16.svg", "bytes-throughput-depth-16.svg",
                          "messages-p50-depth-16.svg", "messages-throughput-depth-16.svg",
                          "runs.json", "summary.json", "table.txt"])


if __name__ == "__main__":
    unittest.main(verbosity=2)
