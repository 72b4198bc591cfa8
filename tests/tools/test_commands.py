#!/usr/bin/env python3
"""Every command and subcommand that a node lists has a row here that observes its effect.

What each command answers to everything is tested below (tests/machines, tests/stages) and at random
(tests/property). This is the list that a new row of the command table must join.
"""

import os
import re
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "support"))
from weir_test import Node, Scratch  # noqa: E402

from effects import beginning, does, error, names, within  # noqa: E402
from effects_hash import HASHES  # noqa: E402
from effects_list import LISTS  # noqa: E402
from effects_set import SETS  # noqa: E402
from effects_zset import SORTED_SETS  # noqa: E402


def calls(name, words):
    """Whether these are the words of the command, or, as in COMMAND LIST, of its subcommand."""
    called = name.upper().split("|")
    return list(words[:len(called)]) == called


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
    "client": does((("CLIENT",), error("ERR wrong number of arguments for 'client'"))),
    "client|getname": does((("CLIENT", "GETNAME"), lambda reply: reply in (None, b"")),
                           (("CLIENT", "SETNAME", "me"), "OK"), (("CLIENT", "GETNAME"), b"me")),
    "client|help": does((("CLIENT", "HELP"), names("GETNAME", "SETNAME <name>"))),
    "client|id": does((("CLIENT", "ID"), 1), (("CLIENT", "INFO"), beginning(b"id=1 "))),
    "client|info": does((("CLIENT", "INFO"), names(b" name= ", b" cmd=client|info ")),
                        (("CLIENT", "SETNAME", "me"), "OK"),
                        (("CLIENT", "INFO"), names(b" name=me "))),
    "client|list": does((("CLIENT", "SETNAME", "me"), "OK"),
                        (("CLIENT", "LIST"), names(b" name=me ")),
                        (("CLIENT", "LIST", "ID", "99"), b"")),
    "client|getredir": does((("CLIENT", "GETREDIR"), -1)),
    "client|no-evict": does((("CLIENT", "INFO"), names(b" flags=N ")),
                            (("CLIENT", "NO-EVICT", "ON"), "OK"),
                            (("CLIENT", "INFO"), names(b" flags=e "))),
    "client|no-touch": does((("CLIENT", "NO-TOUCH", "ON"), "OK"),
                            (("CLIENT", "INFO"), names(b" flags=T "))),
    # tests/differential and tests/stages take replies away.
    "client|reply": does((("CLIENT", "REPLY", "ON"), "OK"),
                         (("CLIENT", "REPLY", "NO"), error("ERR syntax error"))),
    # tests/stages/clients.py has connections that are killed, and that wait.
    "client|kill": does((("CLIENT", "KILL", "ID", "99"), 0),
                        (("CLIENT", "KILL", "1.2.3.4:5"), error("ERR No such client"))),
    "client|pause": does((("CLIENT", "PAUSE", "1", "WRITE"), "OK"),
                         (("CLIENT", "PAUSE", "1", "ALL"), "OK")),
    "client|unpause": does((("CLIENT", "PAUSE", "600000"), "OK"), (("CLIENT", "UNPAUSE"), "OK"),
                           (("PING",), "PONG")),
    "client|reads": does((("CLIENT", "INFO"), names(b" reads=quorum ")),
                         (("CLIENT", "READS", "STALE"), "OK"),
                         (("CLIENT", "INFO"), names(b" reads=stale "))),
    "client|setinfo": does((("CLIENT", "SETINFO", "LIB-NAME", "mine"), "OK"),
                           (("CLIENT", "SETINFO", "LIB-VER", "1.2"), "OK"),
                           (("CLIENT", "INFO"), names(b" lib-name=mine ", b" lib-ver=1.2 "))),
    "client|setname": does((("CLIENT", "SETNAME", "me"), "OK"), (("CLIENT", "GETNAME"), b"me"),
                           (("CLIENT", "SETNAME", "a b"), error("ERR Client names cannot")),
                           (("CLIENT", "GETNAME"), b"me")),
    "cluster": does((("CLUSTER",), error("ERR wrong number of arguments for 'cluster'")),
                    (("CLUSTER", "COUNTKEYSINSLOT", "1"), error("ERR unknown subcommand"))),
    "cluster|help": does((("CLUSTER", "HELP"), names("KEYSLOT <key>"))),
    "cluster|info": does((("CLUSTER", "INFO"),
                          names(b"cluster_state:ok\r\n", b"cluster_size:1\r\n"))),
    "cluster|keyslot": does((("CLUSTER", "KEYSLOT", "{123456789}x"), 0x31c3 % 16384),
                            (("CLUSTER", "KEYSLOT", "x" * 65537), error("ERR key too long"))),
    "cluster|myid": does((("CLUSTER", "MYID"), lambda reply: re.fullmatch(b"[0-9a-f]{40}", reply))),
    "cluster|nodes": does((("CLUSTER", "NODES"), lambda reply: re.fullmatch(
        br"[0-9a-f]{40} 127\.0\.0\.1:\d+@0 master,noaddr - 0 0 \d+ disconnected 0-16383\n"
        br"[0-9a-f]{40} 127\.0\.0\.1:\d+@0 myself,master - 0 0 \d+ connected 0-16383\n", reply))),
    "cluster|shards": does((("CLUSTER", "SHARDS"),
                            lambda reply: reply[0][:2] == [b"slots", [0, 16383]])),
    "cluster|slots": does((("CLUSTER", "SLOTS"), lambda reply: reply[0][:2] == [0, 16383] and
                           reply[0][2][0] == b"127.0.0.1" and reply[0][2][1] > 0 and
                           len(reply) == 1)),
    "readonly": does((("READONLY",), "OK"), (("CLIENT", "INFO"), names(b" flags=r "))),
    "readwrite": does((("READONLY",), "OK"), (("READWRITE",), "OK"),
                      (("CLIENT", "INFO"), names(b" flags=N "))),
    "command": does((("COMMAND",), lambda reply: len(reply) > 10 and
                     b"ping" in [command[0] for command in reply])),
    "command|count": does((("COMMAND", "COUNT"), within(10, 1000))),
    "command|docs": does((("COMMAND", "DOCS", "ping"), lambda reply: reply[0] == b"ping" and
                          b"summary" in reply[1]), (("COMMAND", "DOCS", "none"), [])),
    "command|help": does((("COMMAND", "HELP"), names("COUNT", "DOCS [<command-name> ...]"))),
    "command|info": does((("COMMAND", "INFO", "ping"), lambda reply: reply[0][0] == b"ping"),
                         (("COMMAND", "INFO", "none"), [None])),
    "command|list": does((("COMMAND", "LIST"), names(b"ping", b"command|list")),
                         (("COMMAND", "LIST", "FILTERBY", "PATTERN", "pi*"), [b"ping"])),
    "config": does((("CONFIG",), error("ERR wrong number of arguments for 'config'")),
                   (("CONFIG", "REWRITE"), error("ERR unknown subcommand"))),
    "config|get": does((("CONFIG", "GET", "databases"), [b"databases", b"1"]),
                       (("CONFIG", "GET", "none"), [])),
    "config|resetstat": does((("CONFIG", "RESETSTAT"), "OK")),
    # tests/stages/settings.py observes what each parameter does.
    "config|set": does((("CONFIG", "SET", "maxmemory", "1gb"), "OK"),
                       (("CONFIG", "GET", "maxmemory"), [b"maxmemory", b"1073741824"]),
                       (("CONFIG", "SET", "nosuch", "1"), error("ERR Unknown option or number"))),
    "config|help": does((("CONFIG", "HELP"), names("GET <pattern>"))),
    "info": does((("INFO", "server"), names(b"\r\nserver_name:weir\r\n"))),
    "once.open": does((("ONCE.OPEN",), within(1, 100)),
                      (("ONCE.OPEN", "PX", "60000"), within(2, 100))),
    "command|getkeys": does((("COMMAND", "GETKEYS", "WATCH", "k", "l"), [b"k", b"l"]),
                            (("COMMAND", "GETKEYS", "PING", "x"), error("ERR The command has no"))),
    "multi": does((("MULTI",), "OK"), (("PING",), "QUEUED"), (("MULTI",), error("ERR MULTI calls")),
                  (("EXEC",), ["PONG"])),
    "exec": does((("EXEC",), error("ERR EXEC without MULTI")), (("MULTI",), "OK"),
                 (("NOSUCH",), error("ERR unknown command")), (("EXEC",), error("EXECABORT "))),
    "discard": does((("DISCARD",), error("ERR DISCARD without MULTI")), (("MULTI",), "OK"),
                    (("PING",), "QUEUED"), (("DISCARD",), "OK"), (("PING",), "PONG")),
    # tests/differential/transactions.py observes what it guards; the log has no keys.
    "watch": does((("MULTI",), "OK"), (("WATCH", "k"), error("ERR WATCH inside MULTI"))),
    "unwatch": does((("UNWATCH",), "OK"), (("MULTI",), "OK"), (("UNWATCH",), "QUEUED"),
                    (("EXEC",), ["OK"])),
    "slowlog": does((("SLOWLOG",), error("ERR wrong number of arguments for 'slowlog'")),
                    (("SLOWLOG", "NOSUCH"), error("ERR unknown subcommand 'NOSUCH'"))),
    "slowlog|help": does((("SLOWLOG", "HELP"), names("LEN"))),
    # tests/stages/settings.py has slow commands.
    "slowlog|get": does((("SLOWLOG", "GET"), []), (("SLOWLOG", "GET", "-2"), error("ERR count"))),
    "slowlog|len": does((("CONFIG", "SET", "slowlog-log-slower-than", "0"), "OK"),
                        (("PING",), "PONG"), (("SLOWLOG", "LEN"), 2)),
    "slowlog|reset": does((("SLOWLOG", "RESET"), "OK"), (("SLOWLOG", "LEN"), 0)),
    "time": does((("TIME",), lambda reply: int(reply[0]) > 1600000000)),
    "wait": does((("WAIT", "0", "0"), 0), (("WAIT", "1", "1"), 0),
                 (("WAIT", "-1", "0"), 0), (("WAIT", "1", "-1"), error("ERR timeout is negative"))),
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
    "getset": does((("GETSET", "k", "a"), None), (("GETSET", "k", "b"), b"a"),
                   (("GET", "k"), b"b")),
    "getdel": does((("SET", "k", "v"), "OK"), (("GETDEL", "k"), b"v"), (("GET", "k"), None),
                   (("GETDEL", "k"), None)),
    "getex": does((("SET", "k", "v"), "OK"), (("GETEX", "k", "EX", "100"), b"v"),
                  (("TTL", "k"), within(98, 100)), (("GETEX", "k"), b"v"),
                  (("TTL", "k"), within(98, 100)), (("GETEX", "k", "PERSIST"), b"v"),
                  (("TTL", "k"), -1)),
    "setnx": does((("SETNX", "k", "a"), 1), (("SETNX", "k", "b"), 0), (("GET", "k"), b"a")),
    "setex": does((("SETEX", "k", "100", "v"), "OK"), (("GET", "k"), b"v"),
                  (("TTL", "k"), within(98, 100))),
    "psetex": does((("PSETEX", "k", "90000", "v"), "OK"), (("GET", "k"), b"v"),
                   (("PTTL", "k"), within(60000, 90000))),
    "cas": does((("CAS", "k", "a", "b"), 0), (("GET", "k"), None),
                (("CAS", "k", "", "a", "ABSENT"), 1), (("GET", "k"), b"a"),
                (("CAS", "k", "a", "b"), 1), (("CAS", "k", "a", "c"), 0), (("GET", "k"), b"b"),
                (("CAS", "k", "b", "", "DELETE"), 1), (("GET", "k"), None)),
    "del": does((("SET", "k", "v"), "OK"), (("DEL", "k", "none"), 1), (("GET", "k"), None)),
    "unlink": does((("SET", "k", "v"), "OK"), (("UNLINK", "k", "none"), 1), (("GET", "k"), None)),
    "exists": does((("SET", "k", "v"), "OK"), (("EXISTS", "k", "k", "none"), 2)),
    "touch": does((("SET", "k", "v"), "OK"), (("TOUCH", "k", "k", "none"), 2),
                  (("GET", "k"), b"v")),
    "rename": does((("SET", "k", "v", "EX", "100"), "OK"), (("RENAME", "k", "l"), "OK"),
                   (("MGET", "k", "l"), [None, b"v"]), (("TTL", "l"), within(98, 100)),
                   (("RENAME", "k", "l"), error("ERR no such key")), (("GET", "l"), b"v")),
    "renamenx": does((("MSET", "k", "a", "l", "b"), "OK"), (("RENAMENX", "k", "l"), 0),
                     (("MGET", "k", "l"), [b"a", b"b"]), (("RENAMENX", "k", "m"), 1),
                     (("MGET", "k", "m"), [None, b"a"])),
    "copy": does((("MSET", "k", "a", "l", "b"), "OK"), (("COPY", "k", "l"), 0),
                 (("MGET", "k", "l"), [b"a", b"b"]), (("COPY", "k", "l", "REPLACE"), 1),
                 (("MGET", "k", "l"), [b"a", b"a"])),
    "randomkey": does((("RANDOMKEY",), None), (("SET", "k", "v"), "OK"), (("RANDOMKEY",), b"k")),
    "incr": does((("INCR", "n"), 1), (("GET", "n"), b"1")),
    "decr": does((("DECR", "n"), -1), (("GET", "n"), b"-1")),
    "incrby": does((("INCRBY", "n", "41"), 41), (("GET", "n"), b"41")),
    "decrby": does((("DECRBY", "n", "41"), -41), (("GET", "n"), b"-41")),
    "incrbyfloat": does((("SET", "n", "10.50"), "OK"), (("INCRBYFLOAT", "n", "0.1"), b"10.6"),
                        (("GET", "n"), b"10.6")),
    "append": does((("APPEND", "k", "ab"), 2), (("APPEND", "k", "c"), 3), (("GET", "k"), b"abc")),
    "strlen": does((("SET", "k", "four"), "OK"), (("STRLEN", "k"), 4)),
    "getrange": does((("SET", "k", "abcdef"), "OK"), (("GETRANGE", "k", "1", "-2"), b"bcde")),
    "substr": does((("SET", "k", "abcdef"), "OK"), (("SUBSTR", "k", "0", "1"), b"ab")),
    "setrange": does((("SET", "k", "abcdef"), "OK"), (("SETRANGE", "k", "4", "xyz"), 7),
                     (("GET", "k"), b"abcdxyz")),
    "lcs": does((("MSET", "k", "ohmytext", "l", "mynewtext"), "OK"), (("LCS", "k", "l"), b"mytext"),
                (("LCS", "k", "l", "LEN"), 6)),
    "setbit": does((("SETBIT", "k", "1", "1"), 0), (("SETBIT", "k", "7", "1"), 0),
                   (("GET", "k"), b"A"), (("SETBIT", "k", "7", "0"), 1), (("GET", "k"), b"@")),
    "getbit": does((("SET", "k", "a"), "OK"), (("GETBIT", "k", "0"), 0), (("GETBIT", "k", "1"), 1),
                   (("GETBIT", "k", "100"), 0)),
    "bitcount": does((("SET", "k", "foobar"), "OK"), (("BITCOUNT", "k"), 26),
                     (("BITCOUNT", "k", "5", "30", "BIT"), 17)),
    "bitpos": does((("SET", "k", "a"), "OK"), (("BITPOS", "k", "1"), 1), (("BITPOS", "k", "0"), 0)),
    "bitop": does((("MSET", "k", "ab", "l", "  "), "OK"), (("BITOP", "XOR", "m", "k", "l"), 2),
                  (("MGET", "k", "m"), [b"ab", b"AB"])),
    "mset": does((("MSET", "a", "1", "b", "2"), "OK"), (("GET", "b"), b"2")),
    "msetnx": does((("MSETNX", "a", "1", "b", "2"), 1), (("MSETNX", "b", "3", "c", "4"), 0),
                   (("MGET", "a", "b", "c"), [b"1", b"2", None])),
    "mget": does((("SET", "a", "1"), "OK"), (("MGET", "a", "none"), [b"1", None])),
    "ttl": does((("SET", "k", "v", "EX", "100"), "OK"), (("TTL", "k"), within(98, 100)),
                (("TTL", "none"), -2)),
    "pttl": does((("SET", "k", "v", "PX", "90000"), "OK"), (("PTTL", "k"), within(60000, 90000))),
    "expire": does((("SET", "k", "v"), "OK"), (("EXPIRE", "k", "100"), 1),
                   (("TTL", "k"), within(98, 100)), (("EXPIRE", "k", "-1"), 1),
                   (("GET", "k"), None)),
    "pexpire": does((("SET", "k", "v"), "OK"), (("PEXPIRE", "k", "90000"), 1),
                    (("PTTL", "k"), within(60000, 90000))),
    "expireat": does((("SET", "k", "v"), "OK"), (("EXPIREAT", "k", "4102444800"), 1),
                     (("EXPIRETIME", "k"), 4102444800), (("EXPIREAT", "k", "1"), 1),
                     (("GET", "k"), None)),
    "pexpireat": does((("SET", "k", "v"), "OK"), (("PEXPIREAT", "k", "4102444800123"), 1),
                      (("PEXPIRETIME", "k"), 4102444800123), (("PEXPIREAT", "k", "1"), 1),
                      (("GET", "k"), None)),
    "expiretime": does((("SET", "k", "v", "EXAT", "4102444800"), "OK"),
                       (("EXPIRETIME", "k"), 4102444800), (("EXPIRETIME", "none"), -2)),
    "pexpiretime": does((("SET", "k", "v", "PXAT", "4102444800123"), "OK"),
                        (("PEXPIRETIME", "k"), 4102444800123), (("PEXPIRETIME", "none"), -2)),
    "persist": does((("SET", "k", "v", "EX", "100"), "OK"), (("PERSIST", "k"), 1),
                    (("TTL", "k"), -1)),
    "type": does((("SET", "k", "v"), "OK"), (("TYPE", "k"), "string"), (("TYPE", "none"), "none")),
    "memory": does((("SET", "k", "x" * 3000), "OK"),
                   (("MEMORY", "USAGE", "k"), within(3000, 3600)),
                   (("MEMORY", "USAGE", "k", "SAMPLES", "0"), within(3000, 3600)),
                   (("MEMORY", "USAGE", "none"), None),
                   (("MEMORY", "HELP"), names("USAGE <key> [SAMPLES <count>]")),
                   (("MEMORY", "DOCTOR"),
                    error("ERR unknown subcommand 'DOCTOR'. Try MEMORY HELP."))),
    "object": does((("MSET", "k", "12", "l", "a"), "OK"), (("OBJECT", "ENCODING", "k"), b"int"),
                   (("OBJECT", "ENCODING", "l"), b"embstr"),
                   (("OBJECT", "HELP"), names("ENCODING <key>"))),
    "sort": does((("RPUSH", "l", "10", "9", "1"), 3), (("SORT", "l"), [b"1", b"9", b"10"]),
                 (("SORT", "l", "ALPHA", "DESC", "LIMIT", "0", "2", "STORE", "m"), 2),
                 (("LRANGE", "m", "0", "-1"), [b"9", b"10"])),
    "sort_ro": does((("RPUSH", "l", "10", "9", "1"), 3), (("SORT_RO", "l"), [b"1", b"9", b"10"]),
                    (("SORT_RO", "l", "STORE", "m"), error("ERR syntax error"))),
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

    def check(self, machine, rows, flushed=()):
        """Each row on a node of its own, but for those of `flushed`, which share one."""
        shared = self.start(machine) if flushed else None
        listed = {name.decode() for name in
                  self.client(self.start(machine)).call("COMMAND", "LIST")}
        self.assertEqual(listed, set(SERVER) | set(rows) | ENDING)
        for name, steps in {**SERVER, **rows}.items():
            with self.subTest(name):
                self.assertTrue(any(calls(name, words) for words, _ in steps), "never called")
                # Nothing is left from the row before.
                client = self.client(shared if name in flushed else self.start(machine))
                if name in flushed:
                    self.assertEqual(client.call("FLUSHALL"), "OK")
                for words, wanted in steps:
                    reply = client.pipeline([words])[0]
                    right = wanted(reply) if callable(wanted) else reply == wanted
                    self.assertTrue(right, (words, reply))

    def test_each_command_of_kv_has_its_effect(self):
        rows = {**KV, **HASHES, **LISTS, **SETS, **SORTED_SETS}
        self.check("kv", rows, rows.keys() - {"once"})

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
