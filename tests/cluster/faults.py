"""The faults, as tables: a name, what it does, and what must hold beside what always must.

What always must hold: the history is linearizable; nothing acknowledged is lost; there is one
leader at most in a term; afterwards every client is served, no node has ended that was not killed
or cut off, and all nodes hold the same.

A fault ends whatever it began: the network is whole, all nodes run. It sees by figures that it
befell somebody (`befell`), or the run fails. One that needs a control group is skipped by name
where there is none (limits.py).
"""

import collections
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "support"))

Scenario = collections.namedtuple("Scenario", "name what holds function nodes takes needs")


def needs(controller):
    """Of a fault: which controller of limits.py it cannot do without."""
    def marked(function):
        function.needs = controller
        return function
    return marked


def befell(world, what, counts):
    """Tells how often what befell, and fails the run if it never did."""
    world.tell(f"    {what}: " + (", ".join(f"{name} {count}" for name, count in
                                           sorted(counts.items())) or "none"))
    assert sum(counts.values()) > 0, f"the fault befell nobody, {what}: none"


def table(*rows):
    """Rows of (function, what it does, what must hold[, least nodes[, "short" or "long"]])."""
    return [Scenario(row[0].__name__, row[1], row[2], row[0],
                     row[3] if len(row) > 3 else 3, row[4] if len(row) > 4 else "short",
                     getattr(row[0], "needs", None))
            for row in rows]
