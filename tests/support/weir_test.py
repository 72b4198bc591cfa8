"""What the tests that drive a running node share: a client of our own, and the node as a process.

The client speaks RESP 2 and 3 over a raw socket. It is independent of weir's own code and of any
client library, and it can do what no library offers: send half a request, read half a reply.

The node is the built binary, found by the environment variable WEIR. Nothing here waits for time:
a node is up when it says so in its log, and gone when its process has ended. Limits on time are
only there to turn a hang into a failure.

With WEIR_TEST_IO_FEATURES=none every node does without what is newer than the oldest kernel that
weir runs on.
"""

import glob
import json
import os
import re
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

WEIR = os.environ.get("WEIR", "weir")
MAPS = ("fused", "pair", "split")
SLOWNESS = float(os.environ.get("WEIR_TIMEOUT_FACTOR", "1"))  # of sanitizers, say
LIMIT_S = 30.0 * SLOWNESS
LARGE_ARRAY = 100  # elements
IDLE_SHARE = 0.002 * SLOWNESS  # of a core, for a node that is asked nothing
SKIPPED = 77
ON_FLOOR = os.environ.get("WEIR_TEST_IO_FEATURES") == "none"


def skip(reason):
    """Ends the test as skipped; tests/skips.txt must list it."""
    print(f"skipped: {reason}")
    sys.stdout.flush()
    os._exit(SKIPPED)


class ErrorReply(Exception):
    """A reply that begins with '-' (or '!'); its text."""


class Push(list):
    """A RESP 3 push."""


class Incomplete(Exception):
    """The bytes end inside a reply."""


def request(*words):
    """One command as RESP bytes. Words are bytes, str or int."""
    parts = [b"*%d\r\n" % len(words)]
    for word in words:
        if isinstance(word, int):
            word = b"%d" % word
        elif isinstance(word, str):
            word = word.encode()
        parts.append(b"$%d\r\n%b\r\n" % (len(word), word))
    return b"".join(parts)


def decode(data, at=0):
    """The reply at `at` and where it ends. An error is returned as a value, not raised."""
    end = data.find(b"\r\n", at)
    if end < 0:
        raise Incomplete
    kind, line, after = data[at:at + 1], bytes(data[at + 1:end]), end + 2
    if kind == b"+":
        return line.decode(errors="surrogateescape"), after
    if kind == b"-":
        return ErrorReply(line.decode(errors="surrogateescape")), after
    if kind == b":":
        return int(line), after
    if kind in (b"$", b"!", b"="):
        length = int(line)
        if length < 0:
            return None, after
        if len(data) < after + length + 2:
            raise Incomplete
        if data[after + length:after + length + 2] != b"\r\n":
            raise ValueError("a bulk is not followed by CRLF")
        value = bytes(data[after:after + length])
        return (ErrorReply(value.decode()) if kind == b"!" else value), after + length + 2
    if kind in (b"*", b"~", b">"):
        count = int(line)
        if count < 0:
            return None, after
        items = Push() if kind == b">" else []
        for _ in range(count):
            item, after = decode(data, after)
            items.append(item)
        return items, after
    if kind == b"%":
        table = {}
        for _ in range(int(line)):
            key, after = decode(data, after)
            table[key], after = decode(data, after)
        return table, after
    if kind == b"_" and not line:
        return None, after
    if kind == b"#" and line in (b"t", b"f"):
        return line == b"t", after
    if kind == b",":
        return float(line), after
    raise ValueError(f"no reply begins with {data[at:at + 20]!r}")


def array_head(data, at):
    """How many elements the array at `at` has, and where they begin; 0 if there is no array."""
    if data[at:at + 1] != b"*":
        return 0, at
    end = data.find(b"\r\n", at)
    if end < 0:
        raise Incomplete
    return int(data[at + 1:end]), end + 2


class Client:
    """One connection. `call` raises an error reply; `reply` returns it as a value."""

    def __init__(self, port, limit_s=LIMIT_S, receive_buffer=None):
        self.socket = socket.socket()
        if receive_buffer is not None:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.socket.settimeout(limit_s)
        self.socket.connect(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.data = bytearray()
        self.at = 0

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.socket.close()

    def reset(self):
        """Closes with RST instead of FIN."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        self.socket.close()

    def send(self, data):
        self.socket.sendall(data)

    def receive(self):
        """Receives once more; False at the end of the stream, also if that end was a reset."""
        try:
            data = self.socket.recv(1 << 20)
        except ConnectionError:
            return False
        self.data += data
        return bool(data)

    def reply(self):
        """The next reply. ConnectionError if the node closes before it is whole."""
        while True:
            try:
                count, after = array_head(self.data, self.at)
                if count > LARGE_ARRAY:  # one by one, lest each piece received begins it again
                    self.at = after
                    return [self.reply() for _ in range(count)]
                value, self.at = decode(self.data, self.at)
            except Incomplete:
                if not self.receive():
                    raise ConnectionError("the node closed the connection") from None
                continue
            if self.at > 1 << 20 or self.at == len(self.data):
                del self.data[:self.at]
                self.at = 0
            return value

    def call(self, *words):
        self.send(request(*words))
        value = self.reply()
        if isinstance(value, ErrorReply):
            raise value
        return value

    def pipeline(self, commands):
        """Sends all, then the list of their replies."""
        self.send(b"".join(request(*words) for words in commands))
        return [self.reply() for _ in commands]

    def rest(self):
        """All bytes up to the end of the stream, which must come."""
        while self.receive():
            pass
        data, self.data, self.at = bytes(self.data[self.at:]), bytearray(), 0
        return data

    def closed(self):
        """Whether the node ends the stream without another byte."""
        return self.rest() == b""


class NodeEnded(Exception):
    """The process ended instead of serving: `status` and what it wrote to stderr."""

    def __init__(self, status, text):
        super().__init__(f"the node ended with status {status}:\n{text}")
        self.status = status
        self.text = text


class Node:
    """One node: a data directory, and while it runs a process. Ends with the test's process."""

    def __init__(self, directory, *options, durability="fsync", config=None, prefix=()):
        self.directory = directory
        self.config = config  # keys and values of the configuration file
        if ON_FLOOR:
            self.config = {**(config or {}), "io-features": "floor"}
        self.options = options
        self.durability = durability
        self.program = (WEIR, "serve")
        self.prefix = tuple(prefix)  # a command that runs the node: prlimit and the like
        self.process = None
        self.port = None
        self.lines = []
        self.changed = threading.Condition()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.running():
            self.kill()

    def running(self):
        return self.process is not None and self.process.poll() is None

    def spawn(self, *options):
        """Starts the process, and returns before it serves."""
        assert not self.running()
        if self.process is not None:
            self.reader.join(LIMIT_S)  # what the last process wrote is not the new one's
        self.port, self.lines = None, []
        if self.config is not None:
            with open(self.directory + ".conf", "w", encoding="utf-8") as file:
                file.writelines(f"{key} {value}\n" for key, value in self.config.items())
            options = ("--config", self.directory + ".conf", *options)
        self.process = subprocess.Popen(
            ["setpriv", "--pdeathsig", "KILL", *self.prefix, *self.program,
             "--data", self.directory, "--listen", "127.0.0.1:0",
             "--durability", self.durability, *self.options, *options],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        self.reader = threading.Thread(target=self.read_log, args=(self.process,), daemon=True)
        self.reader.start()
        return self

    def start(self, *options):
        """Starts, and returns when it serves. NodeEnded if it ends instead."""
        self.spawn(*options)
        with self.changed:
            if not self.changed.wait_for(lambda: self.port is not None, LIMIT_S):
                self.process.kill()
                raise TimeoutError(f"the node does not serve:\n{self.log()}")
        if self.port == 0:
            status = self.process.wait(LIMIT_S)
            raise NodeEnded(status, self.log())
        return self

    def read_log(self, process):
        with process.stderr as stderr:
            self.read_lines(stderr)
        with self.changed:
            if self.port is None:
                self.port = 0
            self.changed.notify_all()

    def read_lines(self, stderr):
        for line in stderr:
            text = line.decode(errors="replace").rstrip("\n")
            with self.changed:
                self.lines.append(text)
                ready = re.search(r"\bevent=ready\b.*?\baddress=\S*:(\d+)", text)
                if ready:
                    self.port = int(ready.group(1))
                self.changed.notify_all()

    def log(self):
        """What it wrote to stderr so far; all of it once the process has ended."""
        if not self.running():
            self.reader.join(LIMIT_S)
        with self.changed:
            return "\n".join(self.lines)

    def wait_log(self, pattern):
        """Waits for a line that matches."""
        def found():
            return any(re.search(pattern, line) for line in self.lines)
        with self.changed:
            if not self.changed.wait_for(lambda: found() or not self.running(), LIMIT_S):
                raise TimeoutError(f"no line like {pattern!r}:\n" + "\n".join(self.lines))
            return found()

    def client(self, **options):
        return Client(self.port, **options)

    def kill(self):
        """SIGKILL, and waits for the end."""
        self.process.kill()
        self.process.wait()
        self.reader.join(LIMIT_S)

    def pause(self):
        """SIGSTOP, and waits until no thread runs, nor one of the kernel's that works for it."""
        def states():
            for path in glob.glob(f"/proc/{self.process.pid}/task/*/stat"):
                try:
                    with open(path, encoding="ascii") as file:
                        yield file.read().rsplit(") ", 1)[1][0]
                except (FileNotFoundError, ProcessLookupError):
                    continue  # a thread of the kernel's has ended meanwhile
        self.process.send_signal(signal.SIGSTOP)
        until(lambda: not {"R", "D"} & set(states()), "the node does not come to a stop")

    def resume(self):
        """SIGCONT."""
        self.process.send_signal(signal.SIGCONT)

    def wait(self):
        """The exit status; a hang is killed and fails the test."""
        try:
            return self.process.wait(LIMIT_S)
        except subprocess.TimeoutExpired:
            text = self.log()
            self.kill()
            raise TimeoutError(f"the node does not end:\n{text}") from None

    def stop(self):
        """SIGTERM; returns the exit status."""
        if SLOWNESS == 1 and self.running():
            self.tell_of_long_polls()
        self.process.send_signal(signal.SIGTERM)
        return self.wait()

    def tell_of_long_polls(self):
        """A line if a poll was longer than the bound of every poll. It fails nothing: what a
        hypervisor takes and the first touch of a huge page count, see docs/architecture.md."""
        shown = weir("top", "--once", "--json", "--pid", str(self.process.pid))
        if shown.returncode != 0:
            return  # it has ended meanwhile
        figures = json.loads(shown.stdout)
        if figures["polls_over_limit"] > 0:
            longest = max(figures["stages"], key=lambda row: row["longest_poll_ns"])
            print(f"{figures['polls_over_limit']} polls of more than 1 ms, the longest one "
                  f"{longest['longest_poll_ns'] / 1e6:.2f} ms, of {longest['stage']}", flush=True)

    def status_kb(self, name):
        """A size from /proc/PID/status: VmHWM (highest resident), VmRSS, RssAnon."""
        with open(f"/proc/{self.process.pid}/status", encoding="ascii") as file:
            return int(re.search(rf"^{name}:\s+(\d+) kB", file.read(), re.M).group(1))

    def cpu_s(self):
        """CPU time used so far."""
        with open(f"/proc/{self.process.pid}/stat", encoding="ascii") as file:
            fields = file.read().rsplit(") ", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def run_ns(self):
        """How long each thread has run, the kernel's for its io too."""
        tasks = f"/proc/{self.process.pid}/task"
        found = {}
        for task in os.listdir(tasks):
            try:
                with open(f"{tasks}/{task}/schedstat", encoding="ascii") as file:
                    found[task] = int(file.read().split()[0])
            except (FileNotFoundError, ProcessLookupError):
                pass  # a worker of the kernel's that has just ended
        return found

    def share_while_silent(self, client, seconds):
        """The share of a core that it uses while nothing comes to `client` for so long."""
        before_ns, begin = self.run_ns(), time.monotonic()
        assert not select.select([client.socket], [], [], seconds)[0], "something came"
        used_ns = sum(ns - before_ns.get(task, 0) for task, ns in self.run_ns().items())
        return used_ns / 1e9 / (time.monotonic() - begin)

    def descriptors(self):
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))


def weir(*arguments):
    """Runs a subcommand to its end: status, stdout, stderr."""
    return subprocess.run([WEIR, *arguments], capture_output=True, text=True, check=False,
                          stdin=subprocess.DEVNULL, timeout=LIMIT_S)


def until(condition, what, limit_s=LIMIT_S):
    """Asks again and again, each time giving the processor away, until `condition` holds."""
    end = time.monotonic() + limit_s
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise TimeoutError(what)
        os.sched_yield()


class Scratch:
    """A directory that is removed afterwards; kept if WEIR_KEEP is set."""

    def __enter__(self):
        self.path = tempfile.mkdtemp(prefix="weir-test-", dir=os.environ.get("WEIR_SCRATCH"))
        return self.path

    def __exit__(self, *_):
        if os.environ.get("WEIR_KEEP"):
            print(f"kept {self.path}")
        else:
            shutil.rmtree(self.path, ignore_errors=True)
