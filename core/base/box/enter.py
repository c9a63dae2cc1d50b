"""Closes the box around this process: to be called once, before anything of a user's is opened, while it has one thread."""

from __future__ import annotations

import os
import resource
import sys
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

import core
from core.base.box import kernel_files, landlock, privileges, seccomp
from core.base.box.box import Box
from core.base.box.landlock import DEVICE, OWN, READ, RUN, Access
from core.base.box.walls import standing

_SYSTEM = ("/usr", "/lib", "/lib32", "/lib64", "/libx32", "/bin", "/sbin", "/opt/nvidia", "/nix/store")
_SETTINGS = ("/etc/ld.so.cache", "/etc/ld.so.conf", "/etc/ld.so.conf.d", "/etc/localtime", "/etc/timezone", "/etc/OpenCL")
_TOLD_BY_KERNEL = (
    *("/proc/cpuinfo", "/proc/meminfo", "/proc/stat", "/proc/version", "/proc/filesystems", "/proc/sys/kernel", "/proc/sys/vm"),
    *("/sys/devices/system", "/sys/kernel/mm"),
)
_GPU_TOLD = ("/proc/driver/nvidia", "/proc/devices", "/proc/modules", "/sys")
_DEVICES = ("/dev/null", "/dev/zero", "/dev/full")
_RANDOM = ("/dev/random", "/dev/urandom")
_MOST_THREADS = 16_384
_closed = False


def is_closed() -> bool:
    """Whether this process is in a box; what it starts is in it too, and may not read what the kernel tells of it."""
    return _closed


def enter(box: Box, *, keep: Iterable[int] = (), package: str = "core") -> None:
    """Puts up every wall that stands on this host (`core.base.box.walls`), and the limits.

    Args:
        keep: Descriptors that stay open besides standard input, output and error.
        package: What is imported afterwards besides libraries, of the folder that `core` lies in.

    Raises:
        EngineRoomError: All walls are required, and not all can stand.
        OSError: The kernel refused what it had offered; nothing may be opened then.
    """
    global _closed  # noqa: PLW0603  it is about the process
    libraries = _libraries(package, box.home)
    _settle_in(box.home)
    _close_all_but({0, 1, 2, *keep})
    _limit(box)
    walls = {wall.name: wall.stands for wall in standing().walls}
    if any(walls.values()):
        privileges.drop(gpu=box.gpu)
    if walls["files"]:
        landlock.restrict(_grants(box, libraries))
    if walls["network"]:
        known = landlock.version() if walls["files"] else 0
        seccomp.restrict(signals=known < landlock.SCOPES, truncates=known < landlock.TRUNCATES, listens=box.gpu)
    _closed = True


def _settle_in(home: Path) -> None:
    scratch = home / "tmp"
    scratch.mkdir(exist_ok=True)
    os.environ.update(HOME=str(home), TMPDIR=str(scratch))
    for name in ("XDG_CACHE_HOME", "XDG_DATA_HOME", "XDG_CONFIG_HOME"):
        os.environ.pop(name, None)
    tempfile.tempdir = None
    with suppress(OSError, AttributeError, ValueError):  # it is not there under PYTHONSAFEPATH
        sys.path.remove(os.getcwd())
    os.chdir(home)


def _close_all_but(kept: set[int]) -> None:
    """Such as the lock of the device, which whoever holds it could let go."""
    most = min(resource.getrlimit(resource.RLIMIT_NOFILE)[0], 1 << 16)
    start = 0
    for number in (*sorted(kept), most):
        if start < number:  # of an empty range Python closes everything
            os.closerange(start, number)
        start = number + 1


def _limit(box: Box) -> None:
    _at_most(resource.RLIMIT_CORE, 1)  # which asks no program to take the core, as 0 would
    _at_most(resource.RLIMIT_RTPRIO, 0)
    _at_most(resource.RLIMIT_MSGQUEUE, 0)
    if box.memory_bytes:
        _at_most(resource.RLIMIT_DATA, box.memory_bytes)
    if box.file_bytes:
        _at_most(resource.RLIMIT_FSIZE, box.file_bytes)
    _at_most(resource.RLIMIT_NPROC, _threads_of_user() + _MOST_THREADS)  # the kernel counts all of the user's


def _at_most(kind: int, most: int) -> None:
    _, hard = resource.getrlimit(kind)
    limit = most if hard == resource.RLIM_INFINITY else min(most, hard)
    resource.setrlimit(kind, (limit, limit))


def _threads_of_user() -> int:
    count = 0
    for folder in Path("/proc").iterdir():
        with suppress(OSError):
            if folder.name.isdecimal() and folder.stat().st_uid == os.getuid():
                count += (folder / "task").stat().st_nlink - 2
    return count


def _grants(box: Box, libraries: Iterable[str]) -> Iterator[tuple[Path, Access]]:
    for path in (*_SYSTEM, *libraries):
        yield Path(path), RUN
    for path in (*_SETTINGS, *_TOLD_BY_KERNEL, *_RANDOM):
        yield Path(path), READ
    for told in (*kernel_files.own_files(), *kernel_files.group_files()):
        yield told, READ
    own = Path("/proc/self").resolve()
    yield own / "clear_refs", Access.WRITE_FILE | Access.TRUNCATE  # peak memory is counted from where a stage says
    yield kernel_files.threads(), Access.READ_DIR
    for path in _DEVICES:
        yield Path(path), DEVICE
    if box.gpu:
        yield own / "task", READ | Access.WRITE_FILE | Access.TRUNCATE  # CUDA names its threads
        for path in _GPU_TOLD:
            yield Path(path), READ
        for device in (*Path("/dev").glob("nvidia*"), *Path("/dev").glob("dri")):
            yield device, DEVICE | Access.READ_DIR
    for given in box.reads:
        yield given, READ
    yield box.home, OWN


def _libraries(package: str, home: Path) -> set[str]:
    """The interpreter and what it imports from; of the folder that `core` lies in, `core` and the package alone."""
    place = Path(core.__file__).parent.parent
    found = {sys.prefix, sys.base_prefix, sys.exec_prefix, str(Path(sys.executable).resolve().parent)}
    found |= {str((place / name).resolve()) for name in ("core", package)}
    # What it works on lies below a folder of these, and the models of others beside it.
    apart = {place.resolve(), Path.cwd().resolve(), Path.home().resolve(), Path("/"), *home.resolve().parents}
    named = [*sys.path, *(one for one in os.environ.get("LD_LIBRARY_PATH", "").split(":") if one.startswith("/"))]
    found |= {entry for entry in named if entry and Path(entry).resolve() not in apart}
    if modelopt := os.environ.get("ENGINEROOM_MODELOPT_PYTHON"):
        found |= {str(folder.parent.parent) for folder in (Path(modelopt), Path(modelopt).resolve())}
    return found
