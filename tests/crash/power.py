#!/usr/bin/env python3
"""Nothing acknowledged is lost by a power cut.

    power.py [--cuts N] [--seed N] [--durability fsync|write|none] [--expect-loss]

The data directory is on an ext4 of its own which is shut down under load, as by a power cut: what
was synced stays, the rest is gone. After half of the cuts the node is killed at once, after the
others it must find out by itself, say why, and end non-zero. Then the file system is mounted again
and the node must hold everything acknowledged, and of the rest a prefix. The test fails unless most
cuts came after an acknowledgement and found operations in flight.

On the floor of kernel features the node is stopped while its disk is cut. There its log goes
through the page cache, and an fdatasync that is under way while ext4 is shut down may return 0,
though what it wrote to unwritten extents is gone afterwards (Linux 6.18: a loop of pwrite and
fdatasync shows it; no direct write does, and none of what was zeroed before). A real cut takes the
processor along, and nobody hears of that success.

A test that passes whatever the node does shows nothing. --expect-loss turns it around: without
syncs acknowledged writes must be found lost, by the same cuts and the same check. With durability
`write` the log may also be refused, as docs/formats.md says: all is lost then, and the test goes on
with a new directory.
"""

import argparse
import os
import random
import re
import shutil
import statistics
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "support"))
from load import Load  # noqa: E402
from loop_disk import LoopDisk, enter_namespace  # noqa: E402
from weir_test import MAPS, ON_FLOOR, Node, NodeEnded, Scratch  # noqa: E402

LOAD_S_MAX = 0.8  # the moment of the cut, after the load began
REFUSED = re.compile(r"^weir serve: (log-\d{16}: at offset \d+: .*); nothing was changed; ", re.M)


class PowerCuts:
    def __init__(self, arguments):
        self.arguments = arguments
        self.rng = random.Random(arguments.seed)
        self.load = Load(self.rng.random())
        # Small, so that cuts also fall into snapshots; but a snapshot is synced in every mode of
        # durability, and where loss is expected there is none.
        self.config = {"snapshot-log-bytes": "0" if arguments.expect_loss else "4mb"}
        self.under_way = 0
        self.acknowledged = []
        self.longest_start_s = 0.0
        self.complaints = []

    def cut_under_load(self, node, disk, kills):
        """Load, cut; the node is gone afterwards."""
        def cut():
            if ON_FLOOR:
                node.pause()
            disk.cut()
            if kills:
                node.process.kill()
            elif ON_FLOOR:
                node.resume()
        self.load.connect(node.port)
        cutter = threading.Timer(self.rng.uniform(0, LOAD_S_MAX), cut)
        cutter.start()
        try:
            self.load.run()
        finally:
            cutter.join()
        status = node.wait()
        if not kills and (status != 1 or "weir serve: " not in node.log()):
            self.complaints.append("the disk failed, and the node ended with status "
                                   f"{status}, saying:\n{node.log()}")
        self.under_way += self.load.was_under_way()
        self.acknowledged.append(self.load.acknowledged)

    def start(self, node, losses):
        """Starts the node, on a new directory if the log is refused where that may be."""
        began = time.monotonic()
        try:
            node.start()
        except NodeEnded as ended:
            refused = REFUSED.search(ended.text)
            if not self.may_be_refused() or ended.status != 1 or refused is None:
                raise
            if self.acknowledged[-1] > 0:
                losses.append([f"the log is refused: {refused.group(1)}"])
                print(f"loss {len(losses)}:", *losses[-1], sep="\n    ")
            shutil.rmtree(node.directory)
            self.load.forget()
            node.start()
        self.longest_start_s = max(self.longest_start_s, time.monotonic() - began)

    def may_be_refused(self):
        """Not before the first cut, and not where everything acknowledged was synced."""
        return self.arguments.expect_loss and self.arguments.durability == "write" \
            and len(self.acknowledged) > 0

    def verify(self, node, losses):
        self.start(node, losses)
        with node.client() as client:
            wrong = self.load.verify(client)
        if wrong:
            losses.append(wrong)
            shown = wrong[:1] if self.arguments.expect_loss else wrong
            print(f"loss {len(losses)}:", *shown, sep="\n    ")
        return not wrong

    def run(self, disk, directory):
        """Returns what was lost; stops at the first loss, which shows what was to be shown."""
        losses = []
        for number in range(self.arguments.cuts):
            if losses:
                return losses
            with Node(directory, "--map", MAPS[number % len(MAPS)], config=self.config,
                      durability=self.arguments.durability) as node:
                if not self.verify(node, losses) and not self.arguments.expect_loss:
                    return losses
                self.cut_under_load(node, disk, kills=number % 2 == 0 or self.arguments.expect_loss)
                disk.restore_power()
        with Node(directory, durability=self.arguments.durability, config=self.config) as node:
            self.verify(node, losses)
        return losses


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--cuts", type=int, default=20)
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 32))
    parser.add_argument("--durability", default="fsync")
    parser.add_argument("--expect-loss", action="store_true")
    arguments = parser.parse_args()
    enter_namespace()
    print(f"seed {arguments.seed}", flush=True)
    cuts = PowerCuts(arguments)
    with Scratch() as scratch, LoopDisk(scratch, 768) as disk:
        losses = cuts.run(disk, os.path.join(disk.path, "data"))
    print(f"{len(cuts.acknowledged)} power cuts with durability {arguments.durability}, "
          f"{cuts.under_way} after acknowledgements "
          f"(median {statistics.median(cuts.acknowledged):.0f}, {cuts.load.operations} in all) "
          f"and with operations in flight, {len(losses)} that lost acknowledged writes, "
          f"longest start {cuts.longest_start_s * 1000:.0f} ms")
    for complaint in cuts.complaints:
        print(complaint)
    if arguments.expect_loss:
        return 0 if losses else 1
    shown = cuts.under_way >= arguments.cuts * 0.8
    if not shown:
        print("too few cuts came between acknowledgements: the test has shown nothing")
    return 0 if shown and not losses and not cuts.complaints else 1


if __name__ == "__main__":
    sys.exit(main())
