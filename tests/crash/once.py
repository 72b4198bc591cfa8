#!/usr/bin/env python3
"""A client that repeats what was not answered, over kills, has everything applied exactly once.

    once.py [--kills N] [--seed N]

Several lanes send ONCE INCR in pipelines, each under a session of its own and on keys of its own
and a shared one, until the node is killed. After the restart each sends again, on a new
connection and under the same session, what was not answered (and some of what was), and then goes
on. At the end each counter equals the number of sequences that incremented it, and every reply is
the one that the sequence got at first. The test fails, with status 3, if nothing had been applied
without being answered, or no start was from a snapshot: it would have shown nothing.
"""

import argparse
import os
import random
import re
import sys
import threading

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "support"))
from weir_test import MAPS, ErrorReply, Node, Scratch, request  # noqa: E402

LANES, DEPTH, KEYS = 6, 16, 3
LOAD_S_MAX = 0.4
VACUOUS = 3  # exit status: nothing was wrong, and nothing was shown
# Small, so that sessions also come out of snapshots.
CONFIG = {"snapshot-log-bytes": "1mb"}
FILL = "x" * 400


class Lane:
    """One session: what was sent under each sequence, and what it was answered."""

    def __init__(self, number, client, rng):
        self.number, self.rng = number, rng
        self.session = client.call("ONCE.OPEN")
        self.sequence = 0
        self.words = {}    # of each sequence that may still be repeated
        self.replies = {}  # of those answered
        self.waiting = []  # sequences sent and not answered, in order
        self.sent = {}     # key -> increments
        self.wrong = []

    def make(self):
        self.sequence += 1
        key = self.rng.choice([b"shared"] + [b"lane:%d:%d" % (self.number, i) for i in range(KEYS)])
        self.sent[key] = self.sent.get(key, 0) + 1
        self.words[self.sequence] = (b"ONCE", self.session, self.sequence, b"INCR", key)
        self.words.pop(self.sequence - 100, None)
        return self.sequence

    def say(self, client, sequences):
        """Sends these, and takes all replies; ConnectionError if the node dies."""
        client.send(request(b"SET", b"fill", FILL) +
                    b"".join(request(*self.words[sequence]) for sequence in sequences))
        if client.reply() != "OK":
            self.wrong.append("the SET beside was refused")
        for sequence in sequences:
            reply = client.reply()
            if isinstance(reply, ErrorReply):
                self.wrong.append(f"{self.words[sequence]}: {reply}")
            elif self.replies.setdefault(sequence, reply) != reply:
                self.wrong.append(f"{self.words[sequence]} was answered {self.replies[sequence]}, "
                                  f"and then {reply}")
            if sequence in self.waiting:
                self.waiting.remove(sequence)

    def repeat(self, client):
        self.say(client, sorted(set(self.waiting) | set(list(self.words)[-8:])))

    def run(self, node):
        """Repeats and goes on until the node dies."""
        try:
            with node.client() as client:
                self.repeat(client)
                while not self.wrong:
                    made = [self.make() for _ in range(DEPTH)]
                    self.waiting += made
                    self.say(client, made)
        except OSError:
            pass


def figure(client, section, name):
    return int(re.search(rb"%b:(\d+)" % name, client.call("INFO", section))[1])


def check(client, lanes):
    """What is wrong, after everything was answered."""
    wrong = [line for lane in lanes for line in lane.wrong]
    total = {}
    for lane in lanes:
        for key, count in lane.sent.items():
            total[key] = total.get(key, 0) + count
    for key, count in total.items():
        found = int(client.call("GET", key) or 0)
        if found != count:
            wrong.append(f"{key}: {found}, but {count} sequences incremented it")
    return wrong


def applied_unanswered(client, lanes):
    """How many sequences without an answer have been applied: before anything is repeated."""
    keys = {key for lane in lanes for key in lane.sent}
    counted = sum(int(client.call("GET", key) or 0) for key in keys)
    return counted - sum(len(lane.replies) for lane in lanes)


def kill_under_load(node, lanes, delay_s):
    threads = [threading.Thread(target=lane.run, args=(node,)) for lane in lanes]
    for thread in threads:
        thread.start()
    killer = threading.Timer(delay_s, node.process.kill)
    killer.start()
    for thread in [*threads, killer]:
        thread.join()
    node.process.wait()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--kills", type=int, default=12)
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 32))
    arguments = parser.parse_args()
    print(f"seed {arguments.seed}", flush=True)
    rng = random.Random(arguments.seed)
    lanes, unanswered, applied, snapshots = [], 0, 0, 0
    with Scratch() as scratch:
        for number in range(arguments.kills + 1):
            options = ("--map", MAPS[number % len(MAPS)])
            with Node(os.path.join(scratch, "data"), *options, config=CONFIG) as node:
                client = node.start().client()
                if not lanes:
                    lanes = [Lane(i, client, random.Random(rng.random())) for i in range(LANES)]
                unanswered += sum(len(lane.waiting) for lane in lanes)
                applied += applied_unanswered(client, lanes)
                for lane in lanes:
                    lane.repeat(client)
                wrong = check(client, lanes)
                snapshots += figure(client, "persistence", b"snapshot_last_index") > 0
                if wrong:
                    print(f"after kill {number}, {options[1]}:", *wrong[:20], sep="\n    ")
                    return 1
                if number < arguments.kills:
                    kill_under_load(node, lanes, rng.uniform(0.1, LOAD_S_MAX))
    sent = sum(lane.sequence for lane in lanes)
    print(f"{arguments.kills} kills, {sent} sequences, {unanswered} unanswered, of which {applied} "
          f"had been applied, {snapshots} starts from a snapshot")
    if applied == 0 or snapshots == 0:
        print("too little was repeated, or no snapshot was restored: the test has shown nothing")
        return VACUOUS
    return 0


if __name__ == "__main__":
    sys.exit(main())
