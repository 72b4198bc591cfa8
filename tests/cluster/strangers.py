#!/usr/bin/env python3
"""What comes to the port for members and is none is refused, counted, logged at a bounded rate, and
takes no memory; and the members go on, and get through to each other."""

import contextlib
import os
import random
import re
import socket
import struct
import sys
import threading

from cluster import Asked, Cluster, Node, Scratch, until, weir

IDLE = 1000
GARBAGE = 200


def connect(port):
    client = socket.create_connection(("127.0.0.1", port), 30)
    client.settimeout(30)
    return client


def said_back(port, data):
    """What comes back until the node closes, which it has to."""
    got = b""
    with connect(port) as client:
        try:
            client.sendall(data)
            while piece := client.recv(4096):
                got += piece
        except (ConnectionResetError, BrokenPipeError):
            pass
    return got


def peers(cluster, node):
    return {key: int(value) for key, value in cluster.info(node, "peers").items()}


def other_protocols_get_no_answer(cluster):
    node = cluster.nodes[0]
    before = peers(cluster, node)
    texts = [b"GET / HTTP/1.1\r\nHost: weir\r\n\r\n", b"*1\r\n$4\r\nPING\r\n",
             b"PING\r\n", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(60),
             b"SSH-2.0-OpenSSH_9.2\r\n"]
    for text in texts:
        assert said_back(cluster.peer_ports[0], text) == b"", text
    after = peers(cluster, node)
    assert after["peers_in_refused"] == before["peers_in_refused"] + len(texts), (before, after)
    assert after["peers_in_introduced"] == before["peers_in_introduced"]


def garbage_is_refused_at_a_bounded_rate(cluster):
    node = cluster.nodes[0]
    before = peers(cluster, node)["peers_in_refused"]
    rng = random.Random(1)
    for _ in range(GARBAGE):
        said_back(cluster.peer_ports[0], b"\xff" + rng.randbytes(rng.randrange(8, 500)))
    assert peers(cluster, node)["peers_in_refused"] == before + GARBAGE
    lines = [line for line in node.log().splitlines() if "event=peer_refused" in line]
    assert 0 < len(lines) < 60, f"{len(lines)} lines for {GARBAGE} refusals"


def an_announced_length_takes_no_memory(cluster):
    """A frame's first bytes announce nearly 4 GiB, or nothing, or half of a header. What was mapped
    and never touched counts, too, also when it was given back at once."""
    node = cluster.nodes[0]
    before = node.status_kb("VmPeak")
    for length in (0xfffffff8, 0x7ffffff8, 0x1000000, 0, 8, 41, 440 + 8):
        assert said_back(cluster.peer_ports[0], struct.pack("<I", length) + bytes(100)) == b""
    assert node.status_kb("VmPeak") < before + 4096


class Renumbered(threading.Thread):
    """Passes on what an opener says to a member's port as if it were of another version of frames,
    and the answer as it is. Ends with the test's process."""

    VERSION_AT = 5  # in a frame's header: docs/formats.md

    def __init__(self, target):
        super().__init__(daemon=True)
        self.target, self.listener = target, socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.answers = []

    def run(self):
        while True:
            near, _ = self.listener.accept()
            with near, connect(self.target) as far, contextlib.suppress(ConnectionError):
                hello = bytearray(near.recv(4096))
                if len(hello) <= self.VERSION_AT:
                    continue  # the opener has ended
                hello[self.VERSION_AT] += 1
                far.sendall(hello)
                answer = far.recv(4096)
                near.sendall(answer)
                self.answers.append((answer, far.recv(4096)))


def who_speaks_another_version_is_told_so(cluster):
    """A follower, whose words come to the other one in another version of the protocol."""
    leader = cluster.leader(everyone=True)
    node, first = (each for each in cluster.nodes if each is not leader)
    number = cluster.nodes.index(first) + 1
    between = Renumbered(cluster.peer_ports[number - 1])
    between.start()
    assert node.stop() == 0
    before = peers(cluster, first)
    book = dict(enumerate(cluster.peer_ports, 1))
    book[number] = between.port
    node.spawn("--peers", ",".join(f"{n}=127.0.0.1:{port}" for n, port in book.items()))
    assert node.wait_log(r"event=peer_refuses .*it speaks another version of the protocol")
    assert node.wait_log(r"event=ready\b"), node.log()  # the leader hears it
    assert first.wait_log(r"event=peer_refused .*version")
    after = peers(cluster, first)
    assert after["peers_in_refused"] > before["peers_in_refused"]
    assert after["peers_in_introduced"] == before["peers_in_introduced"]
    assert after["peers_in_unauthenticated"] == before["peers_in_unauthenticated"]
    assert peers(cluster, node)["peers_out_refused"] > 0
    until(lambda: between.answers, "nothing is answered, or the connection stays")
    assert all(answer and not more for answer, more in between.answers), between.answers
    with Asked(cluster.leader()) as client:
        assert client.call("SET", "beside", "another version") == "OK"
    assert node.stop() == 0
    assert node.spawn().wait_log(r"event=ready\b"), node.log()


def who_is_of_another_cluster_is_told_so(cluster):
    """All alike, the secret too, but that its data directory was made for another cluster."""
    number, first = 3, cluster.nodes[0]
    own = cluster.nodes[number - 1]
    assert own.stop() == 0
    members = ",".join(f"{n}=127.0.0.1:{port}" for n, port in enumerate(cluster.peer_ports, 1))
    directory = f"{cluster.files}/other-cluster"
    made = weir("init", "--data", directory, "--cluster", "other", "--id", str(number),
                "--members", members)
    assert made.returncode == 0, made.stderr
    before = peers(cluster, first)
    with Node(directory, "--id", str(number), "--peers", members, "--secret-file",
              f"{cluster.files}/secret") as other:
        other.spawn()
        assert other.wait_log(r"event=peer_refuses .*it belongs to another cluster"), other.log()
        after = peers(cluster, first)
        assert after["peers_in_refused"] > before["peers_in_refused"]
        assert after["peers_in_introduced"] == before["peers_in_introduced"]
        assert after["peers_in_unauthenticated"] == before["peers_in_unauthenticated"]
        assert not any("event=peer_connected" in line or "event=ready" in line
                       for line in other.lines), other.log()
    assert own.spawn().wait_log(r"event=ready\b"), own.log()


def who_has_no_secret_is_told_so_and_stays_out(cluster):
    """A node of the same cluster and id, with its own files, and another secret."""
    node = cluster.nodes[2]
    assert node.stop() == 0
    other = os.path.join(cluster.files, "another")
    with open(other, "w", encoding="ascii") as file:
        os.fchmod(file.fileno(), 0o600)
        file.write("f" * 64)
    before = peers(cluster, cluster.nodes[0])
    node.spawn("--secret-file", other)
    assert node.wait_log(r"event=peer_refuses .*it has another secret, or one of both has none")
    assert node.wait_log(r"event=peer_refused .*another secret")
    after = peers(cluster, cluster.nodes[0])
    assert after["peers_in_unauthenticated"] > before["peers_in_unauthenticated"]
    assert after["peers_in_introduced"] == before["peers_in_introduced"]
    assert not any("event=ready" in line for line in node.lines), "it serves"
    node.kill()
    node.spawn("--peer-authentication", "none", "--secret-file", "")
    assert node.wait_log(r"event=peer_refuses .*it has another secret, or one of both has none")
    node.kill()
    assert node.spawn().wait_log(r"event=ready\b"), node.log()
    with Asked(cluster.leader()) as client:
        assert client.call("SET", "after", "strangers") == "OK"
    cluster.settled()


def a_thousand_idle_connections_keep_no_member_out(cluster):
    node, port = cluster.nodes[1], cluster.peer_ports[0]
    idle, before = [], peers(cluster, cluster.nodes[0])["peers_in_rejected"]
    for number in range(IDLE):
        idle.append(connect(port))
        if number == IDLE // 2:
            node.kill()
            node.spawn()
    assert node.wait_log(r"event=ready\b"), node.log()
    until(lambda: peers(cluster, node)["peers_out_open"] == 4, "it does not reach all members")
    cluster.settled()
    for client in idle:
        assert client.recv(10) == b""  # closed
        client.close()
    after = peers(cluster, cluster.nodes[0])
    assert after["peers_in_open"] <= 4, f"strangers stay: {after}"
    assert after["peers_in_rejected"] >= before + IDLE, f"{before} before, {after}"


# Those first who wait for a line of a log: later ones are many, and suppress each other.
TESTS = [who_speaks_another_version_is_told_so, who_is_of_another_cluster_is_told_so,
         other_protocols_get_no_answer, garbage_is_refused_at_a_bounded_rate,
         an_announced_length_takes_no_memory, who_has_no_secret_is_told_so_and_stays_out,
         a_thousand_idle_connections_keep_no_member_out]


def main():
    with Scratch() as scratch, Cluster(scratch) as cluster:
        cluster.start()
        cluster.leader()
        for test in TESTS:
            test(cluster)
            print(f"ok {test.__name__}", flush=True)
        for node in cluster.nodes:
            assert node.stop() == 0, node.log()
            assert not re.search(r"level=error", node.log()), node.log()
    return 0


if __name__ == "__main__":
    sys.exit(main())
