#!/usr/bin/env python3
"""Clients as people install them against three real nodes: redis-cli, redis-benchmark and the
cluster class of python3-redis, none of them changed."""

import os
import re
import shutil
import subprocess
import sys
import threading
import time

from cluster import Asked, Cluster, Scratch, skip, until

HERE = os.path.dirname(os.path.abspath(__file__))
LIMIT_S = 60


def cli(port, lines):
    """What redis-cli says to these lines, and how long it took, in seconds."""
    begun = time.monotonic()
    run = subprocess.run(["redis-cli", "-p", str(port)], input=lines, capture_output=True,
                         text=True, check=True, timeout=LIMIT_S)
    return run.stdout.split("\n")[:-1], time.monotonic() - begun


def a_wait_that_is_not_reached_ends_after_its_time(cluster):
    leader = cluster.leader(everyone=True)
    stopped = next(node for node in cluster.nodes if node is not leader)
    cluster.settled()
    assert cli(leader.port, "set k 1\nwait 2 0\n")[0] == ["OK", "2"]
    stopped.pause()
    try:
        # The stopped one's system still takes bytes, but it stores nothing.
        said, took_s = cli(leader.port, "set k 2\nwait 1 0\nwait 2 100\nget k\n")
        assert said == ["OK", "1", "1", "2"] and 0.1 <= took_s < 5, (said, took_s)
        with Asked(leader) as waiting, Asked(leader) as other:
            assert waiting.call("SET", "k", "3") == "OK"
            waiting.send(b"WAIT 2 0\r\nGET k\r\n")
            until(lambda: b"blocked_clients:1\r\n" in other.call("INFO", "clients"),
                  "nobody waits")
            assert other.call("SET", "k", "4") == "OK"
            stopped.resume()
            assert waiting.reply() == 2 and waiting.reply() == b"4"
    finally:
        stopped.resume()


def python_redis_waits(cluster):
    leader = cluster.leader(everyone=True)
    work = ("import redis, sys, time\n"
            "client = redis.Redis(port=int(sys.argv[1]))\n"
            "assert client.set('k', 1) and client.wait(2, 0) == 2\n"
            "begun = time.monotonic()\n"
            "assert client.wait(3, 100) == 2\n"
            "assert 0.1 <= time.monotonic() - begun < 5\n")
    subprocess.run(["/usr/bin/python3", "-c", work, str(leader.port)], check=True, timeout=LIMIT_S)


def redis_benchmark_finds_its_way_in_cluster_mode(cluster):
    """Told of the leader or of another; it wants two masters, and makes a thread for each."""
    leader = cluster.leader(everyone=True)
    for node in (leader, next(node for node in cluster.nodes if node is not leader)):
        run = subprocess.run(["redis-benchmark", "--cluster", "-h", "127.0.0.1", "-p",
                              str(node.port), "-n", "2000", "-c", "20", "-r", "1000", "-t",
                              "set,get"],
                             capture_output=True, text=True, check=False, timeout=LIMIT_S)
        assert run.returncode == 0, (run.stdout[-2000:], run.stderr)
        assert "Cluster has 2 master nodes" in run.stdout, run.stdout[-2000:]
        assert len(re.findall(r"2000 requests completed in", run.stdout)) == 2, run.stdout[-2000:]
        for word in ("rror", "MOVED", "Invalid", "WARNING"):
            assert word not in run.stdout + run.stderr, (run.stdout[-2000:], run.stderr)
    with Asked(cluster.leader()) as client:
        assert client.call("DBSIZE") > 500


class Work:
    """work_kill.py, and what it has said."""

    def __init__(self, cluster):
        ports = [str(port) for port in cluster.client_ports]
        self.process = subprocess.Popen(
            ["/usr/bin/python3", os.path.join(HERE, "work_kill.py"), *ports], text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        self.lines = []
        self.reader = threading.Thread(target=self.read, daemon=True)
        self.reader.start()

    def read(self):
        for line in self.process.stdout:
            self.lines.append(line.strip())

    def acked(self):
        return max((int(line.split()[1]) for line in self.lines if line.startswith("acked")),
                   default=0)

    def goes_on(self, count):
        goal = self.acked() + count
        until(lambda: self.acked() >= goal or self.process.poll() is not None, self.lines[-20:])
        assert self.acked() >= goal, self.lines[-20:]

    def end(self):
        self.process.stdin.close()
        status = self.process.wait(timeout=LIMIT_S)
        self.reader.join(LIMIT_S)
        assert status == 0 and self.lines[-1].startswith("done"), self.lines[-20:]
        return int(self.lines[-1].split()[1])


def a_cluster_class_goes_on_when_the_leader_is_killed(cluster):
    work = Work(cluster)
    try:
        work.goes_on(100)
        leader = cluster.leader(everyone=True)
        leader.kill()
        work.goes_on(100)
        assert leader.spawn().wait_log(r"event=ready\b"), leader.log()
        last = work.end()
    finally:
        if work.process.poll() is None:
            work.process.kill()
    with Asked(cluster.leader()) as client:
        assert client.call("GET", "counter") == str(last).encode()
    again = [line for line in work.lines if line.startswith("again")]
    print(f"   {last} counted, {len(again)} times tried again: {sorted(set(again))}")


TESTS = [a_wait_that_is_not_reached_ends_after_its_time, python_redis_waits,
         redis_benchmark_finds_its_way_in_cluster_mode,
         a_cluster_class_goes_on_when_the_leader_is_killed]


def main():
    for program in ("redis-cli", "redis-benchmark"):
        if shutil.which(program) is None:
            skip(f"needs {program}, of Debian's redis-tools")
    if subprocess.run(["/usr/bin/python3", "-c", "import redis.cluster"], check=False,
                      capture_output=True).returncode != 0:
        skip("needs Debian's python3-redis")
    with Scratch() as scratch, Cluster(scratch) as cluster:
        cluster.start()
        cluster.acquainted()
        for test in TESTS:
            begun = time.monotonic()
            test(cluster)
            print(f"ok {test.__name__} ({time.monotonic() - begun:.1f} s)", flush=True)
        for node in cluster.nodes:
            assert node.stop() == 0, node.log()
    return 0


if __name__ == "__main__":
    sys.exit(main())
