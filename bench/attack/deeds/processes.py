"""Deeds on other processes of the same user; the target is a process's number."""

from __future__ import annotations

import ctypes
import fcntl
import os
import resource
import signal
import time
from pathlib import Path

from bench.attack.deeds.calls import call, checked, libc

_CLONE, _CLONE_PARENT = (56, 220), 0x8000


def read_environment_of(pid: str) -> None:
    Path(f"/proc/{pid}/environ").read_bytes()


def read_memory_of(pid: str) -> None:
    Path(f"/proc/{pid}/mem").open("rb").close()


def read_memory_by_a_call(place: str) -> None:
    """Of a process at a place that somebody told."""
    pid, _, address = place.partition(" ")
    _copy_of_memory(int(pid), int(address))


def _copy_of_memory(pid: int, place: int) -> None:
    class Piece(ctypes.Structure):
        _fields_ = (("base", ctypes.c_void_p), ("length", ctypes.c_size_t))

    own = ctypes.create_string_buffer(16)
    ours, theirs = Piece(ctypes.addressof(own), 16), Piece(place, 16)
    checked(libc.process_vm_readv(pid, ctypes.byref(ours), 1, ctypes.byref(theirs), 1, 0))


def list_processes(_: str) -> None:
    os.listdir("/proc")


def list_a_control_group(_: str) -> None:
    found = [path.read_text() for path in Path("/sys/fs/cgroup").rglob("cgroup.procs")]
    if not any(text.split() for text in found):
        raise PermissionError("no process is told")


def list_connections(_: str) -> None:
    Path("/proc/self/net/tcp").read_bytes()


def signal_a_process(pid: str) -> None:
    os.kill(int(pid), signal.SIGCONT)


def signal_by_a_file(pid: str) -> None:
    """A pipe that tells its owner of what comes; SIGIO ends who does not expect it."""
    reading, writing = os.pipe()
    fcntl.fcntl(reading, fcntl.F_SETOWN, int(pid))
    fcntl.fcntl(reading, fcntl.F_SETFL, os.O_ASYNC)
    os.write(writing, b"x")


def trace_a_process(pid: str) -> None:
    if libc.ptrace(16, int(pid), 0, 0) < 0:  # PTRACE_ATTACH
        raise OSError(ctypes.get_errno(), "ptrace")
    os.waitpid(int(pid), 0)
    libc.ptrace(17, int(pid), 0, 0)


def take_a_descriptor(pid: str) -> None:
    there = os.pidfd_open(int(pid))
    call((438, 438), there, 0, 0)  # pidfd_getfd


def limit_a_process(pid: str) -> None:
    resource.prlimit(int(pid), resource.RLIMIT_CORE, (0, 0))


def renice_a_process(pid: str) -> None:
    os.setpriority(os.PRIO_PROCESS, int(pid), 19)


def pin_a_process(pid: str) -> None:
    os.sched_setaffinity(int(pid), os.sched_getaffinity(0))


def guess_a_number(pid: str) -> None:
    os.getpgid(int(pid))


def leave_its_group(_: str) -> None:
    """So that nobody ends it with the others."""
    before = os.getsid(0)
    if (child := os.fork()) == 0:
        os.setsid()
        os._exit(os.getsid(0) == before)
    if os.waitpid(child, 0)[1]:
        raise PermissionError("it is in the same session")


def be_its_callers_child(_: str) -> None:
    """A process that its caller does not know of, and nobody collects."""
    if call(_CLONE, _CLONE_PARENT | int(signal.SIGCHLD), 0, 0, 0, 0) == 0:
        os._exit(0)


def outlive_its_caller(_: str) -> None:
    checked(libc.prctl(1, 0, 0, 0, 0))  # PR_SET_PDEATHSIG


def be_the_last_to_be_killed(_: str) -> None:
    """When the host runs out of memory."""
    Path("/proc/self/oom_score_adj").write_text("999")


def run_before_all_others(_: str) -> None:
    os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))


def become_another_user(_: str) -> None:
    os.setuid(1)


def outlive_the_caller(mark: str) -> None:
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            for number in (0, 1, 2):
                os.close(number)
            time.sleep(1.5)
            Path(mark).write_text("still here")
            os._exit(0)
        os._exit(0)
