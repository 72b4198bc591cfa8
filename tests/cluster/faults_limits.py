"""Processes that have no file descriptor left, or no memory."""

import contextlib
import os
import re
import signal
import socket

from faults import befell, needs, table
from faults_disks import write_much
from faults_processes import killed
from hosts import CLIENT_PORT
from weir_test import SLOWNESS, request

EACH = 4                     # descriptors for another member: two connections each way
FEW = 12                     # and for those who write meanwhile, and who asks
BEYOND = 4                   # clients that come when there are no descriptors for them, at least
BUSY_SHARE = 0.5             # of a processor, of a node that cannot accept; it needs some 0.05
ANSWER_S = 5.0 * SLOWNESS    # for them, once there are
GAP_S = 5.0 * SLOWNESS       # without an acknowledged write, though a majority is well
MEMORY_LEFT = 8 << 20


def few(world):
    """Descriptors beside those that a node serves with."""
    return EACH * (len(world.hosts) - 1) + FEW


class Crowd:
    """Clients of one node that connect and ask at once; nobody may have accepted them yet."""

    def __init__(self, world, host):
        self.world, self.sockets = world, []
        for _ in range(few(world) + BEYOND):
            found = socket.socket()
            found.settimeout(ANSWER_S)
            self.sockets.append(found)
            found.connect((host.address, CLIENT_PORT))
            found.sendall(request("AUTH", world.password) + request("PING"))

    def served(self):
        """Each gets both answers."""
        for each in self.sockets:
            said = b""
            while said.count(b"\r\n") < 2:
                more = each.recv(100)
                assert more, f"a client that waited is closed after {said!r}"
                said += more
            assert said == b"+OK\r\n+PONG\r\n", said

    def close(self):
        for each in self.sockets:
            each.close()


def descriptors(host):
    """What each of them is; without those that are closed just now."""
    path, found = f"/proc/{host.process.process.pid}/fd", {}
    for name in os.listdir(path):
        with contextlib.suppress(FileNotFoundError):
            found[int(name)] = os.readlink(f"{path}/{name}")
    return found


def start_with_few(world, victim):
    """
    Starts the node again, with a few descriptors more than it needs to serve. The kernel goes by
    the limit that was in force when accepting began, and that is when the node hears of a leader:
    so until the limit is set it hears of none. Returns what the limit was.
    """
    killed(world, [victim])
    ways = world.network.apart({victim.number})
    world.network.cut(*ways, *((other, one) for one, other in ways))
    try:
        victim.spawn()

        def is_up():
            names = list(descriptors(victim).values())
            return sum("/log-" in name for name in names) >= 2 and \
                sum(name.startswith("socket:") for name in names) >= 2
        world.awaited(is_up, "it does not open its log and the next segment")
        usual = victim.limits.of_process("NOFILE", max(descriptors(victim)) + 1 + few(world))
    finally:
        world.network.clear()
    victim.serves()
    return usual


@contextlib.contextmanager
def no_descriptors_at(world, victim):
    """The node has no descriptor left, and clients wait for some. Afterwards it serves them."""
    usual = start_with_few(world, victim)
    line, crowd = world.line(victim), None
    try:
        crowd = Crowd(world, victim)
        world.awaited(lambda: accept_errors(line) > 0, "it has descriptors")
        yield
        befell(world, "connections that could not be accepted",
               {f"node {victim.number}": accept_errors(line)})
        assert victim.running(), f"it has ended:\n{victim.process.log()[-2000:]}"
        victim.limits.of_process("NOFILE", usual)
        crowd.served()
    finally:
        if victim.running():
            victim.limits.of_process("NOFILE", usual)
        line.close()
        if crowd is not None:
            crowd.close()
    world.settled_on(victim)


def accept_errors(line):
    text = line.call("INFO", "stats").decode()
    return int(dict(row.split(":", 1) for row in text.splitlines() if ":" in row)["accept_errors"])


def break_connections(world, victim):
    """Those between it and the others end, inside a frame."""
    ways = [(world.hosts[one - 1].proxy, other) for one in world.network.numbers
            for other in world.network.numbers if one != other and victim.number in (one, other)]
    before = sum(proxy.counts["cut"] for proxy, _ in ways)
    for proxy, other in ways:
        proxy.ways[other].cut = 1.0
    try:
        world.awaited(lambda: sum(proxy.counts["cut"] for proxy, _ in ways) > before,
                      "no connection was broken")
        world.lasting(0.2)
    finally:
        for proxy, other in ways:
            proxy.ways[other].clear()


def no_descriptors(world, rng):
    """Peers come back when it has some again; a majority that is well waits for nobody."""
    victim, begin = rng.choice(world.hosts), world.now()
    with no_descriptors_at(world, victim):
        used_s, since = victim.process.cpu_s(), world.now()
        break_connections(world, victim)
        world.lasting(rng.uniform(0.5, 1.5))
        share = (victim.process.cpu_s() - used_s) / (world.now() - since)
        assert share < BUSY_SHARE, f"it takes {share:.2f} of a processor to accept nobody"
    world.bounded(world.gap_since(begin), GAP_S, begin, "a majority was well, and writes nothing:")


@needs("memory")
def no_memory(world, rng):
    """A node is killed by the kernel for what it takes, or says that it has none, and lives."""
    victim = rng.choice(world.hosts)
    limits = victim.limits
    limits.memory(None)  # the group is there; what the node had before may be counted or not
    refused, kills = limits.memory_refused(), limits.memory_kills()
    limits.memory(limits.memory_bytes() + MEMORY_LEFT)
    try:
        write_much(world, world.record(), lambda: not victim.running())
        befell(world, "how often it got no more memory",
               {f"node {victim.number}": limits.memory_refused() - refused})
        world.tell(f"    processes killed for it: {limits.memory_kills() - kills}")
        world.served()
    finally:
        limits.memory(None)
    if not victim.running():
        victim.kill()
        status = victim.process.process.returncode
        assert status == -signal.SIGKILL and limits.memory_kills() > kills or \
            re.search("weir serve: .*memory", victim.process.log()), \
            f"status {status}:\n{victim.process.log()[-2000:]}"
        world.go_on([victim])
    world.settled_on(victim)


FAULTS = table(
    (no_descriptors, "a node has no file descriptor left, and its peers' connections end",
     "it serves who waited, and its peers, once it has; it takes little of a processor meanwhile"),
    (no_memory, "a node may take 8 MiB of memory more",
     "it refuses, or is killed and comes back; the rest serves"),
)
