"""Taking away from this process what a decoder does not need, for good.

A heap overflow in a decoder (CVE-2026-112403, ordinary JPEGs, Pillow, October 2026) runs whatever it likes, with what
the process may do. Limits bound memory, processor time and file sizes. Where the kernel has seccomp, a filter allows
the few system calls that decoding and two open pipes need: no file is opened, no socket, no process begun or looked
into. What is not allowed fails with EPERM, so that a decoder that tries is a decoder that fails.

Linux only in effect; elsewhere the limits are what there is. Standard library only.
"""

from __future__ import annotations

import ctypes
import errno
import platform
import resource
import struct
from collections.abc import Iterable
from typing import Final

_PR_SET_NO_NEW_PRIVS: Final = 38
_PR_SET_SECCOMP: Final = 22
_SECCOMP_MODE_FILTER: Final = 2
_ALLOW: Final = 0x7FFF0000
_ERRNO: Final = 0x00050000
_KILL: Final = 0x80000000

_LOAD: Final = 0x20  # BPF_LD | BPF_W | BPF_ABS
_JUMP_IF_EQUAL: Final = 0x15  # BPF_JMP | BPF_JEQ | BPF_K
_RETURN: Final = 0x06  # BPF_RET | BPF_K
_NUMBER_AT: Final = 0  # offsetof(struct seccomp_data, nr)
_ARCHITECTURE_AT: Final = 4  # offsetof(struct seccomp_data, arch)

# fmt: off
# The kernel's own tables: arch/x86/entry/syscalls/syscall_64.tbl and include/uapi/asm-generic/unistd.h.
_CALLS: Final = {
    "x86_64": (0xC000003E, {
        "read": 0, "write": 1, "close": 3, "fstat": 5, "lseek": 8, "mmap": 9, "mprotect": 10, "munmap": 11, "brk": 12,
        "rt_sigaction": 13, "rt_sigprocmask": 14, "rt_sigreturn": 15, "readv": 19, "writev": 20, "sched_yield": 24,
        "mremap": 25, "madvise": 28, "setitimer": 38, "getpid": 39, "exit": 60, "gettimeofday": 96, "getrusage": 98,
        "sigaltstack": 131, "gettid": 186, "futex": 202, "restart_syscall": 219, "clock_gettime": 228,
        "exit_group": 231, "newfstatat": 262, "getrandom": 318,
    }),
    "aarch64": (0xC00000B7, {
        "read": 63, "write": 64, "close": 57, "fstat": 80, "lseek": 62, "mmap": 222, "mprotect": 226, "munmap": 215,
        "brk": 214, "rt_sigaction": 134, "rt_sigprocmask": 135, "rt_sigreturn": 139, "readv": 65, "writev": 66,
        "sched_yield": 124, "mremap": 216, "madvise": 233, "setitimer": 103, "getpid": 172, "exit": 93,
        "gettimeofday": 169, "getrusage": 165, "sigaltstack": 132, "gettid": 178, "futex": 98, "restart_syscall": 128,
        "clock_gettime": 113, "exit_group": 94, "newfstatat": 79, "getrandom": 278,
    }),
}
# fmt: on


def limit(memory_bytes: int, cpu_s: int) -> None:
    """Bound address space and processor time, and forbid files that grow, core dumps and new descriptors."""
    for kind, value in (
        (resource.RLIMIT_AS, memory_bytes),
        (resource.RLIMIT_CPU, cpu_s),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_NOFILE, 3),
    ):
        resource.setrlimit(kind, (value, value))


def filter_calls() -> bool:
    """Install the filter. False where the kernel or the machine has none; the limits hold all the same."""
    known = _CALLS.get(platform.machine())
    if known is None or platform.system() != "Linux":
        return False
    architecture, numbers = known
    program = ctypes.create_string_buffer(_program(architecture, numbers.values()))
    count = len(program) // 8
    # struct sock_fprog: a 16 bit length, padding, a pointer.
    packed = ctypes.create_string_buffer(struct.pack("@HP", count, ctypes.addressof(program)))
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0:
        return False
    pointer = ctypes.c_void_p(ctypes.addressof(packed))
    return int(libc.prctl(_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, pointer, 0, 0)) == 0


def _program(architecture: int, numbers: Iterable[int]) -> bytes:
    """The filter in BPF: another architecture's calls kill, ours pass if listed, all others fail with EPERM."""

    def step(code: int, value: int, if_true: int = 0, if_false: int = 0) -> bytes:
        return struct.pack("=HBBI", code, if_true, if_false, value)

    allowed = sorted(numbers)
    tests = [step(_JUMP_IF_EQUAL, number, len(allowed) - index) for index, number in enumerate(allowed)]
    return b"".join(
        [
            step(_LOAD, _ARCHITECTURE_AT),
            step(_JUMP_IF_EQUAL, architecture, 1),
            step(_RETURN, _KILL),
            step(_LOAD, _NUMBER_AT),
            *tests,
            step(_RETURN, _ERRNO | errno.EPERM),
            step(_RETURN, _ALLOW),
        ]
    )
