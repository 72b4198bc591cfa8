"""A node with what a machine gives it: a network namespace, a disk, a proxy for what it sends.

The disk is an ext4 in a file in memory, mounted through a loop device. It can lose power, be full,
fail, and be slow. All of it is in the run's own namespaces (netns.py).
"""

import errno
import glob
import os
import re
import signal
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "crash"))
sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "support"))
from limits import Limits  # noqa: E402
from loop_disk import LoopDisk, must  # noqa: E402
from netns import CLIENTS, Network, address  # noqa: E402
from proxy import LISTEN_PORT, Proxy  # noqa: E402
from weir_test import LIMIT_S, Node, weir  # noqa: E402

CLIENT_PORT, PEER_PORT = 7379, 7380
DISK_MIB = 2048        # sparse: of two segments that are allocated ahead next to nothing is written
MEMORY_MIB = 1024      # written at most
FILL_TRIES = 20
# What a node says that has come upon a defect of its own (base/assert.h, sanitizers, glibc).
CRASHED = re.compile(r"assertion failed: |: unreachable: |Sanitizer|runtime error: |"
                     r"stack smashing|malloc\(\)|free\(\)")
FAKETIME = "/usr/lib/*/faketime/libfaketime.so.1"


class Process(Node):
    """A node's processes, one after the other; what all of them said, and when."""

    def __init__(self, *arguments, **options):
        super().__init__(*arguments, **options)
        self.said = []  # (monotonic time, line)
        self.hears = None  # a function of these two, called in the reader's thread
        self.all = []      # every process, the running one last

    def spawn(self, *options):
        super().spawn(*options)
        self.all.append(self.process)
        return self

    def crashes(self):
        """What is a defect, whatever had befallen it: ends by a signal but SIGKILL, and words."""
        ends = [f"ended by signal {-process.returncode}" for process in self.all
                if (process.poll() or 0) < 0 and process.returncode != -signal.SIGKILL]
        return ends + [line for _, line in list(self.said) if CRASHED.search(line)]

    def read_lines(self, stderr):
        super().read_lines(self.noted(stderr))

    def noted(self, stderr):
        for line in stderr:
            self.said.append((time.monotonic(), line.decode(errors="replace").rstrip("\n")))
            if self.hears is not None:
                self.hears(*self.said[-1])
            yield line


class Host:
    """Machine `number` of `count`."""

    def __init__(self, number, count, scratch, seed):
        self.number, self.address = number, address(number)
        self.files = f"{scratch}/files"
        home = f"{scratch}/host-{number}"
        os.mkdir(home)
        self.disk = LoopDisk(home, DISK_MIB, MEMORY_MIB)
        self.disk.mount()
        others = [other for other in range(1, count + 1) if other != number]
        self.proxy = Proxy(Network.path(number),
                           {other: (address(other), PEER_PORT) for other in others},
                           f"{seed} proxy {number}")
        self.proxy.start()
        assert self.proxy.listening.wait(LIMIT_S), "the proxy does not listen"
        book = ",".join([f"{number}={self.address}:{PEER_PORT}"] +
                        [f"{other}=127.0.0.1:{LISTEN_PORT + other}" for other in others])
        self.clock = f"{home}/clock"
        self.limits = Limits(number, lambda: self.process.process.pid)
        self.process = Process(
            f"{self.disk.path}/data", "--config", f"{self.files}/weir-{number}.conf",
            "--listen", f"{self.address}:{CLIENT_PORT}", "--peers", book,
            "--peer-listen", f"{self.address}:{PEER_PORT}",
            prefix=["nsenter", f"--net={Network.path(number)}"])

    def close(self):
        if self.process.running():
            self.process.kill()
        self.proxy.close()
        self.disk.__exit__()
        self.limits.close()

    def running(self):
        return self.process.running()

    # ---- the process ---------------------------------------------------------------------------

    def spawn(self):
        self.process.spawn()
        self.limits.join()

    def serves(self):
        assert self.process.wait_log(r"event=ready\b"), \
            f"node {self.number} does not start:\n{self.process.log()[-3000:]}"

    def kill(self):
        self.process.kill()

    def signal_stop(self):
        self.process.process.send_signal(signal.SIGSTOP)

    def resume(self):
        self.process.resume()

    def stop(self):
        """SIGTERM; it must end well."""
        self.process.process.send_signal(signal.SIGTERM)
        status = self.process.wait()
        assert status == 0, f"node {self.number} ended with {status}:\n{self.process.log()[-3000:]}"

    def role(self):
        """(term, whether it leads), as its log has it last."""
        for line in reversed(self.process.lines):
            found = re.search(r"event=(leader|follower|candidate) term=(\d+)", line)
            if found:
                return int(found.group(2)), found.group(1) == "leader"
        return 0, False

    def says(self, event, since):
        """Whether it has told of the event since that moment."""
        return any(when > since and f"event={event}" in line for when, line in self.process.said)

    # ---- the disk ------------------------------------------------------------------------------

    def restore_power(self):
        self.disk.restore_power()
        self.limits.mounted_again(self.disk.path)

    def throttle(self, writes_per_second):
        """Slows the disk down; 0: not any more."""
        self.limits.writes(self.disk.path, writes_per_second)

    def time_writes(self, count):
        """How long so many writes take that the node's limits hold for."""
        program = ("import mmap, os, sys, time; sys.stdin.readline(); page = mmap.mmap(-1, 4096); "
                   f"file = os.open({self.disk.path + '/probe'!r}, "
                   "os.O_DIRECT | os.O_RDWR | os.O_CREAT); begin = time.monotonic(); "
                   f"[os.pwrite(file, page, 0) for _ in range({count})]; "
                   "print(time.monotonic() - begin)")
        with subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE,
                              stdout=subprocess.PIPE, text=True) as child:
            self.limits.join(child.pid)
            took_s = float(child.communicate("go\n", timeout=LIMIT_S)[0])
        os.remove(f"{self.disk.path}/probe")
        return took_s

    def fill_disk(self):
        """Takes all room of the file system; the node may take some at the same moment."""
        with open(f"{self.disk.path}/other-things", "wb") as file:
            for _ in range(FILL_TRIES):
                room = os.statvfs(self.disk.path)
                length = os.fstat(file.fileno()).st_size + room.f_bavail * room.f_frsize - (1 << 20)
                try:
                    return os.posix_fallocate(file.fileno(), 0, length)
                except OSError as failed:
                    assert failed.errno == errno.ENOSPC, failed
        raise AssertionError("the disk cannot be filled: its room changes all the time")

    def empty_disk(self):
        os.remove(f"{self.disk.path}/other-things")

    def fail_disk(self):
        """What is written to a place that was not written before fails from now on."""
        room = os.statvfs(self.disk.memory.path)
        used_kib = (room.f_blocks - room.f_bfree) * room.f_frsize // 1024
        must("mount", "-o", f"remount,size={used_kib + 16}k", self.disk.memory.path)

    def replace_disk(self):
        self.disk.memory.resize(MEMORY_MIB)
        self.restore_power()

    # ---- the wall clock ------------------------------------------------------------------------

    def set_clock(self, offset_s):
        """Of a node that was started with fake_clock(True)."""
        with open(f"{self.clock}.new", "w", encoding="ascii") as file:
            file.write(f"{offset_s:+d}\n")
        os.rename(f"{self.clock}.new", self.clock)

    def fake_clock(self, fakes):
        """Whether the next process has a wall clock that set_clock moves."""
        prefix = ["nsenter", f"--net={Network.path(self.number)}"]
        if fakes:
            libraries = glob.glob(FAKETIME)
            assert libraries, f"there is no {FAKETIME} (package libfaketime)"
            self.set_clock(0)
            prefix += ["env", f"LD_PRELOAD={libraries[0]}", f"FAKETIME_TIMESTAMP_FILE={self.clock}",
                       "FAKETIME_CACHE_DURATION=1", "FAKETIME_DONT_FAKE_MONOTONIC=1",
                       "DONT_FAKE_MONOTONIC=1"]
        self.process.prefix = tuple(prefix)


def write_files(scratch, count, more):
    """The cluster's configurations, as an operator makes them, and `more` keys; the password."""
    members = ",".join(f"{n}={address(n)}:{PEER_PORT}/{address(n)}:{CLIENT_PORT}"
                       for n in range(1, count + 1))
    files = f"{scratch}/files"
    made = weir("init", "--cluster", "test", "--members", members, "--out", files,
                "--etc", files, "--var", scratch)
    assert made.returncode == 0, made.stderr
    for number in range(1, count + 1):
        with open(f"{files}/weir-{number}.conf", "a", encoding="ascii") as file:
            file.writelines(f"{key} {value}\n" for key, value in more.items())
    with open(f"{files}/weir-1.conf", encoding="ascii") as file:
        return members, re.search(r"^requirepass (\S+)$", file.read(), re.M).group(1)


def make_directory(host, members):
    made = weir("init", "--data", host.process.directory, "--cluster", "test",
                "--id", str(host.number), "--members", members)
    assert made.returncode == 0, made.stderr


assert CLIENTS > 9  # no node has the clients' address
