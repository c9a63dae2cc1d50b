"""A Postgres of one's own: a cluster in a temporary folder, on a free port of 127.0.0.1, gone at the end."""

from __future__ import annotations

import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def find_programs() -> Path | None:
    """The folder with initdb and postgres; Debian keeps it off the PATH."""
    candidates = sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    if found := shutil.which("initdb"):
        candidates.append(Path(found).parent)
    return next((folder for folder in candidates if (folder / "initdb").exists() and (folder / "postgres").exists()), None)


class Server:
    """A cluster that can be stopped and started again. Postgres refuses to run as root, so root starts it as another user."""

    def __init__(self, programs: Path, folder: Path) -> None:
        self._programs, self._folder = programs, folder
        self._user = _unprivileged() if os.geteuid() == 0 else None
        password = secrets.token_hex(8)
        (folder / "password").write_text(password)
        if self._user:
            for path in (folder, folder / "password"):
                shutil.chown(path, self._user)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self._port = probe.getsockname()[1]
        options: list[str | Path] = [
            "-D",
            folder / "data",
            "-U",
            "jobs",
            "-A",
            "scram-sha-256",
            f"--pwfile={folder}/password",
            "--no-sync",
        ]
        subprocess.run([programs / "initdb", *options], check=True, capture_output=True, cwd=folder, user=self._user)
        self.url = f"postgresql://jobs:{password}@127.0.0.1:{self._port}/postgres"
        self.start()

    def start(self) -> None:
        command: list[str | Path] = [
            self._programs / "postgres",
            "-D",
            self._folder / "data",
            "-p",
            str(self._port),
            "-h",
            "127.0.0.1",
            "-k",
            self._folder,
        ]
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log, cwd=self._folder, user=self._user)
        ready: list[str | Path] = [self._programs / "pg_isready", "-h", "127.0.0.1", "-p", str(self._port), "-t", "30"]
        while subprocess.run(ready, capture_output=True, check=False).returncode:
            if self._process.poll() is not None:
                raise RuntimeError((self._folder / "log").read_text())

    def stop(self) -> None:
        """Ends it with all its connections, as a restart of the host would."""
        self._process.send_signal(signal.SIGQUIT)
        self._process.wait()


@contextmanager
def cluster(programs: Path) -> Iterator[Server]:
    """A server with an empty database."""
    with tempfile.TemporaryDirectory(prefix="pg-") as folder:
        server = Server(programs, Path(folder))
        try:
            yield server
        finally:
            server.stop()


def _unprivileged() -> str:
    """The packages' own user where there is one."""
    names = {entry.pw_name for entry in pwd.getpwall()}
    return "postgres" if "postgres" in names else "nobody"
