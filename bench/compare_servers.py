"""The servers that bench/compare --cluster and bench/knee measure: real processes, each with a
directory of its own, all on this machine and on the same disk.

    redis        one durable Redis: appendonly yes, appendfsync always
    weir         one durable weir node, as it starts without arguments: fused
    weir3        three durable weir nodes, made as an operator makes them, with weir init; each
                 fused, with the secret that weir init made; reads are quorum reads
    weir3:lease  the same, with leases, and lease reads
    etcd         three etcd nodes with etcd's own defaults

All are context managers: started on entry, ready and led when that returns, gone on exit. Load goes
to the leader. weir's threads pin themselves, each fused node to the first CPU that it may use; so
once a leader is there, its process gets one CPU and the followers' the next, as an operator would
do with taskset. Redis and etcd go where the kernel likes.
"""

import http.client
import json
import os
import shutil
import signal
import subprocess
import time

import etcd_load
from compare_programs import (Failure, TICKS_PER_SECOND, answers_ping, find_program, free_port,
                              info)

READY_S = 60
STOP_S = 30
NODES = 3
# Enough for what a measurement writes; etcd refuses writes above it, and its default is 2 GB.
ETCD_QUOTA_BYTES = 8 << 30
KINDS = ("redis", "weir", "weir3", "weir3:lease", "etcd")


class LeaderChanged(Failure):
    """Another node leads than at the start: the figures would be of both."""


def wait_for(found, deadline_s, what, between_s=0.02):
    """Asks again and again until there is an answer."""
    end = time.monotonic() + deadline_s
    while True:
        value = found()
        if value is not None:
            return value
        if time.monotonic() > end:
            raise Failure(what())
        time.sleep(between_s)


def processor_seconds(pid):
    """utime + stime of the process with all its threads, those of its io in the kernel too."""
    with open(f"/proc/{pid}/stat", encoding="utf-8") as file:
        fields = file.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS_PER_SECOND


def give_cpu(pid, cpu):
    """All threads of a process to one CPU; one that has just ended needs none."""
    for task in os.listdir(f"/proc/{pid}/task"):
        try:
            os.sched_setaffinity(int(task), {cpu})
        except ProcessLookupError:
            pass


class Servers:
    """What all have in common: processes, their directories and logs, who leads."""

    kind = ""

    def __init__(self, scratch, options):
        self.scratch = scratch
        self.options = options
        self.processes = []
        self.commands = []
        self.leader = 0  # its place in `processes`
        self.port = None  # where the leader serves clients

    def __enter__(self):
        os.makedirs(self.scratch)
        try:
            self.start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def start(self):
        raise NotImplementedError

    def spawn(self, command):
        number = len(self.processes) + 1
        with open(self.log_path(number), "w", encoding="utf-8") as log:
            self.processes.append(subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log,
                                                   stderr=log))
        self.commands.append(command)

    def log_path(self, number):
        return os.path.join(self.scratch, f"node-{number}.log")

    def logs(self):
        parts = []
        for number in range(1, len(self.processes) + 1):
            with open(self.log_path(number), encoding="utf-8", errors="replace") as log:
                parts.append(f"--- node {number}:\n" + log.read()[-1500:])
        return "\n".join(parts)

    def ended(self):
        """What went wrong, if a process has ended; None while all run."""
        for number, process in enumerate(self.processes, 1):
            if process.poll() is not None:
                return (f"{self.kind}: node {number} ended with status {process.returncode}: "
                        f"{' '.join(self.commands[number - 1])}\n{self.logs()}")
        return None

    def wait_for(self, found, what):
        def look():
            text = self.ended()
            if text:
                raise Failure(text)
            return found()
        return wait_for(look, READY_S, lambda: f"{self.kind}: {what}\n{self.logs()}")

    def processor_seconds(self):
        """Of the leader, and of the followers together."""
        used = [processor_seconds(process.pid) for process in self.processes]
        leader = used.pop(self.leader)
        return leader, sum(used)

    def check_leader(self):
        """Raises LeaderChanged if another leads than at the start."""

    def __exit__(self, *_):
        for process in self.processes:
            process.send_signal(signal.SIGTERM)
        end = time.monotonic() + STOP_S
        for process in self.processes:
            try:
                process.wait(max(0.1, end - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        shutil.rmtree(self.scratch, ignore_errors=True)


class Redis(Servers):
    kind = "redis"

    def start(self):
        self.port = free_port()
        self.spawn([find_program("redis-server", self.options), "--port", str(self.port), "--bind",
                    "127.0.0.1", "--dir", self.scratch, "--save", "", "--daemonize", "no",
                    "--appendonly", "yes", "--appendfsync", "always",
                    "--auto-aof-rewrite-percentage", "0"])
        self.wait_for(lambda: answers_ping(self.port) or None, "it does not answer")


class WeirAlone(Servers):
    kind = "weir"

    def start(self):
        self.port = free_port()
        self.spawn([find_program("weir", self.options), "serve", "--data",
                    os.path.join(self.scratch, "data"), "--listen", f"127.0.0.1:{self.port}",
                    "--map", "fused"])
        self.wait_for(lambda: answers_ping(self.port) or None, "it does not answer")


class Weir3(Servers):
    kind = "weir3"
    reads = ("quorum", "off")
    count = NODES

    def start(self):
        self.peer_ports = [free_port() for _ in range(self.count)]
        self.ports = [free_port() for _ in range(self.count)]
        members = ",".join(
            f"{number}=127.0.0.1:{self.peer_ports[number - 1]}/127.0.0.1:{self.ports[number - 1]}"
            for number in range(1, self.count + 1))
        files = os.path.join(self.scratch, "files")
        self.run("init", "--cluster", "compare", "--members", members, "--out", files, "--etc",
                 files, "--var", self.scratch)
        for number in range(1, self.count + 1):
            self.run("init", "--config", self.configuration(number))
        for number in range(1, self.count + 1):
            self.spawn(self.node_command(number))
        self.leader = self.wait_for(self.find_leader, "nobody leads")
        self.term = self.seen_term
        self.port = self.ports[self.leader]
        self.place()

    def configuration(self, number):
        return os.path.join(self.scratch, "files", f"weir-{number}.conf")

    def node_command(self, number):
        mode, leases = self.reads
        return [find_program("weir", self.options), "serve", "--config",
                self.configuration(number), "--map", "fused", "--durability", "fsync",
                "--reads", mode, "--leases", leases]

    def run(self, *arguments):
        command = [find_program("weir", self.options), *arguments]
        done = subprocess.run(command, capture_output=True, text=True, check=False,
                              stdin=subprocess.DEVNULL)
        if done.returncode != 0:
            raise Failure(f"{' '.join(command)}: {done.stderr.strip()}")

    def find_leader(self):
        """Whom all name, once that one serves; None while they do not."""
        says = [info(port, "raft") for port in self.ports]
        if not all(says):
            return None
        named = {(said["raft_term"], said["raft_leader"]) for said in says}
        if len(named) != 1 or says[0]["raft_leader"] == "0":
            return None
        self.seen_term = says[0]["raft_term"]
        return int(says[0]["raft_leader"]) - 1

    def check_leader(self):
        now = self.wait_for(self.find_leader, "nobody leads any more")
        if now != self.leader or self.seen_term != self.term:  # it may have come back
            raise LeaderChanged(f"{self.kind}: node {self.leader + 1} led, and node {now + 1} does "
                                "now: the machine is too loaded to measure\n" + self.logs())

    def place(self):
        cpus = sorted(os.sched_getaffinity(0))
        for number, process in enumerate(self.processes):
            give_cpu(process.pid, cpus[0 if number == self.leader else min(1, len(cpus) - 1)])


class Weir3Lease(Weir3):
    kind = "weir3:lease"
    reads = ("lease", "on")


class Etcd(Servers):
    kind = "etcd"

    def start(self):
        self.ports = [free_port() for _ in range(NODES)]
        peer_ports = [free_port() for _ in range(NODES)]
        cluster = ",".join(f"n{number + 1}=http://127.0.0.1:{port}"
                           for number, port in enumerate(peer_ports))
        program = find_program("etcd", self.options)
        for number in range(NODES):
            peer = f"http://127.0.0.1:{peer_ports[number]}"
            client = f"http://127.0.0.1:{self.ports[number]}"
            self.spawn([program, "--name", f"n{number + 1}", "--data-dir",
                        os.path.join(self.scratch, f"etcd-{number + 1}"),
                        "--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer,
                        "--listen-client-urls", client, "--advertise-client-urls", client,
                        "--initial-cluster", cluster, "--initial-cluster-state", "new",
                        "--quota-backend-bytes", str(ETCD_QUOTA_BYTES), "--logger", "zap",
                        "--log-level", "error", "--log-outputs", "stderr"])
        self.leader = self.wait_for(self.find_leader, "nobody leads")
        self.port = self.ports[self.leader]
        etcd_load.check_put(self.port, self.scratch, self.options)

    def find_leader(self):
        try:
            says = [etcd_load.call(port, "/v3/maintenance/status", {}) for port in self.ports]
        except (OSError, http.client.HTTPException, json.JSONDecodeError):
            return None
        leaders = {said.get("leader", "0") for said in says}
        if len(leaders) != 1 or leaders == {"0"}:
            return None
        for number, said in enumerate(says):
            if said["header"]["member_id"] in leaders:
                return number
        return None

    def check_leader(self):
        now = self.wait_for(self.find_leader, "nobody leads any more")
        if now != self.leader:
            raise LeaderChanged(f"etcd: node {self.leader + 1} led, and node {now + 1} does now: "
                                "the machine is too loaded to measure")


CLASSES = {servers.kind: servers for servers in (Redis, WeirAlone, Weir3, Weir3Lease, Etcd)}


def make(kind, scratch, options):
    return CLASSES[kind](scratch, options)


def missing(kind, options):
    """Why this one cannot be started; None if its programs are there."""
    programs = {"redis": ("redis-server",), "etcd": ("etcd", "h2load", "nghttp")}
    for name in programs.get(kind, ("weir",)):
        try:
            find_program(name, options)
        except Failure as failure:
            return str(failure)
    return None
