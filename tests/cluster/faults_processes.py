"""Processes that are killed, stopped, restarted, and whose wall clock jumps."""

import calendar
import contextlib
import os
import re
import time

from faults import befell, needs, table
from histories import outcome_of
from weir_test import SLOWNESS, ErrorReply

STORM_S = 2.0
ROLL_S = 5.0 * SLOWNESS        # for one operation of a client that repeats it
READS_S = 5.0 * SLOWNESS       # until reads go on under a new leader
LED_S = 0.9 * SLOWNESS         # until another one leads: four election time-outs, and some
HOUR_S = 3600
CLOCK_S = 30.0 * SLOWNESS      # until a leader has led through a jump of its clock


def killed(world, hosts):
    """SIGKILL to all of them before any is waited for."""
    for host in hosts:
        host.process.process.kill()
    for host in hosts:
        host.kill()
    world.kills += len(hosts)
    world.tell(f"    killed: {[host.number for host in hosts]}")


def kill_leader(world, rng):
    victim = world.leader()
    killed(world, [victim])
    world.tell(f"    served again after {world.served() * 1000:.0f} ms")
    world.lasting(rng.uniform(0, 0.5))
    world.go_on([victim])


def kill_follower(world, rng):
    victim = rng.choice(world.followers())
    killed(world, [victim])
    world.served()
    world.lasting(rng.uniform(0, 0.5))
    world.go_on([victim])


def kill_all(world, rng):
    killed(world, world.hosts)
    world.lasting(rng.uniform(0, 0.2))
    world.go_on(world.hosts)


def kill_minority(world, rng):
    victims = rng.sample(world.hosts, (len(world.hosts) - 1) // 2)
    killed(world, victims)
    world.served()
    world.go_on(victims)


def pause(world, hosts, seconds):
    world.tell(f"    stopped: {[host.number for host in hosts]} for {seconds:.2f} s")
    for host in hosts:
        host.signal_stop()
    try:
        world.lasting(seconds)
    finally:
        for host in hosts:
            host.resume()


def pause_leader(world, rng):
    leader, seconds, begin = world.leader(), rng.uniform(0.4, 1.5), world.now()
    pause(world, [leader], seconds)
    others = [number for when, _, number in world.elections()
              if begin < when < begin + seconds and number != leader.number]
    if seconds > LED_S and not world.lenient and world.metronome.since(begin) == 0:
        assert others, f"nobody leads while the leader stands still for {seconds:.2f} s"


def pause_follower(world, rng):
    pause(world, [rng.choice(world.followers())], rng.uniform(0.4, 1.5))


def pause_all(world, rng):
    pause(world, world.hosts, rng.uniform(0.4, 1.0))


def stuttering(world, rng):
    """One node runs for a moment, stands still for a moment, and so on."""
    host = rng.choice(world.hosts)
    world.tell(f"    node {host.number} stutters")
    for _ in range(15):
        host.signal_stop()
        world.lasting(rng.uniform(0.02, 0.15))
        host.resume()
        world.lasting(rng.uniform(0.02, 0.15))


@needs("cpu")
def starved(world, rng):
    """One node has little of a processor, or all have."""
    hosts, share = rng.choice([([world.leader()], 0.01), (world.hosts, 0.02)])
    world.tell(f"    {share} of a processor for {[host.number for host in hosts]}")
    before = {}
    try:
        for host in hosts:
            host.limits.processor(share)
            before[host] = host.limits.processor_held_up()
        world.lasting(rng.uniform(1.5, 3.0))
        befell(world, "periods in which it had used up its share",
               {f"node {host.number}": host.limits.processor_held_up() - count
                for host, count in before.items()})
    finally:
        for host in hosts:
            host.limits.processor(None)


def wiped(world, rng):
    """The data of a follower are gone: it must not come back as if nothing had happened."""
    victim = rng.choice(world.followers())
    killed(world, [victim])
    kept = f"{victim.process.directory}.kept"
    os.rename(victim.process.directory, kept)
    victim.process.spawn()
    status, text = victim.process.wait(), victim.process.log()
    assert status == 1 and "there is no data directory" in text, f"status {status}:\n{text}"
    world.served()
    os.rename(kept, victim.process.directory)
    world.go_on([victim])


def restart_storm(world, rng):
    """Nobody waits until a node that was started serves, or for a majority."""
    end = time.monotonic() + STORM_S
    while time.monotonic() < end:
        host = rng.choice(world.hosts)
        if host.running():
            killed(world, [host])
        world.lasting(rng.uniform(0, 0.2))
        host.spawn()
    world.all_serve(world.hosts)


def rolling_restart(world, rng):
    begin = world.now()
    patient = [caller for caller in world.callers if hasattr(caller, "slowest_s")]
    for caller in patient:
        caller.slowest_s, caller.given_up = 0.0, 0
    order = rng.sample(world.hosts, len(world.hosts))
    for host in order:
        host.stop()
        world.go_on([host])
        world.settled_on(host)
    slowest = max(caller.slowest_s for caller in patient)
    world.tell(f"    the slowest operation of clients that repeat took {slowest * 1000:.0f} ms")
    world.bounded(slowest, ROLL_S, begin, "an operation took")
    assert not any(caller.given_up for caller in patient), "a client that repeats has given up"
    world.whole()

def reads_go_on(world, rng):
    """Nobody writes; a new leader's reads wait for no client's write."""
    victim = world.leader()
    world.directory.reads_only = True
    try:
        changed = time.monotonic()
        world.awaited(lambda: all(c.asks_nothing_since > changed for c in world.callers),
                      "a client does not come to its next operation")
        writes = len(world.directory.acked_at)
        killed(world, [victim])
        took = world.served()
        world.bounded(took, READS_S, changed, "reads go on after")
        assert len(world.directory.acked_at) == writes, "somebody has written"
        world.tell(f"    reads go on after {took * 1000:.0f} ms")
        world.lasting(rng.uniform(0, 0.2))
    finally:
        world.directory.reads_only = False
    world.go_on([victim])


def clock_back_and_forth(world, rng):
    """Deadlines are by log time, which a clock that jumps while a node leads does not change."""
    restart_with_clock(world, True)
    record = world.record() if world.log_is_whole else None
    world.awaited(lambda: deadline_is_kept(world, record), "nobody leads for 3 s", CLOCK_S)
    for _ in range(2):
        for host in world.hosts:
            host.set_clock(rng.choice([-HOUR_S, 0, HOUR_S]))
        world.lasting(1.2)
        pause_leader(world, rng)
        world.served()
    assert any(clock_is_off(line) for host in world.hosts for _, line in host.process.said), \
        "no node's clock has jumped"
    restart_with_clock(world, False)


def deadline_is_kept(world, record):
    """Asserts it while the clock of one leader jumps; False: it did not lead all the time."""
    leader = world.leader()
    key, whole_ms = f"expires:{world.directory.epoch}", HOUR_S * 500
    try:
        with contextlib.closing(world.line(leader)) as line:
            if recorded(line, record, "SET", key, "1", "PX", whole_ms) != "OK":
                return False
            for offset in (HOUR_S, -HOUR_S):
                leader.set_clock(offset)
                world.lasting(1.2)  # the library looks once a second
                left_ms = line.call("PTTL", key)
                if not isinstance(left_ms, int):
                    return False
                assert whole_ms - 60000 < left_ms <= whole_ms, left_ms
    except OSError:
        return False
    return True


def recorded(line, record, *words):
    """The reply to an operation that stands in the history, if the log is judged, too, which then
    has it: by keys alone nothing with a deadline can be."""
    invoked, returned = time.monotonic_ns(), None
    reply, raw = ErrorReply("UNKNOWN"), b""
    try:
        line.send(*words)
        reply, raw = line.reply()
        returned = time.monotonic_ns()
    finally:
        if record is not None:
            record.write((record.connection(), 1), invoked, returned, outcome_of(reply), words, raw)
    return reply


def clock_is_off(line):
    """Whether the line's own time is far from now."""
    said = re.match(r"ts=([\d-]+T[\d:]+)", line)
    if not said:
        return False
    at = calendar.timegm(time.strptime(said.group(1), "%Y-%m-%dT%H:%M:%S"))
    return abs(at - time.time()) > HOUR_S / 2


def restart_with_clock(world, fakes):
    for host in world.hosts:
        host.stop()
        host.fake_clock(fakes)
        world.go_on([host])
        world.served()


FAULTS = table(
    (kill_leader, "SIGKILL to the leader", "the rest serves before it is back"),
    (kill_follower, "SIGKILL to a follower", "the rest serves before it is back"),
    (kill_all, "SIGKILL to all at once", "they serve when they are back"),
    (kill_minority, "SIGKILL to two of five", "the rest serves before they are back", 5),
    (pause_leader, "SIGSTOP to the leader, longer than the election time-out, and SIGCONT",
     "what waits in its sockets is not answered as if it still led"),
    (pause_follower, "the same to a follower", "the others go on"),
    (pause_all, "the same to all at once", "they go on"),
    (stuttering, "a node runs and stands still by turns, each for some 0.1 s", "as always"),
    (starved, "the leader has 1 % of a processor, or all nodes have 2 %", "as always"),
    (wiped, "a follower's data directory is gone", "it refuses to start; the others go on"),
    (restart_storm, "nodes are killed and started faster than they come up",
     "they serve when it has ended"),
    (rolling_restart, "SIGTERM to each, and it is back before the next",
     "no error at a client that repeats and follows redirects"),
    (reads_go_on, "nobody writes, and the leader is killed",
     "reads go on without waiting for a client's write"),
    (clock_back_and_forth, "wall clocks jump an hour back and forth",
     "deadlines are kept while a node leads", 3, "long"),
)
