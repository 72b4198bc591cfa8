#!/usr/bin/env python3
"""Three real processes elect a leader and serve, whomever a client asks first."""

import re
import subprocess
import sys

from cluster import Asked, Cluster, ErrorReply, Scratch, moved_port


def redis_cli(port, *words):
    """What redis-cli -c says; it follows redirections."""
    run = subprocess.run(["redis-cli", "-c", "-p", str(port), *words], capture_output=True,
                         text=True, check=True, timeout=60)
    return run.stdout.strip()


def who_does_not_lead_names_who_does(cluster):
    cluster.acquainted()
    leader = cluster.leader(everyone=True)
    for node in cluster.nodes:
        with Asked(node) as client:
            try:
                assert client.call("SET", "who", node.port) == "OK" and node is leader
            except ErrorReply as error:
                assert moved_port(error) == leader.port and node is not leader, \
                    (error, [cluster.info(n) for n in cluster.nodes])


def redis_cli_follows(cluster):
    cluster.leader(everyone=True)
    for number, node in enumerate(cluster.nodes):
        assert redis_cli(node.port, "set", f"key:{number}", f"by {number}") == "OK"
    for node in cluster.nodes:
        for number in range(len(cluster.nodes)):
            assert redis_cli(node.port, "get", f"key:{number}") == f"by {number}"


def all_apply_the_same(cluster):
    cluster.settled()
    for node in cluster.nodes:
        with Asked(node) as client:
            assert client.call("READONLY") == "OK"
            assert client.call("GET", "key:1") == b"by 1"


def members_know_each_other_by_the_secret(cluster):
    for node in cluster.nodes:
        peers = cluster.info(node, "peers")
        assert peers["peers_in_open"] == peers["peers_out_open"] == "4", peers
        assert peers["peers_in_unauthenticated"] == peers["peers_in_refused"] == "0", peers


def a_large_value_reaches_all(cluster):
    """Of many frames and more than a slice of authentication."""
    value = bytes(range(256)) * 4096 * 8  # 8 MiB
    leader = cluster.leader()
    with Asked(leader) as client:
        assert client.call("SET", "large", value) == "OK"
    cluster.settled()
    for node in cluster.nodes:
        with Asked(node) as client:
            client.call("READONLY")
            assert client.call("GET", "large") == value
    assert cluster.leader() is leader, "a large value has deposed the leader"


def all_stop_when_they_are_asked(cluster):
    for node in cluster.nodes:
        assert node.stop() == 0, node.log()
        assert not re.search(r"level=error", node.log()), node.log()


def they_come_back_with_what_they_had(cluster):
    cluster.start()
    leader = cluster.leader()
    with Asked(leader) as client:
        assert client.call("GET", "key:2") == b"by 2"


TESTS = [who_does_not_lead_names_who_does, redis_cli_follows, all_apply_the_same,
         members_know_each_other_by_the_secret, a_large_value_reaches_all,
         all_stop_when_they_are_asked, they_come_back_with_what_they_had]


def main():
    with Scratch() as scratch, Cluster(scratch) as cluster:
        cluster.start()
        for test in TESTS:
            test(cluster)
            print(f"ok {test.__name__}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
