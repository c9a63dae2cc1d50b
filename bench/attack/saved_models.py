"""Hostile SavedModels: what each does without a box, and what it does in one."""

from __future__ import annotations

import os
import socket
import sqlite3
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from bench.attack.attempt import Attack, Tries
from bench.attack.hostile_models import DEEDS, TO_OTHERS, WITHOUT_END, Victims, run, save
from bench.attack.instance import Instance
from core.base.box.box import GIGABYTE, Box
from core.base.box.limits import limited_box
from core.base.children.call import Child, NoAnswer
from core.base.children.events import Ending, EndingKind
from core.base.progress import Progress, Report, silent

HIDDEN = "postgresql://hidden"
SECONDS = 90.0
ENDED = Ending(kind=EndingKind.CANCELLED, words="was heard")
MEMORY_BYTES = 5 * GIGABYTE  # TensorFlow takes three without doing anything


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """A model with a signature for each deed, and what it is after."""

    folder: Path
    victims: Victims
    server: socket.socket

    def reset(self) -> None:
        self.victims.program.write_text("x = 1\n")
        self.victims.made.unlink(missing_ok=True)
        with sqlite3.connect(self.victims.database) as connection:
            connection.execute("drop table if exists jobs")
            connection.execute("create table jobs (name)")
            connection.execute("insert into jobs values ('theirs')")

    def box(self) -> Box:
        home = self.folder / "home"
        home.mkdir(exist_ok=True)
        return limited_box(home, [self.folder / "model"], memory_bytes=MEMORY_BYTES)

    def went(self, names: Sequence[str], box: Box | None, report: Report = silent) -> tuple[str, str]:
        """How the process ended that did these deeds, and what it printed."""
        self.reset()
        log = self.folder / "log.txt"
        log.unlink(missing_ok=True)
        ended = "ended"
        try:
            Child(box=box, log=log, seconds=SECONDS).call(run, self.folder / "model", list(names), report)
        except NoAnswer as end:
            ended = end.ending.words
        return ended, log.read_text(errors="replace")

    def harm(self, name: str, log: str) -> bool:
        """Whether it had what it is after."""
        with sqlite3.connect(self.victims.database) as connection:
            rows = [row for (row,) in connection.execute("select name from jobs")]
        leaks = [line for line in log.splitlines() if line.startswith("LEAK>")]
        own = "ENGINEROOM_EVENTS"  # a child's variable, which its caller has not
        found: dict[str, Callable[[], bool]] = {
            "read_users": lambda: any("root:" in line for line in leaks),
            "read_secret": lambda: any("swordfish" in line for line in leaks),
            "read_own_variables": lambda: any(HIDDEN in line for line in leaks),
            "read_callers_variables": lambda: any("PATH=" in line and own not in line for line in leaks),
            "list_processes": lambda: any("/environ" in line for line in leaks),
            "write_file": lambda: self.victims.program.read_text().startswith("import os"),
            "append_by_print": lambda: self.victims.program.read_text().endswith("\nimport os\n"),
            "make_file": self.victims.made.exists,
            "read_rows": lambda: any("theirs" in line for line in leaks),
            "insert_row": lambda: rows != ["theirs"],
        }
        return found[name]() if name in found else f"DONE {name}" in log


@contextmanager
def scene() -> Iterator[Scene]:
    with tempfile.TemporaryDirectory() as place, socket.create_server(("127.0.0.1", 0)) as server:
        folder = Path(place)
        (folder / "secret").write_text("swordfish\n")
        victims = Victims(
            secret=folder / "secret",
            program=folder / "program.py",
            database=folder / "jobs.sqlite",
            port=server.getsockname()[1],
        )
        Child().call(save, folder / "model", victims)
        os.environ["ENGINEROOM_DATABASE"] = HIDDEN
        try:
            yield Scene(folder=folder, victims=victims, server=server)
        finally:
            del os.environ["ENGINEROOM_DATABASE"]


def deeds(_: Instance, tries: Tries) -> None:
    with scene() as where:
        harmed: dict[bool, list[str]] = {True: [], False: []}
        for boxed, names in ((False, DEEDS), (True, DEEDS[:-2]), *((True, [name]) for name in DEEDS[-2:])):
            log = where.went(names, where.box() if boxed else None)[1]  # a database that it cannot open crashes TensorFlow
            harmed[boxed] += [name for name in names if where.harm(name, log)]
    for name in DEEDS:
        ends = ["DONE" if name in harmed[boxed] else "held" for boxed in (True, False)]
        print(f"{'':<13}{name:<34}{ends[0]:<10}without a box: {ends[1]}", flush=True)
        tries.hold(ends[0] == "held", f"{name} had what it was after in a box")
        tries.hold(ends[1] == "DONE", f"{name} has not what it is after without a box either, so the try before says nothing")


def without_end(_: Instance, tries: Tries) -> None:
    """Ended in words, each by its limit; not tried without."""
    with scene() as where:
        for name in WITHOUT_END:
            ended, log = where.went([name], where.box())
            told = (
                next((line for line in reversed(log.splitlines()[-20:]) if "rror" in line), "")[:100]
                if ended == "ended"
                else ended
            )
            print(f"{'':<13}{name:<34}{told}", flush=True)
            tries.hold(f"DONE {name}" not in log, f"{name} came to its end")


def to_others(_: Instance, tries: Tries) -> None:
    """What reaches out of the host, or into Python."""
    with scene() as where:
        where.server.settimeout(0.5)
        callers: dict[bool, bool] = {}
        for name in TO_OTHERS:
            for box in (where.box(), None) if name == "connect" else (where.box(),):

                def listen(step: Progress, boxed: bool = box is not None) -> None:
                    where.server.settimeout(10 if boxed else 60)
                    with suppress(TimeoutError), where.server.accept()[0]:
                        callers[boxed] = True
                    raise NoAnswer(ENDED)

                log = where.went([name], box, listen if name == "connect" else silent)[1]
                if name != "connect":
                    tries.hold(f"DONE {name}" not in log, f"{name} came to its end in a box")
        tries.hold(True not in callers, "it connected to a port in a box")
        tries.hold(False in callers, "it does not connect without a box either, so the try before says nothing")


ATTACKS = (
    Attack(name="SavedModels that read, write and list", run=deeds),
    Attack(name="SavedModels without an end", run=without_end),
    Attack(name="SavedModels that reach out", run=to_others),
)
