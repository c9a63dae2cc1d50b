"""Stages and commands as forks of a process that has NumPy, ONNX and ONNX Runtime loaded; a new interpreter needs a second.

`forking` puts `Forked` in the place of `subprocess.Popen`. A fork runs its module from the top as `python -m` does, is a child of
whoever asked for it, and has the environment, folder and descriptors that it was given. No session is made before the fork.
"""

from __future__ import annotations

import ctypes
import fcntl
import gc
import importlib
import json
import os
import pkgutil
import runpy
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import core

MODULES = ("core.base.children", "core.cli")
STARTS_OTHERS = ("core.cli",)
LIBRARIES = ("onnxruntime", "onnxslim", "rich.progress", "typer")
NOT_LOADED = ("core.cli", "__main__")  # the first one's consoles ask on import whether they are a terminal
PR_SET_CHILD_SUBREAPER = 36  # linux/prctl.h
MESSAGE_BYTES = 1 << 17
MOST_DESCRIPTORS = 16
HIGH = 200  # above every descriptor that a command is given

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

    def start(self, order: Order, descriptors: Sequence[int]) -> int:
        """The id of a fork that runs the order, by now a child of this process."""
        message = json.dumps([order.words, order.folder, dict(order.environment), order.targets, order.session]).encode()
        with self._asking:
            _adopt_orphans(True)
            try:
                socket.send_fds(self._channel, [message], list(descriptors))
                return int(self._channel.recv(100))
            finally:
                _adopt_orphans(False)


class Forked(subprocess.Popen[Any]):
    """A `Popen` that has the commands of `MODULES` forked, and starts all others as ever."""

    server: Server | None = None

    def _execute_child(self, args: Any, executable: Any, preexec_fn: Any, close_fds: Any, pass_fds: Any, *more: Any) -> None:
        cwd, env, _, _, shell, stdin, p2cwrite, c2pread, stdout, errread, stderr, *_ = more
        environment = dict(os.environ if env is None else env)
        session = bool(more[16])  # start_new_session
        plain = not (shell or executable or preexec_fn)
        if not self.server or not plain or not _is_ours(args, environment):
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
            self.pid = self.server.start(order, tuple(given.values()))
            self._child_created = True
        finally:
            self._close_pipe_fds(stdin, p2cwrite, c2pread, stdout, errread, stderr)  # type: ignore[attr-defined]


def _is_ours(args: Any, environment: Mapping[str, str]) -> bool:
    """Whether a fork would be the same: an interpreter reads its own variables only when it starts."""
    if isinstance(args, str) or len(args) < 3 or list(args[:2]) != [sys.executable, "-m"] or args[2] not in MODULES:
        return False
    return _interpreter(environment) == _interpreter(os.environ)


def _interpreter(environment: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in environment.items() if name.startswith("PYTHON") and name != "PYTHONUNBUFFERED"}


def _adopt_orphans(whether: bool) -> None:
    """Makes a fork, whose parent has ended by then, a child of this process and not of the first one."""
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, int(whether), 0, 0, 0)


@contextmanager
def fork_server(folder: Path) -> Iterator[Server]:
    """The process to fork, started in this folder."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    command = [sys.executable, "-m", "tests.forking", str(theirs.fileno())]
    environment = {**os.environ, "ORT_DISABLE_TELEMETRY": "1"}  # it is a thread, which a fork would miss
    with start_process(command, cwd=folder, env=environment, pass_fds=(theirs.fileno(),), stdin=subprocess.DEVNULL):
        theirs.close()
        try:
            yield Server(ours)
        finally:
            ours.close()


@contextmanager
def forking(server: Server) -> Iterator[None]:
    """Has the commands of `MODULES` forked from it."""
    before, Forked.server = subprocess.Popen, server
    subprocess.Popen = Forked  # type: ignore[misc]
    try:
        yield
    finally:
        subprocess.Popen = before  # type: ignore[misc]


# --- the process to fork ----------------------------------------------------------------------------------------------


def serve(channel: socket.socket) -> tuple[Order, list[int]]:
    """Answers until nobody can ask any more, and exits; returns in each fork, with what it has to do."""
    while True:
        message, descriptors, _, _ = socket.recv_fds(channel, MESSAGE_BYTES, MOST_DESCRIPTORS)
        if not message:
            os._exit(0)
        read_end, write_end = os.pipe()
        between = os.fork()
        if between == 0:
            between = os.getpid()
            fork = os.fork()
            if fork == 0:
                while os.getppid() == between:  # a child may ask to die with its parent
                    time.sleep(0.0005)
                for end in (channel.detach(), read_end, write_end):
                    os.close(end)
                words, folder, environment, targets, session = json.loads(message)
                order = Order(words=tuple(words), folder=folder, environment=environment, targets=tuple(targets), session=session)
                return order, descriptors
            os.write(write_end, str(fork).encode())
            os._exit(0)
        os.waitpid(between, 0)  # from here on the fork is its asker's child
        channel.send(os.read(read_end, 100))
        for descriptor in (read_end, write_end, *descriptors):
            os.close(descriptor)


def give_own_server(order: Order, descriptors: list[int]) -> tuple[Order, list[int]]:
    """Leaves a process beside this one that forks the stages that this one will start; returns in those forks too."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    if os.fork():
        theirs.close()
        Forked.server = Server(ours)
        subprocess.Popen = Forked  # type: ignore[misc]
        return order, descriptors
    ours.close()
    for descriptor in descriptors:
        os.close(descriptor)
    return serve(theirs)


def take_over(order: Order, descriptors: Sequence[int]) -> None:
    """Makes this process what a new interpreter would be when it starts the order's module."""
    high = [fcntl.fcntl(descriptor, fcntl.F_DUPFD, HIGH) for descriptor in descriptors]
    for descriptor in descriptors:
        os.close(descriptor)
    for descriptor, target in zip(high, order.targets, strict=True):
        os.dup2(descriptor, target)
        os.close(descriptor)
    os.environ.clear()
    os.environ.update(order.environment)
    os.chdir(order.folder)
    if order.session:
        os.setsid()
    if os.environ.get("PYTHONUNBUFFERED"):
        sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    module, *_ = sys.argv = list(order.words)
    sys.modules.pop(f"{module}.__main__", None)  # it runs as __main__ in a moment


def main(channel: socket.socket) -> None:
    ours = (module.name for module in pkgutil.walk_packages(core.__path__, "core."))
    for name in (*LIBRARIES, *(name for name in ours if not name.startswith(NOT_LOADED[0]) and not name.endswith(NOT_LOADED[1]))):
        importlib.import_module(name)
    gc.collect()
    gc.freeze()  # no fork looks through what was loaded
    order, descriptors = serve(channel)
    if order.words[0] in STARTS_OTHERS:
        order, descriptors = give_own_server(order, descriptors)
    take_over(order, descriptors)
    runpy.run_module(order.words[0], run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main(socket.socket(fileno=int(sys.argv[1])))
