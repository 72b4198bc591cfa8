#!/usr/bin/env python3
"""Three real processes elect a leader and serve, whomever a client asks first."""

import json
import re
import subprocess
import sys

from cluster import Asked, Cluster, ErrorReply, Scratch, moved_port, until, weir


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


def members_call_each_other_alike(cluster):
    """Whoever is asked names the same ids, which are those that each has for itself."""
    own = set()
    seen = set()
    for node in cluster.nodes:
        with Asked(node) as client:
            own.add(client.call("CLUSTER", "MYID"))
            lines = client.call("CLUSTER", "NODES").decode().splitlines()
        seen.add(frozenset(line.split()[0] for line in lines if "master,noaddr" not in line))
        masters = {line.split()[0] for line in lines if line.endswith(" 0-16383")}
        assert {line.split()[3] for line in lines} - {"-"} <= masters, lines
    assert seen == {frozenset(each.decode() for each in own)}, (own, seen)
    run = subprocess.run(["redis-cli", "--cluster", "check", f"127.0.0.1:{cluster.nodes[0].port}"],
                         capture_output=True, text=True, check=False, timeout=60)
    assert "[OK] All nodes agree about slots configuration." in run.stdout, run.stdout
    assert "[OK] All 16384 slots covered." in run.stdout, run.stdout


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


def info_and_status_say_how_far_each_is(cluster):
    leader = cluster.leader(everyone=True)
    cluster.settled()
    last = int(cluster.info(leader)["raft_last_index"])

    def caught_up():
        said = weir("status", "--server", f"127.0.0.1:{leader.port}", "--json")
        assert said.returncode == 0, said.stderr
        shown = json.loads(said.stdout)
        assert shown["role"] == "leader" and shown["cluster"] == "test"
        assert shown["leader"] == shown["node"] and len(shown["members"]) == 2
        return shown["last_index"] >= last and \
            all(m["lag"] == 0 and m["state"] == "replicate" and m["role"] == "voter" and
                m["match"] == shown["last_index"] and m["contact_ms"] < 1000
                for m in shown["members"])
    until(caught_up, "status does not show that all have everything")
    shown = cluster.info(leader, "replication")
    assert shown["role"] == "master" and shown["connected_slaves"] == "2"
    ports = {re.search(r"port=(\d+),state=online,offset=\d+,lag=0$", shown[f"slave{i}"]).group(1)
             for i in range(2)}
    assert ports == {str(node.port) for node in cluster.nodes if node is not leader}
    for node in cluster.nodes:
        said = weir("status", "--config", cluster.config(1), "--server", f"127.0.0.1:{node.port}")
        assert said.returncode == 0, said.stderr
        assert f"led by node {cluster.nodes.index(leader) + 1}\n" in said.stdout, said.stdout
        if node is not leader:
            shown = cluster.info(node, "replication")
            assert shown["role"] == "slave" and shown["master_link_status"] == "up"
            assert shown["master_port"] == str(leader.port)


def status_says_how_late_heartbeats_are(cluster):
    """The leader sends them, the others hear them; each says so in words and in JSON."""
    leader = cluster.leader(everyone=True)
    for node in cluster.nodes:
        place, what = f"127.0.0.1:{node.port}", "sent" if node is leader else "heard"
        said = weir("status", "--server", place)
        assert said.returncode == 0, said.stderr
        found = re.search(rf"^heartbeats {what}: (\d+), 99 % of them at most (\d+) us late, "
                          r"the latest (\d+) us$", said.stdout, re.M)
        assert found, said.stdout
        count, most, latest = map(int, found.groups())
        assert count > 0 and 0 <= most <= latest, said.stdout
        shown = json.loads(weir("status", "--server", place, "--json").stdout)
        assert shown[f"heartbeats_{what}"]["count"] >= count, shown


def a_member_that_is_gone_shows_as_that(cluster):
    """Its lag grows, and so does the time since it was heard; then it is back."""
    leader = cluster.leader(everyone=True)
    gone = next(node for node in cluster.nodes if node is not leader)
    number = cluster.nodes.index(gone) + 1
    gone.kill()

    def shows(what):
        said = weir("status", "--server", f"127.0.0.1:{leader.port}", "--json")
        return what(next(m for m in json.loads(said.stdout)["members"] if m["id"] == number))
    with Asked(leader) as client:
        for _ in range(10):
            client.call("INCR", "while it is gone")
    until(lambda: shows(lambda m: m["lag"] >= 10 and m["contact_ms"] > 1000), "it shows as there")
    said = weir("status", "--server", f"127.0.0.1:{cluster.client_ports[number - 1]}")
    assert said.returncode == 1 and "does not answer" in said.stderr, said
    assert gone.spawn().wait_log(r"event=ready\b"), gone.log()
    until(lambda: shows(lambda m: m["lag"] == 0 and m["contact_ms"] < 1000), "it is not back")


def nobody_gathers_while_a_member_is_waited_for(cluster):
    """
    A core that sleeps on to find several receives would delay each answer of a member, and all the
    clients behind it.
    """
    leader = cluster.leader(everyone=True)
    for mix in ("set", "get"):
        load = weir("bench", "--server", f"127.0.0.1:{leader.port}", "--mix", mix,
                    "--connections", "50", "--duration", "300ms")
        assert load.returncode == 0, load.stderr
    for node in cluster.nodes:
        core = cluster.info(node, "stages")["core_0"]
        parks, gathers = (int(re.search(rf"\b{name}=(\d+)", core).group(1))
                          for name in ("parks", "gathers"))
        most = parks / 3 if node is leader else 0  # where nobody asked just then
        assert parks > 0 and gathers <= most, (node is leader, core)


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


def a_member_that_serves_nobody_shows_itself(cluster):
    """Alone it cannot know what is committed; whoever is at its machine sees how far it is."""
    alone = cluster.nodes[0]
    place = f"127.0.0.1:{cluster.client_ports[0]}"
    alone.spawn()

    def shows(wanted):
        said = weir("status", "--server", place, "--json")
        assert said.returncode == 1, said
        if not said.stdout:
            return False  # it is starting
        shown = json.loads(said.stdout)
        assert shown["serves"] is False and shown["node"] == 1 and shown["leader"] == 0, shown
        assert [m["id"] for m in shown["members"]] == [2, 3], shown
        return shown["last_index"] > 0 and wanted(shown)
    until(lambda: shows(lambda shown: shown["role"] == "pre-candidate"), "it shows nothing")
    said = weir("status", "--config", cluster.config(1), "--server", place)
    assert said.returncode == 1 and "it serves nobody" in said.stdout, said
    for node in cluster.nodes[1:]:
        node.spawn()
    for node in cluster.nodes:
        assert node.wait_log(r"event=ready\b"), node.log()
    cluster.leader(everyone=True)
    said = weir("status", "--server", place, "--json")
    assert said.returncode == 0 and json.loads(said.stdout)["serves"] is True, said
    for node in cluster.nodes:
        assert node.stop() == 0, node.log()


def they_come_back_with_what_they_had(cluster):
    cluster.start()
    leader = cluster.leader()
    with Asked(leader) as client:
        assert client.call("GET", "key:2") == b"by 2"


TESTS = [who_does_not_lead_names_who_does, redis_cli_follows, members_call_each_other_alike,
         all_apply_the_same, members_know_each_other_by_the_secret,
         info_and_status_say_how_far_each_is, status_says_how_late_heartbeats_are,
         a_member_that_is_gone_shows_as_that, nobody_gathers_while_a_member_is_waited_for,
         a_large_value_reaches_all, all_stop_when_they_are_asked,
         a_member_that_serves_nobody_shows_itself,
         they_come_back_with_what_they_had]


def main():
    # Beside other tests a process may stand still for longer than the usual 200 ms.
    patient = ("--election-timeout", "1000")
    with Scratch() as scratch, Cluster(scratch, options=patient) as cluster:
        cluster.start()
        for test in TESTS:
            test(cluster)
            print(f"ok {test.__name__}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
