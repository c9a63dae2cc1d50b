"""A Postgres of one's own: a cluster in a temporary folder, on a free port of 127.0.0.1, gone at the end."""

from __future__ import annotations

import os
import pwd
import secrets
import shutil
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


@contextmanager
def cluster(programs: Path) -> Iterator[str]:
    """Address of an empty database. Postgres refuses to run as root, so root starts it as another user."""
    user = _unprivileged() if os.geteuid() == 0 else None
    password = secrets.token_hex(8)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with tempfile.TemporaryDirectory(prefix="pg-") as name:
        folder = Path(name)
        (folder / "password").write_text(password)
        if user:
            for path in (folder, folder / "password"):
                shutil.chown(path, user)
        start = {"user": user} if user else {}
        initdb = [programs / "initdb", "-D", folder / "data", "-U", "jobs", "-A", "scram-sha-256", f"--pwfile={folder}/password"]
        subprocess.run([*initdb, "--no-sync"], check=True, capture_output=True, cwd=folder, **start)  # type: ignore[call-overload]
        server = [programs / "postgres", "-D", folder / "data", "-p", str(port), "-h", "127.0.0.1", "-k", folder]
        with (folder / "log").open("wb") as log:
            process = subprocess.Popen(server, stdout=log, stderr=log, cwd=folder, **start)  # type: ignore[call-overload]
        try:
            ready = [programs / "pg_isready", "-h", "127.0.0.1", "-p", str(port), "-t", "30"]
            while subprocess.run(ready, capture_output=True, check=False).returncode:
                if process.poll() is not None:
                    raise RuntimeError((folder / "log").read_text())
            yield f"postgresql://jobs:{password}@127.0.0.1:{port}/postgres"
        finally:
            process.terminate()
            process.wait()


def _unprivileged() -> str:
    """The packages' own user where there is one."""
    names = {entry.pw_name for entry in pwd.getpwall()}
    return "postgres" if "postgres" in names else "nobody"
