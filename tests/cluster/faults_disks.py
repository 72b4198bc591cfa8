"""Disks that lose power, fill up, fail, are slow, and change what they hold."""

import os
import re
import threading

from callers import ANSWER_S
from faults import needs, table
from histories import outcome_of
from hosts import CLIENT_PORT
from weir_test import ErrorReply, SLOWNESS

SLOW_WRITES = (1, 10)         # a second, of a slow disk
SLICE_S = 1.0                 # in which the kernel may let through what it has saved up
LARGE = b"0123456789abcdef" * 65536   # 1 MiB
LARGE_KEYS = 32
STALLED_LEADERS = 3              # at most, until one notices before it loses its lead otherwise
FULL_S = 60.0 * SLOWNESS      # until two segments are full of them
REFUSED = 20                  # writes of a full majority, in a second at least,
REFUSED_S = 20.0 * SLOWNESS   # and in this at most
GAP_S = 2.0 * SLOWNESS        # without an acknowledged write, though a majority is well


def power_cut(world, victims):
    """Power is gone everywhere at once, as near as processes come to that."""
    world.tell(f"    without power: {[host.number for host in victims]}")
    threads = [threading.Thread(target=host.disk.cut) for host in victims]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for host in victims:
        host.process.process.kill()
    for host in victims:
        host.kill()
        host.restore_power()


def power_one(world, rng):
    victim = rng.choice(world.hosts)
    power_cut(world, [victim])
    world.served()
    world.go_on([victim])


def power_leader(world, _):
    victim = world.leader()
    power_cut(world, [victim])
    world.served()
    world.go_on([victim])


def power_two(world, rng):
    victims = rng.sample(world.hosts, 2)
    power_cut(world, victims)
    world.go_on(victims)


def power_all(world, _):
    power_cut(world, world.hosts)
    world.go_on(world.hosts)


def failing_disk(world, _):
    """The leader's disk takes no more; it finds out at a write or a sync."""
    leader = world.leader()
    leader.fail_disk()
    world.awaited(lambda: not leader.running(), "the leader goes on with a failing disk")
    leader.kill()
    status, text = leader.process.process.returncode, leader.process.log()
    said = re.search(r"weir serve: .*log-\d+.*failed: (Input/output error|No space left|"
                     r"Read-only file system)", text)
    assert status == 1 and said, f"status {status}:\n{text[-2000:]}"
    world.tell(f"    node {leader.number}: {said.group(0)[:90]}")
    world.served()
    leader.replace_disk()
    world.go_on([leader])


def write_much(world, record, condition):
    """Large values, to whoever leads, until the condition holds; whether it came to that."""
    line, number, end = None, 0, world.now() + FULL_S
    while not condition() and world.now() < end:
        try:
            leader = world.leader()
            if line is None or line.to != (leader.address, CLIENT_PORT):
                line = world.line(leader, 5 * ANSWER_S)
                line.connection = record.connection()
        except OSError:
            world.lasting(0.05)
            continue
        line.sequence += 1
        number += 1
        outcome = write_large(line, record, number)
        if outcome != "ok":
            line.close()
            line = None
            world.lasting(0.02)
    if line is not None:
        line.close()
    return condition()


def write_large(line, record, number):
    """One value more; its outcome."""
    return say(line, record, "SET", f"large:{number % LARGE_KEYS}", LARGE + b"%d" % number)[0]


def say(line, record, *words):
    """One command of that history; its outcome, and the reply as it came."""
    begin = record.now()
    try:
        line.send(*words)
        reply, raw = line.reply()
    except OSError:
        reply, raw = ErrorReply("UNKNOWN"), b""
    outcome = outcome_of(reply)
    record.write((line.connection, line.sequence), begin, record.now() if raw else None, outcome,
                 words, raw)
    return outcome, raw


def refuses_and_reads(world, room_again):
    """
    Whoever leads refuses writes by its name for that, and answers reads, again and again; one
    answer is waited for as long as ever, for an election may be under way. Unless there is room
    again.
    """
    record, line, refused, number = world.record(), None, 0, 0
    end = world.now() + REFUSED_S
    while refused < REFUSED and not room_again():
        assert world.now() < end, f"{refused} of {REFUSED} writes were refused with reads going on"
        number += 1
        try:
            if line is None:
                line = world.line(world.leader(), 5 * ANSWER_S)
                line.connection = record.connection()
            line.sequence += 1
            write = say(line, record, "SET", "small:full", b"%d" % number)[1]
            line.sequence += 1
            read = say(line, record, "GET", "small:full")[0]
        except OSError:
            write, read = b"", ""
        if write.startswith(b"-MISCONF ") and read == "ok":
            refused += 1
        else:
            world.tell(f"    {write[:40]} {read}")
            if line is not None:
                line.close()
            line = None
        world.lasting(0.05)
    if line is not None:
        line.close()
    world.tell(f"    {refused} writes were refused, and reads answered"
               + (", then there was room" if refused < REFUSED else ""))


def full_one(world, rng):
    """A follower's disk: the others go on, and it catches up when there is room."""
    victim, begin = rng.choice(world.followers()), world.now()
    victim.fill_disk()
    try:
        assert write_much(world, world.record(), lambda: victim.says("log_full", begin)), \
            "the disk is not full"
        world.served()
    finally:
        victim.empty_disk()
    world.settled_on(victim)


def full_leader(world, _):
    """The leader's disk: another one leads before long, and takes writes."""
    victim, begin = world.leader(), world.now()
    victim.fill_disk()
    try:
        assert write_much(world, world.record(), lambda: victim.says("log_full", begin)), \
            "the disk is not full"
        full = world.now()
        world.awaited(lambda: victim.says("leader_full", full) or
                      victim.says("leadership_lost", begin),
                      "a leader without room does not hand over")
        if not victim.says("leader_full", full):
            world.tell(f"    node {victim.number} lost its lead for something else")
        world.awaited(lambda: world.leader() is not victim, "a leader without room leads on")
        world.served()
        world.bounded(world.gap_since(full), GAP_S, full, "a full leader holds the majority up:")
    finally:
        victim.empty_disk()
    world.settled_on(victim)


def full_majority(world, rng):
    """
    Writes are refused or not answered, never lost, and reads go on; all is well when there is room.
    Full ones that lead hand over until all are full; then whoever leads knows it.
    """
    victims, begin = rng.sample(world.hosts, len(world.hosts) // 2 + 1), world.now()

    def full():
        return all(host.says("log_full", begin) for host in victims)
    for host in victims:
        host.fill_disk()
    try:
        assert write_much(world, world.record(), full), "the disks are not full"

        def again():
            """A snapshot has made room: then never all of them need be full at once."""
            return any(host.says("log_has_room_again", begin) for host in victims)
        world.awaited(lambda: again() or any(host.says("majority_full", begin)
                                             for host in world.hosts),
                      "nobody knows that a majority is full")
        refuses_and_reads(world, again)
    finally:
        for host in victims:
            host.empty_disk()
    told = [host.number for host in victims if host.says("log_full", begin)]
    world.tell(f"    full: {told} of {[host.number for host in victims]}")


def slowed(world, rng, victim, writes_per_second):
    """The disk takes no more than so many writes a second for a while; the longest gap then."""
    begin, behind = world.now(), 0
    victim.throttle(writes_per_second)
    try:
        written, since = log_writes(world, victim), world.now()
        for _ in range(4):
            world.lasting(rng.uniform(0.5, 1.0))
            shown = world.info(victim)
            behind = max(behind, int(shown["raft_last_index"]) - int(shown["raft_durable_index"]))
        written, seconds = log_writes(world, victim) - written, world.now() - since
    finally:
        victim.throttle(0)
    gap_s = world.gap_since(begin)
    world.tell(f"    node {victim.number}, {writes_per_second} writes a second, writes to its log "
               f"{written} times in {seconds:.1f} s, and is up to {behind} entries behind")
    assert behind > 0 and written <= writes_per_second * (seconds + SLICE_S) + 1, \
        "the fault befell nobody: the disk is not slow"
    return gap_s


def log_writes(world, host):
    """How many writes to its log have ended."""
    return int(world.info(host, "persistence")["log_writes"])


@needs("disk")
def slow_follower(world, rng):
    victim, begin = rng.choice(world.followers()), world.now()
    gap_s = slowed(world, rng, victim, rng.choice(SLOW_WRITES))
    world.bounded(gap_s, GAP_S, begin, "a slow follower holds the majority up:")
    world.settled_on(victim)


@needs("disk")
def slow_leader(world, rng):
    victim = world.leader()
    slowed(world, rng, victim, rng.choice(SLOW_WRITES))
    world.tell(f"    node {victim.number} "
               f"{'still leads' if victim.role()[1] else 'has let another one lead'}")


@needs("disk")
def stalled_leader(world, rng):
    """
    No write ends. The leader notices, and lets another one lead. On a machine with much else to do
    it may lose its lead before it notices: then the next one has to.
    """
    for _ in range(STALLED_LEADERS):
        if stalls(world, rng, world.leader()):
            return
    raise AssertionError(f"{STALLED_LEADERS} leaders in turn did not notice")


def stalls(world, rng, victim):
    """Whether it has noticed, rather than lost its lead for something else."""
    begin = world.now()
    victim.limits.stall(victim.disk.path, True)
    try:
        world.awaited(lambda: victim.says("disk_stalled", begin) or not victim.role()[1],
                      "it does not notice")
        written = log_writes(world, victim)  # what was under way has ended, or never will
        world.awaited(lambda: any(host.role()[1] for host in world.hosts if host is not victim),
                      "nobody else leads")
        world.lasting(rng.uniform(0.5, 2.0))
        assert log_writes(world, victim) == written, "the fault befell nobody: its writes end"
    finally:
        victim.limits.stall(victim.disk.path, False)
    world.bounded(world.gap_since(begin), GAP_S, begin, "a leader without a disk holds all up:")
    world.settled_on(victim)
    if not victim.says("disk_stalled", begin):
        world.tell(f"    node {victim.number} lost its lead for something else")
        return False
    return True


def flipped(world, rng, victims, rest_serves):
    """A bit in the log of each victim; it must say where, and start when that is undone."""
    for victim in victims:
        victim.kill()
    undo = []
    for victim in victims:
        directory = victim.process.directory
        name = min(name for name in os.listdir(directory) if name.startswith("log-"))
        path = os.path.join(directory, name)
        with open(path, "r+b", buffering=0) as file:
            used = len(file.read().rstrip(b"\0"))
            offset, mask = rng.randrange(4096, max(4097, used // 2)), 1 << rng.randrange(8)
            flip(file, offset, mask)
        undo.append((path, offset, mask))
        victim.process.spawn()
        status = victim.process.wait()
        said = re.search(rf"weir serve: {name}: at offset \d+: .*", victim.process.log())
        assert status == 1 and said, f"status {status}:\n{victim.process.log()[-2000:]}"
        world.tell(f"    node {victim.number}, byte {offset} of {used}: {said.group(0)[:110]}")
    if rest_serves:
        world.served()
    for path, offset, mask in undo:
        with open(path, "r+b", buffering=0) as file:
            flip(file, offset, mask)
    world.go_on(victims)


def flipped_byte(world, rng):
    flipped(world, rng, [rng.choice(world.followers())], True)


def flipped_in_two(world, rng):
    """Of three: what is left is no majority, and must not make itself one."""
    victims = rng.sample(world.hosts, len(world.hosts) // 2 + 1)
    flipped(world, rng, victims, False)


def flip(file, offset, mask):
    file.seek(offset)
    byte = file.read(1)[0]
    file.seek(offset)
    file.write(bytes([byte ^ mask]))
    os.fsync(file.fileno())


FAULTS = table(
    (power_one, "power cut at one node", "the rest serves before it is back"),
    (power_leader, "power cut at the leader", "the rest serves before it is back"),
    (power_two, "power cut at two nodes", "as always"),
    (power_all, "power cut everywhere", "as always"),
    (failing_disk, "the leader's disk fails", "it ends with a sentence; the rest serves"),
    (full_one, "a follower's disk is full", "the others go on, and it catches up", 3, "long"),
    (full_leader, "the leader's disk is full", "another one leads, and takes writes", 3, "long"),
    (full_majority, "the disks of a majority are full",
     "whoever leads refuses writes and answers reads; they serve when there is room",
     3, "long"),
    (slow_follower, "a follower's disk takes 1 or 10 writes a second",
     "writes go on, never 2 s without one"),
    (slow_leader, "the leader's disk takes 1 or 10 writes a second", "as always"),
    (stalled_leader, "no write to the leader's disk ends any more", "it lets another one lead"),
    (flipped_byte, "a bit in the log of a node that is down is flipped",
     "it refuses to start and says where; the others go on"),
    (flipped_in_two, "likewise on a majority, in different places",
     "all these refuse; nothing is lost when that is undone"),
)
