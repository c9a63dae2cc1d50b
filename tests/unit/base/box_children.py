"""What boxed children of test_box.py do; a box holds of this folder's neighbours `core` and `tests` alone."""

from __future__ import annotations

import os
import resource
import shutil
import socket
import stat
from pathlib import Path

from core.base.children.call import Fetch


def change_rights(path: Path) -> int:
    path.chmod(0)
    return stat.S_IMODE(path.stat().st_mode)


def work_at_home() -> str:
    import tempfile

    Path("below").mkdir()
    with tempfile.NamedTemporaryFile("w", delete=False) as file:
        file.write("kept")
    os.replace(file.name, "below/moved")
    Path("touched").touch()
    Path("touched").touch()
    shutil.copy2("below/moved", "copied")
    assert Path("touched").exists()
    assert Path.home() == Path.cwd()
    return Path("below/moved").read_text()


def talk_to_itself() -> str:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.sendall(b"heard")
        return theirs.recv(10).decode()


def open_descriptors() -> int:
    """Besides those of its own files in /proc, which cannot be read from and keep the kernel in mind of what was granted."""
    own = str(Path("/proc/self").resolve())
    links = [Path(f"/proc/self/fd/{number}") for number in os.listdir("/proc/self/fd")]
    return sum(link.is_symlink() and not os.readlink(link).startswith(own) for link in links)


def most_processes() -> int:
    return resource.getrlimit(resource.RLIMIT_NPROC)[0]


def ask_twice(questions: list[str], fetch: Fetch = str) -> str:
    return "".join(str(fetch(question)) for question in questions)


def reset_peak() -> bool:
    Path("/proc/self/clear_refs").write_text("5")
    return True


def listen_and_reach(path: str) -> list[str]:
    found = []
    for deed in (_listens, _names_a_thread, lambda: _connects(path), lambda: _sends(path)):
        try:
            found.append(str(deed()))
        except OSError as error:
            found.append(type(error).__name__)
    return found


def _listens() -> str:
    with socket.socket(socket.AF_UNIX) as one:
        one.bind(f"\0engine-room-box-{os.getpid()}")
        one.listen()
    return "listens"


def _names_a_thread() -> str:
    Path(f"/proc/self/task/{os.getpid()}/comm").write_text("worker")
    return "named"


def _connects(path: str) -> str:
    with socket.socket(socket.AF_UNIX) as one:
        one.connect(path)
    return "connected"


def _sends(path: str) -> str:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    with ours, theirs:
        ours.sendto(b"secret", path)
    return "sent"


def start_many(count: int, seconds: float) -> str:
    """Children that wait, and their parent with them."""
    import time

    for _ in range(count):
        if os.fork() == 0:
            time.sleep(30)
            os._exit(0)
    time.sleep(seconds)
    return "done"
