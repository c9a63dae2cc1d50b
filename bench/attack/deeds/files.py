"""Deeds on files that are somebody else's; the target is a file."""

from __future__ import annotations

import ctypes
import fcntl
import os
import sqlite3
import struct
from pathlib import Path

from bench.attack.deeds.calls import call, checked, libc


def read_a_file(victim: str) -> None:
    Path(victim).read_bytes()


def list_a_folder(victim: str) -> None:
    os.listdir(Path(victim).parent)


def write_a_file(victim: str) -> None:
    with Path(victim).open("ab") as file:
        file.write(b"import os\n")


def make_a_file(victim: str) -> None:
    Path(victim).with_suffix(".made").write_text("here")


def delete_a_file(victim: str) -> None:
    Path(victim).unlink()


def replace_a_file(victim: str) -> None:
    Path("mine").write_text("mine")
    os.replace("mine", victim)


def truncate_a_file(victim: str) -> None:
    os.truncate(victim, 0)


def link_a_file_and_write(victim: str) -> None:
    os.link(victim, "linked")
    Path("linked").write_bytes(b"")


def follow_a_link(victim: str) -> None:
    Path("link").unlink(missing_ok=True)
    Path("link").symlink_to(victim)
    Path("link").read_bytes()


def through_proc_root(victim: str) -> None:
    Path(f"/proc/self/root{victim}").read_bytes()


def through_a_descriptor(victim: str) -> None:
    """A descriptor that only names a file is no right to read it."""
    named = os.open(victim, os.O_PATH)
    Path(f"/proc/self/fd/{named}").read_bytes()


def close_a_file_to_its_owner(victim: str) -> None:
    os.chmod(victim, 0)
    if os.stat(victim).st_mode & 0o777:
        raise PermissionError("its rights did not change")


def date_a_file_back(victim: str) -> None:
    os.utime(victim, (0, 0))
    if os.stat(victim).st_mtime:
        raise PermissionError("its time did not change")


def note_on_a_file(victim: str) -> None:
    os.setxattr(victim, "user.note", b"mine")
    if "user.note" not in os.listxattr(victim):
        raise PermissionError("nothing was noted")


def flag_a_file(victim: str) -> None:
    """By a call of Linux 6.17: "no dump"."""
    call((469, 469), -100, victim.encode(), struct.pack("QIIII", 0x80, 0, 0, 0, 0), 24, 0)


def flag_an_input(given: str) -> None:
    """Of a file that it may read."""
    with Path(given).open("rb") as file:
        (flags,) = struct.unpack("l", fcntl.ioctl(file, 0x80086601, bytes(8)))  # FS_IOC_GETFLAGS
        fcntl.ioctl(file, 0x40086602, struct.pack("l", flags | 0x40))  # FS_IOC_SETFLAGS, "no dump"


def watch_a_folder(victim: str) -> None:
    """Names of files that others make there."""
    watching = checked(libc.inotify_init())
    checked(libc.inotify_add_watch(watching, str(Path(victim).parent).encode(), 0x100))


def make_a_device(_: str) -> None:
    os.mknod("disk", 0o060600, os.makedev(7, 0))


def make_a_pipe(_: str) -> None:
    """For whoever takes what it left to wait at."""
    Path("pipe").unlink(missing_ok=True)
    os.mkfifo("pipe")


def share_memory_by_a_file(_: str) -> None:
    path = Path("/dev/shm/engine-room-attack")  # noqa: S108
    path.write_text("mine")
    path.unlink()


def keep_its_log(_: str) -> None:
    """A second name for the file that it prints to."""
    checked(libc.linkat(-100, b"/proc/self/fd/1", -100, b"log", 0x400))


def add_a_row(database: str) -> None:
    with sqlite3.connect(database) as connection:
        connection.execute("insert into jobs values ('mine')")


def read_users(_: str) -> None:
    Path("/etc/passwd").read_bytes()


def tell_a_files_size(victim: str) -> None:
    os.stat(victim)


def lock_an_input(given: str) -> None:
    """Of a file that it may read: those who lock it too would wait."""
    with Path(given).open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def attach_shared_memory(number: str) -> None:
    libc.shmat.restype = ctypes.c_void_p
    if libc.shmat(int(number), None, 0) in (None, ctypes.c_void_p(-1).value):
        raise OSError(ctypes.get_errno(), "shmat")
