"""The two servers, and a connection to one of them that hands out replies as the bytes they are.

Both are set up alike as far as their options go: one database, nothing is saved, the same limit of
an argument's length. A cluster of Redis is one node that holds all slots.
"""

import os
import re
import select
import shutil
import signal
import socket
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "support"))
from redis_programs import path_with_server  # noqa: E402
from weir_test import LIMIT_S, Client, Node, request, until  # noqa: E402

VERSION = "7.0.15"
ARGUMENT_BYTES_MAX = 16 << 20  # weir's own default
RECEIVE_BYTES = 1 << 18
SLOTS = 16384


class Hang(Exception):
    """A server does not answer."""


def reply_end(data, at):
    """Where the reply that begins at `at` ends; -1 if the bytes end before."""
    todo = 1
    while todo:
        end = data.find(b"\r\n", at)
        if end < 0:
            return -1
        kind, line, at = data[at], data[at + 1:end], end + 2
        todo -= 1
        if kind in b"$=!":
            if int(line) >= 0:
                at += int(line) + 2
                if at > len(data):
                    return -1
        elif kind in b"*~>":
            todo += max(int(line), 0)
        elif kind in b"%|":
            todo += 2 * int(line)
        elif kind not in b"+-:_#,(":
            raise ValueError(f"no reply begins with {bytes(data[end - len(line) - 1:end])[:40]!r}")
    return at


class Connection:
    """One connection: pieces go out, replies come back as bytes."""

    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port), LIMIT_S)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.setblocking(False)
        self.data = bytearray()
        self.replies = []
        self.ended = False
        self.reset = False  # the server went while there was something to read: replies were lost

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def receive(self):
        try:
            data = self.socket.recv(RECEIVE_BYTES)
        except BlockingIOError:
            return
        except ConnectionError:
            data = b""
            self.reset = True
        self.ended = not data
        self.data += data
        at = 0
        while at < len(self.data):
            end = reply_end(self.data, at)
            if end < 0:
                break
            self.replies.append(bytes(self.data[at:end]))
            at = end
        del self.data[:at]

    def exchange(self, piece, replies):
        """Sends a piece, and receives until there are so many replies in all, or the end."""
        deadline = time.monotonic() + LIMIT_S
        at = 0
        while not self.ended and (at < len(piece) or len(self.replies) < replies):
            wanted = select.POLLIN | (select.POLLOUT if at < len(piece) else 0)
            poll = select.poll()
            poll.register(self.socket, wanted)
            ready = poll.poll(1000 * max(0, deadline - time.monotonic()))
            if not ready:
                raise Hang(f"{len(self.replies)} of {replies} replies")
            if ready[0][1] & ~select.POLLOUT:
                self.receive()
            if ready[0][1] & select.POLLOUT and at < len(piece):
                try:
                    at += self.socket.send(piece[at:at + RECEIVE_BYTES])
                except BlockingIOError:
                    pass
                except ConnectionError:  # what it still said is received
                    self.reset = True
                    at = len(piece)


class Redis:
    """redis-server of the version that weir is compared with; `port` is where it serves."""

    def __init__(self, directory, *options, cluster=False):
        self.port = free_port()
        command = ["redis-server", "--port", str(self.port), "--bind", "127.0.0.1", "--save", "",
                   "--appendonly", "no", "--slowlog-log-slower-than", "-1", "--dir", directory,
                   "--databases", "1", "--daemonize", "no", "--proto-max-bulk-len",
                   str(ARGUMENT_BYTES_MAX), *options]
        if cluster:
            command += ["--cluster-enabled", "yes", "--cluster-port", str(free_port()),
                        "--cluster-announce-ip", "127.0.0.1"]
        self.process = subprocess.Popen(
            ["setpriv", "--pdeathsig", "KILL", *command], stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            env={**os.environ, "PATH": path_with_server(directory)})
        self.wait_until_it_serves()
        if cluster:
            with Client(self.port) as client:
                client.call("CLUSTER", "ADDSLOTSRANGE", 0, SLOTS - 1)
                until(lambda: b"cluster_state:ok" in client.call("CLUSTER", "INFO"),
                      "Redis does not form a cluster of one")

    def wait_until_it_serves(self):
        seen = []
        for line in self.process.stdout:
            seen.append(line.decode(errors="replace"))
            if b"eady to accept connections" in line:
                return
        raise RuntimeError("redis-server ended:\n" + "".join(seen))

    def stop(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(LIMIT_S)
        self.process.stdout.close()


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def redis_is_missing(directory):
    """Why there is no Redis to compare with; None if there is one."""
    path = path_with_server(directory)
    if path is None:
        return "compares with Redis: needs redis-server, which redis-tools holds"
    said = subprocess.run(["redis-server", "--version"], capture_output=True, text=True,
                          check=False, env={**os.environ, "PATH": path}).stdout
    found = re.search(r"v=(\S+)", said)
    if not found or found.group(1) != VERSION:
        return f"compares with Redis {VERSION}: this is {said.strip() or 'none'}"
    return None


class Pair:
    """Redis and weir side by side, both empty."""

    def __init__(self, directory, cluster=False, password=None):
        self.directory = os.path.join(directory, "pair")
        os.makedirs(self.directory, exist_ok=True)
        options = ("--requirepass", password) if password else ()
        self.redis = Redis(self.directory, *options, cluster=cluster)
        self.node = Node(os.path.join(self.directory, "data"), durability="none",
                         config={"slowlog-log-slower-than": "-1",
                                 **({"requirepass": password} if password else {})})
        self.node.start()
        self.ports = {"redis": self.redis.port, "weir": self.node.port}
        self.flush = {name: Client(port) for name, port in self.ports.items()}
        if password:
            for client in self.flush.values():
                client.call("AUTH", password)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for client in self.flush.values():
            client.close()
        self.redis.stop()
        self.node.__exit__()
        shutil.rmtree(self.directory, ignore_errors=True)

    def empty(self):
        """Both forget all keys."""
        for client in self.flush.values():
            client.send(request("FLUSHALL"))
        for client in self.flush.values():
            if client.reply() != "OK":
                raise RuntimeError("FLUSHALL is refused")

    def commands_of_weir(self):
        """The names of all its commands; of a container those of its subcommands."""
        names = set()
        for row in self.flush["weir"].call("COMMAND"):
            subcommands = [sub[0].decode() for sub in row[9]] if len(row) > 9 else []
            names.update(subcommands)
            if not subcommands or abs(row[1]) == 1:  # COMMAND is both
                names.add(row[0].decode())
        return names
