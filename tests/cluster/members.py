#!/usr/bin/env python3
"""Who a member is: new ones wait for all others once, one that was made again is nobody, and where
clients reach a member is what it said last."""

import json
import os
import re
import shutil
import subprocess
import sys
import time

from cluster import Asked, Cluster, Scratch, free_ports, until, weir

ALONE_S = 1.0  # five times an election time-out


def status(cluster, number):
    said = weir("status", "--server", f"127.0.0.1:{cluster.client_ports[number - 1]}", "--json")
    return json.loads(said.stdout) if said.stdout else None


def lasts(seconds, condition, what):
    """Holds at every look for so long."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        assert condition(), what
        os.sched_yield()


def two_of_three_new_members_serve_nobody(cluster):
    """They have met, and are a majority; but of a third one they know nothing yet."""
    for node in cluster.nodes[:2]:
        node.spawn()
    for node in cluster.nodes[:2]:
        assert node.wait_log(r"event=not_introduced\b"), node.log()
        assert node.wait_log(r"event=peer_connected .*for=control"), node.log()
    lasts(ALONE_S, lambda: not any(re.search(r"event=(ready|serving|leader|introduced)\b", line)
                                   for node in cluster.nodes[:2] for line in list(node.lines)),
          "two of three take part")
    for number in (1, 2):
        shown = status(cluster, number)
        assert shown and not shown["serves"] and shown["leader"] == 0 and shown["term"] <= 1, shown
    cluster.nodes[2].spawn()
    for node in cluster.nodes:
        assert node.wait_log(r"event=introduced members=3$"), node.log()
        assert node.wait_log(r"event=ready\b"), node.log()


def a_member_that_was_made_again_is_nobody(cluster):
    """Its data are lost, and `weir init` has made new ones under its id: it gets no entry and has
    no say. With what it had before it takes part again."""
    leader = cluster.leader(everyone=True)
    lost = next(node for node in cluster.nodes if node is not leader)
    number = cluster.nodes.index(lost) + 1
    others = [node for node in cluster.nodes if node is not lost]
    with Asked(leader) as client:
        assert client.call("SET", "before", "it is wiped") == "OK"
    lost.kill()
    os.rename(lost.directory, lost.directory + ".kept")
    made = weir("init", "--config", cluster.config(number))
    assert made.returncode == 0, made.stderr
    lost.spawn()
    assert lost.wait_log(rf"event=wiped peer={cluster.nodes.index(others[0]) + 1} "), lost.log()
    for node in others:
        assert node.wait_log(rf"event=member_wiped peer={number} "), node.log()
    term = int(cluster.info(leader)["raft_term"])
    begin = time.monotonic()
    with Asked(leader) as client:
        while time.monotonic() < begin + ALONE_S:
            client.call("INCR", "while it is nobody")
    shown = status(cluster, number)
    assert shown and not shown["serves"] and shown["last_index"] <= 1 and shown["term"] <= 1, shown
    assert not any("event=ready" in line for line in lost.lines), lost.log()
    shown = cluster.info(leader)
    assert int(shown["raft_term"]) == term, f"it has deposed the leader of term {term}: {shown}"
    # Nor is it a majority with the other follower.
    rest = next(node for node in others if node is not leader)
    mark = len(rest.lines)
    leader.kill()
    lasts(ALONE_S, lambda: not any(re.search(r"event=leader\b", line)
                                   for line in rest.lines[mark:] + list(lost.lines)),
          "a member that lost everything elects a leader")
    lost.kill()
    os.rename(lost.directory, lost.directory + ".new")
    os.rename(lost.directory + ".kept", lost.directory)
    for node in (lost, leader):
        node.spawn()
    for node in (lost, leader):
        assert node.wait_log(r"event=ready\b"), node.log()
    cluster.settled()
    with Asked(lost) as client:
        client.call("READONLY")
        assert client.call("GET", "before") == b"it is wiped"


def replaced_by_a_copy(node, copy):
    """Its directory is another one's copy now; what it had is returned."""
    kept = node.directory + ".kept"
    os.rename(node.directory, kept)
    shutil.copytree(copy, node.directory)
    return kept


def an_old_copy_of_a_member_is_noticed_and_ends(cluster):
    """A directory is put back from a copy of before the last acknowledged writes, and from one of
    before the last election: it lacks what the member has told others of."""
    for how in ("entries", "votes"):
        leader = cluster.leader(everyone=True)
        lost = next(node for node in cluster.nodes if node is not leader)
        number = cluster.nodes.index(lost) + 1
        copy = f"{lost.directory}.copy-{how}"
        assert lost.stop() == 0
        shutil.copytree(lost.directory, copy)
        assert lost.spawn().wait_log(r"event=ready\b"), lost.log()
        cluster.settled()
        leader = cluster.leader(everyone=True)
        for _ in range(20 if how == "votes" else 0):
            leader.kill()
            cluster.leader()
            assert leader.spawn().wait_log(r"event=ready\b"), leader.log()
            leader = cluster.leader(everyone=True)
            if leader is not lost:
                break
        assert leader is not lost
        with Asked(leader) as client:
            assert client.call("SET", f"after the copy of {how}", "kept") == "OK"
            assert client.call("WAIT", 2, 10000) == 2
        lost.kill()
        kept = replaced_by_a_copy(lost, copy)
        lost.spawn()
        assert lost.wait_log(r"event=behind peer=\d"), lost.log()
        assert lost.process.wait(10) == 1, "it goes on with less than it has told others of"
        with Asked(leader) as client:
            assert client.call("SET", "while it is nobody", how) == "OK"
        shutil.rmtree(lost.directory)
        os.rename(kept, lost.directory)
        assert lost.spawn().wait_log(r"event=ready\b"), lost.log()
        cluster.settled()
        with Asked(lost) as client:
            client.call("READONLY")
            assert client.call("GET", f"after the copy of {how}") == b"kept"


def slots_ports(node):
    with Asked(node) as client:
        slots = client.call("CLUSTER", "SLOTS")
    return {place[1] for place in slots[0][2:]} if slots else set()


def another_address_for_clients_reaches_all(cluster):
    """A member comes back with another --advertise: all name it, and go on doing so."""
    cluster.leader(everyone=True)
    changed, (port,) = cluster.nodes[1], free_ports(1)
    before = set(cluster.client_ports)
    cluster.acquainted()
    assert changed.stop() == 0
    assert changed.spawn("--advertise", f"127.0.0.1:{port}").wait_log(r"event=ready\b")
    wanted = before - {cluster.client_ports[1]} | {port}
    for node in cluster.nodes:
        until(lambda node=node: slots_ports(node) == wanted, "an address is not known to all")
    for node in cluster.nodes:  # by the log, not by what was said at the introduction
        node.kill()
    for number, node in enumerate(cluster.nodes, 1):
        node.spawn(*(("--advertise", f"127.0.0.1:{port}") if number == 2 else ()))
    for node in cluster.nodes:
        assert node.wait_log(r"event=ready\b"), node.log()
    for node in cluster.nodes:
        until(lambda node=node: slots_ports(node) == wanted, "an address is forgotten")
    assert changed.stop() == 0
    assert changed.spawn().wait_log(r"event=ready\b"), changed.log()
    for node in cluster.nodes:
        until(lambda node=node: slots_ports(node) == before, "an old address is kept")


TESTS = [two_of_three_new_members_serve_nobody, a_member_that_was_made_again_is_nobody,
         an_old_copy_of_a_member_is_noticed_and_ends, another_address_for_clients_reaches_all]


def main():
    with Scratch() as scratch, Cluster(scratch) as cluster:
        for test in TESTS:
            test(cluster)
            print(f"ok {test.__name__}", flush=True)
        for node in cluster.nodes:
            assert node.stop() == 0, node.log()
    return 0


if __name__ == "__main__":
    sys.exit(main())
