#!/usr/bin/env python3
"""SIGKILL of real members while clients count: nothing acknowledged is lost.

    kill.py [--kills N] [--seed N]

Each lane counts a key of its own up, one INCR at a time, at whoever leads. An acknowledged INCR has
to be there for ever: each reply is above all before it, and at the end the counter is at least the
last reply and at most what was sent. Killed are the leader, a follower, or all at once, in random
order; after each kill the rest goes on if it is a majority, and who was killed comes back. Prints
how long clients were without an answer after each kill of a leader.
"""

import argparse
import random
import sys
import threading
import time

from cluster import Asked, Client, Cluster, ErrorReply, Scratch, moved_port, until

LANES = 4
PAUSE_S = 0.01  # of a client that was not served, before it tries again


class Lane(threading.Thread):
    def __init__(self, cluster, number):
        super().__init__(daemon=True)
        self.cluster, self.key = cluster, f"lane:{number}"
        self.sent = self.acked = 0
        self.at = []       # when each reply came
        self.wrong = []
        self.ends = False
        self.client = None
        self.pause = threading.Event()  # never set
        self.to = None     # the port that a -MOVED has named

    def connect(self):
        self.client = Client(self.to or random.choice(self.cluster.client_ports), limit_s=5)

    def ask(self):
        if self.client is None:
            self.connect()
        self.sent += 1
        reply = self.client.call("INCR", self.key)
        if reply <= self.acked:
            self.wrong.append(f"{self.key}: {reply} after {self.acked}")
        self.acked = reply
        self.at.append(time.monotonic())

    def run(self):
        while not self.ends:
            try:
                self.ask()
            except ErrorReply as error:
                self.to = moved_port(error)
                if str(error).startswith("UNKNOWN"):
                    continue  # it may have been counted
                self.sent -= 1  # definitely not
                self.leave()
                self.pause.wait(PAUSE_S)
            except OSError:
                self.to = None
                self.leave()
                self.pause.wait(PAUSE_S)

    def leave(self):
        if self.client is not None:
            self.client.socket.close()
        self.client = None


def answered_since(lanes, moment):
    return all(lane.at and lane.at[-1] > moment for lane in lanes)


def kill(cluster, lanes, rng):
    """One kill; the time line's line of it."""
    what = rng.choice(["leader", "leader", "follower", "all"])
    leader = cluster.leader()
    followers = [node for node in cluster.nodes if node is not leader]
    victims = {"leader": [leader], "follower": [rng.choice(followers)],
               "all": cluster.nodes}[what]
    begin = time.monotonic()
    for node in victims:
        node.process.kill()
    for node in victims:
        node.kill()
    if what != "all":
        until(lambda: answered_since(lanes, begin), "nobody is served after a kill")
    longest = max(next((at for at in lane.at if at > begin), begin) - begin for lane in lanes)
    for node in victims:
        node.spawn()
    for node in victims:
        assert node.wait_log(r"event=ready\b"), node.log()
    until(lambda: answered_since(lanes, time.monotonic() - 0.5), "nobody is served")
    gap = f", the next answer after {longest * 1000:.0f} ms" if what != "all" else ""
    print(f"killed {what}{gap}", flush=True)
    return longest if what == "leader" else None


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--kills", type=int, default=8)
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 32))
    arguments = parser.parse_args()
    print(f"seed {arguments.seed}")
    rng = random.Random(arguments.seed)
    with Scratch() as scratch, Cluster(scratch) as cluster:
        cluster.start()
        lanes = [Lane(cluster, number) for number in range(LANES)]
        for lane in lanes:
            lane.start()
        begin = time.monotonic()
        until(lambda: answered_since(lanes, begin), "nobody is served")
        gaps = [gap for gap in (kill(cluster, lanes, rng) for _ in range(arguments.kills)) if gap]
        for lane in lanes:
            lane.ends = True
        for lane in lanes:
            lane.join(30)
            assert not lane.is_alive(), "a lane waits for ever"
            assert not lane.wrong, lane.wrong
        cluster.settled()
        with Asked(cluster.leader()) as client:
            for lane in lanes:
                value = int(client.call("GET", lane.key))
                assert lane.acked <= value <= lane.sent, (lane.key, lane.acked, value, lane.sent)
        acked = sum(lane.acked for lane in lanes)
        assert acked > 20 * arguments.kills, f"only {acked} were acknowledged"
        if gaps:
            gaps.sort()
            print(f"{len(gaps)} leaders killed: without an answer for {gaps[0] * 1000:.0f} ms at "
                  f"least, {gaps[len(gaps) // 2] * 1000:.0f} ms in the middle, "
                  f"{gaps[-1] * 1000:.0f} ms at most")
    return 0


if __name__ == "__main__":
    sys.exit(main())
