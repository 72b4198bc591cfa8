"""A cluster of real processes on 127.0.0.1, made as an operator makes one: with weir init."""

import os
import random
import re
import socket
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "support"))
from weir_test import (Client, ErrorReply, Node, Scratch, request, skip, until,  # noqa: E402,F401
                       weir)  # noqa: E402,F401


def free_ports(count):
    """Ports that nobody has, below those that the kernel gives to connections."""
    ports = []
    while len(ports) < count:
        port = random.randrange(15000, 32000)
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        if port not in ports:
            ports.append(port)
    return ports


class Cluster:
    """So many nodes, with ids from 1, and their files in `scratch`."""

    def __init__(self, scratch, count=3, options=()):
        ports = free_ports(2 * count)
        self.peer_ports, self.client_ports = ports[:count], ports[count:]
        self.files = os.path.join(scratch, "files")
        members = ",".join(f"{i + 1}=127.0.0.1:{self.peer_ports[i]}/127.0.0.1:{ports[count + i]}"
                           for i in range(count))
        made = weir("init", "--cluster", "test", "--members", members, "--out", self.files,
                    "--etc", self.files, "--var", scratch)
        assert made.returncode == 0, made.stderr
        self.nodes = []
        for number in range(1, count + 1):
            made = weir("init", "--config", self.config(number))
            assert made.returncode == 0, made.stderr
            self.nodes.append(Node(f"{scratch}/weir-{number}", "--config", self.config(number),
                                   "--listen", f"127.0.0.1:{self.client_ports[number - 1]}",
                                   *options))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for node in self.nodes:
            if node.running():
                node.kill()

    def config(self, number):
        return f"{self.files}/weir-{number}.conf"

    def start(self):
        """All at once, since a new cluster serves when all have met; returns when all do."""
        for node in self.nodes:
            node.spawn()
        for node in self.nodes:
            assert node.wait_log(r"event=ready\b"), node.log()
        return self

    def running(self):
        return [node for node in self.nodes if node.running()]

    def info(self, node, section="raft"):
        """A section of INFO as a table."""
        with Asked(node) as client:
            text = client.call("INFO", section).decode()
        return dict(line.split(":", 1) for line in text.splitlines() if ":" in line)

    def leader(self, everyone=False):
        """The node that leads, and that a majority of all, or everyone who runs, says so."""
        def found():
            says = {}
            for node in self.running():
                try:
                    raft = self.info(node)
                except (OSError, ConnectionError):
                    continue
                if raft["raft_leader"] != "0":
                    says.setdefault((int(raft["raft_term"]), int(raft["raft_leader"])), []) \
                        .append(node)
            for (_, leader), who in says.items():
                chosen = self.nodes[leader - 1]
                enough = len(self.running()) if everyone else len(self.nodes) // 2 + 1
                if len(who) >= enough and chosen in who:
                    return chosen
            return None
        return until(found, "nobody leads:\n" + "\n".join(n.log()[-3000:] for n in self.nodes))

    def acquainted(self):
        """All who run know where clients reach everyone: the log has it soon after the start."""
        def known(node):
            with Asked(node) as client:
                slots = client.call("CLUSTER", "SLOTS")
            return bool(slots) and \
                {place[1] for place in slots[0][2:]} == set(self.client_ports)
        until(lambda: all(known(node) for node in self.running()), "addresses are not known")

    def settled(self):
        """All that run have applied what the leader has committed, and that is one index."""
        def same():
            indices = {self.info(node)["raft_applied_index"] for node in self.running()}
            return len(indices) == 1
        until(same, "the nodes do not come to the same index")


class Asked:
    """A connection to a node that may not be there."""

    def __init__(self, node):
        self.node = node

    def __enter__(self):
        if not self.node.port:
            raise ConnectionError("it serves nobody yet")
        self.client = Client(self.node.port)
        return self.client

    def __exit__(self, *_):
        self.client.socket.close()


def moved_port(error):
    """The port that a -MOVED names; None if it is another error."""
    match = re.match(r"MOVED \d+ \S*:(\d+)$", str(error))
    return int(match.group(1)) if match else None
