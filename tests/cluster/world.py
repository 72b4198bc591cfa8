"""A cluster on hosts of its own, its clients, and the time line of what befalls it."""

import functools
import os
import random
import re
import shutil
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "support"))
from callers import KEYS, Caller, Directory, Line, Patient, Pipelined, Record  # noqa: E402
from hosts import CLIENT_PORT, Host, make_directory, write_files  # noqa: E402
from netns import Network  # noqa: E402
from weir_test import SLOWNESS, WEIR, ErrorReply, until  # noqa: E402

# Clients: some repeat under ONCE, one sends many at once, the others one by one.
CALLERS = (Patient, Patient, Pipelined, Caller, Caller, Caller)
RATE = 35                     # operations a second of each client, at most
# After a fault has ended: an election takes some time-outs of 0.2 s, and a client that asked
# somebody who does not answer asks the next one after ANSWER_S (callers.py), twice with bad luck.
AGAIN_S = 5.0 * SLOWNESS      # every client is served again, but for when the machine stood still
SERVED_S = 20.0 * SLOWNESS    # then it is not waited for any longer
LENIENT_S = 1.0
OK_PER_SECOND_MIN = 5         # of all clients, over a whole run, faults included
CHECK_S = 600 * SLOWNESS


class Metronome(threading.Thread):
    """Notices when the machine itself stands still, which is no cluster's fault."""

    BEAT_S, LATE_S = 0.02, 0.1

    def __init__(self, ends):
        super().__init__(daemon=True)
        self.ends = ends
        self.late = []   # (when, how much)

    def run(self):
        before = time.monotonic()
        while not self.ends.wait(self.BEAT_S):
            now = time.monotonic()
            if now - before > self.BEAT_S + self.LATE_S:
                self.late.append((now, now - before - self.BEAT_S))
            before = now

    def since(self, begin):
        """How long the machine stood still since then."""
        return sum(late for when, late in list(self.late) if when > begin)


class World:
    def __init__(self, scratch, seed, count=3, snapshots=False, leases=False,
                 durability="fsync"):
        self.scratch, self.seed, self.count = scratch, seed, count
        self.network = Network(count)
        # Without snapshots the log is whole, and acknowledged writes are looked for in it.
        self.log_is_whole = not snapshots
        more = {"snapshot-log-bytes": "256kb" if snapshots else "0"}
        if leases:
            more.update({"leases": "on", "reads": "lease"})
        self.members, self.password = write_files(scratch, count, more)
        self.kind = (f"{count} nodes, {'snapshots' if snapshots else 'the whole log'}, "
                     f"{'lease' if leases else 'quorum'} reads")
        self.hosts = [Host(number, count, scratch, seed) for number in range(1, count + 1)]
        self.directory = Directory([(host.address, CLIENT_PORT) for host in self.hosts],
                                   self.password)
        self.callers, self.records = [], []
        self.never = threading.Event()
        self.metronome = Metronome(self.directory.ends)
        self.began = time.monotonic()
        self.kills = 0
        self.lenient = False  # more has failed than has to be borne
        self.died = []        # threads of this program that ended by an exception, and by which
        threading.excepthook = self.thread_died
        for host in self.hosts:
            host.process.durability = durability
            host.process.hears = functools.partial(self.hear, host)
            make_directory(host, self.members)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.directory.ends.set()
        for host in self.hosts:
            host.close()
        self.network.close()

    def thread_died(self, what):
        threading.__excepthook__(what)
        self.died.append(f"{what.thread.name}: {what.exc_value!r}")

    def sound(self):
        """Fails if something of the harness has died: what it should have done was not done."""
        assert not self.died, f"a part of the harness died: {self.died}"
        for host in self.hosts:
            host.proxy.check()

    # ---- time line -----------------------------------------------------------------------------

    def tell(self, text, when=None):
        """A line of the time line, at once, so that it is there whatever comes."""
        when = time.monotonic() if when is None else when
        print(f"{when - self.began:9.3f} s  {text}", flush=True)

    def hear(self, host, when, line):
        """A line of a node's log: the time line has who leads."""
        leads = re.search(r"event=leader term=(\d+)", line)
        if leads:
            self.tell(f"    node {host.number} leads in term {leads.group(1)}", when)

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

    def summary(self, seconds):
        """What the run came to, in a few lines."""
        sums = {outcome: sum(caller.counts[outcome] for caller in self.callers)
                for outcome in ("ok", "refused", "unknown")}
        gap_s, since = self.longest_gap()
        return (f"{self.kind}; {seconds:.0f} s: {sums['ok']} operations succeeded, "
                f"{sums['refused']} attempts were refused, {sums['unknown']} are unknown; "
                f"{self.kills} SIGKILLs; {len(self.elections())} leaders\n"
                f"longest time without an acknowledged write {gap_s:.2f} s, "
                f"from {since - self.began:.3f} s; the machine itself stood still for "
                f"{self.metronome.since(self.began):.1f} s")

    # ---- the cluster ---------------------------------------------------------------------------

    def start(self):
        for host in self.hosts:
            host.spawn()
        for host in self.hosts:
            host.serves()
        for number, kind in enumerate(CALLERS, 1):
            record = self.record()
            self.callers.append(kind(self.directory, record, f"{self.seed} client {number}", RATE))
        self.metronome.start()
        for caller in self.callers:
            caller.start()
        self.served()
        print(f"all serve: {self.kind}", flush=True)
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
        self.sound()

    def awaited(self, condition, what, limit_s=SERVED_S):
        """Waits for the condition, leaving the processor to others."""
        end = time.monotonic() + limit_s
        while not condition():
            self.sound()
            assert time.monotonic() < end, what
            self.never.wait(0.005)

    def served(self, limit_s=SERVED_S):
        """
        Waits until every client had an answer to what it asked from now on; how long it took. Where
        no majority may be left it only gives them some time.
        """
        begin = time.monotonic()
        if self.lenient:
            self.lasting(LENIENT_S)
            return LENIENT_S
        self.awaited(lambda: all(caller.answered_at > begin for caller in self.callers),
                     f"clients are not served {limit_s} s after all is well again", limit_s)
        self.awaited(lambda: self.directory.reads_only or
                     (self.directory.acked_at and self.directory.acked_at[-1] > begin),
                     "no write is acknowledged", limit_s)
        return time.monotonic() - begin

    def now(self):
        return time.monotonic()

    def gap_since(self, begin):
        """The longest time without an acknowledged write since then."""
        at = [begin, *(when for when in sorted(self.directory.acked_at) if when > begin),
              time.monotonic()]
        return max(later - earlier for earlier, later in zip(at, at[1:]))

    def bounded(self, seconds, limit_s, begin, what):
        """Asserts a limit on what took so long, if the machine has not stood still meanwhile."""
        still_s = self.metronome.since(begin)
        assert seconds < limit_s + still_s, f"{what} {seconds:.2f} s, the machine {still_s:.2f} s"

    def settled_on(self, host):
        """Waits until the host has applied what the leader has committed by now."""
        index = int(self.info(self.leader())["raft_commit_index"])
        self.awaited(lambda: int(self.info(host)["raft_applied_index"]) >= index,
                     f"node {host.number} does not catch up")

    def go_on(self, hosts):
        """Starts hosts that are down, and returns when they serve."""
        for host in hosts:
            host.spawn()
        self.all_serve(hosts)

    def all_serve(self, hosts):
        """Waits until they do; not where what the leader says may not reach all of them."""
        for host in hosts if not self.lenient else ():
            host.serves()

    def none_crashed(self):
        """No process, of those that were killed either, has come upon a defect of its own."""
        for host in self.hosts:
            crashes = host.process.crashes()
            assert not crashes, f"node {host.number}: {crashes}\n{host.process.log()[-3000:]}"

    def whole(self):
        """All faults have ended: every node runs, and clients are served."""
        self.none_crashed()
        for host in self.hosts:
            assert host.running(), f"node {host.number} has ended:\n{host.process.log()[-3000:]}"
        begin = time.monotonic()
        took = self.served()
        self.bounded(took, AGAIN_S, begin, "after all is well clients are served again after")

    def play(self, scenario, index):
        """One scenario, its choices drawn from the seed and its place in the run."""
        rng = random.Random(f"{self.seed} {index} {scenario.name}")
        self.directory.epoch += 1
        begin = time.monotonic()
        self.tell(f"begins {scenario.name}: {scenario.what}")
        scenario.function(self, rng)
        self.tell(f"ends   {scenario.name}: {self.gap_since(begin) * 1000:.0f} ms without an "
                  "acknowledged write at most")
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
        self.sound()

    def settled(self, limit_s=SERVED_S):
        """All nodes have applied the same index."""
        def same():
            try:
                return len({self.info(host)["raft_applied_index"] for host in self.hosts}) == 1
            except OSError:
                return False
        self.awaited(same, "the nodes do not come to the same index", limit_s)

    def keys(self):
        return [f"{epoch}:{kind}{number}" for epoch in range(self.directory.epoch + 1)
                for kind, count in KEYS.items() for number in range(count)]

    def read_back(self):
        """
        Reads each key once more, into a history: what was acknowledged early and read by nobody
        since may be lost, and not every run has its whole log.
        """
        directory = Directory(self.directory.places, self.password)
        reader = Caller(directory, self.record(), "reads back", RATE)
        for key in self.keys():
            reader.perform(False, ("GET", key))
        reader.leave()
        assert reader.counts["ok"] == len(self.keys()), f"not all is read back: {reader.counts}"

    def all_hold_the_same(self):
        keys = self.keys()
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
        self.sound()
        seconds = time.monotonic() - self.began
        self.end_load()
        self.settled()
        self.all_hold_the_same()
        self.read_back()
        for record in self.records:
            record.close()
        for host in self.hosts:
            host.stop()
        self.none_crashed()
        for host in self.hosts:
            assert not any("event=replica_d" in line for _, line in host.process.said)
        print(self.summary(seconds))
        succeeded = sum(caller.counts["ok"] for caller in self.callers)
        assert succeeded >= OK_PER_SECOND_MIN * seconds, "too few operations succeeded"
        status, text = self.check()
        print("\n".join(line for line in text.splitlines() if not line.startswith("file ")),
              flush=True)
        assert may_lose or status == 0, f"check-history: exit status {status}"
        return status

    def keep(self, directory):
        """Copies what explains a failure: histories and what the nodes said."""
        os.makedirs(directory, exist_ok=True)
        self.directory.ends.set()
        for caller in self.callers:
            caller.join(30)
        for record in self.records:
            record.close()
            shutil.copy(record.path, directory)
        for host in self.hosts:
            with open(f"{directory}/node-{host.number}.log", "w", encoding="utf-8") as file:
                file.writelines(f"{when - self.began:9.3f} {line}\n"
                                for when, line in host.process.said)
