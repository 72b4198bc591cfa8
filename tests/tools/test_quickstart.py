#!/usr/bin/env python3
"""tests/tools/test_quickstart.py WEIR: the shape of what a newcomer's first command shows.

The program is given, not built: only the look at it is tested here.
"""

import os
import pty
import re
import select
import shutil
import socket
import subprocess
import sys
import tempfile
import unittest

WEIR = ""
QUICKSTART = os.path.join("tools", "quickstart")
STAGES = ["read", "parse", "validate", "replicate", "apply", "serialize", "write"]
PATIENCE_S = 60


class Quickstart(unittest.TestCase):
    def setUp(self):
        self.scratch = tempfile.mkdtemp(prefix="weir_test_quickstart.")
        self.addCleanup(shutil.rmtree, self.scratch, ignore_errors=True)
        self.environment = dict(os.environ, TMPDIR=self.scratch)

    def run_it(self, *arguments, **options):
        return subprocess.run([QUICKSTART, *arguments], text=True, timeout=PATIENCE_S, check=False,
                              stdin=subprocess.DEVNULL, env=self.environment,
                              **{"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options})

    def check_story(self, output):
        """Three nodes, a load, a kill, its time line, and what became of every write."""
        self.assertRegex(output, r"\n== a cluster: three durable nodes, for clients on 127\.0\.0")
        self.assertRegex(output, r"\n *throughput +[1-9][\d,]* operations/s \(")
        self.assertRegex(output, r"\n *gap +[\d.]+ ms without an acknowledged write, from ")
        self.assertRegex(output, r"\n +\d\.\d\d s +[1-9]\d*  #+\r?\n")
        self.assertRegex(output, r"\n *failover +\d+ redirects followed, \d+ refused, \d+ of ")
        self.assertRegex(output, r"\n *read back +1000 of 1000 keys\r?\n")
        self.assertRegex(output, r"\n *errors +0\r?\n")
        self.assertIn("; the leader is killed in the middle", output)
        self.assertRegex(output, r"\n== node \d, which was killed, comes back")
        replay = re.search(r"\nreplay +verdict=ok writes=(\d+) reads=(\d+) ", output)
        asked = re.search(r"\nhistory +operations=\d+ ok=(\d+) ", output)
        self.assertEqual(int(replay.group(1)) + int(replay.group(2)), int(asked.group(1)))
        self.assertRegex(output, r"\nverdict +verdict=ok\r?\n")
        self.assertIn("== nothing was lost", output)

    def check_shape(self, output):
        """Each map: throughput, percentiles, and a row for each stage, in order."""
        sections = re.split(r"^== ", output, flags=re.M)
        for name, cores in (("fused", 1), ("split", 7)):
            section = [part for part in sections if part.startswith(f"{name}: a durable node on ")]
            self.assertEqual(len(section), 1, output)
            text = section[0]
            self.assertRegex(text, r"\n *throughput +[1-9][\d,]* operations/s \(")
            self.assertRegex(text, r"\n *latency +p50 \S+ \ws +p90 .* p99 .* p99\.9 .* max ")
            self.assertRegex(text, r"\n *errors +0\r?\n")
            self.assertRegex(text, r"\nstage +core +cpu +items +batch +depth +\(most\) +busy")
            rows = re.findall(r"^(\w+) +(\d) +\d +([1-9]\d*) +[\d.]+ +\d+ +\d+ +[\d.]+%", text,
                              flags=re.M)
            self.assertEqual([row[0] for row in rows], STAGES, text)
            self.assertEqual(len({row[1] for row in rows}), cores, text)

    def test_it_kills_the_leader_and_shows_that_nothing_is_lost(self):
        done = self.run_it("--weir", WEIR, "--seconds", "1")
        self.assertEqual((done.returncode, done.stderr), (0, ""), done.stdout)
        self.check_story(done.stdout)
        self.assertNotIn("\r", done.stdout)  # progress is for terminals
        self.assertEqual(os.listdir(self.scratch), [])

    def test_a_write_that_is_lost_is_found(self):
        # A program that does what it is told, but takes a line out of what the clients saw, and
        # so a write into the log that nobody asked for.
        liar = os.path.join(self.scratch, "weir")
        with open(liar, "w", encoding="ascii") as file:
            file.write("#!/bin/bash\n"
                       '[ "$1" != check-history ] || sed -i "0,/ ok: SET/{/ ok: SET/d}" "$2"\n'
                       f'exec {WEIR} "$@"\n')
        os.chmod(liar, 0o755)
        done = self.run_it("--weir", liar, "--seconds", "1")
        self.assertEqual(done.returncode, 1, done.stdout)
        self.assertIn("verdict=violated", done.stdout)
        self.assertIn("was not found to be right", done.stderr)
        self.assertEqual(os.listdir(self.scratch), ["weir"])

    def test_one_node_shows_both_maps_and_leaves_nothing(self):
        done = self.run_it("--weir", WEIR, "--seconds", "1", "--single")
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.check_shape(done.stdout)
        self.assertIn("== stopped", done.stdout)
        self.assertNotIn("\r", done.stdout)  # progress is for terminals
        self.assertEqual(os.listdir(self.scratch), [])

    def test_a_terminal_sees_progress(self):
        ours, theirs = pty.openpty()
        with os.fdopen(ours, "rb", buffering=0) as terminal:
            process = subprocess.Popen([QUICKSTART, "--weir", WEIR, "--seconds", "1"],
                                       stdin=subprocess.DEVNULL, stdout=theirs, stderr=theirs,
                                       env=self.environment)
            os.close(theirs)
            seen = b""
            try:
                while data := terminal.read(65536):
                    seen += data
            except OSError:  # how a terminal says that nobody writes to it any more
                pass
            self.assertEqual(process.wait(PATIENCE_S), 0, seen)
        self.assertRegex(seen.decode(), r"\r *(\x1b\[\w)?\s*\d+\.\d s +\d+ operations/s")

    def test_three_nodes_that_are_kept_serve_and_end_as_the_text_says(self):
        done = self.run_it("--weir", WEIR, "--seconds", "1", "--keep")
        self.assertEqual((done.returncode, done.stderr), (0, ""), done.stdout)
        self.check_story(done.stdout)
        commands = re.findall(r"^    (redis-cli .*|\S+weir status .*|kill .*|rm .*)$", done.stdout,
                              flags=re.M)
        programs = [os.path.basename(command.split()[0]) for command in commands]
        self.assertEqual(programs, ["redis-cli", "redis-cli", "weir", "kill", "rm"])
        watches = [os.pidfd_open(int(pid)) for pid in commands[3].split()[1:]]
        try:
            self.assertEqual(len(watches), 3)
            configuration = os.path.join(commands[4].split()[-1], "weir-1.conf")
            with open(configuration, encoding="utf-8") as file:
                self.assertIn("cluster-name quickstart", file.read())
            self.assertIn("weir status --config ", commands[2])
        finally:
            self.shell(commands[3])
            for watch in watches:
                self.wait_end(watch)
        self.shell(commands[4])
        self.assertEqual(os.listdir(self.scratch), [])

    def test_a_node_that_is_kept_serves_and_ends_as_the_text_says(self):
        # subprocess.run reads to the end of the output: the node must not hold it open.
        done = self.run_it("--weir", WEIR, "--seconds", "1", "--single", "--keep")
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.check_shape(done.stdout)
        commands = re.findall(r"^    (\S.*)$", done.stdout, flags=re.M)
        programs = [os.path.basename(command.split()[0]) for command in commands]
        self.assertEqual(programs, ["redis-cli", "redis-cli", "weir", "kill", "weir", "rm"])
        pid = int(commands[3].split()[1])
        watch = os.pidfd_open(pid)
        try:
            port = int(commands[1].split()[2])
            with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_S) as client:
                client.sendall(b"SET greeting hello\r\nGET greeting\r\n")
                stream = client.makefile("rb")
                self.assertEqual([stream.readline() for _ in range(3)],
                                 [b"+OK\r\n", b"$5\r\n", b"hello\r\n"])
            if shutil.which("redis-cli"):
                self.assertEqual(self.shell(commands[0]), "OK\n")
            self.assertIn("serialize", self.shell(commands[2]))
        finally:
            self.shell(commands[3])
            self.wait_end(watch)
        self.assertRegex(self.shell(commands[4]), r"(?s)term.*log")
        self.shell(commands[5])
        self.assertEqual(os.listdir(self.scratch), [])

    def shell(self, command):
        done = subprocess.run(command, shell=True, capture_output=True, text=True, check=False,
                              timeout=PATIENCE_S)
        self.assertEqual(done.returncode, 0, (command, done.stdout, done.stderr))
        return done.stdout

    @staticmethod
    def wait_end(watch):
        """Until the process behind a pidfd has ended; it is no child of ours."""
        poll = select.poll()
        poll.register(watch, select.POLLIN)
        if not poll.poll(PATIENCE_S * 1000):
            raise TimeoutError("the node does not end")
        os.close(watch)

    def test_what_it_does_not_know_is_a_usage_error(self):
        for arguments, words in ((["--kepp"], 'do not know "--kepp"'),
                                 (["--seconds", "x"], "wants a whole number"),
                                 (["--seconds"], "wants a whole number"),
                                 (["--seconds", "61"], "at most 60"),
                                 (["--weir", "/nonexistent"], "wants a program")):
            done = self.run_it(*arguments)
            self.assertEqual((done.returncode, done.stdout), (2, ""))
            self.assertIn(words, done.stderr)
        self.assertIn("--keep", self.run_it("--help").stdout)


if __name__ == "__main__":
    WEIR = os.path.abspath(sys.argv.pop(1))
    unittest.main(verbosity=2)
