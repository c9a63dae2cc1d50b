"""A seccomp filter: the system calls that a boxed process has no use for, refused by the kernel.

Sockets, other processes, namespaces, keys, the kernel's own doors. A classic BPF program, as prctl(2) and seccomp(2) tell;
numbers of arch/x86/entry/syscalls/syscall_64.tbl and include/uapi/asm-generic/unistd.h.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import struct
from collections.abc import Sequence
from dataclasses import dataclass

from core.base.box.landlock import no_new_privileges

_SET_FILTER, _SPEC_ALLOW = 1, 4  # SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_SPEC_ALLOW: a box must not slow an engine down
_ALLOW, _ERRNO, _KILL = 0x7FFF0000, 0x00050000, 0x80000000
_LOAD, _AND, _EQUAL, _AT_LEAST, _RETURN = 0x20, 0x54, 0x15, 0x35, 0x06  # BPF_LD|W|ABS, BPF_ALU|AND, BPF_JMP|JEQ, |JGE, BPF_RET
_NUMBER, _ARCHITECTURE, _ARGUMENTS = 0, 4, 16  # offsets in struct seccomp_data
_X32 = 0x40000000

_NAMESPACES = 0x7E020000  # CLONE_NEWNS, _NEWCGROUP, _NEWUTS, _NEWIPC, _NEWUSER, _NEWPID, _NEWNET
_KIND_OF_SOCKET, _STREAM = 0xF, 1


@dataclass(frozen=True, slots=True)
class Machine:
    """One architecture: its audit number, its number of seccomp(2), and those of the calls below, by name."""

    audit: int
    seccomp: int
    numbers: dict[str, int]


_X86 = Machine(
    0xC000003E,
    317,
    dict(
        socket=41, connect=42, bind=49, listen=50, accept=43, accept4=288, socketpair=53, io_uring_setup=425,
        io_uring_enter=426, io_uring_register=427, ptrace=101, process_vm_readv=310, process_vm_writev=311, kcmp=312,
        pidfd_getfd=438, process_madvise=440, move_pages=279, migrate_pages=256, prlimit64=302, setpriority=141, ioprio_set=251,
        sched_setparam=142, sched_setscheduler=144, sched_setattr=314, unshare=272, setns=308, clone=56, clone3=435, mount=165,
        umount2=166, pivot_root=155, chroot=161, fsopen=430, fsconfig=431, fsmount=432, fspick=433, open_tree=428, move_mount=429,
        mount_setattr=442, add_key=248, request_key=249, keyctl=250, bpf=321, perf_event_open=298, userfaultfd=323,
        open_by_handle_at=304, init_module=175, finit_module=313, delete_module=176, kexec_load=246, kexec_file_load=320,
        reboot=169, swapon=167, swapoff=168, acct=163, quotactl=179, quotactl_fd=443, settimeofday=164, clock_settime=227,
        sethostname=170, setdomainname=171, iopl=172, ioperm=173, syslog=103, vhangup=153, setsid=112, setpgid=109,
        chmod=90, fchmod=91, fchmodat=268, fchmodat2=452, chown=92, fchown=93, lchown=94, fchownat=260, utime=132, utimes=235,
        futimesat=261, utimensat=280, setxattr=188, lsetxattr=189, fsetxattr=190, setxattrat=463, removexattr=197,
        lremovexattr=198, fremovexattr=199, removexattrat=466, truncate=76, kill=62, tkill=200, tgkill=234, rt_sigqueueinfo=129,
        rt_tgsigqueueinfo=297, pidfd_send_signal=424, msgget=68, semget=64, shmget=29, mq_open=240, memfd_secret=447,
    ),
)  # fmt: skip
_ARM = Machine(
    0xC00000B7,
    277,
    dict(
        socket=198, connect=203, bind=200, listen=201, accept=202, accept4=242, socketpair=199, io_uring_setup=425,
        io_uring_enter=426, io_uring_register=427, ptrace=117, process_vm_readv=270, process_vm_writev=271, kcmp=272,
        pidfd_getfd=438, process_madvise=440, move_pages=239, migrate_pages=238, prlimit64=261, setpriority=140, ioprio_set=30,
        sched_setparam=118, sched_setscheduler=119, sched_setattr=274, unshare=97, setns=268, clone=220, clone3=435, mount=40,
        umount2=39, pivot_root=41, chroot=51, fsopen=430, fsconfig=431, fsmount=432, fspick=433, open_tree=428, move_mount=429,
        mount_setattr=442, add_key=217, request_key=218, keyctl=219, bpf=280, perf_event_open=241, userfaultfd=282,
        open_by_handle_at=265, init_module=105, finit_module=273, delete_module=106, kexec_load=104, kexec_file_load=294,
        reboot=142, swapon=224, swapoff=225, acct=89, quotactl=60, quotactl_fd=443, settimeofday=170, clock_settime=112,
        sethostname=161, setdomainname=162, syslog=116, vhangup=58, setsid=157, setpgid=154, fchmod=52, fchmodat=53,
        fchmodat2=452, fchown=55, fchownat=54, utimensat=88, setxattr=5, lsetxattr=6, fsetxattr=7, setxattrat=463, removexattr=14,
        lremovexattr=15, fremovexattr=16, removexattrat=466, truncate=45, kill=129, tkill=130, tgkill=131, rt_sigqueueinfo=138,
        rt_tgsigqueueinfo=240, pidfd_send_signal=424, msgget=186, semget=190, shmget=194, mq_open=180, memfd_secret=447,
    ),
)  # fmt: skip
_MACHINES = {"x86_64": _X86, "aarch64": _ARM}

_SIGNALS = ("kill", "tkill", "tgkill", "rt_sigqueueinfo", "rt_tgsigqueueinfo", "pidfd_send_signal")
# Runtimes and copying functions call these for good measure; they are told that it was done.
_NOT_DONE = (
    *("chmod", "fchmod", "fchmodat", "fchmodat2", "chown", "fchown", "lchown", "fchownat"),
    *("utime", "utimes", "futimesat", "utimensat", "setxattr", "lsetxattr", "fsetxattr", "setxattrat"),
    *("removexattr", "lremovexattr", "fremovexattr", "removexattrat"),
    *("setsid", "setpgid"),  # who started it ends its process group
)
# glibc goes on without these two when they are not there.
_NOT_THERE = ("clone3", "io_uring_setup", "io_uring_enter", "io_uring_register")


@dataclass(frozen=True, slots=True)
class _Only:
    """Lets a call through where the lower half of an argument, under the mask, has this value."""

    argument: int
    value: int
    mask: int = 0xFFFFFFFF


@dataclass(frozen=True, slots=True)
class _Rule:
    """A call is refused by this action, unless all of `only` hold; always where there is none."""

    name: str
    action: int
    only: tuple[_Only, ...] = ()


def available() -> bool:
    """Whether this kernel and this machine can filter system calls."""
    machine = _MACHINES.get(platform.machine())
    if machine is None:
        return False
    action = ctypes.c_uint32(_ERRNO)  # SECCOMP_GET_ACTION_AVAIL: a kernel without seccomp has no such call
    return int(_libc.syscall(machine.seccomp, 2, 0, ctypes.byref(action))) == 0


def restrict(*, signals: bool, truncates: bool) -> None:
    """Puts the filter on this thread and on what it starts.

    Args:
        signals: Refuse signals to all but this process, where Landlock does not hold them.
        truncates: Refuse truncate(2) by a path, where Landlock does not hold it.

    Raises:
        OSError: The kernel refused.
    """
    machine = _MACHINES[platform.machine()]
    program = _program(machine, _rules(signals=signals, truncates=truncates))
    code = ctypes.create_string_buffer(program, len(program))

    class Program(ctypes.Structure):
        _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_void_p))

    no_new_privileges()
    filled = Program(len(program) // 8, ctypes.addressof(code))
    if _libc.syscall(machine.seccomp, _SET_FILTER, _SPEC_ALLOW, ctypes.byref(filled)):
        raise OSError(ctypes.get_errno(), f"{os.strerror(ctypes.get_errno())} (seccomp)")


def _rules(*, signals: bool, truncates: bool) -> list[_Rule]:
    refused, done, missing = _ERRNO | errno.EPERM, _ERRNO, _ERRNO | errno.ENOSYS
    itself = (_Only(0, 0),)
    rules = [
        # A pair of streams is two pipes; a pair of datagrams can be sent anywhere.
        _Rule("socketpair", refused, (_Only(1, _STREAM, mask=_KIND_OF_SOCKET),)),
        _Rule("clone", refused, (_Only(0, 0, mask=_NAMESPACES),)),
        _Rule("setpriority", refused, (_Only(0, 0), _Only(1, 0))),  # PRIO_PROCESS
        _Rule("ioprio_set", refused, (_Only(0, 1), _Only(1, 0))),  # IOPRIO_WHO_PROCESS
        *(_Rule(name, refused, itself) for name in ("prlimit64", "sched_setparam", "sched_setscheduler", "sched_setattr")),
        *(_Rule(name, done) for name in _NOT_DONE),
        *(_Rule(name, missing) for name in _NOT_THERE),
    ]
    if signals:
        own = (_Only(0, os.getpid()),)
        rules += [_Rule(name, refused, own if name in ("kill", "tgkill") else ()) for name in _SIGNALS]
    if truncates:
        rules.append(_Rule("truncate", refused))
    special = {*_SIGNALS, "truncate", *(rule.name for rule in rules)}
    return rules + [_Rule(name, refused) for name in _X86.numbers if name not in special]


def _program(machine: Machine, rules: Sequence[_Rule]) -> bytes:
    code = [
        _instruction(_LOAD, _ARCHITECTURE),
        _instruction(_EQUAL, machine.audit, 1, 0),
        _instruction(_RETURN, _KILL),
        _instruction(_LOAD, _NUMBER),
    ]
    if machine is _X86:
        code += [_instruction(_AT_LEAST, _X32, 0, 1), _instruction(_RETURN, _ERRNO | errno.ENOSYS)]
    for rule in rules:
        if rule.name in machine.numbers:
            block = [*_checks(rule.only), _instruction(_RETURN, rule.action)]
            code += [_instruction(_EQUAL, machine.numbers[rule.name], 0, len(block)), *block]
    return b"".join([*code, _instruction(_RETURN, _ALLOW)])


def _checks(only: Sequence[_Only]) -> list[bytes]:
    """Lets the call through where all hold, else goes on behind."""
    if not only:
        return []
    blocks = []
    behind = 1  # the instructions between a check and the return that refuses
    for one in reversed(only):
        mask = [_instruction(_AND, one.mask)] if one.mask != 0xFFFFFFFF else []
        block = [_instruction(_LOAD, _ARGUMENTS + 8 * one.argument), *mask, _instruction(_EQUAL, one.value, 0, behind)]
        blocks.append(block)
        behind += len(block)
    return [instruction for block in reversed(blocks) for instruction in block] + [_instruction(_RETURN, _ALLOW)]


def _instruction(code: int, value: int, if_true: int = 0, if_false: int = 0) -> bytes:
    return struct.pack("=HBBI", code, if_true, if_false, value)


_libc = ctypes.CDLL(None, use_errno=True)
