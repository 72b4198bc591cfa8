#!/usr/bin/env python3
"""docs/commands.md against a node: the commands are those it has, and the examples are true."""

import os
import re
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "support"))
from weir_test import Node, Scratch  # noqa: E402

ROW = re.compile(r"^\| ([A-Z_]+) \| (?:`(.*)`)? \| (.*) \|$", re.M)
STEP = re.compile(r"`([^`]+)` → ((?:\"[^\"]*\"|\[[^;]*\]|[^;\"])+)")


def rows(page):
    return [(match[1], match[2] or "", match[3]) for match in ROW.finditer(page)]


def words(command):
    return [quoted if quoted or not plain else plain
            for quoted, plain in re.findall(r'"([^"]*)"|(\S+)', command)]


def shown(reply, status):
    """A reply as the page writes it."""
    if reply is None:
        return "null"
    if isinstance(reply, list):
        return "[" + ", ".join(shown(element, False) for element in reply) + "]"
    if isinstance(reply, bytes):
        reply = reply.decode()
        return reply if status else f'"{reply}"'
    return str(reply)


# Commands of the machine that have no key: those of the connection have none either.
ARGUMENTS_MAX = 100  # of a command about the server, 127 at most
KEYLESS = {b"randomkey", b"keys", b"scan", b"dbsize", b"flushall", b"flushdb", b"multi", b"exec",
           b"discard", b"watch", b"unwatch"}


class Commands(unittest.TestCase):
    page = ""

    @classmethod
    def setUpClass(cls):
        cls.scratch = Scratch()
        cls.node = Node(os.path.join(cls.scratch.__enter__(), "data"), durability="none").start()
        cls.client = cls.node.client()

    @classmethod
    def tearDownClass(cls):
        cls.client.close()
        cls.node.__exit__()
        cls.scratch.__exit__(None, None, None)

    def test_the_page_lists_the_commands_that_the_node_has(self):
        groups = {b"string", b"bitmap", b"generic", b"server", b"hash", b"list", b"set",
                  b"sorted-set", b"transactions"}
        names = [name.decode() for name in self.client.call("COMMAND", "LIST")]
        docs = []
        for begin in range(0, len(names), ARGUMENTS_MAX):
            docs += self.client.call("COMMAND", "DOCS", *names[begin:begin + ARGUMENTS_MAX])
        mine = set()
        for name, document in zip(docs[::2], docs[1::2]):
            fields = dict(zip(document[::2], document[1::2]))
            info = self.client.call("COMMAND", "INFO", name)[0]
            keys = info[3] or "movablekeys" in info[2]
            if fields[b"group"] in groups and (keys or name in KEYLESS):
                mine.add(name.decode().upper())
        self.assertEqual(sorted(mine), sorted(name for name, _, _ in rows(self.page)))

    def test_every_example_is_answered_as_the_page_says(self):
        count = 0
        for name, _, example in rows(self.page):
            self.client.call("FLUSHALL")
            steps = STEP.findall(example)
            self.assertTrue(steps, name)
            self.assertEqual(len(steps), example.count("→"), example)
            used = set()
            for command, expected in steps:
                reply = self.client.call(*words(command))
                expected = expected.strip()
                status = not expected.startswith(('"', "["))
                self.assertEqual(shown(reply, status), expected, (name, command))
                used.add(words(command)[0])
                count += 1
            self.assertIn(name, used)
        print(f"{count} commands of {len(rows(self.page))} examples")


if __name__ == "__main__":
    with open(os.path.join(sys.argv.pop(1), "docs", "commands.md"), encoding="utf-8") as file:
        Commands.page = file.read()
    unittest.main()
