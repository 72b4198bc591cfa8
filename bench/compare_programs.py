"""What the measurements that start servers share: programs, ports, the machine, the disk.

bench/compare, bench/compare_cluster.py and bench/knee use it. Only the standard library.
"""

import json
import os
import platform
import random
import shutil
import socket
import subprocess
import sys
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
PACKAGES = {"redis-server": "redis-server redis-tools", "redis-benchmark": "redis-tools",
            "etcd": "etcd-server", "h2load": "nghttp2-client", "nghttp": "nghttp2-client"}
TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")


class UsageError(Exception):
    """The arguments cannot be meant; the text says which, and what would be taken."""


class Failure(Exception):
    """The comparison cannot go on; the text says what, where and what to do."""


def find_program(name, options):
    """The path of one of our programs, or of one from the system."""
    folders = [options["bin"]] if options["bin"] else [os.path.join(ROOT, "build", "release")]
    for folder in folders:
        for place in (folder, os.path.join(folder, "bench"), os.path.join(folder, "tools")):
            path = os.path.join(place, name)
            if os.access(path, os.X_OK) and os.path.isfile(path):
                return path
    path = shutil.which(name)
    if path:
        return path
    if name in PACKAGES:
        raise Failure(f"{name} is not installed: apt-get install {PACKAGES[name]}")
    raise Failure(f"{name} is neither in {folders[0]} nor in PATH: build it "
                  "(cmake --preset release && cmake --build build/release), or give --bin, or "
                  "leave it out with --servers")


def pin(command, cpu):
    return command if cpu is None else ["taskset", "-c", str(cpu)] + command


def free_port():
    """A free one, below those that the kernel gives to outgoing connections meanwhile."""
    while True:
        port = random.randrange(15000, 30000)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        return port


def answers_ping(port):
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1) as link:
            link.sendall(b"*1\r\n$4\r\nPING\r\n")
            return link.recv(16)[:1] == b"+"
    except OSError:
        return False


def progress(text):
    if sys.stderr.isatty():
        print(f"\r\033[K{text}", end="", file=sys.stderr, flush=True)


def probe_disk(output, options):
    """The disk's own latency; None when fsync_probe is not built."""
    try:
        program = find_program("fsync_probe", options)
    except Failure as failure:
        print(f"compare: no disk figures: {failure}", file=sys.stderr)
        return None
    done = subprocess.run([program, output, "--json"], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        print(f"compare: no disk figures: {done.stderr.strip()}", file=sys.stderr)
        return None
    return json.loads(done.stdout)


def describe_host():
    model = ""
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        for line in file:
            if line.startswith("model name"):
                model = line.partition(":")[2].strip()
                break
    version = "not installed"
    if shutil.which("redis-server"):
        said = subprocess.run(["redis-server", "--version"], capture_output=True, text=True,
                              check=False).stdout.split()
        version = next((word[2:] for word in said if word.startswith("v=")), "unknown")
    return {"kernel": platform.release(), "cpu": model, "cpus": len(os.sched_getaffinity(0)),
            "redis": version, "date": time.strftime("%Y-%m-%d %H:%M:%S")}


def disk_text(disk):
    if not disk:
        return "disk: not measured\n"
    parts = [f"{name} p50 {values['p50_us']:.0f} us, p99 {values['p99_us']:.0f} us"
             for name, values in disk["variants"].items()]
    return f"disk, {disk['size_bytes']} bytes made durable: " + "; ".join(parts) + "\n"


def info(port, section):
    """A section of INFO as a table; None if nobody answers."""
    data = b""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=2) as link:
            link.sendall(b"*2\r\n$4\r\nINFO\r\n$%d\r\n%b\r\n" % (len(section), section.encode()))
            while True:
                head, end, rest = data.partition(b"\r\n")
                if end and (head[:1] != b"$" or len(rest) >= int(head[1:]) + 2):
                    break
                part = link.recv(1 << 16)
                if not part:
                    return None
                data += part
    except OSError:
        return None
    if head[:1] != b"$":
        return None
    return dict(line.split(":", 1) for line in rest.decode().splitlines() if ":" in line)
