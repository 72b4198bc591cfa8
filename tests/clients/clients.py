#!/usr/bin/env python3
"""Real clients, as people install them, against a running node; those made for a cluster, too.

    clients.py [CLASS ...]

RedisCli, RedisBenchmark, PythonRedis, NodeRedis (all Debian's), Hiredis (the program WEIR_HIREDIS,
ours, linked with Debian's library), and Npm (ioredis and node-redis as the registry has them; it is
skipped without).
What each of them does stands in the files work_*, in the client's own language.

Greeting needs no client: it sends the bytes with which those of today begin, on every map.
"""

import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import sys
import termios
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "support"))
from weir_test import LIMIT_S, MAPS, Node, Scratch, request, skip  # noqa: E402

NPM_PACKAGES = ("ioredis@5.4.2", "redis@4.7.0", "redis-5@npm:redis@5.12.1")
# What runs with them: a file, and what follows the port.
NPM_WORK = (("work_node_redis.js",), ("work_node_redis.js", "redis-5"),
            ("work_node_redis.js", "redis-5", "3"), ("work_ioredis.js",),
            ("work_cluster.js", "ioredis"), ("work_cluster.js", "redis"),
            ("work_cluster.js", "redis-5"), ("work_cluster.js", "redis-5", "3"))


class Client(unittest.TestCase):
    def setUp(self):
        scratch = Scratch()
        self.addCleanup(scratch.__exit__, None, None, None)
        self.scratch = scratch.__enter__()
        self.node = Node(os.path.join(self.scratch, "data"))
        self.addCleanup(self.node.__exit__)
        self.node.start()
        self.port = str(self.node.port)

    def tearDown(self):
        self.assertTrue(self.node.running(), self.node.log())
        self.assertEqual(self.node.stop(), 0, self.node.log())

    def run_client(self, *command, data=b"", environment=None, status=0):
        """Runs a client to its end; what it printed, stdout and stderr together."""
        done = subprocess.run(command, input=data, stdout=subprocess.PIPE, check=False,
                              stderr=subprocess.STDOUT, timeout=LIMIT_S * 2,
                              env={**os.environ, **(environment or {})})
        text = done.stdout.decode(errors="replace")
        self.assertEqual(done.returncode, status, f"{command}:\n{text}")
        return text


class Greeting(unittest.TestCase):
    """What a client with a password, a name and RESP 3 sends at once, before any reply."""

    PASSWORD = "a-password"
    COMMANDS = (("HELLO", 3, "AUTH", "default", PASSWORD, "SETNAME", "work"),
                ("CLIENT", "SETINFO", "LIB-NAME", "redis-py"),
                ("CLIENT", "SETINFO", "LIB-VER", "5.0.1"),
                ("INFO",))

    def check(self, client):
        hello, name, version, info = client.pipeline(self.COMMANDS)
        self.assertIsInstance(hello, dict)
        self.assertEqual((hello[b"server"], hello[b"proto"], hello[b"mode"], hello[b"role"]),
                         (b"weir", 3, b"standalone", b"master"))
        self.assertEqual((name, version), ("OK", "OK"))
        self.assertTrue(info.startswith(b"txt:# Server"), info[:40])  # verbatim, as in RESP 3 only
        self.assertIn(b"redis_version:", info)
        self.assertIn(b"connected_clients:", info)
        shown = client.call("CLIENT", "INFO").decode().split()
        for field in ("name=work", "resp=3", "lib-name=redis-py", "lib-ver=5.0.1"):
            self.assertIn(field, shown)

    def test_four_commands_at_once_are_answered_in_resp_3_on_every_map(self):
        for map_name in MAPS:
            with self.subTest(map_name), Scratch() as scratch, \
                    Node(os.path.join(scratch, "data"), "--map", map_name,
                         config={"requirepass": self.PASSWORD}) as node:
                with node.start().client() as client:
                    self.check(client)
                self.assertEqual(node.stop(), 0, node.log())

    def test_byte_by_byte_and_with_a_wrong_password(self):
        data = b"".join(request(*words) for words in self.COMMANDS)
        with Scratch() as scratch, Node(os.path.join(scratch, "data"),
                                        config={"requirepass": self.PASSWORD}) as node:
            with node.start().client() as client:
                for at in range(len(data)):
                    client.send(data[at:at + 1])
                self.assertEqual(client.reply()[b"proto"], 3)
                self.assertEqual([client.reply(), client.reply()], ["OK", "OK"])
                self.assertIn(b"redis_version:", client.reply())
            with node.client() as client:
                wrong = ("HELLO", 3, "AUTH", "default", "wrong", "SETNAME", "work")
                replies = client.pipeline([wrong, *self.COMMANDS[1:]])
                self.assertRegex(str(replies[0]), "^WRONGPASS ")
                for reply in replies[1:]:
                    self.assertRegex(str(reply), "^NOAUTH ")
            self.assertEqual(node.stop(), 0, node.log())


class RedisCli(Client):
    def cli(self, *words, **options):
        return self.run_client("redis-cli", "-p", self.port, *words, **options)

    def test_single_commands_in_both_protocols(self):
        for protocol in ("-2", "-3"):
            self.assertEqual(self.cli(protocol, "set", "key", "value"), "OK\n")
            self.assertEqual(self.cli(protocol, "get", "key"), "value\n")
            self.assertEqual(self.cli(protocol, "del", "key"), "1\n")
            self.assertIn("unknown command", self.cli(protocol, "nonsense", "x"))
            self.assertIn("wrong number of arguments", self.cli(protocol, "get"))
        self.assertIn("proto", self.cli("-3", "hello"))
        self.assertIn("redis_version", self.cli("info", "server"))

    def test_a_transaction(self):
        shown = self.cli(data=b"WATCH t\nMULTI\nSET t 1\nINCR t\nNOSUCH\nEXEC\nMULTI\nINCR t\n"
                              b"EXEC\nGET t\n")
        self.assertEqual([line for line in shown.splitlines() if line],
                         ["OK", "OK", "QUEUED", "QUEUED",
                          "ERR unknown command 'NOSUCH', with args beginning with: ",
                          "EXECABORT Transaction discarded because of previous errors.",
                          "OK", "QUEUED", "1", "1"])

    def test_an_interactive_session_reads_the_commands_documents_and_completes(self):
        """As in a terminal: redis-cli asks for COMMAND DOCS first, and uses it for hints."""
        process, terminal = pty.fork()
        if process == 0:
            # Without a size, linenoise asks the terminal where its cursor is.
            fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 120, 0, 0))
            os.environ.update(TERM="xterm", HOME=self.scratch)
            os.execvp("redis-cli", ["redis-cli", "-p", self.port])
        shown = b""

        def wait_for(text):
            nonlocal shown
            while text not in shown:
                self.assertTrue(select.select([terminal], [], [], LIMIT_S)[0],
                                f"{text!r} does not come after {shown!r}")
                shown += os.read(terminal, 65536)
            shown = shown[shown.index(text) + len(text):]
        wait_for(b"> ")
        os.write(terminal, b"getx\x7f")
        wait_for(b"key")  # the hint, from the arguments that the documents name
        os.write(terminal, b"\x15set greeting hello\r")
        wait_for(b"OK")
        wait_for(b"> ")
        os.write(terminal, b"get greeting\r")
        wait_for(b'"hello"')
        wait_for(b"> ")
        os.write(terminal, b"help get\r")
        wait_for(b"summary:")
        wait_for(b"> ")
        os.write(terminal, b"quit\r")
        self.assertEqual(os.waitpid(process, 0)[1], 0)
        os.close(terminal)

    def test_pipe_mode_loads_all_and_counts_the_errors(self):
        count = 20000
        data = b"".join(request("SET", f"key:{i}", f"value:{i}") for i in range(count))
        data += request("INCR", "key:1")
        shown = self.cli("--pipe", data=data, status=1)  # there was an error
        self.assertIn(f"errors: 1, replies: {count + 1}", shown)
        self.assertEqual(self.cli("dbsize"), f"{count}\n")

    def test_scan_and_big_values(self):
        for i in range(30):
            self.cli("set", f"scan:{i}", "x")
        self.assertEqual(len(self.cli("--scan", "--pattern", "scan:*").split()), 30)
        value = b"x" * (1 << 20)
        self.assertEqual(self.cli("-x", "set", "big", data=value), "OK\n")
        self.assertEqual(self.cli("strlen", "big"), f"{1 << 20}\n")


    def test_its_cluster_mode_and_its_cluster_check(self):
        self.assertEqual(self.cli("-c", "set", "key", "value"), "OK\n")
        self.assertEqual(self.cli("-c", "get", "key"), "value\n")
        shown = self.run_client("redis-cli", "--cluster", "check", f"127.0.0.1:{self.port}")
        self.assertIn("1 keys in 1 masters", shown)
        self.assertIn("[OK] All 16384 slots covered", shown)


class RedisBenchmark(Client):
    def test_its_handshake_and_its_tests_pass_without_a_warning(self):
        shown = self.run_client("redis-benchmark", "-p", self.port, "-n", "20000", "-P", "16",
                                "-t", "ping_inline,ping_mbulk,set,get,incr,mset")
        for word in ("WARNING", "Error", "ERR"):
            self.assertNotIn(word, shown)
        self.assertEqual(len(re.findall(r"requests completed in", shown)), 6)
        self.assertIn("host configuration \"save\"", shown)

    def test_unpipelined_and_with_random_keys(self):
        shown = self.run_client("redis-benchmark", "-p", self.port, "-n", "10000", "-q",
                                "-r", "1000", "-t", "set,get", "-d", "256")
        self.assertNotIn("WARNING", shown)
        with self.node.client() as client:
            self.assertGreater(client.call("DBSIZE"), 900)


class PythonRedis(Client):
    def test_work(self):
        # Debian's interpreter, whatever other one stands first in the path: it has the module.
        self.assertIn("done", self.run_client(
            "/usr/bin/python3", os.path.join(HERE, "work_python.py"), self.port))

    def test_work_of_its_cluster_class(self):
        self.assertIn("done", self.run_client(
            "/usr/bin/python3", os.path.join(HERE, "work_cluster.py"), self.port))


class Hiredis(Client):
    def test_work(self):
        self.assertIn("done", self.run_client(os.environ["WEIR_HIREDIS"], self.port))


class NodeRedis(Client):
    def test_work(self):
        shown = self.run_client("node", os.path.join(HERE, "work_node_redis.js"), self.port,
                                environment={"NODE_PATH": "/usr/share/nodejs"})
        self.assertIn("done", shown)


class Npm(Client):
    def test_work(self):
        modules = os.path.join(self.scratch, "npm")
        os.mkdir(modules)
        environment = {"npm_config_cache": os.path.join(self.scratch, "cache")}
        try:
            subprocess.run(["npm", "install", "--prefix", modules, "--ignore-scripts", "--no-audit",
                            "--no-fund", *NPM_PACKAGES], check=True, capture_output=True,
                           timeout=120, env={**os.environ, **environment})
        except (OSError, subprocess.SubprocessError) as error:
            skip(f"npm cannot install {' '.join(NPM_PACKAGES)}: {error}")
        environment["NODE_PATH"] = os.path.join(modules, "node_modules")
        for work, *arguments in NPM_WORK:
            with self.subTest(work, arguments=arguments):
                self.assertIn("done", self.run_client("node", os.path.join(HERE, work), self.port,
                                                      *arguments, environment=environment))
                with self.node.client() as client:
                    client.call("FLUSHALL")


if __name__ == "__main__":
    unittest.main(verbosity=2)
