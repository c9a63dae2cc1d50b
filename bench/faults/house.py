"""A workspace with everything real in it: the dashboard's server, a worker, builds of small models; and what is true of it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import psutil
from onnx import numpy_helper

from bench.driver import free_port, start_server
from bench.shop import Shop, make_shop, tiny_model
from core.jobs.device import Device, try_lock
from core.jobs.job import JobState
from core.jobs.processes import children, descendants
from core.jobs.start import worker_lock_file
from core.storage.builds import engine_artifact
from core.storage.digest import digest_of

GUARD = b"core.jobs.guard"
CHILD = b"core.base.children"
DEVICE = Device("cpu")
LEASE_SECONDS = 5.0


def command_line(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def seeded_model(path: Path, seed: int) -> Path:
    """A tiny model like no other."""
    model = onnx.load(tiny_model(path))
    weights = np.random.default_rng(seed).normal(size=(4, 4)).astype(np.float32)
    model.graph.initializer[0].CopyFrom(numpy_helper.from_array(weights, "w"))
    onnx.save(model, path)
    return path


@dataclass
class House:
    """See above.

    Attributes:
        shop: Its workspace, worker and queue; the folder is TMPDIR of all its processes.
    """

    shop: Shop
    port: int = field(default_factory=free_port)
    server: subprocess.Popen[bytes] | None = None
    worker: subprocess.Popen[bytes] | None = None
    _whole: set[Path] = field(default_factory=set)

    @property
    def folder(self) -> Path:
        return self.shop.folder

    def start_server(self) -> None:
        self.server, _ = start_server(self.shop.workspace, self.folder / "server.log", port=self.port, TMPDIR=str(self.folder))

    def start_worker(self, *, wait: bool = False, workspace: Path | None = None) -> None:
        """Args:
        wait: Until it has told its first sign of life.
        workspace: Of another host.
        """
        start = self.shop.start_worker if wait else self.shop.launch_worker
        self.worker = start(fake=False, lease=LEASE_SECONDS, workspace=workspace)

    def guard(self) -> int | None:
        """Of the stage that runs now."""
        found = [pid for pid in children(self.worker.pid) if GUARD in command_line(pid)] if self.worker else []
        return found[0] if found else None

    def stage(self) -> int | None:
        """The process of the stage that runs now."""
        guard = self.guard()
        found = [pid for pid in children(guard) if CHILD in command_line(pid)] if guard else []
        return found[0] if found else None

    def at_work(self) -> tuple[str, str] | None:
        """Key of the build and name of the stage that a stage's process is at."""
        stage = self.stage()
        words = command_line(stage).split(b"\0") if stage else []
        return (Path(words[-2].decode()).name, words[-3].decode()) if len(words) > 3 else None

    def processes(self) -> set[int]:
        """All that belong to this house, by what they were told: those of nobody else name its folder."""
        own, found = os.fsencode(self.folder), set()
        for name in os.listdir("/proc"):
            if not name.isdigit() or int(name) == os.getpid():
                continue
            with suppress(OSError):
                told = Path(f"/proc/{name}/cmdline").read_bytes() + Path(f"/proc/{name}/environ").read_bytes()
                if own in told:
                    found.add(int(name))
        return found

    def orphans(self) -> dict[int, str]:
        """Processes that neither server nor worker answers for."""
        kept: set[int] = set()
        for process in (self.server, self.worker):
            if process and process.poll() is None:
                kept |= {process.pid, *descendants(process.pid)}
        return {pid: command_line(pid).replace(b"\0", b" ").decode(errors="replace") for pid in self.processes() - kept}

    def running_without_a_worker(self) -> list[str]:
        """Jobs that are said to run, and nobody is at."""
        alive = {worker.card.id for worker in self.shop.queue.workers() if psutil.pid_exists(worker.card.pid)}
        return [job.id for job in self.shop.queue.jobs(states=[JobState.RUNNING], limit=1000) if job.worker not in alive]

    def torn(self) -> list[str]:
        """What stands in its place and is not whole: models, artifacts, records; what was whole before is not read again."""
        workspace = self.shop.workspace
        found = []
        for folder in (*workspace.artifacts.glob("*"), *workspace.models.glob("*")):
            if folder in self._whole:
                continue
            trouble = _torn_model(folder) if folder.parent == workspace.models else _torn_artifact(folder)
            found += [f"{folder.parent.name}/{folder.name[:12]} {trouble}"] if trouble else []
            self._whole |= set() if trouble else {folder}
        for path in (*workspace.builds.glob("*/*.json"), *workspace.artifacts.glob("*/*.json")):
            try:
                json.loads(path.read_text())
            except FileNotFoundError:
                continue
            except ValueError:
                found.append(f"{path.relative_to(workspace.root)} is torn")
        for folder in workspace.builds.glob("*"):
            engine = engine_artifact(folder)
            if (
                engine and workspace.artifact(engine) is None and not self.shop.store
            ):  # a store's engines come when they are asked for
                found.append(f"build {folder.name[:12]} names an engine that is not there")
        return found

    def left_behind(self) -> list[str]:
        """What nobody at work needs, when nobody is at work: partial work, temporary files, locks that are held."""
        found = [str(path.relative_to(self.folder)) for path in self.folder.glob("*/tmp/*")]
        found += [str(path.relative_to(self.folder)) for path in self.folder.rglob("*.partial")]
        known = ("engine-room-", "workspace", "worker-", "server.log", "fake", "tiny.onnx", "models")
        found += [path.name for path in self.folder.iterdir() if not path.name.startswith(known)]
        locks = {"device": self.folder / f"engine-room-{os.getuid()}" / DEVICE.lock_file.name}
        locks["worker"] = worker_lock_file(self.shop.workspace, DEVICE)
        for name, path in locks.items():
            if (lock := try_lock(path)) is None:
                found.append(f"the {name}'s lock is held")
            else:
                os.close(lock)
        return found

    def stop(self) -> None:
        """Server and worker are told to end, and do."""
        for process in (self.server, self.worker):
            if process and process.poll() is None:
                process.send_signal(signal.SIGCONT)
                process.send_signal(signal.SIGTERM)
        for process in (self.server, self.worker):
            if process:
                process.wait(30)

    def close(self) -> None:
        for process in (self.server, self.worker):
            if process and process.poll() is None:
                process.send_signal(signal.SIGCONT)
                process.kill()
                process.wait()
        for pid in self.orphans():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.shop.close()


def _torn_artifact(folder: Path) -> str:
    if not (folder / "recipe.json").is_file():
        return "has no recipe"
    try:
        for path in folder.rglob("*.onnx"):
            onnx.checker.check_model(onnx.load(path))
        for path in folder.rglob("*.zip"):
            if zipfile.ZipFile(path).testzip():
                return f"has a damaged {path.name}"
    except Exception as error:  # whatever the libraries say of a file that is not whole
        return f"cannot be read: {error}"
    return ""


def _torn_model(folder: Path) -> str:
    content = folder / "content"
    files = {str(path.relative_to(content)): path for path in content.rglob("*") if path.is_file()}
    whole = (folder / "model.json").is_file() and digest_of(files) == folder.name
    return "" if whole else "is not what its name says"


@contextmanager
def house(**settings: Any) -> Iterator[House]:
    """One that is gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="faults-", ignore_cleanup_errors=True) as folder:
        made = House(make_shop(Path(folder), **settings))
        try:
            yield made
        finally:
            made.close()


def seconds_until(found: Callable[[], bool], *, limit: float, every: float = 0.05) -> float | None:
    """How long it took until that was so; None when it was not in time."""
    started = time.monotonic()
    while not found():
        if time.monotonic() - started > limit:
            return None
        time.sleep(every)
    return time.monotonic() - started
