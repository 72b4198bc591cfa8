#!/usr/bin/env python3
"""A member that others know by a name: it is not known when they start, and gets another address.

The names are those of an /etc/hosts of our own, in a mount namespace."""

import os
import re
import shutil
import sys

from cluster import Asked, Cluster, ErrorReply, Node, Scratch, free_ports, skip, until, weir

INSIDE = "WEIR_NAMES_NAMESPACE"
NAME = "two.weir.test"
HOSTS_BYTES = 200  # of /etc/hosts, filled up with empty lines


def enter():
    """Runs this program again in a mount namespace of its own; skips the test where none is."""
    if os.environ.get(INSIDE):
        return
    if shutil.which("unshare") is None or shutil.which("mount") is None:
        skip("needs the programs unshare and mount")
    ways = (["unshare", "--mount"], ["unshare", "--map-root-user", "--mount"])
    for way in ways:
        probe = " ".join([*way, "mount", "--bind", "/etc/hostname", "/etc/hosts"])
        if os.system(probe + " 2>/dev/null") == 0:
            os.environ[INSIDE] = "1"
            os.execvp(way[0], [*way, sys.executable, os.path.abspath(__file__), *sys.argv[1:]])
    skip("may not make a mount namespace here")


def mount_over(path, scratch, text):
    """Puts a file of ours in the place of the system's."""
    own = os.path.join(scratch, os.path.basename(path))
    with open(own, "w", encoding="utf-8") as file:
        file.write(text)
    os.chmod(own, 0o644)
    assert os.spawnlp(os.P_WAIT, "mount", "mount", "--bind", own, path) == 0, path


def hosts_say(address):
    """In one write, always as long: who reads the file meanwhile finds the old names or the new."""
    text = "127.0.0.1 localhost\n" + (f"{address} {NAME}\n" if address else "")
    file = os.open("/etc/hosts", os.O_WRONLY)  # the one that is mounted there
    try:
        assert os.pwrite(file, text.ljust(HOSTS_BYTES, "\n").encode(), 0) == HOSTS_BYTES
    finally:
        os.close(file)


class Named(Cluster):
    """Three nodes, of which the second is known by its name."""

    def __init__(self, scratch):
        ports = free_ports(6)
        self.peer_ports, self.client_ports = ports[:3], ports[3:]
        self.files = os.path.join(scratch, "files")
        hosts = ("127.0.0.1", NAME, "127.0.0.1")
        members = ",".join(f"{i + 1}={hosts[i]}:{ports[i]}/127.0.0.1:{ports[3 + i]}"
                           for i in range(3))
        made = weir("init", "--cluster", "test", "--members", members, "--out", self.files,
                    "--etc", self.files, "--var", scratch)
        assert made.returncode == 0, made.stderr
        self.nodes = []
        for number in (1, 2, 3):
            made = weir("init", "--config", self.config(number))
            assert made.returncode == 0, made.stderr
            self.nodes.append(Node(f"{scratch}/weir-{number}", "--config", self.config(number),
                                   "--listen", f"127.0.0.1:{ports[2 + number]}"))

    def write(self, value):
        def written():
            try:
                with Asked(self.leader()) as client:
                    client.call("SET", "key", value)
            except (ErrorReply, OSError):
                return False  # another one leads by now
            return True
        until(written, "nobody takes a write")


def a_name_that_is_not_known_yet_ends_nobody(cluster):
    hosts_say(None)
    others = (cluster.nodes[0], cluster.nodes[2])
    for node in others:
        node.spawn()
    for node in others:
        assert node.wait_log(r"event=peer_name_unknown peer=2 name=\"two.weir.test\" .*advice="), \
            node.log()
    hosts_say("127.0.0.2")
    cluster.nodes[1].spawn("--peer-listen", f"127.0.0.2:{cluster.peer_ports[1]}")
    for node in cluster.nodes:
        assert node.wait_log(r"event=ready\b"), node.log()
    for node in others:
        assert node.wait_log(rf"event=peer_address peer=2 .*address=127.0.0.2:"), node.log()


def a_member_that_moves_is_followed(cluster):
    cluster.leader()
    cluster.nodes[1].kill()
    cluster.write("while it moves")
    hosts_say("127.0.0.3")
    cluster.nodes[1].spawn("--peer-listen", f"127.0.0.3:{cluster.peer_ports[1]}")
    for node in (cluster.nodes[0], cluster.nodes[2]):
        assert node.wait_log(r"address=127.0.0.3:\d+ before=127.0.0.2$"), node.log()
    assert cluster.nodes[1].wait_log(r"event=ready\b"), cluster.nodes[1].log()
    cluster.write("when it has moved")
    cluster.settled()
    until(lambda: all(cluster.info(node, "peers")["peers_out_open"] == "4"
                      for node in cluster.nodes), "not all are connected")


def a_failure_is_logged_once_in_a_while(cluster):
    for node in (cluster.nodes[0], cluster.nodes[2]):
        lines = re.findall("event=peer_name_unknown", node.log())
        assert len(lines) == 1, node.log()


TESTS = [a_name_that_is_not_known_yet_ends_nobody, a_member_that_moves_is_followed,
         a_failure_is_logged_once_in_a_while]


def main():
    enter()
    with Scratch() as scratch:
        mount_over("/etc/hosts", scratch, "127.0.0.1 localhost\n")
        mount_over("/etc/nsswitch.conf", scratch, "hosts: files\n")
        with Named(scratch) as cluster:
            for test in TESTS:
                test(cluster)
                print(f"ok {test.__name__}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
