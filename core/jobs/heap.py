"""Keeps the idle worker small, where the C library is glibc."""

from __future__ import annotations

import ctypes

M_ARENA_MAX = -8  # malloc.h


def use_one_heap() -> None:
    """Else each thread would get a heap of its own, and keep what it frees."""
    libc = ctypes.CDLL(None)
    if hasattr(libc, "mallopt"):
        libc.mallopt(M_ARENA_MAX, 1)


def give_memory_back() -> None:
    """What a finished job has freed goes back to the system."""
    libc = ctypes.CDLL(None)
    if hasattr(libc, "malloc_trim"):
        libc.malloc_trim(0)
