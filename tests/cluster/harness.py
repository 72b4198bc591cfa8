#!/usr/bin/env python3
"""The tools of the cluster tests do what they say: a fault that befalls nobody proves nothing.

Packets between two namespaces, frames through a proxy, a disk, a clock, a limit of a processor.
"""

import contextlib
import ctypes
import os
import socket
import struct
import sys
import threading
import time

from hosts import Host, write_files
from netns import Network, address, enter
from proxy import CLONE_NEWNET, LISTEN_PORT, Proxy
from weir_test import Scratch

PACKETS = 1000
FRAME = struct.pack("<IB3x", 64, 3) + bytes(range(56))
WAIT_S = 5.0
QUIET_S = 0.2       # in which nothing comes that was dropped or is stuck
PORT = 7380


def within(number, function):
    """The function's value, called by a thread in the node's network namespace."""
    result = []

    def call():
        with open(Network.path(number), "rb") as namespace:
            assert ctypes.CDLL(None).setns(namespace.fileno(), CLONE_NEWNET) == 0
        result.append(function())
    thread = threading.Thread(target=call)
    thread.start()
    thread.join(WAIT_S)
    return result[0]


def datagrams(number):
    def bound():
        found = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        found.bind((address(number), PORT))
        found.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
        found.settimeout(QUIET_S)
        return found
    return within(number, bound)


def arrived(ends, one, other, count=PACKETS):
    """How many of so many packets arrive."""
    for _ in range(count):
        ends[one].sendto(b"packet", (address(other), PORT))
    came = 0
    with contextlib.suppress(TimeoutError):
        while came < count:
            ends[other].recv(100)
            came += 1
    return came


def packets_are_dropped_one_way_or_both_or_a_share(network):
    ends = {number: datagrams(number) for number in (1, 2)}
    assert arrived(ends, 1, 2) == arrived(ends, 2, 1) == PACKETS
    network.cut((1, 2))
    assert arrived(ends, 1, 2, 10) == 0 and arrived(ends, 2, 1) == PACKETS
    network.clear()
    assert arrived(ends, 1, 2) == PACKETS
    for percent in (5, 20):
        network.lose(percent)
        lost = PACKETS - arrived(ends, 1, 2)
        assert percent * 5 < lost < percent * 20, f"{lost} of {PACKETS} at {percent} %"
    network.clear()
    for end in ends.values():
        end.close()


class Proxied:
    """What node 1 sends to node 2, through a proxy."""

    def __init__(self):
        self.listener = within(2, lambda: socket.create_server((address(2), PORT)))
        self.proxy = Proxy(Network.path(1), {2: (address(2), PORT)}, "harness")
        self.proxy.start()
        assert self.proxy.listening.wait(WAIT_S)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.listener.close()
        self.proxy.close()

    def connect(self):
        near = within(1, lambda: socket.create_connection(("127.0.0.1", LISTEN_PORT + 2), WAIT_S))
        self.listener.settimeout(WAIT_S)
        far, _ = self.listener.accept()
        return near, far

    def sent(self, count=20, **settings):
        """What arrives of so many numbered frames until it is quiet, and when the first came."""
        way = self.proxy.ways[2]
        for name, value in settings.items():
            setattr(way, name, value)
        near, far = self.connect()
        began, first_s, came = time.monotonic(), None, b""
        near.sendall(b"".join(FRAME[:-1] + bytes([n]) for n in range(count)))
        far.settimeout(QUIET_S)
        with contextlib.suppress(TimeoutError):
            while True:
                data = far.recv(1 << 16)
                if not data:
                    break
                first_s = first_s or time.monotonic() - began
                came += data
        way.clear()
        self.proxy.wake()
        near.close()
        far.close()
        return came, first_s


def frames_are_changed_as_was_said(_):
    whole = b"".join(FRAME[:-1] + bytes([n]) for n in range(20))
    with Proxied() as proxied:
        assert proxied.sent()[0] == whole
        assert proxied.sent(clogged=True)[0] == b""
        came, first_s = proxied.sent(delay_s=0.05)
        assert came == whole and first_s >= 0.05, first_s
        assert len(proxied.sent(doubled=1.0)[0]) == 2 * len(whole)
        came, _ = proxied.sent(swapped=0.5)
        assert came != whole and set(came[63::64]) <= set(range(20)) and len(came) % 64 == 0
        came, _ = proxied.sent(flipped=1.0)
        assert sum((a ^ b).bit_count() for a, b in zip(came, whole)) == 20, "a bit of each frame"
        came, _ = proxied.sent(cut=1.0)
        assert len(came) < 64 and whole.startswith(came)
        proxied.sent(count=200, replayed=0.5)
        assert len(proxied.sent(replayed=1.0)[0]) > len(whole)
        assert proxied.sent()[0] == whole, "the settings outlive their time"


def a_disk_loses_what_was_not_synced_fills_up_and_fails(scratch_and_network):
    scratch, _ = scratch_and_network
    write_files(scratch, 2, {})
    host = Host(1, 2, scratch, "harness")
    path = f"{host.disk.path}/file"
    try:
        with open(path, "wb", buffering=0) as file:
            file.write(b"synced")
            os.fsync(file.fileno())  # with the directory's entry, on ext4
            file.write(b" and not")
            host.disk.cut()
        host.disk.restore_power()
        with open(path, "rb") as file:
            assert file.read() == b"synced"
        host.fill_disk()
        room = os.statvfs(host.disk.path)
        assert room.f_bavail * room.f_frsize < 2 << 20
        host.empty_disk()
        host.fail_disk()
        with open(path, "wb", buffering=0) as file:
            try:
                file.write(bytes(4 << 20))
                os.fsync(file.fileno())
                raise AssertionError("a failing disk takes everything")
            except OSError:
                pass
        host.replace_disk()
        with open(path, "wb", buffering=0) as file:
            file.write(b"again")
            os.fsync(file.fileno())
    finally:
        host.close()


def main():
    enter()
    with Scratch() as scratch:
        network = Network(2)
        try:
            for test, given in ((packets_are_dropped_one_way_or_both_or_a_share, network),
                                (frames_are_changed_as_was_said, network),
                                (a_disk_loses_what_was_not_synced_fills_up_and_fails,
                                 (scratch, network))):
                test(given)
                print(f"ok {test.__name__}", flush=True)
        finally:
            network.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
