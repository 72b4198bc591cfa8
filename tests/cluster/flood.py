#!/usr/bin/env python3
"""A flood of clients deposes nobody, and a member that stands still holds up nobody.

    flood.py [--seconds S]

Hundreds of connections send writes as fast as the nodes take them, without waiting for answers:
most of them to the leader, some to each follower, which has to refuse them. So all that lies
between client and node is full, always, and far more waits than the node can do within an election
time-out. Then a follower is stopped meanwhile, and goes on.

Nobody may be elected, all the time; the leader acknowledges; a client that asks for one thing at a
time is served; no node takes more memory than its buffers have. Printed is how late heartbeats
were. It is not judged, but by what it is for: an election. All three nodes and the flood share this
machine's processors; where others have used more than a fifth of them meanwhile, an election, or
how many writes there were, says nothing of the nodes, and a test that would fail is skipped.
"""

import argparse
import os
import selectors
import signal
import socket
import sys
import threading
import time

from cluster import Client, Cluster, ErrorReply, Scratch, request, skip, until

TO_LEADER, TO_FOLLOWER = 300, 8  # connections
PIECE = 256                       # writes that a connection sends at a time
KEYS = 1000                       # so that the data do not grow
TIMEOUT_S = 0.2                   # T
MEMORY_KB = 768 * 1024            # of a node: all its buffers, touched, and the data
OTHERS = 0.2                      # of the processors' time, at most, for others than this test
SHARE = 0.25                      # of the rate with all members, at least, with one stopped


class Flood(threading.Thread):
    """Fills all connections, and throws away what comes back, but for counting it."""

    def __init__(self, cluster, leader):
        super().__init__(daemon=True)
        self.selector = selectors.DefaultSelector()
        self.acked = self.refused = self.sent = self.broken = 0
        self.ends = False
        self.pieces = [b"".join(request("SET", f"flood:{(at * 7 + i * 13) % KEYS}", "x" * 32)
                                for i in range(PIECE)) for at in range(8)]
        for node in cluster.nodes:
            for number in range(TO_LEADER if node is leader else TO_FOLLOWER):
                client = socket.create_connection(("127.0.0.1", node.port), 30)
                client.setblocking(False)
                # What waits is in the node's own buffers and in these, whatever the host allows.
                client.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 18)
                both = selectors.EVENT_READ | selectors.EVENT_WRITE
                piece = self.pieces[number % len(self.pieces)]
                self.selector.register(client, both, [piece, 0, node is leader])

    def run(self):
        while not self.ends and self.selector.get_map():
            for key, events in self.selector.select(0.1):
                try:
                    if events & selectors.EVENT_READ:
                        self.receive(key)
                    if events & selectors.EVENT_WRITE:
                        self.send(key)
                except BlockingIOError:
                    pass
                except OSError:
                    self.broken += 1
                    self.selector.unregister(key.fileobj)
        for key in list(self.selector.get_map().values()):
            key.fileobj.close()

    @staticmethod
    def received(key):
        data = key.fileobj.recv(1 << 18)
        if not data:
            raise OSError("closed")
        return data

    def receive(self, key):
        data = self.received(key)
        if key.data[2]:
            self.acked += data.count(b"+OK\r\n")  # a few that are cut in two are not counted
            self.refused += data.count(b"-")
        else:
            self.refused += data.count(b"-")

    def send(self, key):
        piece, at, to_leader = key.data
        count = key.fileobj.send(memoryview(piece)[at:])
        at += count
        if at == len(piece):
            at = 0
            self.sent += PIECE * to_leader
        key.data[1] = at


class Watch:
    """Whether there was an election, and who used the processors."""

    def __init__(self, cluster):
        self.cluster = cluster
        self.term = cluster.info(cluster.leader(everyone=True))["raft_term"]
        self.all, self.own = self.used()

    def used(self):
        """Ticks in which the processors were busy, and those of this process and the nodes."""
        with open("/proc/stat", encoding="ascii") as file:
            user, nice, system, _, _, _, _, steal = map(int, file.readline().split()[1:9])
        own = 0
        for pid in ["self", *(node.process.pid for node in self.cluster.running())]:
            with open(f"/proc/{pid}/stat", encoding="utf-8") as file:
                own += sum(int(word) for word in file.read().rpartition(")")[2].split()[11:13])
        return user + nice + system + steal, own  # interrupts are our own, most of them

    def others_share(self):
        busy, own = (now - then for now, then in zip(self.used(), (self.all, self.own)))
        return (busy - own) / max(1, busy)

    def look(self, among):
        """Fails if there was an election."""
        self.same(self.cluster.info(node) for node in among)

    def same(self, says):
        for raft in says:
            if (now := raft["raft_term"]) != self.term:
                lateness(self.cluster)
                logs = "\n".join(other.log()[-2000:] for other in self.cluster.nodes)
                text = f"an election: {now} after {self.term}\n{logs}"
                self.fails(text)

    def fails(self, text):
        """Others may be why: then nothing is shown."""
        if (share := self.others_share()) > OTHERS:
            print(text)
            skip(f"others have used {share:.0%} of the processors' time")
        raise AssertionError(text)


def rate_of(flood, watch, among, seconds):
    """What is acknowledged a second, over so many."""
    before, begin = flood.acked, time.monotonic()
    until(lambda: time.monotonic() - begin >= seconds, "time stands still")
    rate = (flood.acked - before) / (time.monotonic() - begin)
    watch.look(among)
    assert rate > 0, "nothing is acknowledged"
    assert flood.broken == 0, f"{flood.broken} connections were closed"
    return rate


def asks_little(watch, leader, among):
    """The longest of a few writes, one at a time: such a client is served beside the flood."""
    longest = 0.0
    with Client(leader.port) as client:
        for number in range(3):
            begin = time.monotonic()
            try:
                assert client.call("SET", "little", number) == "OK"
            except ErrorReply as error:
                watch.look(among)
                watch.fails(f"refused by who should lead: {error}\n{leader.log()[-2000:]}")
            longest = max(longest, time.monotonic() - begin)
    watch.look(among)
    return longest


def lateness(cluster):
    """What each node says; a line each. Returns INFO raft of all."""
    says = [cluster.info(node) for node in cluster.nodes]
    for number, raft in enumerate(says, 1):
        for what in ("sent", "heard"):
            said = dict(part.split("=") for part in raft[f"raft_heartbeats_{what}"].split(","))
            if said["count"] != "0":
                print(f"node {number}: {said['count']} heartbeats {what}, 99 % at most "
                      f"{int(said['late_p99_us']) / 1000:.1f} ms late, the latest "
                      f"{int(said['late_max_us']) / 1000:.1f} ms")
    return dict(zip(cluster.nodes, says))


def heartbeats(raft, what):
    return int(raft[f"raft_heartbeats_{what}"].split(",")[0].split("=")[1])


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=1.5, help="of each of the parts")
    seconds = parser.parse_args().seconds
    with Scratch() as scratch, Cluster(scratch) as cluster:
        cluster.start()
        leader = cluster.leader(everyone=True)
        stopped, other = (node for node in cluster.nodes if node is not leader)
        watch = Watch(cluster)
        sent = heartbeats(cluster.info(leader), "sent")
        heard = heartbeats(cluster.info(other), "heard")
        flood = Flood(cluster, leader)
        flood.start()

        rate = rate_of(flood, watch, cluster.nodes, seconds)
        waits = flood.sent - flood.acked
        little = asks_little(watch, leader, cluster.nodes)
        print(f"flood: {rate:.0f} writes a second, {waits} wait, {waits / (rate * TIMEOUT_S):.0f} "
              f"times what is done within T; {flood.refused} refused; one at a time is served "
              f"within {little * 1000:.0f} ms")

        os.kill(stopped.process.pid, signal.SIGSTOP)
        with_one_less = rate_of(flood, watch, [leader, other], seconds)
        asks_little(watch, leader, [leader, other])
        os.kill(stopped.process.pid, signal.SIGCONT)
        print(f"one follower stands still: {with_one_less:.0f} writes a second")
        if with_one_less < SHARE * rate:
            watch.fails("who stands still holds up the others")
        rate_of(flood, watch, cluster.nodes, seconds)

        others = watch.others_share()
        flood.ends = True
        flood.join(30)
        says = lateness(cluster)
        watch.same(says.values())
        print(f"nobody was elected; others have used {others:.0%} of the processors' time")
        for number, node in enumerate(cluster.nodes, 1):
            took = node.status_kb("VmRSS")
            print(f"node {number} has taken {took // 1024} MiB")
            assert took < MEMORY_KB, node.log()[-2000:]
        # Half of those that were due: the gauge counts what there is.
        due = 3 * seconds / (TIMEOUT_S / 10)
        assert heartbeats(says[leader], "sent") - sent > due / 2
        assert heartbeats(says[other], "heard") - heard > due / 4
        cluster.settled()
    return 0


if __name__ == "__main__":
    sys.exit(main())
