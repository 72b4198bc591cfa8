"""Transactions: what they answer, and what they do to others, the same on both servers."""

import random
import unittest

import servers
from weir_test import Client, Scratch, request

SEEDS = 120
STEPS_MAX = 30
KEYS = ("a", "b", "c", "d")
BIG = "x" * 30000

# Steps of two connections: whose it is, and what is sent in one piece.
CASES = (
    ("1 EXEC", "1 DISCARD", "1 WATCH", "1 MULTI x", "1 EXEC x", "1 UNWATCH x", "1 DISCARD x"),
    ("1 MULTI|MULTI|EXEC",),
    ("1 MULTI|EXEC|EXEC",),
    ("1 MULTI|WATCH a|EXEC",),
    ("1 MULTI|UNWATCH|EXEC",),
    ("1 MULTI|NOSUCH x|SET a 1|EXEC|GET a",),
    ("1 MULTI|GET|EXEC",),
    ("1 MULTI|MULTI x|EXEC",),
    ("1 MULTI|EXEC x|EXEC",),
    ("1 MULTI|DISCARD x|EXEC",),
    ("1 MULTI|WATCH|EXEC",),
    ("1 MULTI|CLIENT NOSUCH|EXEC",),
    ("1 MULTI|CLIENT|EXEC",),
    ("1 MULTI|SHUTDOWN|EXEC",),
    ("1 MULTI|AUTH x|EXEC",),
    ("1 MULTI|RESET|EXEC",),
    ("1 MULTI|SET a 1|RESET|GET a",),
    ("1 MULTI|SET a b EX abc|GET a|EXEC",),
    ("1 SET a str|MULTI|INCR a|SET b 1|EXEC|GET b",),
    ("1 MULTI|PING|ECHO hi|SELECT 0|SELECT 99|PING x|EXEC",),
    ("1 MULTI|CLIENT SETNAME me|CLIENT GETNAME|EXEC|CLIENT GETNAME",),
    ("1 MULTI|CLIENT SETNAME me|DISCARD|CLIENT GETNAME",),
    ("1 HELLO 3", "1 MULTI|GET none|EXEC|WATCH a|SET a 1|MULTI|EXEC"),
    ("1 MULTI|SET a 1", "2 GET a", "1 GET a|EXEC", "2 GET a"),
    ("1 WATCH a|SET a 1|MULTI|SET b 1|EXEC|GET b",),
    ("1 SET a 1|WATCH a|MULTI|SET b 1|EXEC|GET b",),
    ("1 WATCH a|SET a 1|DEL a|MULTI|PING|EXEC",),
    ("1 SET a 1|WATCH a|EXPIRE a 100|MULTI|PING|EXEC",),
    ("1 WATCH a", "2 FLUSHALL", "1 MULTI|SET a 3|EXEC|GET a"),
    ("1 SET a 1|WATCH a", "2 FLUSHALL", "1 MULTI|SET a 3|EXEC|GET a"),
    ("1 SET a 1|WATCH a", "2 SET a 2", "1 MULTI|SET a 3|GET a|EXEC|GET a"),
    ("1 SET a 1|WATCH a", "2 GET a", "1 MULTI|SET a 3|GET a|EXEC|GET a"),
    ("1 WATCH a", "2 SET a 2", "1 UNWATCH|MULTI|GET a|EXEC"),
    ("1 WATCH a", "2 SET a 2", "1 MULTI|DISCARD|MULTI|GET a|EXEC"),
    ("1 WATCH a", "2 SET a 2", "1 MULTI|GET a|EXEC|MULTI|GET a|EXEC"),
    ("1 WATCH a|WATCH b", "2 SET b 2", "1 WATCH c|MULTI|SET a 3|EXEC|GET a"),
    ("1 WATCH a", "2 SET b 2", "1 WATCH b|MULTI|SET a 3|EXEC|GET a"),
    ("1 SET a 1 PX 30|WATCH a", "2 WAIT 9 60", "1 MULTI|PING|EXEC"),
    ("1 WATCH a", "2 SET a 1 PX 30|WAIT 9 60", "1 MULTI|PING|EXEC"),
    ("1 MULTI|MSET a 1 b 2|MGET a b|RENAME a c|DEL b|DBSIZE|EXEC",),
    (f"1 MULTI|SET big {BIG}|GET big|STRLEN big|EXEC",),
    ("1 " + "|".join(["MULTI", *(f"SET k{i} {i}" for i in range(1500)), "EXEC", "DBSIZE"]),),
    ("1 " + "|".join(["MULTI", *(f"PING {i}" for i in range(1500)), "EXEC"]),),
    (f"1 SET v {BIG}|" + "|".join(["MULTI", *["GET v", "INCR n"] * 100, "EXEC"]),),
    (f"1 SET v {BIG}|" + "|".join(["MULTI", *["GET v"] * 100, "EXEC"]),),
    ("1 " + "|".join(["WATCH c", "GET c", "MULTI", "INCR c", "EXEC"] * 60),),
    ("1 " + "|".join(["MULTI", "INCR c", "EXEC"] * 200),),
)


def words_of(step):
    """Whose step it is, and its bytes."""
    number, text = int(step[0]) - 1, step[2:]
    lines = [tuple(word.encode() for word in line.split()) for line in text.split("|")]
    return number, b"".join(request(*words) for words in lines), len(lines)


def reply_end(data, at):
    """Where the reply that begins at `at` ends; None if it is not whole."""
    end = data.find(b"\r\n", at)
    if end < 0:
        return None
    kind, text = data[at:at + 1], data[at + 1:end]
    end += 2
    if kind in b"$=" and int(text) >= 0:
        end += int(text) + 2
        return end if end <= len(data) else None
    count = int(text) * (2 if kind == b"%" else 1) if kind in b"*%~" else 0
    for _ in range(max(count, 0)):
        end = reply_end(data, end)
        if end is None:
            return None
    return end


def run(port, steps):
    """What each step was answered: a reply for each of its lines."""
    with Client(port) as one, Client(port) as two:
        answers = []
        for step in steps:
            number, data, count = words_of(step)
            client = (one, two)[number]
            client.send(data)
            got, end = b"", 0
            while count > 0:
                piece = client.socket.recv(1 << 16)
                assert piece, f"{step}: it ended: {got!r}"
                got += piece
                while count > 0 and (found := reply_end(got, end)) is not None:
                    end, count = found, count - 1
            assert end == len(got), (step, got[end:])
            answers.append(got if not step.endswith("HELLO 3") else b"")  # that names the server
        return answers


def drawn_steps(seed):
    """Steps of two connections that get in each other's way, whole pipelines at a time."""
    draw = random.Random(seed)
    steps = []
    for _ in range(draw.randint(4, STEPS_MAX)):
        lines = []
        for _ in range(draw.randint(1, 6)):
            key, other = draw.choice(KEYS), draw.choice(KEYS)
            lines.append(draw.choice((
                "MULTI", "MULTI", "EXEC", "EXEC", "EXEC", "DISCARD", "UNWATCH", f"WATCH {key}",
                f"WATCH {key} {other}", f"WATCH {key}", f"SET {key} {draw.randint(0, 9)}",
                f"INCR {key}", f"GET {key}", f"DEL {key}", f"APPEND {key} x",
                f"RENAME {key} {other}", f"EXPIRE {key} 100", f"PERSIST {key}",
                f"MSET {key} 1 {other} 2", f"TTL {key}",
                f"SET {key} 1 NX", f"GETDEL {key}", f"SETRANGE {key} 3 y", f"COPY {key} {other}",
                f"EXPIREAT {key} 1", f"LCS {key} {other}", "PING", "ECHO x", "GET", "NOSUCH",
                "FLUSHALL", "MULTI|SET a 1|EXEC", f"WATCH {key}|MULTI|GET {key}|EXEC")))
        steps.append(f"{draw.choice('12')} " + "|".join(lines))
    return steps


def is_spurious_abort(answers):
    """Whether the first step that is answered otherwise has an EXEC that Redis executed and that
    was null here. What comes behind that may differ in anything."""
    of_redis, of_weir = next(both for both in zip(*answers) if both[0] != both[1])
    return of_weir.count(b"*-1\r\n") == of_redis.count(b"*-1\r\n") + 1


class Transactions(unittest.TestCase):
    def test_transactions_answer_as_those_of_redis_do(self):
        with Scratch() as scratch, servers.Pair(scratch) as pair:
            for steps in CASES:
                pair.empty()
                answers = [run(port, steps) for port in pair.ports.values()]
                self.assertEqual(*answers, steps)

    def test_transactions_of_two_connections_meet_as_in_redis(self):
        # What has gone is noted in 2,048 cells, by hashes whose seed each node draws: two of the
        # keys share one with a chance of 0.3 %, and then one may be said to have changed because
        # the other has. Another node, other cells.
        for nodes_left in (1, 0):
            with Scratch() as scratch, servers.Pair(scratch) as pair:
                differing, answers = self.meetings(pair)
            if differing is None or not is_spurious_abort(answers):
                break
            print(f"seed {differing[0]} is answered otherwise; other nodes to try: {nodes_left}")
        self.assertIsNone(differing, answers)

    def meetings(self, pair):
        """The first seed that is answered otherwise, its steps, and the answers; or None."""
        executed = aborted = refused = 0
        for seed in range(SEEDS):
            steps = drawn_steps(seed)
            pair.empty()
            answers = [run(port, steps) for port in pair.ports.values()]
            if answers[0] != answers[1]:
                return (seed, steps), answers
            whole = b"".join(answers[0])
            executed += whole.count(b"*1\r\n") + whole.count(b"*2\r\n")
            aborted += whole.count(b"*-1\r\n")
            refused += whole.count(b"-EXECABORT")
        # It must not happen that they never get in each other's way.
        self.assertGreater(min(executed, aborted, refused), 20, (executed, aborted, refused))
        return None, answers
