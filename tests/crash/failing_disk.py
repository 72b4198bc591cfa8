#!/usr/bin/env python3
"""A disk that fails is the node's end; a disk that is full is not.

Each test mounts what it needs in a mount namespace of its own.
"""

import os
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "support"))
from loop_disk import LoopDisk, MemoryDisk, enter_namespace  # noqa: E402
from weir_test import MAPS, ErrorReply, Node, NodeEnded, Scratch, request, until  # noqa: E402

MEBIBYTE = 1 << 20


def refused(value):
    return isinstance(value, ErrorReply) and value.args[0].startswith("MISCONF ")


class FailingDisk(unittest.TestCase):
    def ended_with_a_sentence(self, node):
        self.assertEqual(node.wait(), 1, node.log())
        self.assertRegex(node.log(), r"weir serve: .*log-\d+.*(Input/output error|No space left)")

    def test_a_write_after_the_disk_has_gone_is_not_acknowledged_and_ends_the_node(self):
        for map_name in MAPS:
            with self.subTest(map_name), Scratch() as scratch, LoopDisk(scratch, 256) as disk, \
                    Node(os.path.join(disk.path, "data"), "--map", map_name) as node:
                with node.start().client() as client:
                    self.assertEqual(client.call("SET", "before", "1"), "OK")
                    disk.cut()
                    client.send(request("SET", "after", "1"))
                    rest = client.rest()
                self.assertTrue(rest == b"" or rest.startswith(b"-UNKNOWN "), rest)
                self.ended_with_a_sentence(node)
                disk.restore_power()
                with node.start().client() as client:
                    self.assertEqual(client.call("GET", "before"), b"1")

    def test_a_sync_that_fails_below_the_file_system_ends_the_node(self):
        """The disk's own memory is full: ext4 has room, and finds out when it writes back."""
        with Scratch() as scratch, LoopDisk(scratch, 512, memory_mib=96) as disk, \
                Node(os.path.join(disk.path, "data")) as node:
            acknowledged = 0
            with node.start().client() as client:
                try:
                    while not isinstance(self.write(client, acknowledged), ErrorReply):
                        acknowledged += 1
                except ConnectionError:
                    pass
            self.assertGreater(acknowledged, 10)
            self.ended_with_a_sentence(node)
            disk.unmount()
            disk.memory.resize(600)
            disk.mount()
            with node.start().client() as client:
                for number in range(acknowledged):
                    self.assertEqual(client.call("STRLEN", f"key:{number}"), MEBIBYTE, number)
            self.assertEqual(node.stop(), 0)

    def write(self, client, number):
        client.send(request("SET", f"key:{number}", b"%07d." % number * (MEBIBYTE // 8)))
        return client.reply()


class FullDisk(unittest.TestCase):
    """Two segments of 64 MiB fit, and are filled; the third does not."""

    def setUp(self):
        self.scratch = self.enterContext(Scratch())
        self.disk = self.enterContext(MemoryDisk(os.path.join(self.scratch, "disk"), 150))
        self.node = self.enterContext(Node(os.path.join(self.disk.path, "data"),
                                           config={"snapshot-log-bytes": "0"}))
        self.acknowledged = 0

    def enterContext(self, manager):  # of Python 3.11; the others have it
        self.addCleanup(manager.__exit__, None, None, None)
        return manager.__enter__()

    def write(self, client):
        """Writes 1 MiB more; the reply."""
        value = b"%07d." % (self.acknowledged + 1) * (MEBIBYTE // 8)
        client.send(request("SET", "value", value))
        reply = client.reply()
        if reply == "OK":
            self.acknowledged += 1
        return reply

    def fill(self, client):
        """Writes until the node refuses."""
        while True:
            reply = self.write(client)
            if reply != "OK":
                self.assertTrue(refused(reply), reply)
                self.assertGreater(self.acknowledged, 115)
                return

    def check(self, client):
        value = client.call("GET", "value")
        self.assertEqual(value[:8], b"%07d." % self.acknowledged)
        self.assertEqual(len(value), MEBIBYTE)

    def test_writes_are_refused_reads_go_on_and_room_ends_it(self):
        with self.node.start().client() as client:
            self.fill(client)
            self.check(client)
            self.assertEqual(client.call("PING"), "PONG")
            # What is refused was not done, and what is in one pipeline with it still answers.
            replies = client.pipeline([("SET", "other", b"x" * MEBIBYTE), ("GET", "other")])
            self.assertTrue(refused(replies[0]), replies[0])
            self.assertIsNone(replies[1])
            self.disk.resize(400)
            until(lambda: self.write(client) == "OK", "the node does not notice the room")
            self.check(client)
        self.assertEqual(self.node.stop(), 0)
        with self.node.start().client() as client:
            self.check(client)

    def test_a_full_disk_is_no_hindrance_to_a_clean_stop_and_a_restart(self):
        with self.node.start().client() as client:
            self.fill(client)
        self.assertEqual(self.node.stop(), 0, self.node.log())
        with self.node.start().client() as client:
            self.check(client)

    def test_a_node_killed_on_a_full_disk_starts_again_and_serves_reads(self):
        with self.node.start().client() as client:
            self.fill(client)
        for _ in range(5):
            self.node.kill()
            with self.node.start().client() as client:
                self.check(client)
                self.assertTrue(refused(self.write(client)))

    def test_a_new_node_without_room_says_so(self):
        self.disk.resize(1)
        with self.assertRaises(NodeEnded) as ended:
            self.node.start()
        self.assertEqual(ended.exception.status, 1)
        self.assertRegex(ended.exception.text, "weir serve: .*(room|space)")


if __name__ == "__main__":
    enter_namespace()
    unittest.main(verbosity=2)
