"""What a command does to connections, and not only what it answers: the same on both servers."""

import random
import unittest

import servers
from weir_test import Client, Scratch, request

SEEDS = 40
COMMANDS_MAX = 40
CUTS_MAX = 6
SENTINEL = b"the end of the stream"
# What is answered in all ways that there are, at once and later.
ANSWERED = ((b"PING",), (b"GET", b"a"), (b"SET", b"a", b"x"), (b"GET",), (b"NOSUCH", b"a"),
            (b"MGET", b"a", b"b"), (b"INCR", b"n"), (b"CLIENT", b"GETNAME"), (b"CONFIG", b"NOSUCH"),
            (b"SET", b"a", b"b", b"NOSUCH"), (b"WAIT", b"0", b"0"), (b"HELLO", b"9"), (b"RESET",))
MODES = (b"ON", b"OFF", b"SKIP", b"SKIP", b"skip", b"nosuch")


def stream_of(seed):
    """Commands with CLIENT REPLY among them, and where they are cut."""
    draw = random.Random(seed)
    commands = []
    for _ in range(draw.randint(1, COMMANDS_MAX)):
        if draw.random() < 0.4:
            commands.append((b"CLIENT", b"REPLY", draw.choice(MODES)))
        commands.append(draw.choice(ANSWERED))
    commands += [(b"CLIENT", b"REPLY", b"ON"), (b"ECHO", SENTINEL)]
    data = b"".join(request(*words) for words in commands)
    cuts = sorted(draw.randint(1, len(data)) for _ in range(draw.randint(0, CUTS_MAX)))
    return commands, [data[begin:end] for begin, end in zip([0] + cuts, cuts + [len(data)])]


def replies_of(client, pieces):
    """All that is replied up to the sentinel."""
    for piece in pieces:
        client.send(piece)
    data = b""
    while not data.endswith(SENTINEL + b"\r\n"):
        got = client.socket.recv(1 << 16)
        assert got, f"it ended: {data!r}"
        data += got
    return data


# Which of them wait in a pause of writes.
PAUSED = ((b"SET", b"k", b"x"), (b"GET", b"k"), (b"SET", b"k"), (b"NOSUCH",), (b"FLUSHALL",),
          (b"EXPIRE", b"k", b"9"), (b"DEL", b"k"), (b"TOUCH", b"k"), (b"GETEX", b"k"), (b"PING",),
          (b"CLIENT", b"GETNAME"), (b"CLIENT", b"PAUSE", b"x"), (b"WAIT", b"0", b"0"),
          (b"INCR", b"k"), (b"SETNX", b"k", b"y"), (b"DBSIZE",), (b"RESET",))


def address_of(client):
    return client.call("CLIENT", "INFO").split(b" addr=")[1].split()[0]


def waits(control, client, words):
    """Whether the command is not answered until the pause is over, and its reply."""
    control.call("CLIENT", "PAUSE", "60000", "WRITE")
    client.send(request(*words))
    for _ in range(3):  # by then it has been where it can come to
        control.call("PING")
        control.call("CLIENT", "LIST")
    client.socket.setblocking(False)
    try:
        early = client.socket.recv(1 << 16)
    except BlockingIOError:
        early = b""
    client.socket.settimeout(30)
    control.call("CLIENT", "UNPAUSE")
    return not early, early or client.socket.recv(1 << 16)


class Connections(unittest.TestCase):
    def test_the_same_commands_wait_in_a_pause_of_writes(self):
        with Scratch() as scratch, servers.Pair(scratch) as pair:
            for words in PAUSED:
                found = []
                for name, port in pair.ports.items():
                    with Client(port) as client:
                        found.append(waits(pair.flush[name], client, words))
                self.assertEqual(*found, words)

    def test_the_slow_log_cuts_and_hides_the_same(self):
        words = [("SET", "k", b"v" * length) for length in (1, 127, 128, 129, 100000)] + [
            ("MSET", *("x",) * (2 * count)) for count in (15, 16, 20, 500)] + [
            ("AUTH", "secret"), ("AUTH", "default", "secret"), ("HELLO", "2", "SETNAME", "me"),
            ("HELLO", "2", "AUTH", "default", "x", "SETNAME", "me"), ("CONFIG", "GET", "save"),
            ("CONFIG", "SET", "maxmemory", "0", "requirepass", ""), ("GET",), ("NOSUCH", "a"),
            ("client", "Id"), ("SET", "k", "v", "NOSUCH"), ("MGET", "a", "k"), ("PING",)]
        with Scratch() as scratch, servers.Pair(scratch) as pair:
            found = []
            for port in pair.ports.values():
                with Client(port) as client:
                    client.call("CONFIG", "SET", "slowlog-log-slower-than", "0")
                    client.call("SLOWLOG", "RESET")
                    for command in words:
                        client.send(request(*command))
                        client.reply()
                    seen = client.call("SLOWLOG", "GET", "-1")
                    self.assertEqual(client.call("SLOWLOG", "LEN"), len(seen) + 1)
                    found.append([(entry[3], entry[5], len(entry)) for entry in seen])
                    client.call("CONFIG", "SET", "slowlog-log-slower-than", "-1")
            self.assertEqual(*found)

    def test_the_same_connections_are_killed(self):
        with Scratch() as scratch, servers.Pair(scratch) as pair:
            found = []
            for name, port in pair.ports.items():
                local = f"127.0.0.1:{port}".encode()
                with Client(port) as one, Client(port) as two:
                    control, seen = pair.flush[name], []
                    seen.append(control.call("CLIENT", "KILL", "ADDR", address_of(one), "LADDR",
                                             b"127.0.0.1:1"))
                    seen.append(control.call("CLIENT", "KILL", "ADDR", address_of(one), "LADDR",
                                             local, "USER", "default", "TYPE", "normal"))
                    seen.append(one.rest())
                    two.send(request("CLIENT", "KILL", address_of(two)) + request("PING"))
                    seen.append(two.rest())
                    seen.append(len(control.call("CLIENT", "LIST").splitlines()))
                found.append(seen)
            self.assertEqual(*found)

    def test_the_same_replies_are_left_out(self):
        with Scratch() as scratch, servers.Pair(scratch) as pair:
            for seed in range(SEEDS):
                commands, pieces = stream_of(seed)
                pair.empty()
                answers = []
                for port in pair.ports.values():
                    with Client(port) as client:
                        answers.append(replies_of(client, pieces))
                self.assertEqual(*answers, (seed, commands))
