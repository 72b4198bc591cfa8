#!/usr/bin/env python3
"""tests/tools/test_serve.py WEIR: the command as an operator meets it.

Usage and configuration errors, refusals to start, start, stop, and what is still there afterwards.
Every wait is for an event: a line of the log, a reply, the end of a process.
"""

import ctypes
import errno
import fcntl
import os
import re
import resource
import signal
import socket
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "support"))
import seccomp  # noqa: E402

WEIR = ""
SLOWNESS = int(os.environ.get("WEIR_TIMEOUT_FACTOR", "1"))  # of sanitizers, say
PATIENCE_S = 30  # how long an event may take before the test fails
PR_CAPBSET_DROP, CAP_IPC_LOCK = 24, 14  # of prctl(2), capabilities(7)


def run(*arguments, **options):
    """Runs weir to its end."""
    return subprocess.run([WEIR, *arguments], capture_output=True, text=True, timeout=PATIENCE_S,
                          check=False, **options)


class Client:
    """A connection that sends lines and reads one RESP 2 reply at a time."""

    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_S)
        self.stream = self.socket.makefile("rb")

    def close(self):
        self.stream.close()
        self.socket.close()

    def send(self, *arguments):
        parts = [b"*%d\r\n" % len(arguments)]
        for argument in arguments:
            argument = argument if isinstance(argument, bytes) else argument.encode()
            parts.append(b"$%d\r\n%s\r\n" % (len(argument), argument))
        self.socket.sendall(b"".join(parts))

    def read(self):
        """A reply; None for the end of the stream. Errors and statuses are strings."""
        line = self.stream.readline()
        if not line:
            return None
        kind, rest = line[:1], line[1:-2]
        if kind in b"+-":
            return line[:-2].decode()
        if kind == b":":
            return int(rest)
        if kind == b"$":
            length = int(rest)
            return None if length < 0 else self.stream.read(length + 2)[:-2]
        assert kind == b"*", line
        return [self.read() for _ in range(int(rest))]

    def call(self, *arguments):
        self.send(*arguments)
        return self.read()


class Node:
    """A running node; its log is kept."""

    def __init__(self, directory, *arguments):
        self.process = subprocess.Popen(
            [WEIR, "serve", "--data", directory, "--listen", "127.0.0.1:0", *arguments],
            stderr=subprocess.PIPE, text=True)
        self.log = []
        for line in self.process.stderr:
            self.log.append(line)
            ready = re.search(r"event=ready address=\S+:(\d+) ", line)
            if ready:
                self.port = int(ready.group(1))
                return
        raise AssertionError("no ready line:\n" + "".join(self.log))

    def end(self):
        """Waits for its end: the exit status. The rest of its log is read."""
        self.log += self.process.stderr.readlines()
        self.process.stderr.close()
        return self.process.wait(timeout=PATIENCE_S)

    def stop(self, number=signal.SIGTERM):
        self.process.send_signal(number)
        return self.end()


class Scratch(unittest.TestCase):
    """A test with a directory of its own, and nodes that do not outlive it."""

    def setUp(self):
        scratch = tempfile.TemporaryDirectory(prefix="weir_test_serve.")
        self.addCleanup(scratch.cleanup)
        self.scratch = scratch.name
        self.data = os.path.join(self.scratch, "data")

    def start(self, *arguments, directory=None):
        node = Node(directory or self.data, *arguments)
        self.addCleanup(self.kill, node)
        return node

    @staticmethod
    def kill(node):
        if node.process.poll() is None:
            node.process.kill()
            node.process.wait()
            node.process.stderr.close()

    def client(self, node):
        client = Client(node.port)
        self.addCleanup(client.close)
        return client

    def file(self, text):
        path = os.path.join(self.scratch, "weir.conf")
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        return path

    def refused(self, status, words, *arguments, **options):
        done = run("serve", "--data", self.data, *arguments, **options)
        self.assertEqual(done.returncode, status, done.stderr)
        self.assertIn(words, done.stderr)
        self.assertEqual(len(done.stderr.splitlines()), 1, done.stderr)
        self.assertFalse(os.path.exists(self.data), "a refusal left a data directory")


class Usage(Scratch):
    def test_without_a_command_the_usage_is_an_error(self):
        done = run()
        self.assertEqual((done.returncode, done.stdout), (2, ""))
        self.assertIn("usage: weir COMMAND", done.stderr)

    def test_an_unknown_command_is_named(self):
        done = run("sevre")
        self.assertEqual(done.returncode, 2)
        self.assertIn('do not know the command "sevre"; weir --help', done.stderr)

    def test_help_and_version_are_answers(self):
        for arguments, words in ((["--help"], "serve         runs a node"), (["-h"], "Exit status"),
                                 (["serve", "--help"], "--durability MODE"),
                                 (["bench", "-h"], "usage: weir bench"),
                                 (["top", "-h"], "usage: weir top"),
                                 (["init", "-h"], "usage: weir init"),
                                 (["inspect", "-h"], "usage: weir inspect"),
                                 (["serve", "--data", "x", "-h"], "usage: weir serve")):
            done = run(*arguments)
            self.assertEqual((done.returncode, done.stderr), (0, ""))
            self.assertIn(words, done.stdout)
        self.assertRegex(run("--version").stdout, r"^weir \d+\.\d+\.\d+\n$")

    def test_help_lists_every_key_that_there_is(self):
        text = run("serve", "--help").stdout
        for key in ("advertise", "append-bytes", "append-messages", "bind", "cluster-announce-ip",
                    "cluster-announce-port", "cores", "dir", "durability", "election-timeout", "id",
                    "io-features", "listen", "loglevel", "machine", "map", "maxclients",
                    "maxmemory", "port", "proto-max-bulk-len", "requirepass",
                    "snapshot-log-bytes", "snapshot-rate"):
            self.assertRegex(text, rf"\b{key}\b")

    def test_options_of_work_to_come_are_not_accepted(self):
        for option in ("--join", "--bootstrap", "--nonsense", "data"):
            self.refused(2, f'do not know "{option}"', option, "1")

    def test_an_option_needs_its_value(self):
        self.refused(2, "--map needs a value", "--map")

    def test_a_wrong_value_is_named_with_what_was_expected(self):
        self.refused(2, '--durability: durability "always" is not possible; expected fsync, write',
                     "--durability=always")
        self.refused(2, "--listen: listen", "--listen", "7379")
        self.refused(2, "expected an address or a name before the port", "--listen", "300.1.1.1:0")
        self.refused(2, "--machine: machine", "--machine", "x.so")

    def test_a_wrong_map_is_refused_at_its_column(self):
        self.refused(2, '--cores: cores "many" is not possible; expected a number of processors',
                     "--cores", "many")
        self.refused(2, 'column 3, "reed": expected a stage', "--map", "0:reed")
        self.refused(2, "CPU 99999 is not among those that this process may use", "--map",
                     "99999:read")


class Configuration(Scratch):
    def test_an_error_of_the_file_has_its_line(self):
        path = self.file("# mine\nport 0\nmaxclient 10\n")
        self.refused(2, f'{path}:3: unknown key "maxclient"; did you mean "maxclients"?',
                     "--config", path)
        path = self.file("maxmemory 10 mb\n")
        self.refused(2, f"{path}:1: more than one value", "--config", path)

    def test_a_file_that_is_not_there_is_named(self):
        self.refused(2, "cannot read the configuration file /nonexistent", "--config",
                     "/nonexistent")

    def test_the_command_line_overrides_the_file(self):
        path = self.file("dir /nonexistent/there\nmaxmemory 1mb\nmaxclients 77\n")
        node = self.start("--config", path)
        client = self.client(node)
        self.assertEqual(client.call("CONFIG", "GET", "maxmemory"), [b"maxmemory", b"1048576"])
        self.assertEqual(client.call("CONFIG", "GET", "maxclients"), [b"maxclients", b"77"])
        self.assertEqual(client.call("CONFIG", "GET", "dir"), [b"dir", self.data.encode()])
        # Port 0 was configured; which one it became is told.
        self.assertIn(b"\r\ntcp_port:%d\r\n" % node.port, client.call("INFO", "server"))

    def test_clients_are_told_what_is_advertised_or_where_it_listens(self):
        def shown(*options):
            node = self.start(*options)
            slots = self.client(node).call("CLUSTER", "SLOTS")
            port = node.port
            self.kill(node)
            return slots[0][2][:2], port
        address, port = shown()
        self.assertEqual(address, [b"127.0.0.1", port])
        self.assertEqual(shown("--advertise", "one.example:7001")[0], [b"one.example", 7001])
        path = self.file("cluster-announce-ip fd00::1\n")
        address, port = shown("--config", path)
        self.assertEqual(address, [b"fd00::1", port])

    def test_a_node_that_listens_everywhere_names_no_host(self):
        path = self.file("requirepass secret\n")
        node = Node(self.data, "--config", path, "--listen", "0.0.0.0:0")
        self.addCleanup(self.kill, node)
        client = self.client(node)
        self.assertEqual(client.call("CLUSTER", "SLOTS"), "-NOAUTH Authentication required.")
        self.assertEqual(client.call("AUTH", "secret"), "+OK")
        self.assertEqual(client.call("CLUSTER", "SLOTS")[0][2][:2], [b"", node.port])

    def test_an_open_address_needs_a_password(self):
        for address in ("0.0.0.0:0", "[::]:0", "192.0.2.1:0"):
            self.refused(2, "there is no password: put requirepass", "--listen", address)
        path = self.file("requirepass secret\n")
        node = Node(self.data, "--config", path, "--listen", "0.0.0.0:0")
        self.addCleanup(self.kill, node)
        client = self.client(node)
        self.assertEqual(client.call("GET", "a"), "-NOAUTH Authentication required.")
        self.assertEqual(client.call("AUTH", "secret"), "+OK")
        self.assertEqual(client.call("GET", "a"), None)
        self.assertEqual(client.call("CONFIG", "GET", "requirepass"), [])
        self.assertFalse([line for line in node.log if "secret" in line])

    def test_maxmemory_refuses_before_the_log(self):
        # An empty machine has more than one byte.
        node = self.start("--config", self.file("maxmemory 1\n"))
        client = self.client(node)
        self.assertEqual(client.call("SET", "a", "b"),
                         "-OOM command not allowed when used memory > 'maxmemory'.")
        self.assertEqual(client.call("DEL", "a"), 0)

    def test_maxclients_is_a_limit(self):
        node = self.start("--config", self.file("maxclients 2\n"))
        first, second = self.client(node), self.client(node)
        self.assertEqual((first.call("PING"), second.call("PING")), ("+PONG", "+PONG"))
        third = self.client(node)
        self.assertIn(third.read(), ("-ERR max number of clients reached", None))
        self.assertEqual(first.call("PING"), "+PONG")

    def test_a_bulk_may_be_as_long_as_configured(self):
        node = self.start("--config", self.file("proto-max-bulk-len 1mb\n"))
        client = self.client(node)
        self.assertEqual(client.call("SET", "a", b"x" * 1048576), "+OK")
        self.assertEqual(client.call("STRLEN", "a"), 1048576)
        client.socket.sendall(b"*2\r\n$3\r\nGET\r\n$1048577\r\n")
        self.assertEqual(client.read(), "-ERR Protocol error: invalid bulk length")
        self.assertIsNone(client.read())


class Refusals(Scratch):
    def test_a_port_that_is_taken_is_named(self):
        with socket.create_server(("127.0.0.1", 0)) as taken:
            address = "127.0.0.1:%d" % taken.getsockname()[1]
            self.refused(1, address, "--listen", address)

    def test_a_directory_in_use_is_not_touched(self):
        node = self.start()
        done = run("serve", "--data", self.data, "--listen", "127.0.0.1:0")
        self.assertEqual(done.returncode, 1)
        self.assertEqual(len(done.stderr.splitlines()), 1, done.stderr)
        self.assertIn(self.data, done.stderr)
        self.assertEqual(self.client(node).call("PING"), "+PONG")
        self.assertEqual(node.stop(), 0)

    def test_a_lock_that_is_held_for_a_moment_is_waited_for(self):
        """As by a node that has just ended: the kernel takes down its rings behind its end."""
        self.assertEqual(self.start().stop(), 0)
        held = os.open(self.data, os.O_RDONLY)
        fcntl.flock(held, fcntl.LOCK_EX)
        process = subprocess.Popen([WEIR, "serve", "--data", self.data, "--listen", "127.0.0.1:0"],
                                   stderr=subprocess.PIPE, text=True)
        self.addCleanup(process.stderr.close)
        self.addCleanup(lambda: (process.kill(), process.wait()))
        while not self.sleeps_for_a_time(process):
            self.assertIsNone(process.poll())
            os.sched_yield()
        os.close(held)
        while "event=ready" not in (line := process.stderr.readline()):
            self.assertNotEqual(line, "", "it has ended")

    @staticmethod
    def sleeps_for_a_time(process):
        """Whether one of its threads is in clock_nanosleep(2), number 230 on x86-64."""
        for task in os.listdir(f"/proc/{process.pid}/task"):
            try:
                with open(f"/proc/{process.pid}/task/{task}/syscall", encoding="ascii") as file:
                    if file.read().startswith("230 "):
                        return True
            except (FileNotFoundError, ProcessLookupError):
                pass
        return False

    def test_another_nodes_directory_is_refused(self):
        self.assertEqual(self.start("--id", "3").stop(), 0)
        done = run("serve", "--data", self.data, "--listen", "127.0.0.1:0", "--id", "4")
        self.assertEqual(done.returncode, 1)
        self.assertIn("belongs to node 3", done.stderr)
        node = self.start()
        self.assertIn(b"\r\nnode_id:3\r\n", self.client(node).call("INFO", "weir"))

    def test_a_directory_of_something_else_is_refused(self):
        os.mkdir(self.data)
        with open(os.path.join(self.data, "vote"), "w", encoding="utf-8") as file:
            file.write("not ours")
        done = run("serve", "--data", self.data, "--listen", "127.0.0.1:0")
        self.assertEqual(done.returncode, 1)
        self.assertEqual(len(done.stderr.splitlines()), 1, done.stderr)
        with open(os.path.join(self.data, "vote"), encoding="utf-8") as file:
            self.assertEqual(file.read(), "not ours")

    def test_a_directory_without_a_parent_is_named(self):
        path = os.path.join(self.scratch, "not", "there")
        done = run("serve", "--data", path, "--listen", "127.0.0.1:0")
        self.assertEqual(done.returncode, 1)
        self.assertIn(f"cannot create the directory {path}: the one above it does not exist; "
                      "create that first (mkdir -p)", done.stderr)
        self.assertEqual(len(done.stderr.splitlines()), 1, done.stderr)


class Host(Scratch):
    """What the host does not give is said in a sentence, with exit status 1."""

    def lacking(self, words, preexec):
        self.refused(1, words, "--listen", "127.0.0.1:0", preexec_fn=preexec)

    def test_a_kernel_or_a_container_without_io_uring(self):
        calls = (seccomp.IO_URING_SETUP, seccomp.IO_URING_ENTER, seccomp.IO_URING_REGISTER)
        # Docker's profile says EPERM, others ENOSYS; a hand-written one may forget a call.
        for stopped in (calls, *((call,) for call in calls)):
            self.lacking("io_uring is forbidden here, probably by a container's seccomp profile: "
                         "allow io_uring_setup, io_uring_enter and io_uring_register",
                         seccomp.forbid(errno.EPERM, *stopped))
            self.lacking("this kernel has no io_uring, or a container's seccomp profile hides it: "
                         "Linux 6.1 or newer", seccomp.forbid(errno.ENOSYS, *stopped))

    def test_too_little_memory_that_may_be_locked(self):
        libc = ctypes.CDLL(None)

        def lower():
            resource.setrlimit(resource.RLIMIT_MEMLOCK, (0, 0))
            libc.prctl(PR_CAPBSET_DROP, CAP_IPC_LOCK)  # to root, who has it, no limit applies
        self.lacking("this process may lock 0 KiB: raise that ('ulimit -l unlimited', "
                     "LimitMEMLOCK= of systemd)", lower)

    def test_too_few_descriptors_for_the_clients_configured(self):
        self.refused(1, "maxclients 400 needs 528 open files, the limit is 500: raise it",
                     "--config", self.file("maxclients 400\n"), preexec_fn=lambda:
                     resource.setrlimit(resource.RLIMIT_NOFILE, (500, 500)))


class Life(Scratch):
    def test_a_node_keeps_to_as_many_processors_as_it_is_given(self):
        second = sorted(os.sched_getaffinity(0))[1:2] or list(os.sched_getaffinity(0))
        node = self.start("--cores", "1", "--map", "split", "--id", "2")
        for thread in os.listdir(f"/proc/{node.process.pid}/task"):
            self.assertEqual(list(os.sched_getaffinity(int(thread))), second)

    def test_what_was_acknowledged_is_there_after_a_stop(self):
        for machine_map in ("fused", "pair", "split"):
            with self.subTest(map=machine_map):
                directory = os.path.join(self.scratch, machine_map)
                node = self.start("--map", machine_map, directory=directory)
                client = self.client(node)
                for i in range(100):
                    self.assertEqual(client.call("SET", f"key{i}", f"value{i}"), "+OK")
                self.assertEqual(node.stop(), 0)
                self.assertRegex("".join(node.log), r"event=stopping reason=SIGTERM\n")
                self.assertIn("event=stopped", node.log[-1])
                client = self.client(self.start("--map", machine_map, directory=directory))
                self.assertEqual(client.call("DBSIZE"), 100)
                self.assertEqual(client.call("GET", "key42"), b"value42")

    def test_a_drain_answers_what_was_received(self):
        node = self.start("--durability", "none")
        client = self.client(node)
        self.assertEqual(client.call("PING"), "+PONG")
        request = b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$1\r\nv\r\n" * 200
        client.socket.sendall(request)
        self.assertEqual(client.read(), "+OK")
        self.assertEqual(node.stop(signal.SIGINT), 0)
        replies = 1
        while client.read() == "+OK":
            replies += 1
        # They came in one piece, and the first was answered: so were they all.
        self.assertEqual(replies, 200)
        self.assertIn("reason=SIGINT", "".join(node.log))

    def test_shutdown_ends_the_node_without_an_answer(self):
        node = self.start()
        client = self.client(node)
        self.assertEqual(client.call("SET", "a", "b"), "+OK")
        client.send("SHUTDOWN", "NOSAVE")
        self.assertIsNone(client.read())
        self.assertEqual(node.end(), 0)
        self.assertIn("reason=SHUTDOWN", "".join(node.log))
        self.assertEqual(self.client(self.start()).call("GET", "a"), b"b")

    def test_what_a_mode_voids_is_said(self):
        for mode, words, bench_words in (
                ("write", "a power cut or a crash of the system loses some",
                 "a power cut or a crash of the system loses some acknowledged writes"),
                ("none", "the end of the process loses them",
                 "the end of the server loses acknowledged writes")):
            node = self.start("--durability", mode, directory=self.data + mode)
            log = "".join(node.log)
            self.assertIn(f"event=durability mode={mode}", log)
            self.assertIn(words, log)
            self.assertRegex(self.bench(node), rf"durability {mode}\npromise +{bench_words}\n")
            self.assertEqual(node.stop(), 0)
        node = self.start()
        self.assertNotIn("event=durability", "".join(node.log))
        self.assertRegex(self.bench(node), r"durability fsync\nload ")

    @staticmethod
    def bench(node):
        done = run("bench", "--server", f"127.0.0.1:{node.port}", "--operations", "100")
        assert done.returncode == 0, done.stderr
        return done.stdout

    def test_the_gauge_file_goes_with_its_node(self):
        def files(node):
            return [name for name in os.listdir("/dev/shm")
                    if name.startswith("weir-") and name.endswith(f"-{node.process.pid}")]
        node = self.start()
        self.assertEqual(len(files(node)), 1)
        self.assertEqual(node.stop(), 0)
        self.assertEqual(files(node), [])

    def test_the_log_says_no_more_than_its_level(self):
        with socket.create_server(("127.0.0.1", 0)) as chosen:
            port = chosen.getsockname()[1]
        process = subprocess.Popen(
            [WEIR, "serve", "--data", self.data, "--listen", f"127.0.0.1:{port}", "--config",
             self.file("loglevel warning\n")], stderr=subprocess.PIPE, text=True)
        self.addCleanup(process.stderr.close)
        self.addCleanup(process.kill)
        client = self.client_when_it_serves(process, port)
        self.assertEqual(client.call("CONFIG", "GET", "loglevel"), [b"loglevel", b"warning"])
        client.send("SHUTDOWN")
        self.assertIsNone(client.read())
        self.assertEqual(process.wait(timeout=PATIENCE_S), 0)
        self.assertEqual(process.stderr.read(), "")

    def client_when_it_serves(self, process, port):
        """Where no line of the log says so: tries until a connection is accepted."""
        while process.poll() is None:
            try:
                client = Client(port)
            except ConnectionError:  # refused; or reset, by the look whether the port is free
                os.sched_yield()
                continue
            self.addCleanup(client.close)
            return client
        self.fail(process.stderr.read())

    def test_every_line_of_the_log_is_logfmt(self):
        node = self.start()
        self.assertEqual(node.stop(), 0)
        for line in node.log:
            self.assertRegex(line, r"^ts=\S+Z level=(info|warn|error) event=[a-z0-9_]+"
                                   r"( [a-z_]+=(\"[^\"]*\"|\S*))*\n$")


class Interrupted(Scratch):
    """SIGTERM or SIGINT at any moment of a start, from when the command has its thread for it."""

    def spawn(self, directory):
        """Starts the command, and returns when it hears signals; its log is a file."""
        self.log = os.path.join(self.scratch, "log")
        # To the thread sanitizer a thread that is left behind is a leak; here that is the point.
        options = os.environ.get("TSAN_OPTIONS", "") + " report_thread_leaks=0"
        with open(self.log, "wb") as log:
            process = subprocess.Popen([WEIR, "serve", "--data", directory, "--listen",
                                        "127.0.0.1:0"], stdin=subprocess.DEVNULL, stderr=log,
                                       env={**os.environ, "TSAN_OPTIONS": options})
        self.addCleanup(lambda: (process.kill(), process.wait()))
        # It ignores SIGPIPE right behind: what comes before that, ends it as any process.
        self.wait_until(process, lambda: self.ignored(process) >> (signal.SIGPIPE - 1) & 1)
        return process

    def wait_until(self, process, condition):
        while not condition():
            self.assertIsNone(process.poll(), self.text())
            os.sched_yield()

    @staticmethod
    def ignored(process):
        with open(f"/proc/{process.pid}/status", encoding="ascii") as file:
            return int(re.search(r"^SigIgn:\s*(\w+)", file.read(), re.M).group(1), 16)

    def text(self):
        with open(self.log, encoding="utf-8") as log:
            return log.read()

    def interrupted(self, process, number):
        process.send_signal(number)
        self.assertEqual(process.wait(timeout=PATIENCE_S), 0, self.text())
        self.assertIn("event=stopped", self.text())

    def moments(self, process, directory):
        def files(folder, pattern):
            return os.path.isdir(folder) and any(re.fullmatch(pattern, name)
                                                 for name in os.listdir(folder))
        return {
            "signals are heard": lambda: True,
            "two threads": lambda: len(os.listdir(f"/proc/{process.pid}/task")) > 1,
            "a directory": lambda: os.path.isdir(directory),
            "a vote": lambda: files(directory, "vote"),
            "an identity": lambda: files(directory, "identity"),
            "a line of the log": lambda: self.text() != "",
            "a file of gauges": lambda: files("/dev/shm", f"weir-.*-{process.pid}"),
            "started": lambda: "event=starting" in self.text(),
            "a segment": lambda: files(directory, "log-.*"),
            "ready": lambda: "event=ready" in self.text(),
        }

    def works(self, directory):
        node = self.start(directory=directory)
        client = self.client(node)
        self.assertEqual(client.call("INCR", "starts"), 1)
        self.assertEqual(node.stop(), 0)

    def test_a_first_start_may_be_left_at_any_moment(self):
        for i, name in enumerate(self.moments(None, None)):
            with self.subTest(name):
                directory = os.path.join(self.scratch, str(i))
                process = self.spawn(directory)
                self.wait_until(process, self.moments(process, directory)[name])
                self.interrupted(process, (signal.SIGTERM, signal.SIGINT)[i % 2])
                if name == "signals are heard":
                    self.assertIn('reason="SIGTERM while starting"', self.text())
                self.works(directory)

    def test_a_first_start_may_be_killed_at_any_moment(self):
        """What it has left of a data directory is finished or made anew by the next start."""
        for i, name in enumerate(self.moments(None, None)):
            with self.subTest(name):
                directory = os.path.join(self.scratch, str(i))
                process = self.spawn(directory)
                self.wait_until(process, self.moments(process, directory)[name])
                process.kill()
                process.wait()
                self.works(directory)

    def test_a_start_with_data_may_be_left_at_any_moment(self):
        node = self.start()
        client = self.client(node)
        for i in range(100):
            self.assertEqual(client.call("SET", f"key{i}", f"value{i}"), "+OK")
        self.assertEqual(node.stop(), 0)
        left, looks = [], 0
        while left.count("running") < 3:  # each a little later
            process = self.spawn(self.data)
            for _ in range(looks):
                self.ignored(process)
            self.interrupted(process, signal.SIGTERM)
            left.append("starting" if "while starting" in self.text() else "running")
            # A start takes longer by as much under a sanitizer: about as many moments of it.
            looks += SLOWNESS * (20 + looks // 5)
        print(f"left {left.count('starting')} times while starting")
        self.assertEqual(left[0], "starting")
        client = self.client(self.start())
        self.assertEqual(client.call("DBSIZE"), 100)
        self.assertEqual(client.call("GET", "key42"), b"value42")


if __name__ == "__main__":
    WEIR = os.path.abspath(sys.argv.pop(1))
    unittest.main(verbosity=2)
