#!/usr/bin/env python3
"""Every command that a node lists has a row here that observes its effect, and none is missing.

What each command answers to everything is tested below (tests/machines, tests/stages) and at random
(tests/property). This is the list that a new row of the command table must join.
"""

import os
import re
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "support"))
from weir_test import ErrorReply, Node, Scratch  # noqa: E402


def does(*steps):
    """Commands, each with the reply that it must get; a function judges the reply itself."""
    return steps


def within(low, high):
    return lambda reply: low <= reply <= high


def error(beginning):
    return lambda reply: isinstance(reply, ErrorReply) and str(reply).startswith(beginning)


def names(*wanted):
    return lambda reply: all(name in reply for name in wanted)


SERVER = {
    "ping": does((("PING",), "PONG"), (("PING", "x"), b"x")),
    "echo": does((("ECHO", "x"), b"x")),
    "select": does((("SELECT", "0"), "OK"), (("SELECT", "1"), error("ERR DB index"))),
    "hello": does((("HELLO", "3"), lambda reply: reply[b"proto"] == 3),
                  (("CLIENT", "INFO"), names(b"resp=3")),
                  (("HELLO", "2"), names(b"proto", 2))),
    "auth": does((("AUTH", "wrong"), error("WRONGPASS ")), (("AUTH", "secret"), "OK")),
    "reset": does((("CLIENT", "SETNAME", "x"), "OK"), (("RESET",), "RESET"),
                  (("PING",), error("NOAUTH ")), (("AUTH", "secret"), "OK"),
                  (("CLIENT", "GETNAME"), lambda reply: reply in (None, b""))),
    "client": does((("CLIENT", "ID"), within(1, 1 << 40)), (("CLIENT", "SETNAME", "me"), "OK"),
                   (("CLIENT", "GETNAME"), b"me"),
                   (("CLIENT", "SETINFO", "LIB-NAME", "mine"), "OK"),
                   (("CLIENT", "INFO"), names(b" name=me ", b" lib-name=mine ")),
                   (("CLIENT", "LIST"), names(b" name=me "))),
    "cluster": does((("CLUSTER", "KEYSLOT", "{123456789}x"), 0x31c3 % 16384),
                    (("CLUSTER", "KEYSLOT", "x" * 65537), error("ERR key too long")),
                    (("CLUSTER", "COUNTKEYSINSLOT", "1"), error("ERR unknown subcommand")),
                    (("CLUSTER", "MYID"), lambda reply: re.fullmatch(b"[0-9a-f]{40}", reply)),
                    (("CLUSTER", "INFO"), names(b"cluster_state:ok\r\n", b"cluster_size:1\r\n")),
                    (("CLUSTER", "NODES"), lambda reply: re.fullmatch(
                        br"[0-9a-f]{40} 127\.0\.0\.1:\d+@0 master,noaddr - 0 0 \d+ disconnected "
                        br"0-16383\n"
                        br"[0-9a-f]{40} 127\.0\.0\.1:\d+@0 myself,master - 0 0 \d+ connected "
                        br"0-16383\n", reply)),
                    (("CLUSTER", "SLOTS"), lambda reply: reply[0][:2] == [0, 16383] and
                     reply[0][2][0] == b"127.0.0.1" and reply[0][2][1] > 0 and len(reply) == 1),
                    (("CLUSTER", "SHARDS"), lambda reply: reply[0][:2] == [b"slots", [0, 16383]]),
                    (("CLUSTER", "HELP"), names("KEYSLOT <key>"))),
    "readonly": does((("READONLY",), "OK"), (("CLIENT", "INFO"), names(b" flags=r "))),
    "readwrite": does((("READONLY",), "OK"), (("READWRITE",), "OK"),
                      (("CLIENT", "INFO"), names(b" flags=N "))),
    "command": does((("COMMAND", "COUNT"), within(10, 1000)),
                    (("COMMAND", "LIST"), names(b"ping")),
                    (("COMMAND", "INFO", "ping"), lambda reply: reply[0][0] == b"ping"),
                    (("COMMAND", "DOCS", "ping"), lambda reply: reply[0] == b"ping"),
                    (("COMMAND",), lambda reply: len(reply) > 10)),
    "config": does((("CONFIG", "GET", "databases"), [b"databases", b"1"])),
    "info": does((("INFO", "server"), names(b"\r\nserver_name:weir\r\n"))),
    "once.open": does((("ONCE.OPEN",), within(1, 100)),
                      (("ONCE.OPEN", "PX", "60000"), within(2, 100))),
    "time": does((("TIME",), lambda reply: int(reply[0]) > 1600000000)),
    "wait": does((("WAIT", "0", "0"), 0), (("WAIT", "1", "1"), 0),
                 (("WAIT", "-1", "0"), error("ERR value"))),
}

# The first entry of a client: behind the configuration and the genesis.
SESSION = "3"

KV = {
    "once": does((("ONCE.OPEN",), int(SESSION)), (("ONCE", SESSION, "1", "INCR", "n"), 1),
                 (("ONCE", SESSION, "1", "INCR", "n"), 1), (("GET", "n"), b"1"),
                 (("ONCE", SESSION, "1", "DECR", "n"), error("SEQUENCE ")),
                 (("ONCE", "4", "1", "INCR", "n"), error("SESSION ")), (("GET", "n"), b"1")),
    "set": does((("SET", "k", "v"), "OK"), (("GET", "k"), b"v")),
    "get": does((("GET", "none"), None)),
    "del": does((("SET", "k", "v"), "OK"), (("DEL", "k", "none"), 1), (("GET", "k"), None)),
    "exists": does((("SET", "k", "v"), "OK"), (("EXISTS", "k", "k", "none"), 2)),
    "incr": does((("INCR", "n"), 1), (("GET", "n"), b"1")),
    "decr": does((("DECR", "n"), -1), (("GET", "n"), b"-1")),
    "incrby": does((("INCRBY", "n", "41"), 41), (("GET", "n"), b"41")),
    "append": does((("APPEND", "k", "ab"), 2), (("APPEND", "k", "c"), 3), (("GET", "k"), b"abc")),
    "strlen": does((("SET", "k", "four"), "OK"), (("STRLEN", "k"), 4)),
    "mset": does((("MSET", "a", "1", "b", "2"), "OK"), (("GET", "b"), b"2")),
    "mget": does((("SET", "a", "1"), "OK"), (("MGET", "a", "none"), [b"1", None])),
    "ttl": does((("SET", "k", "v", "EX", "100"), "OK"), (("TTL", "k"), within(98, 100)),
                (("TTL", "none"), -2)),
    "pttl": does((("SET", "k", "v", "PX", "90000"), "OK"), (("PTTL", "k"), within(60000, 90000))),
    "expire": does((("SET", "k", "v"), "OK"), (("EXPIRE", "k", "100"), 1),
                   (("TTL", "k"), within(98, 100)), (("EXPIRE", "k", "-1"), 1),
                   (("GET", "k"), None)),
    "pexpire": does((("SET", "k", "v"), "OK"), (("PEXPIRE", "k", "90000"), 1),
                    (("PTTL", "k"), within(60000, 90000))),
    "persist": does((("SET", "k", "v", "EX", "100"), "OK"), (("PERSIST", "k"), 1),
                    (("TTL", "k"), -1)),
    "type": does((("SET", "k", "v"), "OK"), (("TYPE", "k"), "string"), (("TYPE", "none"), "none")),
    "dbsize": does((("DBSIZE",), 0), (("SET", "k", "v"), "OK"), (("DBSIZE",), 1)),
    "flushall": does((("SET", "k", "v"), "OK"), (("FLUSHALL",), "OK"), (("DBSIZE",), 0)),
    "flushdb": does((("SET", "k", "v"), "OK"), (("FLUSHDB",), "OK"), (("DBSIZE",), 0)),
    "keys": does((("MSET", "ka", "1", "b", "2"), "OK"), (("KEYS", "k*"), [b"ka"])),
    "scan": does((("SET", "k", "v"), "OK"), (("SCAN", "0", "COUNT", "1000000"), [b"0", [b"k"]])),
}

LOG = {
    "once": does((("ONCE.OPEN",), int(SESSION)),
                 (("ONCE", SESSION, "1", "LOG.APPEND", "a"), 0),
                 (("ONCE", SESSION, "1", "LOG.APPEND", "a"), 0), (("LOG.LEN",), 1)),
    "log.append": does((("LOG.APPEND", "a"), 0), (("LOG.LEN",), 1), (("LOG.GET", "0"), b"a")),
    "log.get": does((("LOG.GET", "0"), None), (("LOG.APPEND", "a"), 0), (("LOG.GET", "0"), b"a")),
    "log.range": does((("LOG.APPEND", "a"), 0), (("LOG.APPEND", "b"), 1),
                      (("LOG.RANGE", "0", "1"), [b"a", b"b"])),
    "log.len": does((("LOG.LEN",), 0), (("LOG.APPEND", "a"), 0), (("LOG.LEN",), 1)),
}

# These end the connection or the node: tests of their own, below.
ENDING = {"quit", "shutdown"}


class Commands(unittest.TestCase):
    def start(self, machine):
        scratch = Scratch()
        self.addCleanup(scratch.__exit__, None, None, None)
        node = Node(os.path.join(scratch.__enter__(), "data"), "--machine", machine,
                    durability="none", config={"requirepass": "secret"})
        self.addCleanup(node.__exit__)
        return node.start()

    def client(self, node):
        client = node.client()
        self.addCleanup(client.close)
        self.assertEqual(client.call("AUTH", "secret"), "OK")
        return client

    def check(self, machine, rows):
        listed = {name.decode() for name in
                  self.client(self.start(machine)).call("COMMAND", "LIST")}
        self.assertEqual(listed, set(SERVER) | set(rows) | ENDING)
        for name, steps in {**SERVER, **rows}.items():
            with self.subTest(name):
                client = self.client(self.start(machine))  # nothing is left from the row before
                for words, wanted in steps:
                    reply = client.pipeline([words])[0]
                    right = wanted(reply) if callable(wanted) else reply == wanted
                    self.assertTrue(right, (words, reply))

    def test_each_command_of_kv_has_its_effect(self):
        self.check("kv", KV)

    def test_each_command_of_log_has_its_effect(self):
        self.check("log", LOG)

    def test_quit_and_shutdown_end_what_they_say(self):
        node = self.start("kv")
        leaving, staying = self.client(node), self.client(node)
        self.assertEqual(leaving.call("QUIT"), "OK")
        self.assertTrue(leaving.closed())
        self.assertEqual(staying.call("PING"), "PONG")
        staying.send(b"SHUTDOWN\r\n")
        self.assertTrue(staying.closed())
        self.assertEqual(node.wait(), 0)


if __name__ == "__main__":
    unittest.main(verbosity=2)
