"""A disk of our own that can lose power: ext4 in a file, mounted through a loop device.

`cut` is the power cut: the file system goes down at once (xfs_io shutdown) without writing its
journal or any dirty page. What was synced is in the file, what was not is gone when the file
system is mounted again.

The test runs in a mount namespace of its own (`enter_namespace`), so that nothing stays mounted,
however the test ends.
"""

import os
import shutil
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "support"))
from weir_test import skip, until  # noqa: E402

INSIDE = "WEIR_TEST_NAMESPACE"


def run(*command):
    return subprocess.run(command, capture_output=True, text=True, check=False)


def enter_namespace():
    """Runs this program again in a namespace where it may mount; skips the test elsewhere."""
    if os.environ.get(INSIDE):
        return
    if os.geteuid() != 0:
        skip("needs root, to mount a loop device")
    for program in ("mkfs.ext4", "xfs_io", "unshare", "losetup"):
        if shutil.which(program) is None:
            skip(f"needs the program {program}")
    if run("unshare", "--mount", "true").returncode != 0:
        skip("may not unshare the mount namespace here")
    if run("losetup", "--find").returncode != 0:
        skip("has no loop device here")
    os.environ[INSIDE] = "1"
    os.execvp("unshare", ["unshare", "--mount", "--propagation", "private",
                          sys.executable, *sys.argv])


def must(*command):
    done = run(*command)
    if done.returncode != 0:
        raise OSError(f"{' '.join(command)}: {done.stderr.strip()}")


def unmount(path):
    """The kernel lets go of a killed process's io_uring, and of its files, a moment later."""
    def unmounted():
        done = run("umount", path)
        if done.returncode != 0 and "busy" not in done.stderr:
            raise OSError(f"umount {path}: {done.stderr.strip()}")
        return done.returncode == 0
    until(unmounted, f"{path} stays busy")


class MemoryDisk:
    """A tmpfs of `size_mib` on `path`, which is made."""

    def __init__(self, path, size_mib):
        self.path = path
        os.mkdir(path)
        must("mount", "-t", "tmpfs", "-o", f"size={size_mib}m", "none", path)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        unmount(self.path)

    def resize(self, size_mib):
        must("mount", "-o", f"remount,size={size_mib}m", self.path)


class LoopDisk:
    """
    A mounted ext4 of `size_mib`. Its file lies in memory, so that a sync of it costs what it costs
    in ext4 and no more; `memory_mib` is how much of it may ever be written.
    """

    def __init__(self, directory, size_mib, memory_mib=None):
        self.memory = MemoryDisk(os.path.join(directory, "memory"), memory_mib or size_mib)
        self.image = os.path.join(self.memory.path, "disk.img")
        self.path = tempfile.mkdtemp(prefix="mount-", dir=directory)
        with open(self.image, "wb") as file:
            file.truncate(size_mib << 20)
        must("mkfs.ext4", "-q", "-F", "-m", "0", "-E", "lazy_itable_init=0", self.image)
        self.mounted = False

    def __enter__(self):
        self.mount()
        return self

    def __exit__(self, *_):
        if self.mounted:
            self.unmount()
        self.memory.__exit__()

    def mount(self):
        # What is deleted leaves the memory too.
        must("mount", "-o", "loop,discard", self.image, self.path)
        self.mounted = True

    def unmount(self):
        unmount(self.path)
        self.mounted = False

    def cut(self):
        """Power is gone: every later read and write fails, nothing dirty is written."""
        must("xfs_io", "-x", "-c", "shutdown", self.path)

    def restore_power(self):
        self.unmount()
        self.mount()
