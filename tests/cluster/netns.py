"""A network of our own: a namespace for each node, and a bridge between them.

Everything is in namespaces that the run has for itself (`enter`): links, addresses, the names of
the nodes' namespaces, mounts. So two runs never meet, the host's network is not touched, and when
the run's last process ends, however it ends, the kernel takes everything back.

    clients 10.9.0.254 ── bridge ── 10.9.0.1 node 1
                             ├───── 10.9.0.2 node 2 ...

What is dropped is dropped where it arrives, by the addressee's own rules. Each rule counts, and has
a name, so that a fault can see that it befell somebody (`dropped`).
"""

import collections
import json
import os
import shutil
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "crash"))
sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "support"))
from loop_disk import must, run  # noqa: E402
from weir_test import skip  # noqa: E402

INSIDE = "WEIR_CLUSTER_NAMESPACE"
PROGRAMS = ("ip", "nft", "nsenter", "unshare", "setpriv", "mkfs.ext4", "xfs_io", "losetup")
CLIENTS = 254  # the last byte of the clients' address

RULES = """
table ip weir {{
    chain incoming {{
        type filter hook input priority 0;
{incoming}
    }}
    chain outgoing {{
        type filter hook output priority 0;
{outgoing}
    }}
}}
"""


def address(number):
    return f"10.9.0.{number}"


def dropping(name):
    return f'counter drop comment "{name}"'


def enter():
    """Runs this program again in namespaces of its own; skips the test where that may not be."""
    if os.environ.get(INSIDE):
        must("mount", "-t", "tmpfs", "none", "/run")
        os.mkdir("/run/scratch")
        os.environ["WEIR_SCRATCH"] = "/run/scratch"
        return
    if os.geteuid() != 0:
        skip("needs root, to make network namespaces and mount loop devices")
    for program in PROGRAMS:
        if shutil.which(program) is None:
            skip(f"needs the program {program}")
    probe = run("unshare", "--mount", "--net", "ip", "link", "add", "probe", "type", "bridge")
    if probe.returncode:
        skip("may not make a network namespace with a bridge here")
    if run("unshare", "--net", "nft", "add", "table", "ip", "t").returncode:
        skip("nft does not work here")
    if run("losetup", "--find").returncode:
        skip("has no loop device here")
    os.environ[INSIDE] = "1"
    os.execvp("unshare", ["unshare", "--mount", "--net", "--propagation", "private",
                          sys.executable, *sys.argv])


class Network:
    """Nodes 1 to `count`, each in its own namespace. Everybody reaches everybody at first."""

    def __init__(self, count):
        self.numbers = range(1, count + 1)
        must("ip", "link", "set", "lo", "up")
        must("ip", "link", "add", "bridge", "type", "bridge")
        must("ip", "address", "add", f"{address(CLIENTS)}/24", "dev", "bridge")
        must("ip", "link", "set", "bridge", "up")
        for number in self.numbers:
            name, end = f"node{number}", f"to{number}"
            must("ip", "netns", "add", name)
            must("ip", "link", "add", end, "type", "veth", "peer", "name", "eth0", "netns", name)
            must("ip", "link", "set", end, "master", "bridge", "up")
            must("ip", "-n", name, "address", "add", f"{address(number)}/24", "dev", "eth0")
            must("ip", "-n", name, "link", "set", "eth0", "up")
            must("ip", "-n", name, "link", "set", "lo", "up")
        self.applied = {}
        self.counted = collections.Counter()  # of rules that are not in force any more
        self.clear()

    def close(self):
        for number in self.numbers:
            # With its other end; the namespace would take both along, but some time later.
            run("ip", "link", "delete", f"to{number}")
            run("ip", "netns", "delete", f"node{number}")
        run("ip", "link", "delete", "bridge")

    @staticmethod
    def path(number):
        return f"/run/netns/node{number}"

    def clear(self):
        """Nothing is dropped any more."""
        self.cut_ways = set()        # (from, to), of nodes
        self.loss_percent = 0        # between nodes
        self.requests_lost = set()   # of clients, to these nodes
        self.replies_lost = set()
        self.apply()

    def cut(self, *ways):
        """Drops what goes from one node to another, one way; beside what was dropped before."""
        self.cut_ways |= set(ways)
        self.apply()

    def cut_only(self, ways):
        self.cut_ways = set(ways)
        self.apply()

    def lose(self, percent):
        self.loss_percent = percent
        self.apply()

    def rules(self, number):
        incoming = [f"ip saddr {address(source)} {dropping(f'{source}>{to}')}"
                    for source, to in sorted(self.cut_ways) if to == number]
        if self.loss_percent:
            incoming.append(f"ip saddr {address(1)}-{address(len(self.numbers))} numgen random "
                            f"mod 100 < {self.loss_percent} {dropping(f'lost>{number}')}")
        if number in self.requests_lost:
            incoming.append(f"ip saddr {address(CLIENTS)} {dropping(f'clients>{number}')}")
        outgoing = [f"ip daddr {address(CLIENTS)} {dropping(f'{number}>clients')}"] \
            if number in self.replies_lost else []
        if not incoming and not outgoing:
            return "flush ruleset\n"
        return "flush ruleset\n" + RULES.format(incoming="\n".join(incoming),
                                                outgoing="\n".join(outgoing))

    def apply(self):
        """Puts the rules into force, those of each node at once."""
        for number in self.numbers:
            rules = self.rules(number)
            if self.applied.get(number) == rules:
                continue
            path = f"/run/rules-{number}"
            with open(path, "w", encoding="ascii") as file:
                file.write(rules)
            self.counted += self.counters(number)
            must("nsenter", f"--net={self.path(number)}", "nft", "-f", path)
            self.applied[number] = rules

    def counters(self, number):
        """How many packets each rule of the node's has dropped since it is in force."""
        if "drop" not in self.applied.get(number, ""):
            return collections.Counter()
        shown = run("nsenter", f"--net={self.path(number)}", "nft", "-j", "list", "ruleset")
        if shown.returncode:
            raise OSError(f"nft list ruleset: {shown.stderr.strip()}")
        found = collections.Counter()
        for rule in (row["rule"] for row in json.loads(shown.stdout)["nftables"] if "rule" in row):
            found[rule["comment"]] += next(part["counter"]["packets"] for part in rule["expr"]
                                           if "counter" in part)
        return found

    def dropped(self):
        """How many packets were ever dropped: of each way and sort, as `rules` names them."""
        return sum((self.counters(number) for number in self.numbers), start=self.counted)

    def apart(self, *groups):
        """The ways between nodes of different groups."""
        return {(one, other) for group in groups for one in group
                for other in self.numbers if other not in group}
