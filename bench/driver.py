"""Starts real servers and workers, and drives pages; the fixtures in conftest.py are made of these."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from playwright.sync_api import Page, expect

from core.base.files import WORKSPACE_VARIABLE
from core.jobs.device import parse_device
from core.jobs.local import is_running
from core.jobs.start import worker_lock_file
from core.storage.workspace import Workspace

CHROMIUM = "/usr/bin/chromium"
START_SECONDS = 60
PAGE_MILLISECONDS = 30_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Dashboard:
    """A running server.

    Attributes:
        url: Without a slash at its end.
        pid: Of the server's process.
    """

    url: str
    workspace: Workspace
    pid: int


def free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        port: int = listening.getsockname()[1]
        return port


def environment(workspace: Workspace, **more: str) -> dict[str, str]:
    return {**os.environ, WORKSPACE_VARIABLE: str(workspace.root), **more}


def start_server(
    workspace: Workspace, log: Path, *, cwd: Path | None = None, port: int = 0, **more: str
) -> tuple[subprocess.Popen[bytes], str]:
    """A server without workers, on a free port when none is given, once it answers: its process and its URL."""
    port = port or free_port()
    command = [sys.executable, "-m", "dashboard.server", "--no-worker", "--port", str(port)]
    with log.open("ab") as output:
        process = subprocess.Popen(
            command, stdout=output, stderr=output, env=environment(workspace, **more), cwd=cwd, start_new_session=True
        )
    url = f"http://127.0.0.1:{port}"
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        try:
            with urllib.request.urlopen(f"{url}/_stcore/health", timeout=5):  # noqa: S310  our own server
                return process, url
        except OSError:
            _check_runs(process, log)
            time.sleep(0.1)
    raise AssertionError(f"The server did not answer: {log.read_text(errors='replace')}")


def stop(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(timeout=20)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def wait_for(condition: Callable[[], bool], log: Path) -> None:
    """Asks again until it is so; fails with what the process has logged."""
    deadline = time.monotonic() + START_SECONDS
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(log.read_text(errors="replace"))
        time.sleep(0.1)


def start_worker(workspace: Workspace, log: Path) -> subprocess.Popen[bytes]:
    with log.open("ab") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "core.cli", "worker"],
            stdout=output,
            stderr=output,
            env=environment(workspace),
            start_new_session=True,
        )
    lock = worker_lock_file(workspace, parse_device("cpu"))
    wait_for(lambda: process.poll() is not None or is_running(lock), log)
    _check_runs(process, log)
    return process


def _check_runs(process: subprocess.Popen[bytes], log: Path) -> None:
    if process.poll() is not None:
        raise AssertionError(log.read_text(errors="replace"))


def is_local(url: str) -> bool:
    return url.startswith(("http://127.0.0.1:", "ws://127.0.0.1:", "blob:", "data:"))


def visit(page: Page, path: str = "/") -> None:
    """Opens a page and waits until its script has run to the end."""
    page.goto(path)
    page.locator("[data-testid=stApp][data-test-script-state=notRunning]").wait_for()
    expect(page.locator("[data-testid=stException]")).to_have_count(0)
