"""Up to three at once: something that goes on in the background, while something else befalls.

Most of what was ever found in clusters needed two faults.
"""

from faults import table
from faults_disks import SLOW_WRITES, power_all, power_one, power_two
from faults_network import all_ways
from faults_processes import kill_all, kill_leader, pause_leader, restart_storm, stuttering

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


def packets_lost(world, rng):
    world.network.lose(rng.choice([2, 5]))
    return world.network.clear


def delayed(world, rng):
    set_ways(world, delay_s=rng.uniform(0.005, 0.03), jitter_s=0.02)
    return lambda: set_ways(world)


def frames_changed(world, rng):
    set_ways(world, **{rng.choice(["doubled", "swapped", "flipped", "cut"]): 0.02})
    return lambda: set_ways(world)


def one_way_stuck(world, rng):
    one, other = rng.choice(all_ways(world))
    proxy = world.hosts[one - 1].proxy
    proxy.ways[other].clogged = True
    proxy.wake()
    return lambda: set_ways(world)


def disk_slow(world, rng):
    host = rng.choice(world.hosts)
    host.throttle(max(SLOW_WRITES))
    return lambda: host.throttle(0)


BACKGROUND = (packets_lost, delayed, frames_changed, one_way_stuck, disk_slow)


def together(world, rng):
    behind = rng.sample(BACKGROUND, rng.choice([1, 2]))
    befalls = rng.choice(BEFALL)
    world.tell(f"    {befalls.__name__}, with {', '.join(each.__name__ for each in behind)}")
    ends = []
    world.lenient = True
    try:
        for each in behind:
            ends.append(each(world, rng))
        befalls(world, rng)
    finally:
        for end in ends:
            end()
        world.lenient = False
    world.all_serve(world.hosts)


FAULTS = table(
    (together, "a kill, a pause or a power cut while frames or packets are lost, late or changed, "
     "or a disk is slow", "as always"),
)
