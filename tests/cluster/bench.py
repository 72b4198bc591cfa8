#!/usr/bin/env python3
"""weir bench while the leader of three nodes is killed: what it reports, and what its history says.

The bench follows to the next leader by itself, and exits with 0. Its history is judged by weir
check-history, with the logs of the two that were left: nothing that was acknowledged is lost, and
each key that is read at the end has the value that its history gives.
"""

import json
import os
import signal
import subprocess
import sys
import time

from cluster import Cluster, Scratch, until, weir
from weir_test import LIMIT_S, WEIR


FAILOVER_MS = 8  # at least: a vote is synced, and then the first entry of the new term
IN_FLIGHT_NS = 100_000_000  # answers that had left the leader when it was killed come within this
SERVED = 200  # before the kill, and behind it
LONG_S = 100  # the bench is ended before


def started(follower_port, history):
    """A bench that is under way; it learns of the other nodes from the one it is given."""
    return subprocess.Popen(
        [WEIR, "bench", "--server", f"127.0.0.1:{follower_port}", "--duration", f"{LONG_S}s",
         "--connections", "8", "--mix", "set:50,get:50", "--keys", "100", "--history", history,
         "--read-back", "--gap", "1ms", "--json"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, stdin=subprocess.DEVNULL)


def commits(cluster, node):
    return int(cluster.info(node)["raft_commit_index"])


def check(cluster, leader, history):
    """What weir check-history says of the history by itself, and with the logs."""
    alone = weir("check-history", history)
    assert alone.returncode == 0, alone.stdout + alone.stderr
    logs = [word for node in cluster.nodes if node is not leader
            for word in ("--log", node.directory)]
    judged = weir("check-history", "--json", history, *logs)
    assert judged.returncode == 0, judged.stdout + judged.stderr
    records = {record["record"]: record for record in json.loads(judged.stdout)["records"]}
    # One log of three is no majority: what was acknowledged may be in the others.
    one = weir("check-history", history, *logs[:2])
    assert one.returncode == 3 and "majority" in one.stdout, one.stdout + one.stderr
    return records


def failover(gaps, kill_ns, served_ns):
    """
    The gap that the kill made: it begins with the last answer of the old leader, and is over when
    the new one was seen to serve. There is always some gap of a millisecond near it.
    """
    found = [gap for gap in gaps if gap["ms"] >= FAILOVER_MS and
             gap["start_ns"] < kill_ns + IN_FLIGHT_NS and kill_ns < gap["end_ns"] < served_ns]
    assert found, (kill_ns, served_ns, [gap for gap in gaps if gap["ms"] >= FAILOVER_MS])
    gap = max(found, key=lambda each: each["ms"])
    assert abs(gap["ms"] - (gap["end_ns"] - gap["start_ns"]) / 1e6) < 1, gap
    return gap


def killed(scratch):
    """A kill in the middle of the load."""
    with Cluster(scratch, options=("--map", "fused")) as cluster:
        cluster.start()
        leader = cluster.leader()
        cluster.acquainted()
        follower = next(node for node in cluster.nodes if node is not leader)
        begin = commits(cluster, leader)
        history = os.path.join(scratch, "history")
        bench = started(follower.port, history)
        try:
            until(lambda: commits(cluster, leader) > begin + SERVED, "the bench does not begin")
            kill_ns = time.monotonic_ns()
            leader.kill()
            after = commits(cluster, cluster.leader())
            until(lambda: commits(cluster, follower) > after + SERVED, "the bench does not go on")
            served_ns = time.monotonic_ns()
            bench.send_signal(signal.SIGINT)
            output, errors = bench.communicate(timeout=LIMIT_S)
        finally:
            if bench.poll() is None:
                bench.kill()
                bench.wait()
        assert bench.returncode == 0, output + errors
        report = json.loads(output)
        for node in cluster.running():
            assert node.stop() == 0, node.log()
        gap = failover(report["gaps"], kill_ns, served_ns)
        assert report["unknown"] <= 8 * (1 + report["reconnects"]), report
        assert report["read_back"] == 100, report
        records = check(cluster, leader, history)
        replayed = records["replay"]
        assert records["history"]["ok"] == report["operations"] + 100, (records, report)
        assert replayed["writes"] + replayed["reads"] == records["history"]["ok"], records
        print(f"{report['operations']} operations, {gap['ms']:.0f} ms without an acknowledged "
              f"write, {report['refused']} refused, {report['unknown']} unknown, of which "
              f"{replayed['unknown_applied']} are in the log", flush=True)


def main():
    with Scratch() as scratch:
        killed(scratch)
    return 0


if __name__ == "__main__":
    sys.exit(main())
