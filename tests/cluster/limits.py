"""Limits of what a node's process may use: a processor, a disk's writes, memory, descriptors.

The first three are a control group's. There are two versions of these, and a machine has either or
both, each controller in one of them; `Limits` looks where a controller is. What a limit did is read
back from the kernel's own figures, since one that befell nobody proves nothing.

Where a machine has not got a controller, `missing` says so, and the faults that need it are skipped
by name.
"""

import os
import re
import resource

CPU_PERIOD_US = 100000
UNLIMITED_V1 = "-1"
MOUNTS = "/proc/self/mounts"

# Of each controller: its name in version 1 and in version 2.
CONTROLLERS = {"cpu": ("cpu", "cpu"), "disk": ("blkio", "io"), "memory": ("memory", "memory")}


def read(path):
    with open(path, encoding="ascii") as file:
        return file.read()


def write(path, text):
    with open(path, "w", encoding="ascii") as file:
        file.write(text)


def mounted(mounts):
    """(path, file system, options) of each hierarchy of control groups."""
    rows = (line.split(" ") for line in mounts.splitlines())
    return [(row[1], row[2], row[3].split(",")) for row in rows if row[2] in ("cgroup", "cgroup2")]


def place_of(controller, mounts):
    """(version, path of the hierarchy) of a controller; None: there is none that can be used."""
    old, new = CONTROLLERS[controller]
    for path, kind, options in mounted(mounts):
        if kind == "cgroup" and old in options:
            return 1, path
        if kind == "cgroup2" and new in read(f"{path}/cgroup.controllers").split():
            return 2, path
    return None


def enable(controller, path):
    """Lets groups below that of version 2 have the controller; whether they have it."""
    new, file = CONTROLLERS[controller][1], f"{path}/cgroup.subtree_control"
    try:
        if new not in read(file).split():
            write(file, f"+{new}")
        return new in read(file).split()
    except OSError:
        return False  # processes are in the group itself, as in many containers


def missing(controller):
    """Why there can be no such limit here; None if there can."""
    place = place_of(controller, read(MOUNTS))
    if place is None:
        return f"there is no control group of {controller} here"
    version, path = place
    if not os.access(path, os.W_OK):
        return f"the control groups of {controller} are read-only here"
    if version == 2 and not enable(controller, path):
        return f"groups below {path} may not have the controller {controller}"
    return None


class Limits:
    """Of one node. `pid` is a function: its process, which may be another one after a while."""

    def __init__(self, name, pid, mounts=None):
        mounts = read(MOUNTS) if mounts is None else mounts
        self.pid = pid
        self.places = {controller: place_of(controller, mounts) for controller in CONTROLLERS}
        self.name = f"weir-{os.getpid()}-{name}"
        self.writes_per_second = 0

    def close(self):
        for path in self.paths():
            os.rmdir(path)

    def paths(self):
        found = {f"{place[1]}/{self.name}" for place in self.places.values() if place}
        return [path for path in sorted(found) if os.path.isdir(path)]

    def join(self, pid=None):
        """A new process, or another one than the node's, is in the groups that there are."""
        for path in self.paths():
            write(f"{path}/cgroup.procs", str(pid or self.pid()))

    def group(self, controller):
        """(version, path) of the node's group, which is made, and the node put into it."""
        assert self.places[controller], missing(controller)
        version, hierarchy = self.places[controller]
        path = f"{hierarchy}/{self.name}"
        if version == 2:
            assert enable(controller, hierarchy), missing(controller)
        if not os.path.isdir(path):
            os.mkdir(path)
            write(f"{path}/cgroup.procs", str(self.pid()))
        return version, path

    def set(self, controller, files):
        """`files`: (name, text) of version 1, and of version 2."""
        version, path = self.group(controller)
        name, text = files[version - 1]
        write(f"{path}/{name}", text)

    def figure(self, controller, files):
        """A number of a file with a name and a number a line, or with a number alone."""
        version, path = self.group(controller)
        name, field = files[version - 1]
        text = read(f"{path}/{name}")
        return int(text) if field is None else int(re.search(rf"^{field} (\d+)$", text, re.M)[1])

    # ---- a processor's time --------------------------------------------------------------------

    def processor(self, share):
        """So much of one; None: no limit."""
        quota = None if share is None else str(int(share * CPU_PERIOD_US))
        self.set("cpu", (("cpu.cfs_quota_us", quota or UNLIMITED_V1),
                         ("cpu.max", f"{quota or 'max'} {CPU_PERIOD_US}")))

    def processor_held_up(self):
        """In how many periods the node had used up its share, ever."""
        return self.figure("cpu", (("cpu.stat", "nr_throttled"), ("cpu.stat", "nr_throttled")))

    # ---- a disk's writes -----------------------------------------------------------------------

    def writes(self, path, per_second):
        """So many a second on the file system's device; 0: no limit."""
        status = os.stat(path)
        device = f"{os.major(status.st_dev)}:{os.minor(status.st_dev)}"
        self.writes_per_second = per_second
        self.set("disk", (("blkio.throttle.write_iops_device", f"{device} {per_second}"),
                          ("io.max", f"{device} wiops={per_second or 'max'}")))

    def stall(self, path, stalls):
        """Whether no write to the file system's device ends: a byte a second is let through."""
        status = os.stat(path)
        device = f"{os.major(status.st_dev)}:{os.minor(status.st_dev)}"
        self.set("disk", (("blkio.throttle.write_bps_device", f"{device} {int(stalls)}"),
                          ("io.max", f"{device} wbps={'1' if stalls else 'max'}")))

    def mounted_again(self, path):
        """The file system may be on another device now."""
        if self.writes_per_second:
            self.writes(path, self.writes_per_second)

    # ---- memory --------------------------------------------------------------------------------

    def memory(self, size_bytes):
        """None: no limit. ValueError: it has more already, and cannot be made to give it back."""
        text = None if size_bytes is None else str(size_bytes)
        try:
            self.set("memory", (("memory.limit_in_bytes", text or UNLIMITED_V1),
                                ("memory.max", text or "max")))
        except OSError as error:
            raise ValueError(f"no limit of {text} bytes: {error}") from None

    def memory_bytes(self):
        """What is counted of it just now."""
        return self.figure("memory", (("memory.usage_in_bytes", None), ("memory.current", None)))

    def memory_refused(self):
        """How often the limit was reached, ever."""
        return self.figure("memory", (("memory.failcnt", None), ("memory.events", "max")))

    def memory_kills(self):
        """How many processes were killed for it, ever."""
        return self.figure("memory", (("memory.oom_control", "oom_kill"),
                                      ("memory.events", "oom_kill")))

    # ---- the process itself --------------------------------------------------------------------

    def of_process(self, what, limit):
        """Sets the soft limit RLIMIT_what of the running process; returns what it was."""
        number = getattr(resource, f"RLIMIT_{what}")
        soft, hard = resource.prlimit(self.pid(), number)
        resource.prlimit(self.pid(), number, (limit, hard))
        return soft


def remove_stale_groups():
    """Those of runs that were killed: the kernel takes all back but these."""
    for path in {place[1] for place in Limits("", None).places.values() if place}:
        for name in os.listdir(path):
            found = re.fullmatch(r"weir-(\d+)-\S+", name)
            if found and not os.path.isdir(f"/proc/{found.group(1)}"):
                try:
                    os.rmdir(f"{path}/{name}")
                except OSError:
                    pass  # another run removes it at this moment
