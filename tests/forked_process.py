"""The process to fork: it loads, waits for orders, and each of its forks becomes what one asks for. See `tests.forking`."""

from __future__ import annotations

import atexit
import fcntl
import gc
import importlib
import json
import os
import pkgutil
import runpy
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NoReturn

import core
from core.base.lean import import_tensorflow
from core.storage.builds import REQUEST_FILE, StageName
from tests.forking import GUARD, MESSAGE_BYTES, MOST_DESCRIPTORS, Forked, Order, Server, is_ours, place

STARTS_OTHERS = ("core.cli", "core.jobs")
JOBS = (("core.jobs",), ("core.cli", "worker"))  # what works with the job engine, which is loaded when one is asked for
PROBES = "core.models.probe:"
STAGE = "core.stages.child:carry_out"
LIBRARIES = ("onnxruntime", "onnxslim", "rich.progress", "typer")
NOT_LOADED = ("core.cli", "__main__")  # the first one's consoles ask on import whether they are a terminal
HIGH = 200  # above every descriptor that a command is given

replace_process = os.execve  # as it was


def serve(channel: socket.socket) -> tuple[Order, list[int]]:
    """Answers until nobody can ask any more, and exits; returns in each fork, with what it has to do."""
    further: socket.socket | None = None  # to the one with TensorFlow
    while True:
        message, descriptors, _, _ = socket.recv_fds(channel, MESSAGE_BYTES, MOST_DESCRIPTORS)
        if not message:
            os._exit(0)
        words, folder, environment, targets, session = json.loads(message)
        order = Order(words=tuple(words), folder=folder, environment=environment, targets=tuple(targets), session=session)
        if order.words[:1] in JOBS or order.words[:2] in JOBS:
            importlib.import_module("dbos")
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
    if words[0] == GUARD:
        words = words[4:]  # its limits, and `python -m`
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
        Forked.servers = {place(order.environment): Server(ours)}
        subprocess.Popen = Forked  # type: ignore[misc]
        return order, descriptors
    ours.close()
    for descriptor in descriptors:
        os.close(descriptor)
    return serve(theirs)


def take_over(order: Order, descriptors: Sequence[int]) -> None:
    """Makes this process what a new interpreter would be when it starts the order's module."""
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job ignores it, and hands that on
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
    os.execvp, os.execve = _become_named, _become  # type: ignore[assignment]


def run(words: Sequence[str]) -> NoReturn:
    """What `python -m` does with these words; but what was loaded is not taken apart, which takes longer than many a command."""
    code: object = None
    try:
        module, *_ = sys.argv = list(words)
        sys.modules.pop(f"{module}.__main__", None)  # it runs as __main__ in a moment
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    except SystemExit as ended:
        code = ended.code
    except BaseException:
        traceback.print_exc()
        code = 1
    if not isinstance(code, int | None):
        print(code, file=sys.stderr)
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError):
            stream.flush()
    os._exit(code if isinstance(code, int) else int(code is not None))


def _become_named(file: str, args: Sequence[str]) -> NoReturn:
    _become(file, args, dict(os.environ))


def _become(path: str, args: Sequence[str], environment: Mapping[str, str]) -> NoReturn:
    """In the place of `os.execve`: a program of ours is run in this process, which is like a new one but for what is loaded."""
    if not is_ours(args, environment) or threading.active_count() > 1:  # threads, which only a new program ends
        replace_process(shutil.which(path) or path, args, environment)
    _close_what_is_not_inherited()
    signal.set_wakeup_fd(-1)
    for number in signal.valid_signals():
        if callable(signal.getsignal(number)):
            signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    os.environ.clear()
    os.environ.update(environment)
    run(args[2:])


def _close_what_is_not_inherited() -> None:
    kept = {server.fileno() for server in Forked.servers.values()}
    for descriptor in map(int, os.listdir("/proc/self/fd")):
        with suppress(OSError):  # of the list itself
            if descriptor not in kept and not os.get_inheritable(descriptor):
                os.close(descriptor)


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
    run(order.words)


if __name__ == "__main__":
    main(socket.socket(fileno=int(sys.argv[1])))
