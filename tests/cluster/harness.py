#!/usr/bin/env python3
"""The tools of the cluster tests do what they say: a fault that befalls nobody proves nothing.

Packets between two namespaces, frames through a proxy, a disk, limits of a processor, a disk's
writes and memory. And what asserts that a fault befell somebody is seen to fail when it did not.
"""

import contextlib
import ctypes
import os
import signal
import socket
import struct
import subprocess
import sys
import threading
import time

from faults import befell
from faults_network import dropping
from hosts import Host, write_files
from limits import CONTROLLERS, Limits, missing, read
from netns import Network, address, enter
from proxy import CLONE_NEWNET, LISTEN_PORT, Proxy
from weir_test import Scratch

PACKETS = 1000
FRAME = struct.pack("<IB3x", 64, 3) + bytes(range(56))
WAIT_S = 5.0
QUIET_S = 0.2       # in which nothing comes that was dropped or is stuck
PORT = 7380
SO_RCVBUFFORCE = 33
RECEIVE_BYTES = PACKETS * 2048  # a datagram of a few bytes takes some 800 of it


class Teller:
    """As much of a world as a fault needs that tells what it came to."""

    def __init__(self, network):
        self.network = network

    def tell(self, _):
        pass


def fails(function, *arguments):
    """The sentence with which an assertion fails; None if none does."""
    try:
        function(*arguments)
    except AssertionError as failure:
        return str(failure)
    return None


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
        # Beyond net.core.rmem_max, which would take less without a word.
        found.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, RECEIVE_BYTES)
        assert found.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) >= RECEIVE_BYTES
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
    assert not network.dropped()
    network.cut((1, 2))
    assert arrived(ends, 1, 2, 10) == 0 and arrived(ends, 2, 1) == PACKETS
    assert network.dropped() == {"1>2": 10}
    network.clear()
    assert arrived(ends, 1, 2) == PACKETS
    assert network.dropped() == {"1>2": 10}, "what was counted goes with the rule"
    all_lost = 0
    for percent in (5, 20):
        network.lose(percent)
        lost = PACKETS - arrived(ends, 1, 2)
        assert percent * 5 < lost < percent * 20, f"{lost} of {PACKETS} at {percent} %"
        all_lost += lost
    network.clear()
    assert network.dropped()["lost>2"] == all_lost
    for end in ends.values():
        end.close()


def a_fault_that_drops_nothing_fails(network):
    ends = {number: datagrams(number) for number in (1, 2)}
    world = Teller(network)

    def cut(packets):
        with dropping(world):
            network.cut((1, 2))
            arrived(ends, 1, 2, packets)
    assert "befell nobody" in (fails(cut, 0) or ""), "a fault that befell nobody passes"
    assert fails(cut, 1) is None
    assert "befell nobody" in (fails(befell, world, "what", {"one": 0, "two": 0}) or "")
    assert fails(befell, world, "what", {"one": 0, "two": 1}) is None
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

    def counted(self, name):
        return self.proxy.counts.pop(name, 0)


def frames_are_changed_as_was_said(_):
    whole = b"".join(FRAME[:-1] + bytes([n]) for n in range(20))
    with Proxied() as proxied:
        assert proxied.sent()[0] == whole
        assert set(+proxied.proxy.counts) == {"frames"}, "it counts what it did not do"
        assert proxied.sent(clogged=True)[0] == b""
        assert proxied.counted("stuck") == len(whole)
        came, first_s = proxied.sent(delay_s=0.05)
        assert came == whole and first_s >= 0.05, first_s
        late = proxied.counted("delayed")  # those that were stuck may come now
        assert 20 <= late <= 40, late
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


def a_proxy_that_dies_is_noticed(_):
    def die(*_):
        raise RuntimeError("a defect of the harness")
    with Proxied() as proxied:
        assert fails(proxied.proxy.check) is None and fails(proxied.proxy.wake) is None
        proxied.proxy.accept = die
        threading.excepthook = lambda _: None
        within(1, lambda: socket.socket().connect_ex(("127.0.0.1", LISTEN_PORT + 2)))
        proxied.proxy.join(WAIT_S)
        threading.excepthook = threading.__excepthook__
        for notices in (proxied.proxy.check, proxied.proxy.wake):
            assert "a defect of the harness" in (fails(notices) or ""), "it died unseen"


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


def limits_are_written_as_each_version_has_them(scratch_and_network):
    """In directories that look like control groups: a kernel has a controller in one version."""
    def told(version, change):
        """What a change writes to which file."""
        root = f"{scratch_and_network[0]}/groups-{version}-{change.__name__}"
        kinds = ("cpu", "blkio", "memory") if version == 1 else ("",)
        mounts = "".join(f"c {root}/{kind} cgroup{'' if version == 1 else '2'} rw,{kind} 0 0\n"
                         for kind in kinds)
        for kind in kinds:
            os.makedirs(f"{root}/{kind}")
            for name in ("controllers", "subtree_control"):
                with open(f"{root}/{kind}/cgroup.{name}", "w", encoding="ascii") as file:
                    file.write("cpu io memory")
        limits = Limits("x", os.getpid, mounts)
        change(limits)
        paths = limits.paths()
        assert len(paths) == 1 and read(f"{paths[0]}/cgroup.procs") == str(os.getpid())
        return {name: read(f"{paths[0]}/{name}") for name in os.listdir(paths[0])
                if name != "cgroup.procs"}

    def a_tenth(limits):
        limits.processor(0.1)

    def slow(limits):
        limits.writes("/", 7)

    def little(limits):
        limits.memory(1 << 20)

    def unlimited(limits):
        limits.memory(None)
    device = os.stat("/").st_dev
    device = f"{os.major(device)}:{os.minor(device)}"
    for change, first, second in (
            (a_tenth, {"cpu.cfs_quota_us": "10000"}, {"cpu.max": "10000 100000"}),
            (slow, {"blkio.throttle.write_iops_device": f"{device} 7"},
             {"io.max": f"{device} wiops=7"}),
            (little, {"memory.limit_in_bytes": "1048576"}, {"memory.max": "1048576"}),
            (unlimited, {"memory.limit_in_bytes": "-1"}, {"memory.max": "max"})):
        assert told(1, change) == first, told(1, change)
        assert told(2, change) == second, told(2, change)


def limits_hold_and_tell_how_often(scratch_and_network):
    """Of a process that spins, writes and takes memory. Returns why it was skipped, if it was."""
    for controller in CONTROLLERS:
        if missing(controller):
            return missing(controller)
    write_files(scratch_and_network[0], 2, {})
    host = Host(1, 2, scratch_and_network[0], "limits")
    program = f"""import mmap, os, sys, time
sys.stdin.readline()
end = time.monotonic() + 0.3
while time.monotonic() < end: pass
page, file = mmap.mmap(-1, 4096), os.open({host.disk.path + '/f'!r}, {os.O_DIRECT | os.O_RDWR |
                                                                        os.O_CREAT})
begin = time.monotonic()
for _ in range(10): os.pwrite(file, page, 0)
print(time.monotonic() - begin, flush=True)
sys.stdin.readline()
b'x' * (64 << 20)
"""
    child = subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE,
                             stdout=subprocess.PIPE, text=True)
    host.process.process = child
    try:
        limits = host.limits
        limits.processor(0.1)
        limits.writes(host.disk.path, 20)
        assert limits.processor_held_up() == 0
        child.stdin.write("go\n")
        child.stdin.flush()
        took_s = float(child.stdout.readline())
        assert took_s > 0.3, f"ten writes at 20 a second took {took_s} s"
        assert limits.processor_held_up() > 0
        limits.processor(None)
        limits.memory(limits.memory_bytes() + (16 << 20))
        assert limits.memory_kills() == 0
        child.stdin.write("go\n")
        child.stdin.flush()
        assert child.wait(WAIT_S) == -signal.SIGKILL
        assert limits.memory_kills() == 1 and limits.memory_refused() > 0
    finally:
        child.kill()
        child.wait()
        host.close()
    return None


def main():
    enter()
    with Scratch() as scratch, Scratch() as again:
        network = Network(2)
        try:
            for test, given in ((packets_are_dropped_one_way_or_both_or_a_share, network),
                                (a_fault_that_drops_nothing_fails, network),
                                (frames_are_changed_as_was_said, network),
                                (a_proxy_that_dies_is_noticed, network),
                                (limits_are_written_as_each_version_has_them, (scratch, network)),
                                (a_disk_loses_what_was_not_synced_fills_up_and_fails,
                                 (scratch, network)),
                                (limits_hold_and_tell_how_often, (again, network))):
                skipped = test(given)
                print(f"skipped: {test.__name__}: {skipped}" if skipped else f"ok {test.__name__}",
                      flush=True)
        finally:
            network.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
