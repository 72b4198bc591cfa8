#!/usr/bin/env python3
"""Clients as people install them against three real nodes: redis-cli, redis-benchmark and the
cluster class of python3-redis, none of them changed.

    clients.py [--npm]

--npm: the cluster class of ioredis, as the registry has it; nothing else.
"""

import os
import re
import shutil
import subprocess
import sys
import threading
import time

from cluster import Asked, Cluster, ErrorReply, Scratch, skip, until

HERE = os.path.dirname(os.path.abspath(__file__))
LIMIT_S = 60
NPM_PACKAGE = "ioredis@5.4.2"
OPERATIONS = 50  # of a client, before and behind a kill


def cli(port, lines):
    """What redis-cli says to these lines, and how long it took, in seconds."""
    begun = time.monotonic()
    run = subprocess.run(["redis-cli", "-p", str(port)], input=lines, capture_output=True,
                         text=True, check=True, timeout=LIMIT_S)
    return run.stdout.split("\n")[:-1], time.monotonic() - begun


def led_throughout(cluster, work):
    """Does `work` with the leader and its term, until one has led from its beginning to its end."""
    def done():
        leader = cluster.leader(everyone=True)
        term = cluster.info(leader)["raft_term"]
        try:
            work(leader)
        except (AssertionError, ErrorReply, subprocess.CalledProcessError):
            cluster.leader(everyone=True)
            if cluster.info(leader)["raft_term"] == term:
                raise
            return False  # too little CPU for a leader to stay one
        return True
    until(done, "nobody leads for long enough")


def a_wait_that_is_not_reached_ends_after_its_time(cluster):
    def work(leader):
        stopped = next(node for node in cluster.nodes if node is not leader)
        assert cli(leader.port, "set k 1\nwait 2 0\n")[0] == ["OK", "2"]
        stopped.pause()
        try:
            # The stopped one's system still takes bytes, but it stores nothing.
            said, took_s = cli(leader.port, "set k 2\nwait 1 0\nwait 2 100\nget k\n")
            assert said == ["OK", "1", "1", "2"] and took_s >= 0.1, (said, took_s)
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
    led_throughout(cluster, work)


def python_redis_waits(cluster):
    work = ("import redis, sys, time\n"
            "client = redis.Redis(port=int(sys.argv[1]))\n"
            "assert client.set('k', 1) and client.wait(2, 0) == 2\n"
            "begun = time.monotonic()\n"
            "assert client.wait(3, 100) == 2 and time.monotonic() - begun >= 0.1\n")
    led_throughout(cluster, lambda leader: subprocess.run(
        ["/usr/bin/python3", "-c", work, str(leader.port)], check=True, timeout=LIMIT_S))


def benchmark(port):
    run = subprocess.run(["redis-benchmark", "--cluster", "-h", "127.0.0.1", "-p", str(port),
                          "-n", "200", "-c", "5", "-r", "1000", "-t", "set,get"],
                         capture_output=True, text=True, check=False, timeout=LIMIT_S)
    assert run.returncode == 0, (run.stdout[-2000:], run.stderr)
    assert "Cluster has 2 master nodes" in run.stdout, run.stdout[-2000:]
    assert len(re.findall(r"200 requests completed in", run.stdout)) == 2, run.stdout[-2000:]
    for word in ("rror", "MOVED", "Invalid", "WARNING"):
        assert word not in run.stdout + run.stderr, (run.stdout[-2000:], run.stderr)


def redis_benchmark_finds_its_way_in_cluster_mode(cluster):
    """Told of the leader or of another; it wants two masters, and makes a thread for each."""
    def other(leader):
        return next(node for node in cluster.nodes if node is not leader)
    led_throughout(cluster, lambda leader: benchmark(leader.port))
    led_throughout(cluster, lambda leader: benchmark(other(leader).port))
    with Asked(cluster.leader(everyone=True)) as client:
        assert client.call("DBSIZE") > 100


class Work:
    """work_kill.py or .js, and what it has said."""

    def __init__(self, cluster, program, environment):
        ports = [str(port) for port in cluster.client_ports]
        self.process = subprocess.Popen(
            [*program, *ports], text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, env={**os.environ, **environment})
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


def goes_on_when_the_leader_is_killed(cluster, program, **environment):
    work = Work(cluster, program, environment)
    try:
        work.goes_on(OPERATIONS)
        leader = cluster.leader(everyone=True)
        leader.kill()
        work.goes_on(OPERATIONS)
        assert leader.spawn().wait_log(r"event=ready\b"), leader.log()
        last = work.end()
    finally:
        if work.process.poll() is None:
            work.process.kill()
    with Asked(cluster.leader()) as client:
        assert client.call("GET", "counter") == str(last).encode()
    again = [line for line in work.lines if line.startswith("again")]
    print(f"   {last} counted, {len(again)} times tried again: {sorted(set(again))}")


def python_redis_goes_on_when_the_leader_is_killed(cluster):
    goes_on_when_the_leader_is_killed(
        cluster, ("/usr/bin/python3", os.path.join(HERE, "work_kill.py")))


def ioredis_goes_on_when_the_leader_is_killed(cluster):
    with Scratch() as modules:
        try:
            subprocess.run(["npm", "install", "--prefix", modules, "--ignore-scripts", "--no-audit",
                            "--no-fund", "--silent", NPM_PACKAGE], check=True, timeout=LIMIT_S * 2,
                           env={**os.environ, "npm_config_cache": os.path.join(modules, "cache")})
        except (OSError, subprocess.SubprocessError) as error:
            skip(f"npm cannot install {NPM_PACKAGE}: {error}")
        goes_on_when_the_leader_is_killed(cluster, ("node", os.path.join(HERE, "work_kill.js")),
                                          NODE_PATH=os.path.join(modules, "node_modules"))


TESTS = [a_wait_that_is_not_reached_ends_after_its_time, python_redis_waits,
         redis_benchmark_finds_its_way_in_cluster_mode,
         python_redis_goes_on_when_the_leader_is_killed]
TESTS_NPM = [ioredis_goes_on_when_the_leader_is_killed]


def needs():
    """Ends the test as skipped unless the programs are there."""
    for program in ("redis-cli", "redis-benchmark"):
        if shutil.which(program) is None:
            skip(f"needs {program}, of Debian's redis-tools")
    if subprocess.run(["/usr/bin/python3", "-c", "import redis.cluster"], check=False,
                      capture_output=True).returncode != 0:
        skip("needs Debian's python3-redis")


def main():
    npm = sys.argv[1:] == ["--npm"]
    if not npm:
        needs()
    with Scratch() as scratch, Cluster(scratch) as cluster:
        cluster.start()
        cluster.acquainted()
        for test in TESTS_NPM if npm else TESTS:
            begun = time.monotonic()
            test(cluster)
            print(f"ok {test.__name__} ({time.monotonic() - begun:.1f} s)", flush=True)
        for node in cluster.nodes:
            assert node.stop() == 0, node.log()
    return 0


if __name__ == "__main__":
    sys.exit(main())
