"""Stages and commands as forks of a process that has NumPy, ONNX and ONNX Runtime loaded; a new interpreter needs a second.

Those that will import TensorFlow are forks of one that has that too.

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
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import core
from core.base.lean import import_tensorflow
from core.storage.builds import REQUEST_FILE, StageName

ROOT = Path(__file__).parents[1]
MODULES = ("core.base.children", "core.cli", "core.jobs")
STARTS_OTHERS = ("core.cli",)
PROBES = "core.models.probe:"
STAGE = "core.stages.child:carry_out"
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

    servers: ClassVar[dict[str, Server]] = {}  # by the `PYTHONPATH` of those whom they can fork, without this program's

    def _execute_child(self, args: Any, executable: Any, preexec_fn: Any, close_fds: Any, pass_fds: Any, *more: Any) -> None:
        cwd, env, _, _, shell, stdin, p2cwrite, c2pread, stdout, errread, stderr, *_ = more
        environment = dict(os.environ if env is None else env)
        session = bool(more[16])  # start_new_session
        plain = not (shell or executable or preexec_fn)
        server = self.servers.get(_path(environment))
        if not server or not plain or not _is_ours(args, environment):
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


def _is_ours(args: Any, environment: Mapping[str, str]) -> bool:
    """Whether a fork would be the same: an interpreter reads its own variables only when it starts."""
    if isinstance(args, str) or len(args) < 3 or list(args[:2]) != [sys.executable, "-m"] or args[2] not in MODULES:
        return False
    return _interpreter(environment) == _interpreter(os.environ)


def _interpreter(environment: Mapping[str, str]) -> dict[str, str]:
    other = ("PYTHONUNBUFFERED", "PYTHONPATH")
    return {name: value for name, value in environment.items() if name.startswith("PYTHON") and name not in other}


def _path(environment: Mapping[str, str]) -> str:
    """Where it looks for modules before all else, but for this program's own place."""
    return os.pathsep.join(one for one in environment.get("PYTHONPATH", "").split(os.pathsep) if one not in ("", str(ROOT)))


def _adopt_orphans(whether: bool) -> None:
    """Makes a fork, whose parent has ended by then, a child of this process and not of the first one."""
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, int(whether), 0, 0, 0)


@contextmanager
def fork_server(tree: Path = ROOT) -> Iterator[Server]:
    """The process to fork, with the program of this folder."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    command = [sys.executable, "-m", "tests.forking", str(theirs.fileno())]
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
    Forked.servers = {**servers, _path({"PYTHONPATH": str(tree)}): server}
    subprocess.Popen = Forked  # type: ignore[misc]
    try:
        yield
    finally:
        subprocess.Popen, Forked.servers = before, servers  # type: ignore[misc]


# --- the process to fork ----------------------------------------------------------------------------------------------


def serve(channel: socket.socket) -> tuple[Order, list[int]]:
    """Answers until nobody can ask any more, and exits; returns in each fork, with what it has to do."""
    further: socket.socket | None = None  # to the one with TensorFlow
    while True:
        message, descriptors, _, _ = socket.recv_fds(channel, MESSAGE_BYTES, MOST_DESCRIPTORS)
        if not message:
            os._exit(0)
        words, folder, environment, targets, session = json.loads(message)
        order = Order(words=tuple(words), folder=folder, environment=environment, targets=tuple(targets), session=session)
        if works_with_tensorflow(order.words) and "tensorflow" not in sys.modules:
            if further is None:
                further, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
                if os.fork() == 0:
                    _close(descriptors, further, channel)
                    load_tensorflow()
                    return serve(theirs)
                theirs.close()
            socket.send_fds(further, [message], descriptors)
            told = further.recv(100)
        elif not (told := _fork()):
            _close((), *filter(None, (channel, further)))
            return order, descriptors
        channel.send(told)
        _close(descriptors)


def _fork() -> bytes:
    """The id of a fork, that will be its asker's child; nothing in the fork itself."""
    read_end, write_end = os.pipe()
    between = os.fork()
    if between == 0:
        between = os.getpid()
        fork = os.fork()
        if fork == 0:
            while os.getppid() == between:  # a child may ask to die with its parent
                time.sleep(0.0005)
            _close((read_end, write_end))
            return b""
        os.write(write_end, str(fork).encode())
        os._exit(0)
    os.waitpid(between, 0)  # from here on the fork is its asker's child
    told = os.read(read_end, 100)
    _close((read_end, write_end))
    return told


def _close(descriptors: Iterable[int], *sockets: socket.socket) -> None:
    for descriptor in descriptors:
        os.close(descriptor)
    for one in sockets:
        one.close()


def works_with_tensorflow(words: Sequence[str]) -> bool:
    """Whether a command is a probe or a stage that will import TensorFlow, as far as its build's path tells."""
    function, *more = (*words[1:], "")
    if function.startswith(PROBES):
        return True
    if function != STAGE or len(more) < 2:
        return False
    stage, folder, *_ = more
    try:
        source, *others = json.loads((Path(folder) / REQUEST_FILE).read_text())["path"].split(".")
    except (OSError, ValueError, KeyError):
        return False
    if stage == StageName.CONVERT:
        return bool({"onnx", "savedmodel", "tflite"} & set(others))
    if stage == StageName.REFERENCE:
        return source in ("savedmodel", "keras", "graphdef")
    return "tensorflow" in others


def load_tensorflow() -> None:
    """It starts no threads until its first operation."""
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "2"
    import_tensorflow()
    gc.collect()
    gc.freeze()


def give_own_server(order: Order, descriptors: list[int]) -> tuple[Order, list[int]]:
    """Leaves a process beside this one that forks the stages that this one will start; returns in those forks too."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    if os.fork():
        theirs.close()
        Forked.servers = {_path(order.environment): Server(ours)}
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
