#!/usr/bin/env python3
"""Nothing acknowledged is lost by SIGKILL, and nothing is half applied.

    kill.py [--kills N] [--seed N]

The same data directory is killed again and again at random moments under load, under each map in
turn; every fifth start is killed as well, before it has finished recovering. The test fails unless
most kills came after an acknowledgement and found operations in flight, whole in the socket and not
answered, else it would have proved nothing.

SIGKILL leaves the page cache alone: what it cannot show is a missing fsync. power.py does.
"""

import argparse
import os
import random
import statistics
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "support"))
from load import Load  # noqa: E402
from weir_test import MAPS, Node, Scratch  # noqa: E402

LOAD_S_MAX = 0.8  # the moment of the kill, after the load began
START_S_MAX = 0.1  # the same after a start
# Small, so that kills also fall into snapshots and the removal of segments.
CONFIG = {"snapshot-log-bytes": "4mb"}


def kill_under_load(node, load, delay_s):
    load.connect(node.port)
    killer = threading.Timer(delay_s, node.process.kill)
    killer.start()
    try:
        load.run()
    finally:
        killer.join()
    node.process.wait()


def kill_while_starting(node, delay_s):
    node.spawn()
    killer = threading.Timer(delay_s, node.process.kill)
    killer.start()
    killer.join()
    node.process.wait()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 32))
    arguments = parser.parse_args()
    print(f"seed {arguments.seed}", flush=True)
    rng = random.Random(arguments.seed)
    load = Load(rng.random())
    under_way = 0
    acknowledged, in_flight, start_s = [], [], []
    with Scratch() as scratch:
        for round_number in range(arguments.kills):
            options = ("--map", MAPS[round_number % len(MAPS)])
            with Node(os.path.join(scratch, "data"), *options, config=CONFIG) as node:
                if round_number % 5 == 4:
                    kill_while_starting(node, rng.uniform(0, START_S_MAX))
                began = time.monotonic()
                node.start()
                start_s.append(time.monotonic() - began)
                with node.client() as client:
                    wrong = load.verify(client)
                if wrong:
                    print(f"round {round_number}, {options[1]}:", *wrong, sep="\n    ")
                    return 1
                kill_under_load(node, load, rng.uniform(0, LOAD_S_MAX))
                under_way += load.was_under_way()
                acknowledged.append(load.acknowledged)
                in_flight.append(load.in_flight)
        with Node(os.path.join(scratch, "data")) as node:
            with node.start().client() as client:
                wrong = load.verify(client)
            status = node.stop()
        snapshots = [name for name in os.listdir(os.path.join(scratch, "data"))
                     if name.startswith("snapshot")]
    print(f"{arguments.kills} kills, {under_way} after acknowledgements (median "
          f"{statistics.median(acknowledged):.0f}, {load.operations} in all) and with operations "
          f"in flight (median {statistics.median(in_flight):.0f}), longest start "
          f"{max(start_s) * 1000:.0f} ms")
    if wrong:
        print("after the last kill:", *wrong, sep="\n    ")
    if under_way < arguments.kills * 0.8:
        print("too few kills came between acknowledgements: the test has shown nothing")
    if not snapshots:
        print("no snapshot was taken: the test has not killed one")
    if status != 0:
        print(f"SIGTERM at the end: status {status}")
    good = not wrong and under_way >= arguments.kills * 0.8 and snapshots and status == 0
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
