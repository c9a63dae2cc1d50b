"""Landlock by its system calls: the kernel holds a process and its children to folders, and away from other processes.

Needs no privilege. Linux, Documentation/userspace-api/landlock.rst; the numbers are of include/uapi/linux/landlock.h.
"""

from __future__ import annotations

import ctypes
import os
import struct
from collections.abc import Iterable
from contextlib import suppress
from enum import IntFlag
from pathlib import Path

# The same on every architecture (include/uapi/asm-generic/unistd.h).
_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_VERSION_FLAG = 1
_PATH_BENEATH = 1
_NO_TCP = 0b11  # LANDLOCK_ACCESS_NET_BIND_TCP, _CONNECT_TCP
_SCOPES = 0b11  # LANDLOCK_SCOPE_ABSTRACT_UNIX_SOCKET, _SIGNAL

# The version of Landlock that brought something.
MOVES, TRUNCATES, TCP, DEVICES, SCOPES = 2, 3, 4, 5, 6


class Access(IntFlag):
    """What can be done to a file or below a folder."""

    EXECUTE = 1 << 0
    WRITE_FILE = 1 << 1
    READ_FILE = 1 << 2
    READ_DIR = 1 << 3
    REMOVE_DIR = 1 << 4
    REMOVE_FILE = 1 << 5
    MAKE_CHAR = 1 << 6
    MAKE_DIR = 1 << 7
    MAKE_REG = 1 << 8
    MAKE_SOCK = 1 << 9
    MAKE_FIFO = 1 << 10
    MAKE_BLOCK = 1 << 11
    MAKE_SYM = 1 << 12
    REFER = 1 << 13
    TRUNCATE = 1 << 14
    IOCTL_DEV = 1 << 15


READ = Access.READ_FILE | Access.READ_DIR
RUN = READ | Access.EXECUTE
DEVICE = Access.READ_FILE | Access.WRITE_FILE | Access.IOCTL_DEV
OWN = (
    RUN
    | Access.WRITE_FILE
    | Access.REMOVE_DIR
    | Access.REMOVE_FILE
    | Access.MAKE_DIR
    | Access.MAKE_REG
    | Access.MAKE_SYM
    | Access.REFER
    | Access.TRUNCATE
)
_FOR_FILES = Access.EXECUTE | Access.WRITE_FILE | Access.READ_FILE | Access.TRUNCATE | Access.IOCTL_DEV
_SINCE = {Access.REFER: MOVES, Access.TRUNCATE: TRUNCATES, Access.IOCTL_DEV: DEVICES}

_libc = ctypes.CDLL(None, use_errno=True)


def version() -> int:
    """The kernel's version of Landlock; 0 when it has none, or has it switched off."""
    return max(0, int(_libc.syscall(_CREATE_RULESET, None, 0, _VERSION_FLAG)))


def restrict(grants: Iterable[tuple[Path, Access]]) -> None:
    """Holds this thread, and what it starts, to these paths from now on; no TCP, and no signal to other processes.

    A path that is not there is left out.

    Raises:
        OSError: The kernel refused.
    """
    known = version()
    handled = Access(0)
    for access in Access:
        if _SINCE.get(access, 1) <= known:
            handled |= access
    attributes = struct.pack("QQQ", handled, _NO_TCP if known >= TCP else 0, _SCOPES if known >= SCOPES else 0)
    size = 24 if known >= SCOPES else 16 if known >= TCP else 8
    ruleset = _called(_CREATE_RULESET, attributes, size, 0)
    try:
        for path, access in grants:
            with suppress(FileNotFoundError, NotADirectoryError):
                _grant(ruleset, path, access & handled)
        no_new_privileges()
        _called(_RESTRICT_SELF, ruleset, 0)
    finally:
        os.close(ruleset)


def _grant(ruleset: int, path: Path, access: Access) -> None:
    target = os.open(path, os.O_PATH | os.O_CLOEXEC)
    try:
        if not path.is_dir():
            access &= _FOR_FILES
        _called(_ADD_RULE, ruleset, _PATH_BENEATH, struct.pack("=Qi", access, target), 0)
    finally:
        os.close(target)


def no_new_privileges() -> None:
    """No program that is started from here on gets more rights than its caller: no set-user-id."""
    if _libc.prctl(38, 1, 0, 0, 0):  # PR_SET_NO_NEW_PRIVS
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_NO_NEW_PRIVS)")


def _called(number: int, *arguments: object) -> int:
    result = int(_libc.syscall(number, *arguments))
    if result < 0:
        raise OSError(ctypes.get_errno(), f"{os.strerror(ctypes.get_errno())} (Landlock, system call {number})")
    return result
