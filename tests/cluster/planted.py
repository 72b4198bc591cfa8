#!/usr/bin/env python3
"""What judges the cluster tests must be seen to fail.

A short run is recorded and judged. Then its history is changed in ways in which a cluster that
loses, invents or forgets would have changed it, and each must be found. Then members that sync
nothing lose power, all at once: what they lose must be found, too. So must defects of the product
that are planted in members that are right otherwise (base/mutant.h). And a run that is killed
leaves neither processes nor devices behind.

Not found by power cuts here is a node that acknowledges before it has synced: its log is written
directly, and a file in memory, which is the disk's, has no cache that could lose it.
"""

import os
import re
import signal
import subprocess
import sys
import time

from netns import enter
from torture import LISTS
from weir_test import SLOWNESS, Scratch, until
from world import World

OPERATION = re.compile(r"client \d+ connection \d+ #\d+ \[(\d+), (\d+)\] ok: (.*) -> (.*)$")
GONE_S = 20 * SLOWNESS
POWER_CUTS = 3
LOSING_ATTEMPTS = 3


class Recorded:
    """A run's history, of which copies can be changed."""

    def __init__(self, world):
        self.world = world
        self.paths = [record.path for record in world.records]
        self.whole = {path: self.read(path) for path in self.paths}

    @staticmethod
    def read(path):
        with open(path, encoding="ascii") as file:
            return file.read().splitlines()

    @staticmethod
    def write(path, lines):
        with open(path, "w", encoding="ascii") as file:
            file.writelines(line + "\n" for line in lines)

    def operations(self):
        """(path, place, begin, end, words, reply) of what was answered, by time of return."""
        found = []
        for path, lines in self.whole.items():
            for place, line in enumerate(lines):
                match = OPERATION.match(line)
                if match:
                    found.append((path, place, int(match.group(1)), int(match.group(2)),
                                  match.group(3).split(" "), match.group(4)))
        return sorted(found, key=lambda operation: operation[3])

    def verdict(self, path=None, place=None, line=None, with_log=True):
        """With one line replaced, or left out (None), or put at the end (place None)."""
        if path is not None:
            lines = list(self.whole[path])
            if place is None:
                lines.append(line)
            else:
                lines[place:place + 1] = [line] if line is not None else []
            self.write(path, lines)
        self.world.log_is_whole = with_log
        status, text = self.world.check()
        if path is not None:
            self.write(path, self.whole[path])
        return status, text


def what_happened_is_right(recorded):
    for with_log in (True, False):
        status, text = recorded.verdict(with_log=with_log)
        assert status == 0, text


def a_stale_read_is_found(recorded):
    """A read is answered by what stood there before the last write had returned."""
    operations = recorded.operations()
    for path, place, begin, _, words, reply in reversed(operations):
        if words[0] != "GET" or ":n" not in words[1] or not reply.startswith("$"):
            continue
        earlier = [old for old in operations if old[4] == ["INCR", words[1]] and old[3] < begin]
        if len(earlier) < 3:
            continue
        value = earlier[-3][5][1:].split("\\")[0]
        stale = f"${len(value)}\\r\\n{value}\\r\\n"
        line = recorded.whole[path][place].replace(f" -> {reply}", f" -> {stale}")
        assert line != recorded.whole[path][place]
        for with_log in (True, False):
            status, text = recorded.verdict(path, place, line, with_log)
            assert status == 1, text
        return
    raise AssertionError("no read to plant it in")


def a_transaction_that_was_executed_and_is_denied_is_found(recorded):
    """Its reply is made null, though nothing that it watched had changed."""
    for path, place, _, _, words, reply in reversed(recorded.operations()):
        if words[0] == "EXEC" and words[2] == "WATCH" and reply.startswith("*2"):
            line = recorded.whole[path][place].replace(f" -> {reply}", " -> *-1\\r\\n")
            assert line != recorded.whole[path][place]
            status, text = recorded.verdict(path, place, line)
            assert status == 1 and "answered null" in text, text
            return
    raise AssertionError("no transaction to plant it in")


def a_lost_write_is_found(recorded):
    """One that was acknowledged, is not in the log, and was read by nobody."""
    path, place, *_ = recorded.operations()[-1]
    line = re.sub(r"client (\d+) connection \d+ #\d+ (.*?) ok: .*$",
                  r"client \1 connection 999999 #1 \2 ok: SET nobody reads -> +OK\\r\\n",
                  recorded.whole[path][place])
    status, text = recorded.verdict(path, None, line)
    assert status == 1 and "is not in the log" in text, text


def a_write_that_is_lost_in_the_end_is_found(recorded):
    """
    Without any log: one counter, when all is over, has less than its clients were told. One of
    which an operation is unknown may have less: that one need not have happened.
    """
    path = recorded.paths[-1]  # of what read all back
    value = re.compile(r" -> \$(\d+)\\r\\n([1-9]\d*)\\r")
    unknown = {word for lines in recorded.whole.values() for line in lines if " unknown: " in line
               for word in line.split(" ")}
    place, line = next((place, line) for place, line in enumerate(recorded.whole[path])
                       if ":n" in line and value.search(line) and
                       line.split(" ")[-3] not in unknown)
    lower = str(int(value.search(line).group(2)) - 1)
    line = value.sub(f" -> ${len(lower)}\\\\r\\\\n{lower}\\\\r", line)
    status, text = recorded.verdict(path, place, line, with_log=False)
    assert status == 1, text


def a_write_that_nobody_asked_for_is_found(recorded):
    path, place, _, _, words, _ = next(each for each in recorded.operations()
                                       if each[4][0] == "SET")
    status, text = recorded.verdict(path, place, None)
    assert status == 1, (words, text)


def a_write_that_was_refused_and_applied_is_found(recorded):
    path, place, *_ = next(each for each in recorded.operations() if each[4][0] == "SET")
    line = re.sub(r" ok: (.*) -> .*$", r" refused: \1 -> -TRYAGAIN not now\\r\\n",
                  recorded.whole[path][place])
    status, text = recorded.verdict(path, place, line)
    assert status == 1, text


TESTS = [what_happened_is_right, a_stale_read_is_found, a_lost_write_is_found,
         a_transaction_that_was_executed_and_is_denied_is_found,
         a_write_that_is_lost_in_the_end_is_found, a_write_that_nobody_asked_for_is_found,
         a_write_that_was_refused_and_applied_is_found]


def scenario(name):
    return next(each for rows in LISTS.values() for each in rows if each.name == name)


def changed_histories():
    with Scratch() as scratch, World(scratch, "planted") as world:
        world.start()
        world.play(scenario("kill_leader"), 0)
        assert world.finish() == 0
        recorded = Recorded(world)
        for test in TESTS:
            test(recorded)
            print(f"ok {test.__name__}", flush=True)


def an_abort_is_found(world):
    """A node comes to a defect of its own, and is started again: as a kill it would be forgiven."""
    process = world.followers()[0].process
    process.process.send_signal(signal.SIGABRT)
    process.process.wait()
    try:
        world.whole()
    except AssertionError as found:
        assert "signal 6" in str(found), found
    else:
        raise AssertionError("nobody noticed an abort")
    process.all.clear()
    process.said.append((time.monotonic(), "raft/log.c:1: f: assertion failed: x"))
    assert len(process.crashes()) == 1, process.crashes()
    process.said.clear()
    world.go_on([host for host in world.hosts if not host.running()])
    print("ok an_abort_is_found", flush=True)


def members_that_sync_nothing_lose_and_it_is_found():
    # Where the machine stands still, all may have been written before the power goes: once more.
    for attempt in range(LOSING_ATTEMPTS):
        with Scratch() as scratch, World(scratch, f"loses-{attempt}", durability="write") as world:
            world.start()
            if attempt == 0:
                an_abort_is_found(world)
            for index in range(POWER_CUTS):
                world.play(scenario("power_all"), index)
            status = world.finish(may_lose=True)
        if status == 1:
            break
    assert status == 1, f"nothing was lost: {status}"
    print("ok members_that_sync_nothing_lose_and_it_is_found", flush=True)


# Of base/mutant.h: the defect, a fault that must show it, how often at most, and what is said then.
DEFECTS = (
    ("reads-unconfirmed", "minority_reads", 1, "a leader without a majority has answered a read"),
    ("reorders-replies", "pause_leader", 1, "check-history: exit status 1"),
)


def defects_of_the_product_are_found():
    """Members that are right but for one defect, as processes, under faults."""
    program = os.environ.get("WEIR_MUTANTS_SERVE")
    assert program, "WEIR_MUTANTS_SERVE is not set: <build>/tests/weir-mutants-serve"
    for defect, fault, times, sentence in DEFECTS:
        with Scratch() as scratch, World(scratch, defect) as world:
            for host in world.hosts:
                host.process.program = (program, defect)
            said = "nothing"
            try:
                world.start()
                for index in range(times):
                    world.play(scenario(fault), index)
                world.finish()
            except AssertionError as failure:
                said = str(failure)
            assert sentence in said, f"{defect} is not found by {fault}, but: {said}"
            print(f"ok {defect} is found by {fault}: {said.splitlines()[0][:100]}", flush=True)


def processes_of(mark):
    """Those whose command line has the mark, zombies not counted."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/cmdline", "rb") as file:
                if mark in file.read():
                    found.append(int(pid))
        except (FileNotFoundError, ProcessLookupError):
            pass
    return found


def a_run_that_is_killed_leaves_nothing(scratch):
    """SIGKILL in the middle: nodes end, and the kernel takes the disks and the network back."""
    with open(f"{scratch}/said", "w+b") as said:
        run = subprocess.Popen([sys.executable, "-u", torture_path(), "--seconds", "60",
                                "--only", "pause_all,pause_all,pause_all,pause_all,pause_all"],
                               stdout=said, stderr=said,
                               env={**os.environ, "WEIR_CLUSTER_NAMESPACE": ""})
        try:
            until(lambda: b"all serve" in open(said.name, "rb").read(), "the run does not begin")
            mounts = f"/proc/{run.pid}/mounts"
            with open(mounts, encoding="ascii") as file:
                marks = re.findall(r"^/dev/(loop\d+) (\S*/weir-test-\w+)/", file.read(), re.M)
            assert len(marks) == 3 and len(processes_of(marks[0][1].encode())) == 3, marks
        finally:
            run.kill()
            run.wait()
    mark = marks[0][1].encode()
    end = time.monotonic() + GONE_S
    while processes_of(mark) or any(os.path.exists(f"/sys/block/{loop}/loop/backing_file") and
                                    mark.decode() in backing(loop) for loop, _ in marks):
        assert time.monotonic() < end, "something is left behind"
        os.sched_yield()
    print("ok a_run_that_is_killed_leaves_nothing", flush=True)


def backing(loop):
    try:
        with open(f"/sys/block/{loop}/loop/backing_file", encoding="ascii") as file:
            return file.read()
    except OSError:
        return ""


def torture_path():
    return os.path.join(os.path.dirname(os.path.abspath(__file__)), "torture.py")


def main():
    enter()
    changed_histories()
    members_that_sync_nothing_lose_and_it_is_found()
    defects_of_the_product_are_found()
    with Scratch() as scratch:
        a_run_that_is_killed_leaves_nothing(scratch)
    return 0


if __name__ == "__main__":
    sys.exit(main())
