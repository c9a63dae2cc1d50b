"""The box around a model: every deed with all walls up, with each taken away, and without a box; which wall held it."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from bench.attack import deeds
from bench.attack.attempt import Attack, Tries
from bench.attack.box_scene import scene
from bench.attack.instance import Instance
from core.base.box import enter as entering
from core.base.box.box import Box
from core.base.box.walls import Walls, of_host, standing
from core.base.children.call import Child, Fetch, NoAnswer
from core.base.children.events import EndingKind
from core.base.files import clear_away

# What is taken away: Landlock, as on a host that has none; seccomp; both, where privileges and limits are left; the box.
PARTS = ("all", "no files", "no calls", "neither", "no box")


@dataclass(frozen=True, slots=True, kw_only=True)
class Deed:
    """A deed, and what it is done to.

    Attributes:
        open: Why it is known to be open, where it is; it is then no failure.
        host: Whether it hangs on the host, or on being root, that it can be done without a box.
    """

    name: str
    target: str = ""
    open: str = ""
    host: bool = False


def _deeds(names: str, target: str = "", *, host: bool = False) -> tuple[Deed, ...]:
    return tuple(Deed(name=name, target=target, host=host) for name in names.split())


FILES = (
    *_deeds("read_a_file list_a_folder write_a_file make_a_file delete_a_file replace_a_file truncate_a_file", "file"),
    *_deeds("link_a_file_and_write follow_a_link through_proc_root through_a_descriptor", "file"),
    *_deeds("close_a_file_to_its_owner date_a_file_back watch_a_folder", "file"),
    *_deeds("note_on_a_file flag_a_file", "file", host=True),
    *_deeds("flag_an_input", "input", host=True),
    *_deeds("add_a_row", "database"),
    *_deeds("attach_shared_memory", "memory"),
    *_deeds("read_users make_a_pipe share_memory_by_a_file keep_its_log"),
    *_deeds("make_a_device", host=True),
    Deed(name="tell_a_files_size", target="file", open="stat is no matter of Landlock's"),
    Deed(name="lock_an_input", target="input", open="nobody else locks them"),
)
PROCESSES = (
    *_deeds("read_environment_of read_memory_of signal_a_process signal_by_a_file limit_a_process renice_a_process", "process"),
    *_deeds("trace_a_process take_a_descriptor", "process", host=True),
    *_deeds("read_memory_by_a_call", "place", host=True),
    *_deeds("list_processes list_connections leave_its_group be_its_callers_child outlive_its_caller"),
    *_deeds("list_a_control_group be_the_last_to_be_killed run_before_all_others become_another_user", host=True),
    Deed(name="pin_a_process", target="process", open="threads are pinned by number too"),
    Deed(name="guess_a_number", target="process", open="numbers tell that a process is there"),
)
NETWORK = (
    *_deeds("connect_by_tcp", "port"),
    *_deeds("connect_to_an_abstract_socket", "abstract"),
    *_deeds("connect_to_a_local_socket", "local"),
    *_deeds("send_from_a_pair", "letters"),
    *_deeds("listen_on_tcp send_by_udp ask_the_kernel"),
    *_deeds("send_raw_packets reach_the_machine_below", host=True),
)
KERNEL = _deeds(
    "make_a_namespace make_a_ring watch_the_processor keep_a_key watch_all_files catch_page_faults "
    "count_the_processors_events set_the_clock",
    host=True,
)
LIMITS = (
    "flood_the_log",
    "fill_the_disk",
    "make_files_in_no_time",
    "make_many_files",
    "hide_files_deep",
    "fill_deleted_files",
    "take_space_without_length",
)


def done(part: str, box: Box, names: list[str], fetch: Fetch) -> list[str]:
    """Does deeds in this process, around which all walls but a part are put up first; how each went.

    Args:
        fetch: Asked for each deed's target, and after it with "" whether all is as it was.
    """
    if part == "no box":
        os.chdir(box.home)
    else:
        gone = {"no files": {"files"}, "no calls": {"network"}, "neither": {"files", "network"}}.get(part, set())
        left = tuple(replace(wall, stands=wall.stands and wall.name not in gone) for wall in standing().walls)
        entering.standing = lambda: Walls(walls=left)  # type: ignore[attr-defined]
        entering.enter(box, keep=[int(number) for number in os.listdir("/proc/self/fd")], package="bench")
    found = []
    for name in names:
        told = _forked(name, fetch(name))
        intact = fetch("")
        found.append("DONE" if told == "done" else "held" if intact else "spoilt")
    return found


def _forked(name: str, target: str) -> str:
    """A deed in a process of its own, so that it does not spoil the next."""
    reading, writing = os.pipe()
    if (child := os.fork()) == 0:
        os.write(writing, deeds.told(name, target).encode())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as told:
        answer = told.read().decode()
    os.waitpid(child, 0)
    return answer


def went(asked: tuple[Deed, ...], parts: Sequence[str]) -> dict[str, list[str]]:
    """How each deed went, by what was taken away: "held", "DONE", or "spoilt" where it failed and did something all the same."""
    targets = {deed.name: deed.target for deed in asked}
    with tempfile.TemporaryDirectory() as folder, scene(Path(folder)) as where:

        def answer(name: str) -> object:
            if not name:
                return where.intact()
            where.reset()
            return where.target(targets[name])

        box = Box(home=where.home, reads=(where.given,))
        child = Child(log=where.folder / "log")
        found = {part: child.call(done, part, box, list(targets), fetch=answer) for part in parts}
        where.reset()
    return found


def matrix(asked: tuple[Deed, ...], tries: Tries) -> None:
    columns = went(asked, PARTS)
    print(f"{'':<13}{'':<34}" + "".join(f"{part:<10}" for part in PARTS), flush=True)
    for deed, *ends in zip(asked, *columns.values(), strict=True):
        note = f" open: {deed.open}" if deed.open else "" if ends[-1] == "DONE" else " not possible here without a box either"
        print(f"{'':<13}{deed.name:<34}" + "".join(f"{word:<10}" for word in ends) + note, flush=True)
        tries.count += len(PARTS) - 1
        tries.hold(ends[0] == "held" or bool(deed.open), f"{deed.name} was {ends[0]} in a box with all walls")


def files(_: Instance, tries: Tries) -> None:
    matrix(FILES, tries)


def processes(_: Instance, tries: Tries) -> None:
    matrix(PROCESSES, tries)


def network(_: Instance, tries: Tries) -> None:
    matrix(NETWORK, tries)


def kernel(_: Instance, tries: Tries) -> None:
    matrix(KERNEL, tries)


def environment(_: Instance, tries: Tries) -> None:
    """What the server and its worker are told by variables, a boxed process does not see."""
    secrets = (
        "ENGINEROOM_DATABASE",
        "ENGINEROOM_STORE",
        "AWS_SECRET_ACCESS_KEY",
        "STREAMLIT_COOKIE",
        "TF_API_TOKEN",
        "PGPASSWORD",
    )
    os.environ.update(dict.fromkeys(secrets, "swordfish"))
    try:
        with tempfile.TemporaryDirectory() as empty:
            boxed = Child(box=Box(home=Path(empty))).call(deeds.environment)
        bare = Child().call(deeds.environment)
    finally:
        for name in secrets:
            del os.environ[name]
    for name in secrets:
        tries.hold(name not in boxed, f"{name} is seen in a box")
        tries.hold(bare[name] == "swordfish", f"{name} is not seen without a box, so the try before says nothing")


def limits(_: Instance, tries: Tries) -> None:
    """What takes more than there is ends in words, and nothing of it stays."""
    for deed in LIMITS:
        home = Path(tempfile.mkdtemp())
        free = os.statvfs(home).f_bavail * os.statvfs(home).f_frsize
        box = Box(home=home, home_bytes=20_000_000, free_bytes=free - 200_000_000)
        if deed == "fill_deleted_files":
            box = replace(box, home_bytes=free)
        try:
            told = Child(box=box, seconds=60).call(deeds.told, deed, str(home))
        except NoAnswer as end:
            tries.hold(end.ending.kind is EndingKind.OUTPUT, f"{deed} ended so: {end}")
            print(f"{'':<13}{deed:<34}it {end.ending.words}", flush=True)
        else:
            tries.hold(False, f"{deed} went on to its end: {told}")
        clear_away(home)
        tries.hold(not home.exists(), f"of {deed} something is left")
    with tempfile.TemporaryDirectory() as empty:
        told = Child(box=Box(home=Path(empty), memory_bytes=2_000_000_000)).call(deeds.told, "take_memory", "")
        tries.hold("MemoryError" in told, f"take_memory ended so: {told}")


def walls(_: Instance, tries: Tries) -> None:
    tries.hold(of_host().complete, f"not all walls stand here: {of_host().words}")


ATTACKS = (
    Attack(name="walls of this host", run=walls),
    Attack(name="files of others", run=files),
    Attack(name="other processes", run=processes),
    Attack(name="sockets", run=network),
    Attack(name="the kernel's own doors", run=kernel),
    Attack(name="variables", run=environment),
    Attack(name="more than there is", run=limits),
)
