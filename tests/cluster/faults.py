"""The faults, as tables: a name, what it does, and what must hold beside what always must.

What always must hold: the history is linearizable; nothing acknowledged is lost; there is one
leader at most in a term; afterwards every client is served, no node has ended that was not killed
or cut off, and all nodes hold the same.

A fault ends whatever it began: the network is whole, all nodes run.
"""

import collections

Scenario = collections.namedtuple("Scenario", "name what holds function nodes takes")


def table(*rows):
    """Rows of (function, what it does, what must hold[, least nodes[, "short" or "long"]])."""
    return [Scenario(row[0].__name__, row[1], row[2], row[0],
                     row[3] if len(row) > 3 else 3, row[4] if len(row) > 4 else "short")
            for row in rows]
