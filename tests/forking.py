"""Stages and commands as forks of a process that has NumPy, ONNX and ONNX Runtime loaded; a new interpreter needs a second.

Those that will import TensorFlow are forks of one that has that too.

`forking` puts `Forked` in the place of `subprocess.Popen`. A fork runs its module from the top as `python -m` does, is a child of
whoever asked for it, and has the environment, folder and descriptors that it was given. No session is made before the fork.
Where a fork becomes another program that is ours too, a guard its stage or `engineroom worker` the worker, it runs that itself.
"""

from __future__ import annotations

import ctypes
import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

ROOT = Path(__file__).parents[1]
GUARD = "core.jobs.guard"
MODULES = ("core.base.children", "core.cli", "core.jobs", GUARD)
PR_SET_CHILD_SUBREAPER, PR_GET_CHILD_SUBREAPER = 36, 37  # linux/prctl.h
MESSAGE_BYTES = 1 << 17
MOST_DESCRIPTORS = 16

start_process = subprocess.Popen  # as it was


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What to run: `python -m` these words.

    Attributes:
        targets: The numbers that the descriptors sent along get.
        session: Whether it gets a session of its own.
    """

    words: tuple[str, ...]
    folder: str
    environment: Mapping[str, str]
    targets: tuple[int, ...]
    session: bool = False


class Server:
    """The process to fork, as those see it that ask."""

    def __init__(self, channel: socket.socket) -> None:
        self._channel = channel
        self._asking = threading.Lock()

    def fileno(self) -> int:
        return self._channel.fileno()

    def start(self, order: Order, descriptors: Sequence[int]) -> int:
        """The id of a fork that runs the order, by now a child of this process."""
        message = json.dumps([order.words, order.folder, dict(order.environment), order.targets, order.session]).encode()
        with self._asking, _adopting_orphans():
            socket.send_fds(self._channel, [message], list(descriptors))
            return int(self._channel.recv(100))


class Forked(subprocess.Popen[Any]):
    """A `Popen` that has the commands of `MODULES` forked, and starts all others as ever."""

    servers: ClassVar[dict[str, Server]] = {}  # by the `PYTHONPATH` of those whom they can fork, without this program's

    def _execute_child(self, args: Any, executable: Any, preexec_fn: Any, close_fds: Any, pass_fds: Any, *more: Any) -> None:
        cwd, env, _, _, shell, stdin, p2cwrite, c2pread, stdout, errread, stderr, *_ = more
        environment = dict(os.environ if env is None else env)
        session = bool(more[16])  # start_new_session
        plain = not (shell or executable or preexec_fn)
        server = self.servers.get(place(environment))
        if not server or not plain or not is_ours(args, environment):
            super()._execute_child(args, executable, preexec_fn, close_fds, pass_fds, *more)  # type: ignore[misc]
            return
        given = {0: stdin, 1: stdout, 2: stderr}
        given = {target: target if number == -1 else number for target, number in given.items()} | {fd: fd for fd in pass_fds}
        order = Order(
            words=tuple(args[2:]),
            folder=os.fspath(cwd or os.getcwd()),
            environment=environment,
            targets=tuple(given),
            session=session,
        )
        try:
            self.pid = server.start(order, tuple(given.values()))
            self._child_created = True
        finally:
            self._close_pipe_fds(stdin, p2cwrite, c2pread, stdout, errread, stderr)  # type: ignore[attr-defined]


def is_ours(args: Any, environment: Mapping[str, str]) -> bool:
    """Whether a fork would be the same: an interpreter reads its own variables only when it starts."""
    if isinstance(args, str) or len(args) < 3 or list(args[:2]) != [sys.executable, "-m"] or args[2] not in MODULES:
        return False
    return _interpreter(environment) == _interpreter(os.environ)


def _interpreter(environment: Mapping[str, str]) -> dict[str, str]:
    other = ("PYTHONUNBUFFERED", "PYTHONPATH")
    return {name: value for name, value in environment.items() if name.startswith("PYTHON") and name not in other}


def place(environment: Mapping[str, str]) -> str:
    """Where it looks for modules before all else, but for this program's own place."""
    return os.pathsep.join(one for one in environment.get("PYTHONPATH", "").split(os.pathsep) if one not in ("", str(ROOT)))


@contextmanager
def _adopting_orphans() -> Iterator[None]:
    """Makes a fork, whose parent has ended by then, a child of this process and not of the first one."""
    before, kernel = ctypes.c_int(), ctypes.CDLL(None)
    kernel.prctl(PR_GET_CHILD_SUBREAPER, ctypes.byref(before), 0, 0, 0)
    kernel.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    try:
        yield
    finally:
        kernel.prctl(PR_SET_CHILD_SUBREAPER, before.value, 0, 0, 0)  # a worker and a guard adopt for good


@contextmanager
def fork_server(tree: Path = ROOT) -> Iterator[Server]:
    """The process to fork, with the program of this folder."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    command = [sys.executable, "-m", "tests.forked_process", str(theirs.fileno())]
    environment = {**os.environ, "ORT_DISABLE_TELEMETRY": "1"}  # it is a thread, which a fork would miss
    if tree != ROOT:
        environment["PYTHONPATH"] = os.pathsep.join((str(tree), str(ROOT)))
    with start_process(command, cwd=tree, env=environment, pass_fds=(theirs.fileno(),), stdin=subprocess.DEVNULL):
        theirs.close()
        try:
            yield Server(ours)
        finally:
            ours.close()


@contextmanager
def forking(server: Server, tree: Path = ROOT) -> Iterator[None]:
    """Has the commands of `MODULES` forked from it that run the program of this folder."""
    before, servers = subprocess.Popen, Forked.servers
    Forked.servers = {**servers, place({"PYTHONPATH": str(tree)}): server}
    subprocess.Popen = Forked  # type: ignore[misc]
    try:
        yield
    finally:
        subprocess.Popen, Forked.servers = before, servers  # type: ignore[misc]


def is_forking() -> bool:
    """Whether commands of `MODULES` with this process's own variables are forked."""
    return subprocess.Popen is Forked and place(os.environ) in Forked.servers


def how_to_start() -> tuple[Any, ...]:
    """All that decides whether a command is forked; what changes it and does not change it back makes all that follows slow."""
    return subprocess.Popen, Forked.servers, {name: value for name, value in os.environ.items() if name.startswith("PYTHON")}
