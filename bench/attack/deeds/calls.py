"""System calls by their numbers on x86-64 and arm64, and what they tell of errors."""

from __future__ import annotations

import ctypes
import os
import platform

libc = ctypes.CDLL(None, use_errno=True)
_PLACE = 1 if platform.machine() == "aarch64" else 0


def call(numbers: tuple[int, int], *arguments: object) -> int:
    """One call; the numbers are those of x86-64 and of arm64.

    Raises:
        OSError: The kernel refused.
    """
    return checked(int(libc.syscall(numbers[_PLACE], *arguments)))


def checked(result: int) -> int:
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result
