"""Deeds that take more than there is; the target is a folder."""

from __future__ import annotations

import ctypes
import os
import time
from pathlib import Path

from bench.attack.deeds.calls import checked, libc

MEGABYTE = 1_000_000


def flood_the_log(_: str) -> None:
    line = b"x" * MEGABYTE
    for _count in range(1_000):
        os.write(1, line)


def fill_the_disk(folder: str) -> None:
    with (Path(folder) / "large").open("wb", buffering=0) as file:
        for _count in range(1_000):
            file.write(os.urandom(MEGABYTE))


def make_many_files(folder: str) -> None:
    for number in range(300_000):
        (Path(folder) / str(number)).touch()


def make_files_in_no_time(folder: str) -> None:
    """Too many bytes, and an answer before anybody looks."""
    for number in range(3):
        (Path(folder) / str(number)).write_bytes(bytes(10 * MEGABYTE))


def hide_files_deep(folder: str) -> None:
    """Deeper than a path can be long, and than a walk may call itself."""
    os.chdir(folder)
    for _ in range(3_000):
        os.mkdir("d")
        os.chdir("d")
    _fill(Path("large"))


def hide_files_in_a_closed_folder(folder: str) -> None:
    closed = Path(folder) / "closed"
    os.mkdir(closed, mode=0o300)
    _fill(closed / "large")


def fill_deleted_files(folder: str) -> None:
    with (Path(folder) / "gone").open("wb", buffering=0) as file:
        os.unlink(file.name)
        for _count in range(300):
            file.write(os.urandom(MEGABYTE))
        time.sleep(30)


def take_space_without_length(_: str) -> None:
    """Of the log."""
    checked(libc.fallocate(1, 1, ctypes.c_long(0), ctypes.c_long(200 * MEGABYTE)))  # FALLOC_FL_KEEP_SIZE
    time.sleep(30)


def take_memory(_: str) -> None:
    kept = bytearray(6_000_000_000)
    kept[::4096] = b"x" * len(kept[::4096])


def _fill(path: Path) -> None:
    with path.open("wb") as file:
        for _count in range(40):
            file.write(os.urandom(MEGABYTE))
    time.sleep(30)
