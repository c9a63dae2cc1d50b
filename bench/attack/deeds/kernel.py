"""Deeds on the kernel's own doors."""

from __future__ import annotations

import ctypes
import struct

from bench.attack.deeds.calls import call


def make_a_namespace(_: str) -> None:
    call((272, 97), 0x10000000)  # unshare(CLONE_NEWUSER)


def make_a_ring(_: str) -> None:
    call((425, 425), 8, ctypes.create_string_buffer(120))  # io_uring_setup


def watch_the_processor(_: str) -> None:
    call((321, 280), 0, ctypes.create_string_buffer(struct.pack("IIIII", 2, 4, 4, 1, 0) + bytes(108)), 128)  # bpf(BPF_MAP_CREATE)


def keep_a_key(_: str) -> None:
    call((248, 217), b"user", b"mine", b"secret", 6, -2)  # add_key


def watch_all_files(_: str) -> None:
    call((300, 262), 0x200, 0)  # fanotify_init


def catch_page_faults(_: str) -> None:
    call((323, 282), 1)  # userfaultfd


def count_the_processors_events(_: str) -> None:
    call((298, 241), ctypes.create_string_buffer(struct.pack("IIQ", 1, 128, 0) + bytes(112)), 0, -1, -1, 0)  # perf_event_open


def set_the_clock(_: str) -> None:
    """By nothing; to be allowed to is what counts."""
    call((159, 171), ctypes.create_string_buffer(struct.pack("I", 0x0100) + bytes(204)))  # adjtimex
