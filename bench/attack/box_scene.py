"""What the deeds of `box.py` are aimed at: files, processes and sockets of somebody else, all of this attack's own."""

from __future__ import annotations

import ctypes
import os
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from bench.attack.deeds.calls import checked, libc

TEXT = "secret = 1\n"


@dataclass(slots=True, kw_only=True)
class Scene:
    """Targets, by what a deed is done to.

    Attributes:
        home: The box's own folder.
        given: The folder that it may read.
    """

    folder: Path
    home: Path
    given: Path
    sleeper: subprocess.Popen[bytes]
    port: int
    memory: int

    def target(self, kind: str) -> str:
        """A file that is another's ("file"), one to be read ("input"), a database, a process, its memory, a socket."""
        known = {
            "file": self.folder / "private" / "secret.py",
            "input": self.given / "model.onnx",
            "database": self.folder / "jobs.sqlite",
            "process": self.sleeper.pid,
            "place": f"{self.sleeper.pid} {_place_in(self.sleeper.pid) if kind == 'place' else 0}",
            "port": self.port,
            "abstract": f"engine-room-attack-{os.getpid()}",
            "local": self.folder / "socket",
            "letters": self.folder / "letters",
            "memory": self.memory,
            "": "",
        }
        return str(known[kind])

    def reset(self) -> None:
        """Puts everything as it was."""
        private = self.folder / "private"
        private.mkdir(exist_ok=True)
        with suppress(FileNotFoundError):
            Path(self.target("file")).chmod(0o600)
        for left in (*private.iterdir(), *(path for path in self.home.iterdir() if path.name != "tmp")):
            left.unlink()
        for path in (Path(self.target("file")), Path(self.target("input"))):
            path.write_text(TEXT)
        database = Path(self.target("database"))
        database.unlink(missing_ok=True)
        with sqlite3.connect(database) as connection:
            connection.execute("create table jobs (name)")
        if self.sleeper.poll() is not None:
            self.sleeper = _sleeper()

    def intact(self) -> bool:
        """Whether nothing that is another's was changed."""
        with sqlite3.connect(self.target("database")) as connection:
            rows = connection.execute("select count(*) from jobs").fetchone()[0]
        files = [path.name for path in (self.folder / "private").iterdir()]
        secret = Path(self.target("file"))
        try:
            return rows == 0 and files == ["secret.py"] and secret.read_text() == TEXT and self.sleeper.poll() is None
        except PermissionError:
            return False


def _place_in(pid: int) -> int:
    """Where its program lies in memory, once it is started."""
    while not (maps := Path(f"/proc/{pid}/maps").read_text()):
        time.sleep(0.01)
    return int(maps.partition("-")[0], 16)


def _sleeper() -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], env={"SECRET": "x"}, start_new_session=True)


@contextmanager
def scene(folder: Path) -> Iterator[Scene]:
    """All of it, in an empty folder."""
    home, given = folder / "home", folder / "given"
    for path in (home, given):
        path.mkdir()
    with ExitStack() as stack:
        tcp = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        for name, kind in (
            (f"\0engine-room-attack-{os.getpid()}", socket.SOCK_STREAM),
            (str(folder / "socket"), socket.SOCK_STREAM),
            (str(folder / "letters"), socket.SOCK_DGRAM),
        ):
            local = stack.enter_context(socket.socket(socket.AF_UNIX, kind))
            local.bind(name)
            if kind is socket.SOCK_STREAM:
                local.listen()
        memory = checked(libc.shmget(0, ctypes.c_size_t(4096), 0o1600))
        stack.callback(libc.shmctl, memory, 0, None)
        found = Scene(folder=folder, home=home, given=given, sleeper=_sleeper(), port=tcp.getsockname()[1], memory=memory)
        stack.callback(lambda: found.sleeper.kill() or found.sleeper.wait())  # type: ignore[func-returns-value]
        yield found
