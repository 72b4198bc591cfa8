"""Forbids system calls to a process that is about to begin, without touching the host.

A filter of seccomp(2) answers the named calls with an error, as a container's policy or a kernel
that was built without them would.
"""

import ctypes
import errno
import struct

# The same numbers on every architecture: calls after Linux 5.1 have one table.
IO_URING_SETUP, IO_URING_ENTER, IO_URING_REGISTER = 425, 426, 427

PR_SET_SECCOMP, PR_SET_NO_NEW_PRIVS = 22, 38
SECCOMP_MODE_FILTER = 2
SECCOMP_RET_ALLOW, SECCOMP_RET_ERRNO = 0x7FFF0000, 0x00050000
BPF_LOAD_WORD, BPF_JUMP_EQUAL, BPF_RETURN = 0x20, 0x15, 0x06


class Filter(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("instructions", ctypes.c_char_p)]


def forbid(error, *calls):
    """For subprocess's preexec_fn: the calls fail with `error` in this process and its children."""
    program = struct.pack("=HBBI", BPF_LOAD_WORD, 0, 0, 0)  # the call's number
    for call in calls:
        program += struct.pack("=HBBI", BPF_JUMP_EQUAL, 0, 1, call)
        program += struct.pack("=HBBI", BPF_RETURN, 0, 0, SECCOMP_RET_ERRNO | error)
    program += struct.pack("=HBBI", BPF_RETURN, 0, 0, SECCOMP_RET_ALLOW)
    libc = ctypes.CDLL(None, use_errno=True)
    rules = Filter(len(program) // 8, program)

    def install():
        if libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 or \
                libc.prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, ctypes.byref(rules), 0, 0) != 0:
            number = ctypes.get_errno()
            raise OSError(number, "seccomp: " + errno.errorcode[number])

    return install
