"""What befalls connections between members, and the port at which they come.

Only a part of a connection's two (control and data) gets stuck; connections are reset, or one end
is gone and the other one does not know; and who is no member comes in numbers, while members talk.
Each time the descriptors of every node must come back to what its connections are.
"""

import contextlib
import os
import random
import socket
import threading

from faults import befell, table
from faults_network import another_serves, counted
from hosts import PEER_PORT
from proxy import Way
from weir_test import SLOWNESS

PASSED_S, STUCK_S = 0.1, 0.3  # what is under way has passed; before connections are opened anew
HEALED_S = 2.0 * SLOWNESS     # from two election time-outs on a member opens anew what is stuck
AGAIN_S = 5.0 * SLOWNESS      # until a member that stepped down has given way to another one
REST_S = 10.0 * SLOWNESS      # until nothing is left of connections that have ended
RESETS = 12
IDLE = 1000
NOISE = 100
OTHERS = (b"GET / HTTP/1.1\r\nHost: weir\r\n\r\n", b"*1\r\n$4\r\nPING\r\n",
          b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(60))


# ---- what a node's descriptors are --------------------------------------------------------------

def sockets(host):
    """How many sockets its process has."""
    found = 0
    path = f"/proc/{host.process.process.pid}/fd"
    for name in os.listdir(path):
        with contextlib.suppress(FileNotFoundError):
            found += os.readlink(f"{path}/{name}").startswith("socket:")
    return found


def other_sockets(world, host):
    """Those that are no connection of a client or a member that it knows of."""
    line = world.line(host)
    try:
        text = line.call("INFO", "clients").decode() + line.call("INFO", "peers").decode()
        shown = dict(row.split(":", 1) for row in text.splitlines() if ":" in row)
        return sockets(host) - sum(int(shown[name]) for name in (
            "connected_clients", "peers_in_open", "peers_out_open"))
    finally:
        line.close()


def peers(world, host):
    return {name: int(value) for name, value in world.info(host, "peers").items()}


def met(world):
    """Whether each has its two connections to each other one, and no more."""
    wanted = 2 * (len(world.hosts) - 1)
    return all(shown["peers_in_open"] == shown["peers_out_open"] == wanted
               for shown in (peers(world, host) for host in world.hosts))


@contextlib.contextmanager
def nothing_left_behind(world):
    """Afterwards all members are connected as before, and each node has as many sockets more than
    that as it had: those at which it listens, and those of nobody."""
    world.awaited(lambda: met(world), "members are not connected", REST_S)
    before = {host: other_sockets(world, host) for host in world.hosts}
    yield
    world.awaited(lambda: met(world), "members do not come to be connected again", REST_S)

    def as_before():
        return all(other_sockets(world, host) <= before[host] for host in world.hosts)
    try:
        world.awaited(as_before, "descriptors stay", REST_S)
    except AssertionError:
        now = {host.number: other_sockets(world, host) for host in world.hosts}
        was = {host.number: count for host, count in before.items()}
        raise AssertionError(f"sockets of nobody stay: {was} before, {now} now") from None


# ---- stuck data ---------------------------------------------------------------------------------

def data_ways(world, leader, clogged):
    for way in leader.proxy.ways.values():
        way.data_clogged = clogged
    leader.proxy.wake()


def data_stuck_and_opened_anew(world, _):
    """What is open now is stuck for ever; what is opened anew is not."""
    # A connection that is still to come, after the fault before, would be none that is open now.
    world.awaited(lambda: met(world), "members are not connected", REST_S)
    leader, begin = world.leader(), world.now()
    term, before = leader.role()[0], peers(world, leader)["peers_out_opened"]
    stuck = counted(world)["stuck"]
    way = Way()
    way.data_clogged = True
    for pipe in list(leader.proxy.pipes):
        pipe.way = way
    leader.proxy.wake()
    mark = world.now()
    world.awaited(lambda: world.directory.acked_at[-1] > mark + STUCK_S,
                  "entries get stuck, and nothing opens their connections anew", AGAIN_S)
    acked = [when - mark for when in list(world.directory.acked_at) if when > mark]
    assert not any(PASSED_S < when < STUCK_S for when in acked), "nothing was stuck"
    took = min(when for when in acked if when > STUCK_S)
    world.tell(f"    a write is acknowledged {took * 1000:.0f} ms after")
    world.bounded(took, HEALED_S, begin, "stuck entries held writes up for")
    if world.metronome.since(begin) == 0:
        assert leader.role() == (term, True), f"it has stepped down: {leader.role()}"
        assert peers(world, leader)["peers_out_opened"] > before, "nothing was opened anew"
    world.awaited(lambda: counted(world)["stuck"] > stuck, "the fault befell nobody")


def data_stuck(world, rng):
    """Also what is opened anew: heartbeats alone keep nobody leader who gets no entry through."""
    leader, stuck = world.leader(), counted(world)["stuck"]
    term, begin = leader.role()[0], world.now()
    data_ways(world, leader, True)
    try:
        another_serves(world, leader, term, begin)
        world.lasting(rng.uniform(0, 0.5))
    finally:
        data_ways(world, leader, False)
    befell(world, "bytes stuck", {"in all": counted(world)["stuck"] - stuck})


# ---- connections that break ---------------------------------------------------------------------

def resets(world, rng):
    """Some connections at a time; both ends are told so."""
    before = counted(world)["reset"]
    opened = sum(peers(world, host)["peers_out_opened"] for host in world.hosts)
    writes = len(world.directory.acked_at)
    with nothing_left_behind(world):
        for _ in range(RESETS):
            proxy = rng.choice(world.hosts).proxy
            pipes = [pipe for pipe in list(proxy.pipes) if pipe.connected]
            proxy.doomed = rng.sample(pipes, rng.randint(min(1, len(pipes)), len(pipes)))
            proxy.wake()
            world.lasting(rng.uniform(0, 0.2))
    done = counted(world)["reset"] - before
    befell(world, "connections reset", {"in all": done})
    now = sum(peers(world, host)["peers_out_opened"] for host in world.hosts)
    assert now >= opened + done / 2, f"{done} were reset, and {now - opened} opened"
    assert len(world.directory.acked_at) > writes, "resets stop the cluster"


def half_open(world, rng):
    """A machine is gone and tells nobody: connections to it and from it are half open, until it is
    back and has opened its own again."""
    victim = rng.choice(world.followers())
    rest = [host for host in world.hosts if host is not victim]
    with nothing_left_behind(world):
        ways = world.network.apart({victim.number})
        world.network.cut(*ways, *((other, one) for one, other in ways))
        try:
            victim.kill()
            world.kills += 1
            wanted = 2 * (len(world.hosts) - 2)  # whoever asks it nothing does not miss it
            world.awaited(lambda: peers(world, world.leader())["peers_out_open"] <= wanted,
                          "the leader keeps connections to a machine that is gone", REST_S)
            kept = {f"of node {host.number}": peers(world, host)["peers_in_open"] - wanted
                    for host in rest}
            world.served()
        finally:
            world.network.clear()
        befell(world, "half open", kept)
        world.go_on([victim])


# ---- who is no member ---------------------------------------------------------------------------

class Strangers(threading.Thread):
    """They come to a port as long as they are let."""

    def __init__(self, to, seed):
        super().__init__(daemon=True)
        self.to, self.rng, self.ends = to, random.Random(seed), threading.Event()
        self.said = 0

    def run(self):
        while not self.ends.is_set():
            noise = b"\xff" + self.rng.randbytes(self.rng.randrange(8, 500))
            for text in (*OTHERS, noise, *([noise] * (NOISE // 10))):
                with contextlib.suppress(OSError), socket.create_connection(self.to, 5) as line:
                    line.settimeout(5)
                    line.sendall(text)
                    assert line.recv(100) == b"", "a stranger is answered"
                self.said += 1


def strangers(world, rng):
    """Garbage, other protocols, and a thousand who say nothing, at the leader's port."""
    with nothing_left_behind(world):  # which awaits that all are connected again
        leader, begin = world.leader(), world.now()
        term, before = leader.role()[0], peers(world, leader)
        noise = Strangers((leader.address, PEER_PORT), rng.random())
        noise.start()
        idle = [socket.create_connection((leader.address, PEER_PORT), 5) for _ in range(IDLE)]
        world.lasting(rng.uniform(0.5, 1.0))
        noise.ends.set()
        noise.join(30)
        assert not noise.is_alive(), "a stranger waits for ever"
        for line in idle:
            line.settimeout(REST_S)
            with contextlib.suppress(ConnectionResetError):
                assert line.recv(10) == b"", "a stranger is answered"
            line.close()
    after = peers(world, leader)
    befell(world, "strangers", {name: after[name] - before[name]
                                for name in ("peers_in_refused", "peers_in_rejected")})
    assert after["peers_in_rejected"] - before["peers_in_rejected"] >= IDLE / 2, (before, after)
    assert after["peers_in_refused"] > before["peers_in_refused"], (before, after)
    assert after["peers_in_introduced"] == before["peers_in_introduced"], (before, after)
    if world.metronome.since(begin) == 0:
        assert leader.role() == (term, True), f"strangers have deposed the leader: {leader.role()}"
    world.bounded(world.gap_since(begin), 1.0 * SLOWNESS, begin, "strangers held writes up for")


FAULTS = table(
    (data_stuck_and_opened_anew, "the leader's connections for entries are stuck, heartbeats go on",
     "it opens them anew, and goes on in its term"),
    (data_stuck, "the same, and what it opens anew is stuck, too",
     "it steps down, and another one serves"),
    (resets, "connections between members are reset", "they are opened again, and none stays"),
    (half_open, "a follower's machine is gone without a word, and comes back",
     "nothing stays of connections that were half open"),
    (strangers, "garbage, other protocols and a thousand silent ones come to the leader's port for "
     "members", "all are refused or closed, it goes on leading, and none stays", 3,
     "long"),
)
