"""Networks that part, lose, delay, double, reorder and change.

Each fault asserts that it befell somebody, by the counters of the rules that drop packets and by
the proxies' own counts: a cut between two who have nothing to say to each other proves nothing. So
the leader is on one of the sides.
"""

import collections
import contextlib
import time

from faults import befell, table
from histories import outcome_of
from weir_test import SLOWNESS

LINES = 6             # connections that ask a leader which is cut off
NO_ANSWER_S = 5.0     # for it to refuse them
MEANWHILE_S = 5.0 * SLOWNESS  # until somebody who reaches a majority serves
LEADS_S = 0.5         # for so long somebody leads at least, on average, where packets are lost


@contextlib.contextmanager
def dropping(world):
    """Something that drops packets. Afterwards the network is whole, and some were dropped."""
    before = world.network.dropped()
    try:
        yield
    finally:
        world.network.clear()
    befell(world, "packets dropped", world.network.dropped() - before)


def parted(world, rng, ways, meanwhile=None):
    """These ways are cut for a while, at whose end `meanwhile` asserts what came of it."""
    world.tell(f"    cut: {' '.join(f'{one}>{other}' for one, other in sorted(ways))}")
    with dropping(world):
        world.network.cut(*ways)
        world.lasting(rng.uniform(0.8, 2.0))
        if meanwhile is not None:
            meanwhile()


def somebody_serves(world):
    """Writes are acknowledged, though not all is well."""
    mark = time.monotonic()
    world.awaited(lambda: world.directory.acked_at[-1] > mark,
                  "who reaches a majority does not serve", MEANWHILE_S)


def another_serves(world, leader, term, begin):
    """The leader of that term has stepped down since then, another one serves."""
    world.awaited(lambda: leader.says("leadership_lost", begin),
                  f"node {leader.number} does not step down", MEANWHILE_S)
    world.awaited(lambda: any(host.role()[1] and host.role()[0] > term
                              for host in world.hosts if host is not leader),
                  f"node {leader.number} is not replaced", MEANWHILE_S)
    somebody_serves(world)


def leader_alone(world, rng):
    leader = world.leader()
    ways = world.network.apart({leader.number})
    ways |= {(other, one) for one, other in ways}
    with dropping(world):
        world.network.cut(*ways)
        world.tell(f"    cut off: node {leader.number}; the rest serves")
        world.awaited(lambda: any(host.role()[1] for host in world.hosts if host is not leader),
                      "the majority elects nobody")
        mark = time.monotonic()
        world.awaited(lambda: world.directory.acked_at[-1] > mark, "the majority does not serve")
        world.lasting(rng.uniform(0, 0.5))


def two_and_one(world, rng):
    one = rng.choice(world.hosts).number
    parted(world, rng, world.network.apart({one}) |
           {(other, one) for other in world.network.numbers if other != one})


def minority_and_majority(world, rng):
    numbers = list(world.network.numbers)
    group = set(rng.sample(numbers, (len(numbers) - 1) // 2))
    parted(world, rng, world.network.apart(group, set(numbers) - group))


def leader_hears_nobody(world, rng):
    leader = world.leader()
    term, begin = leader.role()[0], world.now()
    parted(world, rng, {(n, leader.number) for n in world.network.numbers if n != leader.number},
           lambda: another_serves(world, leader, term, begin))


def nobody_hears_the_leader(world, rng):
    leader = world.leader()
    term, begin = leader.role()[0], world.now()
    parted(world, rng, {(leader.number, n) for n in world.network.numbers if n != leader.number},
           lambda: another_serves(world, leader, term, begin))


def way_of_the_leader(world, rng):
    """From the leader to another one, or back: followers have nothing to say to each other."""
    leader = world.leader().number
    other = rng.choice([number for number in world.network.numbers if number != leader])
    return rng.choice([(leader, other), (other, leader)])


def one_way(world, rng):
    """Of messages alone: the transport's acknowledgements come back."""
    one, other = way_of_the_leader(world, rng)
    writes = len(world.directory.acked_at)
    world.tell(f"    nothing that {one} says reaches {other}")
    done = with_way(world, [(one, other)], lambda way: setattr(way, "clogged", True),
                    rng.uniform(0.8, 2.0))
    befell(world, "bytes stuck", {f"{one}>{other}": done["stuck"]})
    assert len(world.directory.acked_at) > writes, "one way that is stuck stops the cluster"


def bridge(world, rng):
    """Two sides, and one in the middle that both reach. The leader is on a side."""
    leader = world.leader().number
    numbers = rng.sample(list(world.network.numbers), len(world.hosts))
    if numbers[0] == leader:
        numbers = numbers[1:] + numbers[:1]
    middle, left = numbers[0], set(numbers[1:1 + len(numbers) // 2])
    right = set(numbers) - left - {middle}
    ways = {(a, b) for a in left for b in right} | {(b, a) for a in left for b in right}
    parted(world, rng, ways, lambda: somebody_serves(world))


def ring(world, rng):
    """Each reaches as many neighbours on both sides as make a majority with it, and no others."""
    count = len(world.hosts)
    numbers = rng.sample(list(world.network.numbers), count)
    width = (count // 2 + 1) // 2  # one of five on each side; two of seven
    near = {(numbers[i], numbers[(i + step) % count])
            for i in range(count) for step in range(1, width + 1)}
    near |= {(b, a) for a, b in near}
    parted(world, rng, {(a, b) for a in numbers for b in numbers if a != b} - near,
           lambda: somebody_serves(world))


def flapping(world, rng):
    one, other = way_of_the_leader(world, rng)  # the first of them: two others may be silent
    with dropping(world):
        for _ in range(8):
            world.network.cut_only({(one, other), (other, one)})
            world.lasting(rng.uniform(0.05, 0.3))
            world.network.cut_only(set())
            world.lasting(rng.uniform(0.0, 0.1))
            one, other = rng.sample(list(world.network.numbers), 2)


def lossy(world, rng, percent):
    before, leaders = len(world.directory.acked_at), len(world.elections())
    begin, seconds = world.now(), rng.uniform(1.5, 3.0)
    with dropping(world):
        world.network.lose(percent)
        world.lasting(seconds)
        writes = len(world.directory.acked_at) - before
        leaders = len(world.elections()) - leaders
    world.tell(f"    {writes} writes acknowledged meanwhile, {leaders} times another leader")
    assert writes > 0, f"{percent} % of packets lost stop the cluster"
    if world.metronome.since(begin) == 0:
        assert leaders <= 1 + seconds / LEADS_S, f"{leaders} leaders in {seconds:.1f} s"


def loss_5(world, rng):
    lossy(world, rng, 5)


def loss_20(world, rng):
    lossy(world, rng, 20)


def counted(world):
    """What the proxies have done so far."""
    return sum((host.proxy.counts for host in world.hosts), start=collections.Counter())


def with_way(world, ways, change, seconds):
    """Settings of proxies, for a while; what they did to how many frames."""
    touched = [(world.hosts[one - 1].proxy, other) for one, other in ways]
    before = counted(world)
    writes = len(world.directory.acked_at)
    for proxy, other in touched:
        change(proxy.ways[other])
    for proxy, _ in touched:
        proxy.wake()
    try:
        world.lasting(seconds)
    finally:
        for proxy, other in touched:
            proxy.ways[other].clear()
            proxy.wake()
    done = counted(world) - before
    world.tell(f"    of frames: {dict(done)}; "
               f"{len(world.directory.acked_at) - writes} writes acknowledged meanwhile")
    return done


def all_ways(world):
    return [(one, other) for one in world.network.numbers for other in world.network.numbers
            if one != other]


def changed(world, rng, **settings):
    def change(way):
        for name, value in settings.items():
            setattr(way, name, value)
    return with_way(world, all_ways(world), change, rng.uniform(1.5, 3.0))


def delay_50ms(world, rng):
    writes, leaders, begin = len(world.directory.acked_at), len(world.elections()), world.now()
    done = changed(world, rng, delay_s=0.05, jitter_s=0.02)
    leaders = len(world.elections()) - leaders
    befell(world, "frames late", {"in all": done["delayed"]})
    assert len(world.directory.acked_at) > writes, "50 ms stop the cluster"
    if world.metronome.since(begin) == 0:
        assert leaders == 0, f"{leaders} elections, though an answer takes less than a time-out"


def broken_connections(world):
    return sum(int(world.info(host, "peers")["peers_in_broken"]) for host in world.hosts)


def noticed(world, rng, name, **settings):
    """Frames are changed, and each time the receiver ends the connection."""
    broken = broken_connections(world)
    done = changed(world, rng, **settings)
    assert done[name] > 0, "nothing was changed"
    assert broken_connections(world) > broken, "no receiver has noticed"


def doubled_frames(world, rng):
    noticed(world, rng, "doubled", doubled=0.05)


def reordered_frames(world, rng):
    noticed(world, rng, "swapped", swapped=0.05)


def flipped_bits(world, rng):
    noticed(world, rng, "flipped", flipped=0.05)


def replayed_frames(world, rng):
    noticed(world, rng, "replayed", replayed=0.1, cut=0.01)


def cut_in_mid_frame(world, rng):
    done = changed(world, rng, cut=0.03, delay_s=0.001, jitter_s=0.02)
    assert done["cut"] > 0, "nothing was cut"


def clogged(world, rng):
    """Ways stop one by one and go on in another order."""
    before, leader = counted(world), world.leader().number
    ways = rng.sample(all_ways(world), 4)
    if not any(leader in way for way in ways):
        ways[0] = way_of_the_leader(world, rng)
    for one, other in ways:
        world.hosts[one - 1].proxy.ways[other].clogged = True
        world.hosts[one - 1].proxy.wake()
        world.lasting(rng.uniform(0, 0.4))
    rng.shuffle(ways)
    for one, other in ways:
        world.hosts[one - 1].proxy.ways[other].clear()
        world.hosts[one - 1].proxy.wake()
        world.lasting(rng.uniform(0, 0.4))
    befell(world, "bytes stuck", {"in all": (counted(world) - before)["stuck"]})


def refused_reads(world, rng, lines, record):
    """Each line asks a leader without a majority, which answers none of them with a value."""
    key = f"{world.directory.epoch}:s0"
    asked = []
    for line in lines:
        asked.append(time.monotonic_ns())
        line.send("GET", key)
        world.lasting(rng.uniform(0, 0.05))
    for line, invoked in zip(lines, asked):
        reply, raw = line.reply()
        outcome = outcome_of(reply)
        record.write((record.connection(), 1), invoked, time.monotonic_ns(), outcome,
                     ("GET", key), raw)
        assert outcome != "ok", f"a leader without a majority has answered a read: {reply!r}"
        world.tell(f"    the leader, cut off, says {str(reply)[:60]}")


def minority_reads(world, rng):
    """A leader that is cut off is asked at once, over connections that it had before."""
    leader = world.leader()
    record = world.record()
    lines = [world.line(leader, NO_ANSWER_S) for _ in range(LINES)]
    for line in lines:
        assert line.call("CLIENT", "READS", "quorum") == "OK"
    ways = world.network.apart({leader.number})
    try:
        with dropping(world):
            world.network.cut(*ways, *((other, one) for one, other in ways))
            refused_reads(world, rng, lines, record)
    finally:
        for line in lines:
            line.close()


def client_cut_off(world, rng, lost):
    leader = world.leader().number
    with dropping(world):
        lost.add(leader)
        world.network.apply()
        world.lasting(rng.uniform(0.5, 1.5))


def requests_lost(world, rng):
    client_cut_off(world, rng, world.network.requests_lost)


def replies_lost(world, rng):
    client_cut_off(world, rng, world.network.replies_lost)


FAULTS = table(
    (leader_alone, "the leader is cut off from all others", "the majority serves meanwhile"),
    (two_and_one, "one node is cut off", "as always"),
    (minority_and_majority, "two of five are cut off together", "as always", 5),
    (leader_hears_nobody, "what others send to the leader is dropped", "as always"),
    (nobody_hears_the_leader, "what the leader sends to others is dropped", "as always"),
    (one_way, "messages of one node to another get stuck, the other way goes on", "as always"),
    (bridge, "two sides that only one node reaches both of", "as always"),
    (ring, "each node reaches its neighbours only", "as always", 5),
    (flapping, "ways between two nodes come and go", "as always"),
    (loss_5, "5 % of packets between nodes are lost", "as always"),
    (loss_20, "20 % of packets between nodes are lost", "as always"),
    (delay_50ms, "50 to 70 ms of delay each way", "writes go on"),
    (doubled_frames, "a twentieth of the frames comes twice",
     "the receiver ends the connection"),
    (reordered_frames, "a twentieth of the frames comes behind the next one",
     "the receiver ends the connection"),
    (flipped_bits, "a bit of a twentieth of the frames is flipped",
     "the receiver ends the connection"),
    (replayed_frames, "frames of earlier connections come again",
     "the receiver ends the connection"),
    (cut_in_mid_frame, "connections end inside a frame", "as always"),
    (clogged, "ways get stuck one by one, and go on in another order", "as always"),
    (minority_reads, "a leader is cut off and asked for quorum reads",
     "it refuses, and gives no value"),
    (requests_lost, "what clients send to the leader is dropped", "as always"),
    (replies_lost, "what the leader sends to clients is dropped", "as always"),
)
