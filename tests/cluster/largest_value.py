#!/usr/bin/env python3
"""The largest value is agreed on in the log, once and for ever, whatever each node is configured.

APPEND, SETRANGE and SETBIT decide by it when they are executed. So members that are configured
differently must come to the same data, and so must a node that is started again with another value:
their digests are compared at every multiple of 1024 entries. A directory of a version that had not
agreed on it opens, and the node says what follows.
"""

import os
import re
import tarfile

from cluster import Cluster, ErrorReply, Scratch, until
from weir_test import Node, NodeEnded, decode, weir

MIB = 1 << 20
SMALL, LARGE = "1mb", "2mb"
KEY = "proto-max-bulk-len"
TOO_LONG = "ERR string exceeds maximum allowed size (proto-max-bulk-len)"
DIGEST_ENTRIES = 1024       # docs/operations.md
OLD = os.path.join(os.path.dirname(__file__), "old", "genesis-1.tar.xz")
UNSYNCED = ("--durability", "write")  # a thousand entries one after the other
OLD_LENGTH = 600 * 1024     # what an APPEND of as much again was refused there, at 1mb
HALF = b"x" * (600 * 1024)


def said(client, *words):
    """The reply, also if it is an error."""
    try:
        return client.call(*words)
    except ErrorReply as error:
        return str(error)


def build(client, largest):
    """Values as long as may be, by each command that decides when it is executed; its answers."""
    between = largest - 1 if largest > MIB else MIB + 5
    return [said(client, "SET", "appended", HALF), said(client, "APPEND", "appended", HALF),
            said(client, "APPEND", "appended", HALF), said(client, "APPEND", "appended", HALF),
            said(client, "SETRANGE", "ranged", between - 1, "r"),
            said(client, "SETRANGE", "ranged", largest, "r"),
            said(client, "SETBIT", "bits", 8 * between - 1, 1),
            said(client, "SETBIT", "bits", 8 * largest, 1),
            [client.call("STRLEN", key) for key in ("appended", "ranged", "bits")]]


def expected(largest):
    if largest == MIB:
        return ["OK", TOO_LONG, TOO_LONG, TOO_LONG, TOO_LONG, TOO_LONG,
                "ERR bit offset is not an integer or out of range",
                "ERR bit offset is not an integer or out of range", [len(HALF), 0, 0]]
    return ["OK", 2 * len(HALF), 3 * len(HALF), TOO_LONG, largest - 1, TOO_LONG, 0,
            "ERR bit offset is not an integer or out of range",
            [3 * len(HALF), largest - 1, largest - 1]]


def fill(client):
    """So many entries that the leader logs a digest."""
    for number in range(DIGEST_ENTRIES + 100):
        client.send(b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$4\r\n%04d\r\n" % number)
        client.reply()


def members_that_are_configured_differently_agree(scratch):
    with Cluster(scratch, options=UNSYNCED) as cluster:
        for number, largest in ((1, SMALL), (2, LARGE), (3, SMALL)):
            with open(cluster.config(number), "a", encoding="ascii") as file:
                file.write(f"{KEY} {largest}\n")
        cluster.start()
        leader = cluster.leader(everyone=True)
        with leader.client() as client:
            largest = 2 * MIB if leader is cluster.nodes[1] else MIB
            # Whoever led first has decided; these are its own answers.
            first = build(client, largest)
            assert first == expected(largest), first
            fill(client)
        for node in cluster.nodes:
            until(lambda node=node: int(cluster.info(node, "persistence")["digests_agreed"]) > 0,
                  "no digest was compared")
        for node in cluster.nodes:
            assert "event=digest_" not in node.log(), node.log()
            with node.client() as client:
                assert client.call("READONLY") == "OK"
                lengths = [client.call("STRLEN", key) for key in ("appended", "ranged", "bits")]
                assert lengths == first[-1], (node.directory, lengths, first)
                shown = client.call("CONFIG", "GET", KEY)[1]
            own = 2 * MIB if node is cluster.nodes[1] else MIB
            assert int(shown) == min(own, largest), (shown, largest)
            assert ("event=largest_value " in node.log()) == (own != largest), node.log()
            print(f"{os.path.basename(node.directory)}: configured {own}, agreed {largest}, "
                  f"in force {int(shown)}, lengths {lengths}")


def a_node_alone_replays_to_the_same_with_another_value(scratch):
    node = Node(os.path.join(scratch, "alone"), durability="write",
                config={KEY: LARGE, "snapshot-log-bytes": "0"})
    with node.start():
        with node.client() as client:
            assert build(client, 2 * MIB) == expected(2 * MIB)
            fill(client)
        assert "event=largest_value" not in node.log(), node.log()
        for largest, in_force in ((SMALL, MIB), ("16mb", 2 * MIB)):
            node.kill()
            node.config[KEY] = largest
            node.start()
            assert re.search(r"event=largest_value .*\bwhat=", node.log()), node.log()
            with node.client() as client:
                info = decode_info(client.call("INFO", "persistence"))
                assert int(info["digests_agreed"]) > 0, info
                assert int(client.call("CONFIG", "GET", KEY)[1]) == in_force
                # As before: the log decides, and no argument may be larger than what is in force.
                assert said(client, "APPEND", "appended", HALF) == TOO_LONG
                assert client.call("SETRANGE", "ranged", 2 * MIB - 1, "r") == 2 * MIB
                assert said(client, "SETRANGE", "ranged", 2 * MIB, "r") == TOO_LONG
                client.send(b"*2\r\n$4\r\nECHO\r\n$%d\r\n" % (in_force + 1))
                answer = client.rest()
                assert decode(answer)[0].args[0] == "ERR Protocol error: invalid bulk length", \
                    answer
        assert node.stop() == 0
        shown = weir("inspect", "--data", node.directory, "--index", "1..3")
        assert re.search(rf"value_bytes_max\W+{2 * MIB}\b", shown.stdout), shown.stdout


def decode_info(text):
    return dict(line.split(":", 1) for line in text.decode().splitlines() if ":" in line)


def an_entry_that_is_too_large_for_what_is_configured_now_is_named(scratch):
    node = Node(os.path.join(scratch, "larger"), config={KEY: "8mb", "snapshot-log-bytes": "0"})
    with node.start():
        with node.client() as client:
            assert client.call("SET", "k", b"v" * (8 * MIB)) == "OK"
        node.kill()
        node.config[KEY] = SMALL
        try:
            node.start()
            raise AssertionError("it serves")
        except NodeEnded as ended:
            assert ended.status == 1 and ended.text.count("proto-max-bulk-len is too small") == 1, \
                ended
        node.config[KEY] = "8mb"
        node.start()
        with node.client() as client:
            assert client.call("STRLEN", "k") == 8 * MIB
        assert node.stop() == 0


def a_snapshot_carries_what_was_agreed(scratch):
    node = Node(os.path.join(scratch, "with-snapshot"),
                config={KEY: LARGE, "snapshot-log-bytes": "1mb"})
    with node.start():
        with node.client() as client:
            assert build(client, 2 * MIB) == expected(2 * MIB)
        assert node.wait_log(r"event=snapshot_complete\b"), node.log()
        node.kill()
        node.config[KEY] = "16mb"
        node.start()
        with node.client() as client:
            assert said(client, "APPEND", "appended", HALF) == TOO_LONG
            assert int(client.call("CONFIG", "GET", KEY)[1]) == 2 * MIB
        log = node.log()  # a snapshot is read before the log is
        assert 0 < log.index("event=largest_value ") < log.index("event=starting "), log
        assert node.stop() == 0


def a_directory_of_the_version_before_opens_and_says_what_follows(scratch):
    """Made by the program of before, whose genesis record says no largest value."""
    directory = os.path.join(scratch, "old")
    with tarfile.open(OLD) as old:
        old.extractall(directory, filter="data")
    node = Node(directory, config={KEY: SMALL})
    with node.start():
        assert re.search(r"level=warn event=largest_value_not_agreed configured=1048576",
                         node.log()), node.log()
        with node.client() as client:
            assert client.call("STRLEN", "long") == OLD_LENGTH, "APPEND was refused there"
            assert client.call("GET", "counter") == b"5"
            assert said(client, "APPEND", "long", HALF) == TOO_LONG
        assert node.stop() == 0


def main():
    for test in (an_entry_that_is_too_large_for_what_is_configured_now_is_named,
                 a_directory_of_the_version_before_opens_and_says_what_follows,
                 a_snapshot_carries_what_was_agreed,
                 a_node_alone_replays_to_the_same_with_another_value,
                 members_that_are_configured_differently_agree):
        with Scratch() as scratch:
            test(scratch)
            print(f"ok: {test.__name__.replace('_', ' ')}", flush=True)


if __name__ == "__main__":
    main()
