"""Up to three at once: something that goes on in the background, while something else befalls.

Most of what was ever found in clusters needed two faults.
"""

from faults import befell, table
from faults_disks import SLOW_WRITES, power_all, power_one, power_two
from faults_network import all_ways, counted
from faults_processes import kill_all, kill_leader, pause_leader, restart_storm, stuttering
from limits import missing

BEFALL = (kill_all, kill_leader, pause_leader, restart_storm, stuttering, power_all, power_one,
          power_two)


def set_ways(world, **settings):
    for one, other in all_ways(world):
        way = world.hosts[one - 1].proxy.ways[other]
        if not settings:  # the end; otherwise it adds to what goes on
            way.clear()
        for name, value in settings.items():
            setattr(way, name, value)
    for host in world.hosts:
        host.proxy.wake()


# Each begins something in the background, and returns two functions: one ends it, the other tells
# how often it has befallen somebody so far.

def packets_lost(world, rng):
    before = world.network.dropped()
    world.network.lose(rng.choice([2, 5]))
    return world.network.clear, lambda: world.network.dropped() - before


def by_proxies(world, name, before):
    """What the proxies have done of that sort since then."""
    return lambda: {name: (counted(world) - before)[name]}


def delayed(world, rng):
    before = counted(world)
    set_ways(world, delay_s=rng.uniform(0.005, 0.03), jitter_s=0.02)
    return lambda: set_ways(world), by_proxies(world, "delayed", before)


def frames_changed(world, rng):
    before, name = counted(world), rng.choice(["doubled", "swapped", "flipped", "cut"])
    set_ways(world, **{name: 0.02})
    return lambda: set_ways(world), by_proxies(world, name, before)


def one_way_stuck(world, rng):
    """To all: who leads may change meanwhile, and followers have nothing to say to each other."""
    before, proxy = counted(world), rng.choice(world.hosts).proxy
    for way in proxy.ways.values():
        way.clogged = True
    proxy.wake()
    # Those that are stuck are counted when it ends.
    return lambda: set_ways(world), by_proxies(world, "stuck", before)


def disk_slow(world, rng):
    host = rng.choice(world.hosts)
    host.throttle(max(SLOW_WRITES))
    return lambda: host.throttle(0), lambda: {
        "ms that some writes wait": max(0, int(host.time_writes(SLOW_PROBE) * 1000) - PROBE_MS)}


BACKGROUND = (packets_lost, delayed, frames_changed, one_way_stuck, disk_slow)
SLOW_PROBE = 4    # writes to a slow disk: 100 ms each, but for the first
PROBE_MS = 150    # more than they take where the disk is not slow


def together(world, rng):
    possible = [each for each in BACKGROUND if each is not disk_slow or not missing("disk")]
    behind = rng.sample(possible, rng.choice([1, 2]))
    befalls = rng.choice(BEFALL)
    world.tell(f"    {befalls.__name__}, with {', '.join(each.__name__ for each in behind)}")
    ends = []
    world.lenient = True
    try:
        for each in behind:
            ends.append(each(world, rng))
        befalls(world, rng)
        for each, (_, times) in zip(behind, ends):
            if each is not one_way_stuck:
                world.awaited(lambda times=times: sum(times().values()) > 0,
                              f"{each.__name__} befalls nobody")
                befell(world, each.__name__, times())
    finally:
        for end, _ in ends:
            end()
        world.lenient = False
    if one_way_stuck in behind:  # who led when it began may have been killed, the rest be silent
        world.tell(f"    {ends[behind.index(one_way_stuck)][1]()}")
    world.all_serve(world.hosts)


FAULTS = table(
    (together, "a kill, a pause or a power cut while frames or packets are lost, late or changed, "
     "or a disk is slow", "as always"),
)
