"""Whether members compare what they hold, while they run, and find no difference.

Every member has digests of its data at the multiples of an index, and compares them with those that
the leader has put into the log (docs/architecture.md).
"""

import re

INTERVAL = 1024       # docs/operations.md
AGREED_S = 60.0       # for as many entries, and some
DIFFERS = re.compile(r"event=(digest_mismatch|digest_disputed|replica_diverged)\b")


def none_differs(world):
    for host in world.hosts:
        for _, line in list(host.process.said):
            assert not DIFFERS.search(line), f"node {host.number}: {line}"


def has_compared(world, host, index):
    """Whether this process last found its digests to be those in the log behind that index."""
    none_differs(world)
    try:
        shown = world.info(host, "persistence")
    except OSError:
        return False
    assert shown["digest_undecided_index"] == "0", f"node {host.number}: {shown}"
    return int(shown["digests_agreed"]) > 0 and int(shown["digest_last_index"]) >= index


def compared(world):
    """
    All clients write as fast as they can until every member has compared its digests at an index
    that is beyond all that was written until now, and none may ever have found a difference.
    """
    begin = world.now()
    wanted = int(world.info(world.leader())["raft_last_index"])
    pauses = [caller.interval_s for caller in world.callers]
    for caller in world.callers:
        caller.interval_s = 0.0
    try:
        world.awaited(lambda: all(has_compared(world, host, wanted) for host in world.hosts),
                      f"members do not compare what they hold behind entry {wanted}", AGREED_S)
    finally:
        for caller, pause_s in zip(world.callers, pauses):
            caller.interval_s = pause_s
    none_differs(world)
    world.tell(f"all members have compared their data behind entry {wanted} "
               f"({world.now() - begin:.1f} s)")
