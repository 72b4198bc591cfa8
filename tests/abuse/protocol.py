#!/usr/bin/env python3
"""Bytes that no client should send: the node answers as documented, and serves everybody else.

    protocol.py [TEST ...]

What the parser makes of every such input, cut everywhere, is tested below it (tests/wire). Here it
goes over TCP through all stages. After each test a polite client must find the node as it was, and
SIGTERM must end it with status 0.
"""

import os
import socket
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "support"))
from weir_test import MAPS, ErrorReply, Node, Scratch, request  # noqa: E402

LONG = 70000
NEVER_ENDING = b"*1048576\r\n$4\r\nMSET\r\n"

# bytes: how the error reply begins; b"" if the node closes without a word.
REFUSED = {
    b"*3000000000\r\n": b"-ERR Protocol error: invalid multibulk length",
    b"*2147483648\r\n": b"-ERR Protocol error: invalid multibulk length",
    b"*9223372036854775808\r\n": b"-ERR Protocol error: invalid multibulk length",
    b"*18446744073709551617\r\n": b"-ERR Protocol error: invalid multibulk length",
    b"*+1\r\n": b"-ERR Protocol error: invalid multibulk length",
    b"*01\r\n": b"-ERR Protocol error: invalid multibulk length",
    b"* 1\r\n": b"-ERR Protocol error: invalid multibulk length",
    b"*0x1\r\n": b"-ERR Protocol error: invalid multibulk length",
    b"*\r\n": b"-ERR Protocol error: invalid multibulk length",
    b"*abc\r\n": b"-ERR Protocol error: invalid multibulk length",
    b"*\0\r\n": b"-ERR Protocol error: invalid multibulk length",
    b"*" + b"1" * LONG: b"-ERR Protocol error: too big mbulk count string",
    b"*1\r\n$-1\r\n": b"-ERR Protocol error: invalid bulk length",
    b"*1\r\n$-10\r\n": b"-ERR Protocol error: invalid bulk length",
    b"*1\r\n$2000000000\r\n": b"-ERR Protocol error: invalid bulk length",
    b"*1\r\n$536870913\r\n": b"-ERR Protocol error: invalid bulk length",
    b"*1\r\n$9223372036854775808\r\n": b"-ERR Protocol error: invalid bulk length",
    b"*1\r\n$18446744073709551619\r\n": b"-ERR Protocol error: invalid bulk length",
    b"*1\r\n$abc\r\n": b"-ERR Protocol error: invalid bulk length",
    b"*1\r\n$\r\n": b"-ERR Protocol error: invalid bulk length",
    b"*1\r\n$" + b"1" * LONG: b"-ERR Protocol error: too big bulk count string",
    b"*1\r\n:3\r\n": b"-ERR Protocol error: expected '$', got ':'",
    b"*1\r\nGET\r\n": b"-ERR Protocol error: expected '$', got 'G'",
    b"*1\r\n$4\r\nPINGxx": b"-ERR Protocol error: bulk not followed by CRLF",
    b"*1\r\n*1\r\n$4\r\nPING\r\n": b"-ERR Protocol error: expected '$', got '*'",
    b"*1\r\n%1\r\n": b"-ERR Protocol error: expected '$', got '%'",
    b'SET key "unbalanced\r\n': b"-ERR Protocol error: unbalanced quotes in request",
    b"x" * LONG: b"-ERR Protocol error: too big inline request",
    b"x" * LONG + b"\r\n": b"-ERR Protocol error: too big inline request",
    b"PING\0\r\n": b"-ERR Protocol error: unexpected NUL in inline request",
    b"POST / HTTP/1.1\r\n": b"",
    b"Host: localhost\r\n": b"",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03": b"-ERR Protocol error: unexpected NUL",
}

# bytes: the whole answer; the connection goes on.
ANSWERED = {
    b"*0\r\nPING\r\n": b"+PONG\r\n",
    b"*-1\r\nPING\r\n": b"+PONG\r\n",
    b"*-10\r\nPING\r\n": b"+PONG\r\n",
    b"\r\n\r\n   \r\nPING\r\n": b"+PONG\r\n",
    b"PING\n": b"+PONG\r\n",
    b'ECHO "\\x41\\n"\r\n': b"$2\r\nA\n\r\n",
    b"ECHO ''\r\n": b"$0\r\n\r\n",
    b"\xff\xff\r\n": b"-ERR unknown command '\xff\xff', with args beginning with: \r\n",
    b"SSH-2.0-OpenSSH_9.2\r\n":
        b"-ERR unknown command 'SSH-2.0-OpenSSH_9.2', with args beginning with: \r\n",
    b"GET / HTTP/1.1\r\n": b"-ERR wrong number of arguments for 'get' command\r\n",
    request("GET"): b"-ERR wrong number of arguments for 'get' command\r\n",
    request(""): b"-ERR unknown command '', with args beginning with: \r\n",
    request("SET", "", ""): b"+OK\r\n",
    request("GET", ""): b"$0\r\n\r\n",
    request("SET", "n", "9223372036854775807"): b"+OK\r\n",
    request("INCR", "n"): b"-ERR increment or decrement would overflow\r\n",
    request("INCRBY", "n", "9223372036854775808"):
        b"-ERR value is not an integer or out of range\r\n",
    request("SET", "n", "x", "EX", "0"): b"-ERR invalid expire time in 'set' command\r\n",
    request("SET", "n", "x", "EX", "-1"): b"-ERR invalid expire time in 'set' command\r\n",
    request("SET", "n", "x", "EX", "9223372036854775807"):
        b"-ERR invalid expire time in 'set' command\r\n",
    request("EXPIRE", "n", "9223372036854775807"):
        b"-ERR invalid expire time in 'expire' command\r\n",
    request("MSET", "same", "1", "same", "2"): b"+OK\r\n",
    request("GET", "same"): b"$1\r\n2\r\n",
    request("MSETNX", "twice", "1", "twice", "2"): b":1\r\n",
    request("GET", "twice"): b"$1\r\n2\r\n",
    request("DECRBY", "n", "-9223372036854775808"): b"-ERR decrement would overflow\r\n",
    request("SETRANGE", "n", "9223372036854775807", "x"):
        b"-ERR string exceeds maximum allowed size (proto-max-bulk-len)\r\n",
    request("SETRANGE", "n", "-1", "x"): b"-ERR offset is out of range\r\n",
    request("SETBIT", "n", "9223372036854775807", "1"):
        b"-ERR bit offset is not an integer or out of range\r\n",
    request("INCRBYFLOAT", "f", "nan"): b"-ERR value is not a valid float\r\n",
    request("SPOP", "s", "-1"): b"-ERR value is out of range, must be positive\r\n",
    request("SRANDMEMBER", "s", "-9223372036854775808"):
        b"-ERR value is out of range, value must between -1048576 and 9223372036854775807\r\n",
    request("HRANDFIELD", "h", "-9223372036854775807"):
        b"-ERR value is out of range, value must between -1048576 and 9223372036854775807\r\n",
    request("WAIT", "x", "-1"): b"-ERR value is not an integer or out of range\r\n",
    request("WAIT", "1", "x"): b"-ERR timeout is not an integer or out of range\r\n",
    request("WAIT", "1", "-1"): b"-ERR timeout is negative\r\n",
    request("WAIT", "-1", "1"): b":0\r\n",
    request("SCAN", "0", "COUNT", "-1"): b"-ERR syntax error\r\n",
    request("SCAN", "99999999999999999999999"): b"-ERR invalid cursor\r\n",
}


class Protocol(unittest.TestCase):
    MAP = MAPS[0]

    def setUp(self):
        scratch = Scratch()
        self.addCleanup(scratch.__exit__, None, None, None)
        self.node = Node(os.path.join(scratch.__enter__(), "data"), "--map", self.MAP,
                         durability="none")
        self.addCleanup(self.node.__exit__)
        self.node.start()
        self.polite = self.node.client()
        self.addCleanup(self.polite.close)

    def tearDown(self):
        self.assertTrue(self.node.running(), self.node.log())
        self.assertEqual(self.polite.call("PING"), "PONG")
        with self.node.client() as client:
            self.assertEqual(client.call("ECHO", "hello"), b"hello")
        self.assertEqual(self.node.stop(), 0, self.node.log())

    def test_what_is_no_resp_is_answered_by_its_sentence_and_closed(self):
        for data, beginning in REFUSED.items():
            with self.subTest(data[:40]), self.node.client() as client:
                client.send(data)
                rest = client.rest()
                self.assertTrue(rest.startswith(beginning), rest[:80])
                self.assertEqual(rest.count(b"\r\n"), 1 if beginning else 0)

    def test_odd_but_right_requests_are_answered_and_the_connection_goes_on(self):
        for data, answer in ANSWERED.items():
            with self.subTest(data[:40]), self.node.client() as client:
                client.send(data + b"PING\r\n")
                client.socket.shutdown(socket.SHUT_WR)
                self.assertEqual(client.rest(), answer + b"+PONG\r\n")

    def test_a_good_command_before_garbage_is_answered_first(self):
        for data, beginning in REFUSED.items():
            with self.subTest(data[:40]), self.node.client() as client:
                client.send(request("SET", "good", "1") + request("GET", "good") + data)
                rest = client.rest()
                self.assertTrue(rest.startswith(b"+OK\r\n$1\r\n1\r\n" + beginning), rest[:80])

    def test_an_announced_count_or_length_reserves_nothing(self):
        before_kb = self.node.status_kb("VmRSS")
        clients = [self.node.client() for _ in range(100)]
        for number, client in enumerate(clients):
            client.send(NEVER_ENDING if number % 2 else b"*2\r\n$3\r\nGET\r\n$16777216\r\n")
        # Each is known to have been parsed when a later connection of the same read is answered.
        with self.node.client() as client:
            client.call("PING")
        grown_kb = self.node.status_kb("VmRSS") - before_kb
        for client in clients:
            client.close()
        self.assertLess(grown_kb, 16 << 10, "kB, for 100 connections that announced 16 MiB each")

    def test_an_unknown_name_is_quoted_harmlessly(self):
        for name in (b"a\r\n+OK\r\nb", b"a\0b", b"x" * 65536, bytes(range(256))):
            with self.subTest(name[:20]), self.node.client() as client:
                client.send(request(name) + request("PING"))
                reply = client.reply()
                self.assertIsInstance(reply, ErrorReply)
                self.assertLess(len(reply.args[0]), 300)
                self.assertEqual(client.reply(), "PONG")

    def test_every_byte_is_a_byte_in_keys_and_values(self):
        everything = bytes(range(256))
        with self.node.client() as client:
            self.assertEqual(client.call("SET", everything, everything * 100), "OK")
            self.assertEqual(client.call("GET", everything), everything * 100)
            self.assertEqual(client.call("DEL", everything), 1)

    def test_byte_by_byte_and_at_every_split_the_answers_are_the_same(self):
        data = (request("SET", "split", "va\r\nlue") + request("APPEND", "split", "!") +
                b"GET split\r\n" + request("NONSENSE", "x") + request("DEL", "split"))
        answer = (b"+OK\r\n:8\r\n$8\r\nva\r\nlue!\r\n-ERR unknown command 'NONSENSE', "
                  b"with args beginning with: 'x' \r\n:1\r\n")
        for cuts in [range(1, len(data))] + [(cut,) for cut in range(1, len(data))]:
            with self.node.client() as client:
                last = 0
                for cut in (*cuts, len(data)):
                    client.send(data[last:cut])
                    last = cut
                client.socket.shutdown(socket.SHUT_WR)
                self.assertEqual(client.rest(), answer, f"cut at {cuts}")

    def test_after_a_half_close_everything_asked_for_is_still_answered(self):
        count = 20000
        with self.node.client() as client:
            client.send(request("DEL", "half") + request("INCR", "half") * count)
            client.socket.shutdown(socket.SHUT_WR)
            rest = client.rest()
        self.assertTrue(rest.endswith(b":%d\r\n" % count), rest[-20:])

    def test_a_reset_in_the_middle_of_a_request_or_of_replies_harms_nobody(self):
        self.polite.call("SET", "large", b"x" * 100000)
        for _ in range(50):
            for data in (request("SET", "never", b"x" * 60000)[:30000],
                         request("GET", "large") * 100, NEVER_ENDING):
                client = self.node.client()
                client.send(data)
                client.reset()
        self.assertIsNone(self.polite.call("GET", "never"))

    def test_a_hundred_thousand_pings_without_reading_are_all_answered(self):
        count = 100000
        with self.node.client() as client:
            client.send(b"PING\r\n" * count)
            self.assertEqual(self.polite.call("PING"), "PONG")
            client.socket.shutdown(socket.SHUT_WR)
            self.assertEqual(client.rest(), b"+PONG\r\n" * count)

    def test_a_million_arguments(self):
        count = 500000
        words = [word for number in range(count) for word in (b"m:%d" % number, b"x")]
        with self.node.client() as client:
            self.assertEqual(client.call("MSET", *words), "OK")
            self.assertEqual(client.call("STRLEN", b"m:%d" % (count - 1)), 1)
            self.assertEqual(len(client.call("KEYS", "m:*")), count)
            self.assertEqual(client.call("FLUSHALL"), "OK")
            self.assertEqual(client.call("DBSIZE"), 0)

    def test_a_pattern_made_to_be_slow_does_not_stop_the_others(self):
        self.polite.call("SET", "a" * 10000, "x")
        with self.node.client() as client:
            client.send(request("KEYS", "a*" * 2000 + "b"))
            self.assertEqual(self.polite.call("PING"), "PONG")
            self.assertEqual(client.reply(), [])

    def test_the_largest_value_passes_and_one_byte_more_does_not(self):
        largest = 16 << 20
        with self.node.client() as client:
            self.assertEqual(client.call("SET", "largest", b"x" * largest), "OK")
            self.assertEqual(len(client.call("GET", "largest")), largest)
            reply = client.pipeline([("APPEND", "largest", "x")])[0]
            self.assertIsInstance(reply, ErrorReply)
            self.assertEqual(client.call("STRLEN", "largest"), largest)
            client.send(b"*3\r\n$3\r\nSET\r\n$7\r\nlargest\r\n$%d\r\n" % (largest + 1))
            self.assertTrue(client.rest().startswith(b"-ERR Protocol error: invalid bulk length"))


class ProtocolOnSplit(Protocol):
    MAP = MAPS[2]


if __name__ == "__main__":
    unittest.main(verbosity=2)
