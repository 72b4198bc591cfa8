"""A cluster on hosts of its own, its clients, and the time line of what befalls it."""

import collections
import os
import random
import re
import shutil
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "support"))
from callers import Caller, Directory, Line, Patient, Record  # noqa: E402
from hosts import CLIENT_PORT, Host, make_directory, write_files  # noqa: E402
from netns import Network  # noqa: E402
from weir_test import SLOWNESS, WEIR, ErrorReply, until  # noqa: E402

CALLERS, PATIENT = 6, 2       # clients; so many of them repeat under ONCE
RATE = 35                     # operations a second of each client, at most
SERVED_S = 20.0 * SLOWNESS    # after a fault has ended every client is served again
OK_PER_SECOND_MIN = 5         # of all clients, over a whole run, faults included
CHECK_S = 600 * SLOWNESS


class World:
    def __init__(self, scratch, seed, count=3, snapshots=False, durability="fsync"):
        self.scratch, self.seed, self.count = scratch, seed, count
        self.network = Network(count)
        # Without snapshots the log is whole, and acknowledged writes are looked for in it.
        self.log_is_whole = not snapshots
        self.members, self.password = write_files(scratch, count, "256kb" if snapshots else "0")
        self.hosts = [Host(number, count, scratch, seed) for number in range(1, count + 1)]
        self.directory = Directory([(host.address, CLIENT_PORT) for host in self.hosts],
                                   self.password)
        self.callers, self.records = [], []
        self.never = threading.Event()
        self.began = time.monotonic()
        self.faults = []     # (begin, end, name)
        self.lines = []      # (when, text) of the time line
        self.kills = 0
        for host in self.hosts:
            host.process.durability = durability
            make_directory(host, self.members)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.directory.ends.set()
        for host in self.hosts:
            host.close()
        self.network.close()

    # ---- time line -----------------------------------------------------------------------------

    def tell(self, text):
        self.lines.append((time.monotonic(), text))

    def elections(self):
        """(when, term, node) of each leader; two of one term are an error."""
        found = []
        for host in self.hosts:
            for when, line in host.process.said:
                leads = re.search(r"event=leader term=(\d+)", line)
                if leads:
                    found.append((when, int(leads.group(1)), host.number))
        whose = {}
        for _, term, number in found:
            assert whose.setdefault(term, number) == number, f"two leaders in term {term}"
        return sorted(found)

    def longest_gap(self):
        """(seconds, from when) without an acknowledged write."""
        at = sorted(self.directory.acked_at)
        return max(((later - earlier, earlier) for earlier, later in zip(at, at[1:])),
                   default=(0.0, self.began))

    def time_line(self):
        lines = self.lines + [(when, f"    node {number} leads in term {term}")
                              for when, term, number in self.elections()]
        gap_s, since = self.longest_gap()
        lines.append((since, f"    no write is acknowledged for {gap_s * 1000:.0f} ms, "
                             "the longest time"))
        return "\n".join(f"{when - self.began:9.3f} s  {text}" for when, text in sorted(lines))

    def time_line_or_what_failed(self):
        try:
            return self.time_line()
        except AssertionError as failed:
            return str(failed)

    # ---- the cluster ---------------------------------------------------------------------------

    def start(self):
        for host in self.hosts:
            host.spawn()
        for host in self.hosts:
            host.serves()
        for number in range(1, CALLERS + 1):
            record = self.record()
            kind = Patient if number <= PATIENT else Caller
            self.callers.append(kind(self.directory, record, f"{self.seed} client {number}", RATE))
        for caller in self.callers:
            caller.start()
        self.served()
        print(f"all serve, {self.count} nodes", flush=True)
        return self

    def record(self):
        """Another client's history."""
        number = len(self.records) + 1
        record = Record(f"{self.scratch}/history-{number}.txt", number)
        self.records.append(record)
        return record

    def leader(self):
        """The host that leads, as the nodes' logs have it; waits until there is one."""
        def found():
            leading = [(host.role()[0], host.number) for host in self.hosts
                       if host.running() and host.role()[1]]
            return self.hosts[max(leading)[1] - 1] if leading else None
        return until(found, "nobody leads")

    def followers(self):
        leader = self.leader()
        return [host for host in self.hosts if host is not leader]

    def lasting(self, seconds):
        """A fault lasts so long, under load."""
        self.never.wait(seconds)

    def awaited(self, condition, what, limit_s=SERVED_S):
        """Waits for the condition, leaving the processor to others."""
        end = time.monotonic() + limit_s
        while not condition():
            for caller in self.callers:
                assert caller.failure is None, f"a client failed: {caller.failure!r}"
            assert time.monotonic() < end, what
            self.never.wait(0.005)

    def served(self, limit_s=SERVED_S):
        """Waits until every client had an answer to what it asked from now on; how long it took."""
        begin = time.monotonic()
        self.awaited(lambda: all(caller.answered_at > begin for caller in self.callers),
                     f"clients are not served {limit_s} s after all is well again", limit_s)
        self.awaited(lambda: self.directory.reads_only or
                     (self.directory.acked_at and self.directory.acked_at[-1] > begin),
                     "no write is acknowledged", limit_s)
        return time.monotonic() - begin

    def now(self):
        return time.monotonic()

    def no_counts(self):
        return collections.Counter()

    def gap_since(self, begin):
        """The longest time without an acknowledged write since then."""
        at = [begin, *(when for when in sorted(self.directory.acked_at) if when > begin),
              time.monotonic()]
        return max(later - earlier for earlier, later in zip(at, at[1:]))

    def settled_on(self, host):
        """Waits until the host has applied what the leader has committed by now."""
        index = int(self.info(self.leader())["raft_commit_index"])
        self.awaited(lambda: int(self.info(host)["raft_applied_index"]) >= index,
                     f"node {host.number} does not catch up")

    def go_on(self, hosts):
        """Starts the hosts that are down, and returns when they serve."""
        for host in hosts:
            host.spawn()
        for host in hosts:
            host.serves()

    def whole(self):
        """All faults have ended: every node runs, and clients are served."""
        for host in self.hosts:
            assert host.running(), f"node {host.number} has ended:\n{host.process.log()[-3000:]}"
        self.served()

    def play(self, scenario, index):
        """One scenario, its choices drawn from the seed and its place in the run."""
        rng = random.Random(f"{self.seed} {index} {scenario.name}")
        self.directory.epoch += 1
        begin = time.monotonic()
        self.tell(f"begins {scenario.name}: {scenario.what}")
        scenario.function(self, rng)
        self.tell(f"ends   {scenario.name}")
        self.faults.append((begin, time.monotonic(), scenario.name))
        self.whole()

    # ---- the end -------------------------------------------------------------------------------

    def line(self, host, limit_s=5.0):
        return Line((host.address, CLIENT_PORT), self.password, limit_s)

    def info(self, host, section="raft"):
        line = self.line(host)
        try:
            text = line.call("INFO", section).decode()
        finally:
            line.close()
        return dict(row.split(":", 1) for row in text.splitlines() if ":" in row)

    def end_load(self):
        self.directory.ends.set()
        for caller in self.callers:
            caller.join(30)
            assert not caller.is_alive(), "a client waits for ever"
            assert caller.failure is None, f"a client failed: {caller.failure!r}"
        for record in self.records:
            record.close()

    def settled(self, limit_s=SERVED_S):
        """All nodes have applied the same index."""
        def same():
            try:
                return len({self.info(host)["raft_applied_index"] for host in self.hosts}) == 1
            except OSError:
                return False
        self.awaited(same, "the nodes do not come to the same index", limit_s)

    def all_hold_the_same(self):
        keys = [f"{epoch}:{kind}{number}" for epoch in range(self.directory.epoch + 1)
                for kind in "sna" for number in range(6)]
        held = {}
        for host in self.hosts:
            line = self.line(host)
            assert line.call("READONLY") == "OK"
            answer = line.call("MGET", *keys)
            assert not isinstance(answer, ErrorReply), answer
            held.setdefault(tuple(answer), []).append(host.number)
            line.close()
        assert len(held) == 1, f"nodes hold different data: {sorted(held.values())}"

    def check(self):
        """What the project's checker says: its exit status, and its text."""
        command = [WEIR, "check-history", *[record.path for record in self.records]]
        if self.log_is_whole:
            for host in self.hosts:
                command += ["--log", host.process.directory]
        done = subprocess.run(command, capture_output=True, text=True, check=False,
                              timeout=CHECK_S)
        return done.returncode, done.stdout + done.stderr

    def finish(self, may_lose=False):
        """Ends the load, compares the nodes, stops them, and has the history judged."""
        for caller in self.callers:
            assert caller.failure is None, f"a client failed: {caller.failure!r}"
        seconds = time.monotonic() - self.began
        self.end_load()
        self.settled()
        self.all_hold_the_same()
        for host in self.hosts:
            host.stop()
            assert not any("event=replica_d" in line for _, line in host.process.said)
        sums = {outcome: sum(caller.counts[outcome] for caller in self.callers)
                for outcome in ("ok", "refused", "unknown")}
        print(self.time_line())
        gap_s, _ = self.longest_gap()
        print(f"{self.count} nodes, {seconds:.0f} s: {sums['ok']} operations succeeded, "
              f"{sums['refused']} attempts refused, {sums['unknown']} unknown; {self.kills} "
              f"SIGKILLs; {len(self.elections())} leaders; longest time without an acknowledged "
              f"write {gap_s:.2f} s")
        assert sums["ok"] >= OK_PER_SECOND_MIN * seconds, "too few operations succeeded"
        status, text = self.check()
        print("\n".join(line for line in text.splitlines() if not line.startswith("file ")),
              flush=True)
        assert may_lose or status == 0, f"check-history: exit status {status}"
        return status

    def keep(self, directory):
        """Copies what explains a failure: histories and what the nodes said."""
        os.makedirs(directory, exist_ok=True)
        for record in self.records:
            record.close()
            shutil.copy(record.path, directory)
        for host in self.hosts:
            with open(f"{directory}/node-{host.number}.log", "w", encoding="utf-8") as file:
                file.writelines(f"{when - self.began:9.3f} {line}\n"
                                for when, line in host.process.said)
