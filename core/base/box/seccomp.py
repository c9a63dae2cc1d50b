"""A seccomp filter: the system calls that a boxed process has no use for, refused by the kernel.

Sockets, other processes, namespaces, keys, the kernel's own doors. A classic BPF program, as seccomp(2) tells.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import struct
from collections.abc import Sequence
from dataclasses import dataclass

from core.base.box.calls import ARM64, NEWEST, X86_64
from core.base.box.landlock import no_new_privileges

_SET_FILTER, _SPEC_ALLOW = 1, 4  # SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_SPEC_ALLOW: a box must not slow an engine down
_ALLOW, _ERRNO, _KILL = 0x7FFF0000, 0x00050000, 0x80000000
_LOAD, _AND, _GO, _EQUAL, _AT_LEAST, _RETURN = 0x20, 0x54, 0x05, 0x15, 0x35, 0x06  # BPF_LD|W|ABS, BPF_ALU|AND, BPF_JMP|JA,
# |JEQ, |JGE, BPF_RET
_NUMBER, _ARCHITECTURE, _ARGUMENTS = 0, 4, 16  # offsets in struct seccomp_data

_NAMESPACES = 0x7E020000  # CLONE_NEWNS, _NEWCGROUP, _NEWUTS, _NEWIPC, _NEWUSER, _NEWPID, _NEWNET
_SIBLING = 0x8000  # CLONE_PARENT: a child of whoever started the box, who does not know of it
_OWNERS = (8, 15)  # F_SETOWN, F_SETOWN_EX: whom a file signals
_DIES_WITH_PARENT, _KILLED = 1, 9  # PR_SET_PDEATHSIG, SIGKILL
# FS_IOC_SETFLAGS (and of 32 bits), FS_IOC_SETVERSION, FS_IOC_FSSETXATTR, FS_IOC_ENABLE_VERITY: for which reading is enough;
# TIOCSTI, TIOCLINUX, TIOCSCTTY: a terminal's; FIOSETOWN, SIOCSPGRP: as F_SETOWN.
_CONTROLS = (0x40086602, 0x40046602, 0x40087602, 0x401C5820, 0x40806685, 0x5412, 0x541C, 0x540E, 0x8901, 0x8902)
_LOCAL, _KIND_OF_SOCKET, _STREAM, _STREAM_OR_PACKETS = 1, 0xF, 1, 0xB  # AF_UNIX; SOCK_STREAM is 1, SOCK_SEQPACKET 5


@dataclass(frozen=True, slots=True)
class Machine:
    """One architecture: its audit number, its number of seccomp(2), and those of the calls below, by name."""

    audit: int
    seccomp: int
    numbers: dict[str, int]


_X86 = Machine(0xC000003E, 317, X86_64)
_ARM = Machine(0xC00000B7, 277, ARM64)
_MACHINES = {"x86_64": _X86, "aarch64": _ARM}

_SIGNALS = ("kill", "tkill", "tgkill", "rt_sigqueueinfo", "rt_tgsigqueueinfo", "pidfd_send_signal")
# Runtimes and copying functions call these for good measure; they are told that it was done.
_NOT_DONE = (
    *("chmod", "fchmod", "fchmodat", "fchmodat2", "chown", "fchown", "lchown", "fchownat"),
    *("utime", "utimes", "futimesat", "utimensat", "setxattr", "lsetxattr", "fsetxattr", "setxattrat"),
    *("removexattr", "lremovexattr", "fremovexattr", "removexattrat"),
    *("setsid", "setpgid"),  # who started it ends its process group
)
# glibc and runtimes go on without these when they are not there.
_NOT_THERE = ("clone3", "io_uring_setup", "io_uring_enter", "io_uring_register")


@dataclass(frozen=True, slots=True)
class _Only:
    """Lets a call through where the lower half of an argument, under the mask, has this value."""

    argument: int
    value: int
    mask: int = 0xFFFFFFFF


@dataclass(frozen=True, slots=True)
class _Among:
    """Concerns the calls alone whose argument's lower half is one of these; further rules see to the others."""

    argument: int
    values: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class _Rule:
    """A call is refused by this action, unless all of `only` hold; always where there is none."""

    name: str
    action: int
    only: tuple[_Only, ...] = ()
    among: _Among | None = None


def available() -> bool:
    """Whether this kernel and this machine can filter system calls."""
    machine = _MACHINES.get(platform.machine())
    if machine is None:
        return False
    action = ctypes.c_uint32(_ERRNO)  # SECCOMP_GET_ACTION_AVAIL: a kernel without seccomp has no such call
    return int(_libc.syscall(machine.seccomp, 2, 0, ctypes.byref(action))) == 0


def restrict(*, signals: bool, truncates: bool, listens: bool = False) -> None:
    """Puts the filter on this thread and on what it starts.

    Args:
        signals: Refuse signals to all but this process, where Landlock does not hold them.
        truncates: Refuse truncate(2) by a path, where Landlock does not hold it.
        listens: Let it make and listen at local sockets, as CUDA does when it starts; they cannot be connected to anything.

    Raises:
        OSError: The kernel refused.
    """
    machine = _MACHINES[platform.machine()]
    program = _program(machine, _rules(signals=signals, truncates=truncates, listens=listens))
    code = ctypes.create_string_buffer(program, len(program))

    class Program(ctypes.Structure):
        _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_void_p))

    no_new_privileges()
    filled = Program(len(program) // 8, ctypes.addressof(code))
    if _libc.syscall(machine.seccomp, _SET_FILTER, _SPEC_ALLOW, ctypes.byref(filled)):
        raise OSError(ctypes.get_errno(), f"{os.strerror(ctypes.get_errno())} (seccomp)")


def _rules(*, signals: bool, truncates: bool, listens: bool = False) -> list[_Rule]:
    refused, done, missing = _ERRNO | errno.EPERM, _ERRNO, _ERRNO | errno.ENOSYS
    itself = (_Only(0, 0),)
    rules = [
        # A pair of streams is two pipes; a pair of datagrams can be sent anywhere.
        _Rule("socketpair", refused, (_Only(0, _LOCAL), _Only(1, _STREAM, mask=_KIND_OF_SOCKET))),
        _Rule("clone", refused, (_Only(0, 0, mask=_NAMESPACES | _SIBLING),)),
        _Rule("fcntl", refused, among=_Among(1, _OWNERS)),
        _Rule("ioctl", refused, among=_Among(1, _CONTROLS)),
        _Rule("prctl", refused, (_Only(1, _KILLED),), among=_Among(0, (_DIES_WITH_PARENT,))),
        _Rule("setpriority", refused, (_Only(0, 0), _Only(1, 0))),  # PRIO_PROCESS
        _Rule("ioprio_set", refused, (_Only(0, 1), _Only(1, 0))),  # IOPRIO_WHO_PROCESS
        *(_Rule(name, refused, itself) for name in ("prlimit64", "sched_setparam", "sched_setscheduler", "sched_setattr")),
        # "To now", by which a file is touched: Python makes it where that is refused, and not where it is told that it was done.
        _Rule("utimensat", _ERRNO | errno.EACCES, among=_Among(2, (0,))),
        *(_Rule(name, done) for name in _NOT_DONE),
        *(_Rule(name, missing) for name in _NOT_THERE),
    ]
    if signals:
        own = (_Only(0, os.getpid()),)
        rules += [_Rule(name, refused, own if name in ("kill", "tgkill") else ()) for name in _SIGNALS]
    if truncates:
        rules.append(_Rule("truncate", refused))
    if listens:  # no datagrams, which can be sent anywhere
        rules.append(_Rule("socket", refused, (_Only(0, _LOCAL), _Only(1, _STREAM, mask=_STREAM_OR_PACKETS))))
    special = {*_SIGNALS, "truncate", *(("bind", "listen") if listens else ()), *(rule.name for rule in rules)}
    return rules + [_Rule(name, refused) for name in X86_64 if name not in special]


def _program(machine: Machine, rules: Sequence[_Rule]) -> bytes:
    code = [
        _instruction(_LOAD, _ARCHITECTURE),
        _instruction(_EQUAL, machine.audit, 1, 0),
        _instruction(_RETURN, _KILL),
        _instruction(_LOAD, _NUMBER),
        _instruction(_AT_LEAST, NEWEST + 1, 0, 1),  # those of x32 too
        _instruction(_RETURN, _ERRNO | errno.ENOSYS),
    ]
    for rule in rules:
        if rule.name in machine.numbers:
            block = [*_checks(rule.only), _instruction(_RETURN, rule.action)]
            if rule.among:
                block = [*_concerned(rule.among, len(block)), *block]
            code += [_instruction(_EQUAL, machine.numbers[rule.name], 0, len(block)), *block]
    return b"".join([*code, _instruction(_RETURN, _ALLOW)])


def _concerned(among: _Among, behind: int) -> list[bytes]:
    """Goes on behind where the argument is one of these, else beyond the `behind` instructions there."""
    last = len(among.values) - 1
    tests = [_instruction(_EQUAL, value, last - place + 2, 0) for place, value in enumerate(among.values)]
    skip = [_instruction(_LOAD, _NUMBER), _instruction(_GO, behind)]
    return [_instruction(_LOAD, _ARGUMENTS + 8 * among.argument), *tests, *skip]


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
