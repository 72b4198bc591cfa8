#!/usr/bin/env python3
"""The load generator as a person uses it, against servers whose behaviour the test decides.

    test_load.py WEIR_BENCH NULL_SERVER [CLASS ...]

The fake server is a thread of this test that answers, fails, stalls or hangs up as told. Against
Redis it ends with status 77 (skipped) where redis-server is not installed.
"""

import json
import os
import random
import signal
import socket
import socketserver
import subprocess
import sys
import tempfile
import threading
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "support"))
from redis_programs import path_with_server  # noqa: E402

WEIR_BENCH, NULL_SERVER = sys.argv[1:3]


def split_requests(data):
    """The complete requests at the front of RESP bytes, as lists of words, and the rest."""
    requests = []
    while data.startswith(b"*"):
        lines_end = data.find(b"\r\n")
        if lines_end < 0:
            break
        count, at, words = int(data[1:lines_end]), lines_end + 2, []
        for _ in range(count):
            end = data.find(b"\r\n", at)
            if end < 0:
                return requests, data
            length = int(data[at + 1:end])
            if len(data) < end + 2 + length + 2:
                return requests, data
            words.append(data[end + 2:end + 2 + length])
            at = end + 2 + length + 2
        requests.append(words)
        data = data[at:]
    return requests, data


PROBES = (b"INFO", b"CONFIG", b"CLUSTER")


class FakeServer:
    """Answers each request with behaviour(words, number): bytes, or None to hang up."""

    def __init__(self, behaviour, probed=None):
        fake = self
        self.requests = []
        self.probed = probed or {}  # what it answers before the run
        self.lock = threading.Lock()

        class Handler(socketserver.BaseRequestHandler):
            def setup(self):
                self.request.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

            def handle(self):
                data = b""
                while True:
                    try:
                        received = self.request.recv(65536)
                    except OSError:
                        return
                    if not received:
                        return
                    found, data = split_requests(data + received)
                    for words in found:
                        with fake.lock:
                            if words[0] not in PROBES:
                                fake.requests.append(words)
                            number = len(fake.requests)
                        if words[0] in PROBES:
                            reply = fake.probed.get(words[0], b"-ERR unknown command\r\n")
                        else:
                            reply = behaviour(words, number)
                        if reply is None:
                            return
                        try:
                            self.request.sendall(reply)
                        except OSError:
                            return

        class Server(socketserver.ThreadingTCPServer):
            allow_reuse_address = True
            daemon_threads = True
            request_queue_size = 128

        self.server = Server(("127.0.0.1", 0), Handler)
        self.port = self.server.server_address[1]
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.01,),
                                       daemon=True)
        self.thread.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()


def bench(port, *arguments):
    return subprocess.run([WEIR_BENCH, "--port", str(port), *arguments], capture_output=True,
                          text=True, check=False, stdin=subprocess.DEVNULL)


def bench_json(port, *arguments):
    done = bench(port, "--json", *arguments)
    return done.returncode, json.loads(done.stdout)


def ok(_words, _number):
    return b"+OK\r\n"


def free_port():
    """A free one, below those that the kernel gives to outgoing connections meanwhile."""
    while True:
        port = random.randrange(15000, 30000)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        return port


def wait_for_port(port, process):
    while process.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=5).close()
            return
        except ConnectionError:
            continue
    raise RuntimeError(f"the server ended with status {process.returncode}")


class Usage(unittest.TestCase):
    def test_wrong_usage_is_status_two_with_the_option_named(self):
        for arguments in (["--foo"], ["--connections", "0"], ["--connections"], ["--depth", "x"],
                          ["--mix", "set:x"], ["--mix", "nope"], ["--command", ""],
                          ["--mix", "set", "--command", "PING"], ["--json=1"], ["--resp", "4"],
                          ["--duration", "5 s"], ["--duration", "1s", "--operations", "5"],
                          ["--rate", "0"], ["--port", "70000"], ["--server", "nowhere"],
                          ["--threads", "9", "--connections", "2"], ["--keys", "2000000m"],
                          ["--distribution", "zipf:1.5"], ["--value-size", "1g"],
                          ["--depth", "65536", "--value-size", "1m"]):
            done = bench(1, *arguments)
            self.assertEqual(done.returncode, 2, (arguments, done.stderr))
            self.assertTrue(done.stderr.startswith("weir bench: "), arguments)
            self.assertEqual(done.stdout, "")

    def test_a_search_for_the_knee_takes_a_goal_and_nothing_it_decides_itself(self):
        for goal in ("", "p99", "99=2ms", "p100=2ms", "p99=", "p99=0ms", "p99=2h", "=1ms"):
            done = bench(1, "--slo", goal)
            self.assertEqual((done.returncode, done.stdout), (2, ""), (goal, done.stderr))
            self.assertIn("--slo", done.stderr)
        for other in (["--rate", "5"], ["--operations", "5"], ["--history", "x"], ["--read-back"]):
            done = bench(1, "--slo=p99=2ms", *other)
            self.assertEqual((done.returncode, done.stdout), (2, ""), (other, done.stderr))
            self.assertIn(f"--slo and {other[0]} exclude each other", done.stderr)

    def test_help_names_every_option_and_is_status_zero(self):
        for asked in ("--help", "-h"):
            done = bench(1, asked)
            self.assertEqual(done.returncode, 0)
            for option in ("--rate", "--slo", "--json", "--mix", "--distribution",
                           "--password"):
                self.assertIn(option, done.stdout)

    def test_a_server_that_is_not_there_is_status_one_and_said(self):
        port = free_port()
        done = bench(port)
        self.assertEqual(done.returncode, 1)
        self.assertIn(f"cannot connect to 127.0.0.1:{port}", done.stderr)

    def test_a_server_that_speaks_no_resp_is_said(self):
        with FakeServer(ok) as fake:
            handler = fake.server.RequestHandlerClass
            handler.handle = lambda self: self.request.sendall(b"HTTP/1.1 400\r\n")
            done = bench(fake.port)
        self.assertEqual(done.returncode, 1)
        self.assertIn("RESP", done.stderr)


class AgainstFakes(unittest.TestCase):
    def test_exactly_the_asked_operations_are_sent_and_counted(self):
        for threads, depth in ((1, 1), (1, 7), (3, 16)):
            with FakeServer(ok) as fake:
                status, report = bench_json(fake.port, "--operations", "1000", "--connections", "5",
                                            "--threads", str(threads), "--depth", str(depth))
                self.assertEqual(len(fake.requests), 1000)
            self.assertEqual(status, 0)
            self.assertEqual(report["operations"], 1000)
            self.assertEqual(report["errors"], 0)
            self.assertGreater(report["throughput_per_s"], 0)

    def test_requests_are_what_was_asked_for(self):
        with FakeServer(ok) as fake:
            bench(fake.port, "--operations", "200", "--connections", "1", "--keys", "50",
                  "--value-size", "10", "--mix", "set:1,get:1")
            sets = [words for words in fake.requests if words[0] == b"SET"]
            gets = [words for words in fake.requests if words[0] == b"GET"]
        self.assertEqual(len(sets) + len(gets), 200)
        self.assertTrue(60 < len(sets) < 140)
        for words in sets:
            self.assertEqual(len(words[2]), 10)
        for words in sets + gets:
            self.assertTrue(words[1].startswith(b"key:") and int(words[1][4:]) < 50)

    def test_the_same_seed_asks_the_same(self):
        seen = []
        for seed in ("5", "5", "6"):
            with FakeServer(ok) as fake:
                bench(fake.port, "--operations", "50", "--connections", "1", "--seed", seed)
                seen.append(list(fake.requests))
        self.assertEqual(seen[0], seen[1])
        self.assertNotEqual(seen[0], seen[2])

    def test_error_replies_are_counted_by_kind_and_the_first_is_shown(self):
        def every_tenth(_words, number):
            if number % 10 == 0:
                return f"-OOM number {number}\r\n".encode()
            return b"-ERR once\r\n" if number == 5 else b"+OK\r\n"

        with FakeServer(every_tenth) as fake:
            status, report = bench_json(fake.port, "--operations", "100", "--connections", "1")
        self.assertEqual(status, 1)
        self.assertFalse(report["succeeded"])
        self.assertEqual(report["operations"], 100)
        self.assertEqual(report["errors"], 11)
        kinds = {row["kind"]: row for row in report["errors_by_kind"]}
        self.assertEqual(kinds["OOM"]["count"], 10)
        self.assertEqual(kinds["OOM"]["first"], "OOM number 10")
        self.assertEqual(kinds["ERR"]["count"], 1)
        with FakeServer(every_tenth) as fake:
            text = bench(fake.port, "--operations", "100", "--connections", "1").stdout
        self.assertIn("10 OOM, the first: OOM number 10", text)

    def test_a_lost_connection_is_counted_and_opened_again(self):
        def hang_up_once(_words, number):
            return None if number == 20 else b"+OK\r\n"

        with FakeServer(hang_up_once) as fake:
            status, report = bench_json(fake.port, "--duration", "600ms", "--connections", "1",
                                        "--depth", "4")
        self.assertEqual(status, 1)
        kinds = {row["kind"]: row["count"] for row in report["errors_by_kind"]}
        self.assertIn("connection lost", kinds)
        self.assertTrue(1 <= kinds["connection lost"] <= 4)
        self.assertEqual(report["unanswered"], kinds["connection lost"])
        self.assertGreaterEqual(report["reconnects"], 1)
        self.assertGreater(report["operations"], 20)
        self.assertGreaterEqual(report["gap_max_ms"], 90)  # it waits 100 ms before it tries again

    def test_more_replies_than_requests_are_a_protocol_error(self):
        with FakeServer(lambda words, number: b"+OK\r\n+OK\r\n") as fake:
            status, report = bench_json(fake.port, "--duration", "200ms", "--connections", "1")
        self.assertEqual(status, 1)
        self.assertEqual(report["errors_by_kind"][0]["kind"], "protocol error")

    def test_a_stall_is_charged_to_every_request_that_should_have_been_sent(self):
        """The point of the open loop: at 1000/s a stall of 500 ms touches 500 requests, not one."""
        stalled = threading.Event()

        def stall_once(_words, number):
            if number >= 300 and not stalled.is_set():
                stalled.set()
                deadline = time.monotonic() + 0.5
                while time.monotonic() < deadline:
                    pass
            return b"+OK\r\n"

        arguments = ["--duration", "1500ms", "--connections", "1", "--depth", "5"]
        with FakeServer(stall_once) as fake:
            _, open_loop = bench_json(fake.port, "--rate", "1000", *arguments)
        stalled.clear()
        with FakeServer(stall_once) as fake:
            _, closed_loop = bench_json(fake.port, *arguments)
        # A third of the schedule fell into the stall, waiting 250 ms on average.
        self.assertGreater(open_loop["latency_us"]["p90"], 200000)
        self.assertGreater(open_loop["gap_max_ms"], 400)
        self.assertGreater(open_loop["rate"]["send_lag_max_us"], 400000)
        # The closed loop hides the same stall behind one batch.
        self.assertLess(closed_loop["latency_us"]["p90"], 100000)
        self.assertGreater(closed_loop["latency_us"]["max"], 400000)

    def test_a_rate_beyond_the_server_is_a_failure(self):
        def slow(_words, _number):
            deadline = time.monotonic() + 0.01
            while time.monotonic() < deadline:
                pass
            return b"+OK\r\n"

        with FakeServer(slow) as fake:
            arguments = ["--rate", "5000", "--duration", "500ms", "--connections", "2", "--depth",
                         "1"]
            status, report = bench_json(fake.port, *arguments)
            text = bench(fake.port, *arguments)
        self.assertEqual(status, 1)
        self.assertFalse(report["rate"]["held"])
        self.assertEqual(report["rate"]["scheduled"], 2500)
        self.assertGreater(report["rate"]["unsent"], 2000)
        # What was never sent is in the latencies with the time it waited.
        self.assertGreater(report["latency_us"]["p50"], 100000)
        self.assertEqual(text.returncode, 1)
        self.assertIn("FAIL, missed", text.stdout)

    def test_a_held_rate_sends_what_was_scheduled(self):
        with FakeServer(ok) as fake:
            status, report = bench_json(fake.port, "--rate", "500", "--operations", "500",
                                        "--connections", "4", "--threads", "2")
            sent = len(fake.requests)
        self.assertEqual(report["rate"]["scheduled"], 500)
        self.assertLessEqual(report["rate"]["unsent"], 5)
        self.assertEqual(sent + report["rate"]["unsent"], 500)
        self.assertEqual(status, 0)

    def test_a_server_that_never_answers_leaves_requests_unanswered(self):
        with FakeServer(lambda words, number: b"") as fake:
            status, report = bench_json(fake.port, "--duration", "100ms", "--connections", "3",
                                        "--depth", "2")
        self.assertEqual(status, 1)
        self.assertEqual(report["unanswered"], 6)
        self.assertEqual(report["operations"], 0)
        self.assertGreater(report["latency_us"]["p50"], 2000000)  # the time waited
        self.assertGreaterEqual(report["gap_max_ms"], 99)

    def test_an_interrupt_ends_the_run_with_a_report(self):
        started = threading.Event()

        def note_start(_words, number):
            if number >= 100:
                started.set()
            return b"+OK\r\n"

        with FakeServer(note_start) as fake:
            process = subprocess.Popen([WEIR_BENCH, "--port", str(fake.port), "--duration", "5m",
                                        "--connections", "2", "--json"], stdout=subprocess.PIPE,
                                       text=True)
            self.assertTrue(started.wait(20))
            process.send_signal(signal.SIGINT)
            output, _ = process.communicate(timeout=20)
        self.assertEqual(process.returncode, 0)
        self.assertGreaterEqual(json.loads(output)["operations"], 90)


class UpTo:
    """Fails what is beyond so many requests a second since the try began, and beyond `seconds` of
    them. A try begins with key 0: the load must be sequential."""

    def __init__(self, rate, seconds):
        self.rate, self.seconds, self.began = rate, seconds, 0

    def __call__(self, words, _number):
        index = int(words[1][4:])
        if index == 0:
            self.began = time.monotonic()
        room = self.rate * max(self.seconds, time.monotonic() - self.began)
        return b"+OK\r\n" if index < room else b"-OOM beyond\r\n"


class Knee(unittest.TestCase):
    SEARCH = ("--distribution", "sequential", "--connections", "8", "--duration", "300ms")

    def test_a_server_that_fails_has_none_and_it_is_said_why(self):
        with FakeServer(lambda words, number: b"-OOM full\r\n") as fake:
            arguments = ["--slo", "p99=5s", "--duration", "50ms", "--connections", "4"]
            status, report = bench_json(fake.port, *arguments)
            text = bench(fake.port, *arguments)
        self.assertEqual(status, 1)
        self.assertEqual([one["rate_per_s"] for one in report["tried"]], [1000, 1000])
        self.assertEqual({one["verdict"] for one in report["tried"]}, {"errors"})
        self.assertEqual((report["knee_per_s"], report["half"], report["held_per_s"]),
                         (None, None, 0))
        self.assertEqual(text.returncode, 1)
        self.assertIn("the first: OOM full", text.stdout)
        self.assertIn("knee          not found: 1000 a second are not held", text.stdout)

    def test_a_server_that_is_late_has_none_and_the_best_is_said(self):
        def late(_words, _number):
            deadline = time.monotonic() + 0.01
            while time.monotonic() < deadline:
                pass
            return b"+OK\r\n"

        with FakeServer(late) as fake:
            status, report = bench_json(fake.port, "--slo", "p50=5ms", "--duration", "100ms",
                                        "--connections", "2", "--depth", "4")
        self.assertEqual(status, 1)
        self.assertEqual(len(report["tried"]), 2)
        self.assertGreaterEqual(min(one["judged_ms"] for one in report["tried"]), 10)
        self.assertIn("(best p50: ", report["why"])

    def test_a_server_that_goes_away_ends_the_search_with_what_was_tried(self):
        def gone(_words, number):
            if number < 20:
                return b"+OK\r\n"
            fake.server.server_close()  # nobody comes in any more
            return None

        with FakeServer(gone) as fake:
            done = bench(fake.port, "--json", "--slo", "p99=5s", "--duration", "50ms",
                         "--connections", "4")
        report = json.loads(done.stdout)
        self.assertEqual((done.returncode, len(report["tried"])), (1, 1), report)
        self.assertEqual(report["tried"][0]["verdict"], "errors")
        self.assertIn("a connection to ", report["failure"])
        self.assertIn("the search was ended: a connection to ", report["why"])
        self.assertIn("a connection to ", done.stderr)

    def test_the_knee_is_a_rate_that_was_held_and_half_of_it_is_measured(self):
        with FakeServer(UpTo(3000, 0.3)) as fake:
            status, report = bench_json(fake.port, "--slo", "p99.9=5s", *self.SEARCH)
        self.assertEqual(status, 0, report)
        self.assertIn(report["knee_per_s"],
                      [one["rate_per_s"] for one in report["tried"] if one["held"]])
        self.assertTrue(1000 <= report["knee_per_s"] <= 3100, report["knee_per_s"])
        for one in report["tried"]:
            self.assertEqual(one["held"], one["verdict"] == "held")
            self.assertFalse(one["held"] and one["rate_per_s"] > 3100, one)
        half = report["half"]
        self.assertEqual(half["rate"]["asked_per_s"], report["knee_per_s"] // 2)
        self.assertAlmostEqual(half["elapsed_s"], 5 * 0.3, delta=0.001)
        self.assertTrue(report["succeeded"])

    def test_an_interrupt_ends_the_search_with_a_report_of_what_was_tried(self):
        doubled = threading.Event()

        def note(words, number):
            if number > 450:  # beyond the first try, 300 requests
                doubled.set()
            return b"+OK\r\n"

        with FakeServer(note) as fake:
            process = subprocess.Popen([WEIR_BENCH, "--port", str(fake.port), "--slo", "p99=5s",
                                        *self.SEARCH], stdout=subprocess.PIPE, text=True)
            self.assertTrue(doubled.wait(20))
            process.send_signal(signal.SIGINT)
            output, _ = process.communicate(timeout=20)
        self.assertEqual(process.returncode, 1)
        self.assertIn("knee          not found: the search was ended: interrupted", output)
        self.assertRegex(output, "\n +1000 .* (held|answered )")


class NullServer:
    """What holds for the null server by either way to the kernel."""

    door = None

    def setUp(self):
        self.port = free_port()
        self.process = subprocess.Popen([NULL_SERVER, self.door, f"127.0.0.1:{self.port}"])
        wait_for_port(self.port, self.process)

    def tearDown(self):
        self.process.terminate()
        self.assertEqual(self.process.wait(20), 0)

    def test_every_request_gets_one_reply_whatever_its_length(self):
        for arguments in (["--depth", "1"], ["--depth", "128"],
                          ["--value-size", "0", "--depth", "99"],
                          ["--mix", "set:1,get:1,mset:1,ping:1", "--depth", "50"],
                          ["--value-size", "200000", "--depth", "3"]):
            status, report = bench_json(self.port, "--operations", "3000", *arguments)
            self.assertEqual(status, 0, (arguments, report))
            self.assertEqual(report["operations"], 3000)

    def test_every_split_of_requests_gets_as_many_replies(self):
        stream = (b"*1\r\n$4\r\nPING\r\n" b"*2\r\n$3\r\nGET\r\n$2\r\n*1\r\n" b"PING\r\n"
                  b"*2\r\n$3\r\nGET\r\n$1\r\na\r\n")
        for cut in range(len(stream) + 1):
            with socket.create_connection(("127.0.0.1", self.port)) as link:
                link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                link.settimeout(10)
                link.sendall(stream[:cut])
                link.sendall(stream[cut:])
                link.shutdown(socket.SHUT_WR)
                received = b""
                while True:
                    block = link.recv(4096)
                    if not block:
                        break
                    received += block
            self.assertEqual(received, b"+OK\r\n" * 4, cut)

    def test_a_warm_up_is_not_measured(self):
        status, report = bench_json(self.port, "--warmup", "300ms", "--duration", "200ms",
                                    "--connections", "4")
        self.assertEqual(status, 0)
        self.assertAlmostEqual(report["elapsed_s"], 0.2, delta=0.001)


class AgainstNullServerByEpoll(NullServer, unittest.TestCase):
    door = "--epoll"


class AgainstNullServerByUring(NullServer, unittest.TestCase):
    door = "--uring"


class AgainstRedis(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.directory = tempfile.TemporaryDirectory()
        cls.port = free_port()
        cls.process = subprocess.Popen(
            ["redis-server", "--port", str(cls.port), "--bind", "127.0.0.1", "--save", "", "--dir",
             cls.directory.name, "--requirepass", "secret", "--appendonly", "yes", "--appendfsync",
             "always"], stdout=subprocess.DEVNULL)
        wait_for_port(cls.port, cls.process)

    @classmethod
    def tearDownClass(cls):
        cls.process.terminate()
        cls.process.wait(20)
        cls.directory.cleanup()

    def test_every_command_of_the_mix_that_redis_has_is_answered(self):
        for resp in ("2", "3"):
            status, report = bench_json(
                self.port, "--password", "secret", "--resp", resp, "--operations", "5000",
                "--depth", "10", "--distribution", "zipf:0.99", "--mix",
                "set,get,del,exists,strlen,append,incr,mset,mget,ping,echo")
            self.assertEqual(status, 0, report)
            self.assertEqual(report["operations"], 5000)
            self.assertTrue(report["server_version"].startswith("redis "))
            self.assertEqual(report["durability"], "fsync")

    def test_sequential_keys_fill_the_key_space(self):
        status, _ = bench_json(self.port, "--password", "secret", "--command",
                               "SET filled:__rand__ x", "--keys", "777", "--operations", "777",
                               "--distribution", "sequential", "--threads", "2")
        self.assertEqual(status, 0)
        with socket.create_connection(("127.0.0.1", self.port)) as link:
            link.sendall(b"AUTH secret\r\nEVAL \"return #redis.call('KEYS','filled:*')\" 0\r\n")
            received = b""
            while received.count(b"\r\n") < 2:
                received += link.recv(4096)
        self.assertEqual(received, b"+OK\r\n:777\r\n")

    def test_a_wrong_or_missing_password_is_said(self):
        for arguments in (["--password", "wrong"], [], ["--password", "wrong", "--resp", "3"]):
            done = bench(self.port, *arguments)
            self.assertEqual(done.returncode, 1, arguments)
            self.assertIn("--password", done.stderr)

    def test_nested_replies_are_counted_as_one(self):
        status, report = bench_json(self.port, "--password", "secret", "--operations", "200",
                                    "--depth", "20", "--resp", "3", "--connections", "3",
                                    "--command", "COMMAND INFO get set", "--command", "HELLO 3")
        self.assertEqual(status, 0, report)
        self.assertEqual(report["operations"], 200)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as programs:
        path = path_with_server(programs)
        if "AgainstRedis" in sys.argv[3:] and path is None:
            print("skipped: there is no Redis here (apt-get install redis-tools)")
            sys.exit(77)
        os.environ["PATH"] = path or os.environ["PATH"]
        unittest.main(argv=[sys.argv[0]] + sys.argv[3:])
