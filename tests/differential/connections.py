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


class Connections(unittest.TestCase):
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
