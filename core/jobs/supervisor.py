"""Runs a job's stages under the guard, from the worker's side."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from core.base.children.call import Fetch, Process
from core.base.children.events import Ending, EndingKind
from core.base.progress import Report
from core.base.serialization import from_data
from core.jobs.guard import STUBBORN_SECONDS
from core.jobs.processes import boot_seconds, end_orphans
from core.stages.child import Interrupted, run_stage
from core.stages.stage import Needs
from core.stages.toolchains import Toolchain, python_path, toolchain_for
from core.storage.builds import StageName
from core.storage.store import Store


@dataclass(frozen=True, slots=True, kw_only=True)
class StageLimits:
    """What one stage may use: wall time, and resident memory of all its processes."""

    time_seconds: float
    memory_bytes: int


class Lease:
    """How long this worker may act without the database's word that it still counts as alive."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.renewed_at = boot_seconds()
        self.on_renewal: Callable[[], None] = lambda: None

    def renew(self, at: float) -> None:
        """The database's word was asked for at that time, and given."""
        self.renewed_at = at
        self.on_renewal()

    @property
    def valid(self) -> bool:
        return boot_seconds() - self.renewed_at < self.seconds


class GuardedChild:
    """A stage under its guard; `kill` ends the whole tree.

    The guard tells how the stage ended by a pipe of its own: what comes over the stage's may be a model's invention.
    It counts the stage's processes too.
    """

    crowd = None

    def __init__(
        self,
        command: list[str],
        *,
        environment: dict[str, str],
        log: IO[bytes],
        limits: dict[str, float],
        fds: Sequence[int],
        request: int = subprocess.DEVNULL,
    ) -> None:
        self._writing = threading.Lock()  # nobody may write to a number that was closed and given to another file
        control_read, self._control = os.pipe()
        ending_read, ending_write = os.pipe()
        self._ending, self._told = os.fdopen(ending_read, "rb"), b""
        os.set_blocking(self._control, False)
        told = {**limits, "control": control_read, "ending": ending_write}
        guard = [sys.executable, "-m", "core.jobs.guard", json.dumps(told), *command]
        try:
            self._guard = subprocess.Popen(
                guard,
                stdout=log,
                stderr=log,
                stdin=request,
                env=environment,
                pass_fds=(control_read, ending_write, *fds),
                start_new_session=True,
            )
        except OSError:
            os.close(self._control)
            self._ending.close()
            raise
        finally:
            os.close(control_read)
            os.close(ending_write)

    def tell(self, word: str) -> None:
        with self._writing, suppress(BrokenPipeError, BlockingIOError):  # the guard has ended, or is frozen
            if self._control >= 0:
                os.write(self._control, f"{word}\n".encode())

    def poll(self) -> int | None:
        return self._guard.poll()

    def wait(self) -> int:
        code = self._guard.wait()
        if not self._ending.closed:
            with self._ending as pipe:
                self._told = pipe.read()
        return code

    def ending(self, code: int) -> Ending:
        """A guard tells how its stage ended, unless something ended the guard."""
        if self._told:
            return from_data(Ending, json.loads(self._told))
        how = Ending.of(code).words if code else "ended without a word"
        return Ending(kind=EndingKind.SIGNALLED, words=f"was ended with the guard around it, which {how}")

    def kill(self) -> None:
        self.close()
        try:
            self._guard.wait(STUBBORN_SECONDS + 5)
        except subprocess.TimeoutExpired:
            self._guard.kill()

    def close(self) -> None:
        with self._writing:
            if self._control >= 0:
                os.close(self._control)
            self._control = -1


@dataclass(kw_only=True)
class Supervisor:
    """Runs the stages of one job; `run` is a `core.stages.pipeline.StageRunner`.

    Attributes:
        device_lock: File descriptor that holds the device; the guard inherits it, and outlives every process of the build.
        device: The device's type.
        build: The build's own folder, where the stages work in another.
        store: Where other hosts share what they made.
    """

    needs: Mapping[StageName, Needs]
    toolchains: Sequence[Toolchain]
    core_folder: Path
    limits: StageLimits
    lease: Lease
    device_lock: int
    environment: dict[str, str]
    device: str = ""
    build: Path | None = None
    store: Store | None = None

    def __post_init__(self) -> None:
        self._children: set[GuardedChild] = set()  # several in a head-to-head
        self._cancelled = False
        self.lease.on_renewal = self.tick

    def run(
        self,
        stage: StageName,
        folder: Path,
        report: Report,
        *,
        needs: Needs | None = None,
        turn: Fetch | None = None,
        holding: Path | None = None,
    ) -> None:
        """Runs one stage; in a head-to-head several threads each run one at once.

        Args:
            needs: What it needs, where that is not what the job's stages of that name do.
            turn, holding: See `run_stage`.

        Raises:
            EngineRoomError: The stage failed, or was cancelled.
            Interrupted: This worker was cut off; somebody else may be at the job.
        """
        if not self.lease.valid:
            raise Interrupted("The lease has run out.")
        chain = toolchain_for(needs or self.needs.get(stage, Needs()), self.toolchains)
        environment = {**self.environment, **python_path(chain.python, self.core_folder)}
        started: list[GuardedChild] = []

        def start(command: list[str], *, environment: dict[str, str], request: int, log: IO[bytes], events: int) -> Process:
            child = self._start(command, environment=environment, request=request, log=log, events=events)
            started.append(child)
            return child

        try:
            run_stage(
                stage,
                folder,
                report,
                device=self.device,
                build=self.build,
                python=chain.python,
                environment=environment,
                start=start,
                store=self.store,
                turn=turn,
                holding=holding,
            )
        finally:
            for child in started:
                child.close()
                child.wait()
            self._children.difference_update(started)

    def _start(
        self, command: list[str], *, environment: dict[str, str], request: int, log: IO[bytes], events: int
    ) -> GuardedChild:
        limits = {
            "lease_seconds": self.lease.seconds,
            "time_seconds": self.limits.time_seconds,
            "memory_bytes": self.limits.memory_bytes,
        }
        fds = (events, self.device_lock)
        child = GuardedChild(command, environment=environment, request=request, log=log, limits=limits, fds=fds)
        self._children.add(child)
        if self._cancelled:
            child.tell("cancel")
        return child

    def cancel(self) -> None:
        self._cancelled = True
        for child in tuple(self._children):
            child.tell("cancel")

    def tick(self) -> None:
        """Hands the lease on, and cleans up should something have killed a guard; to be called several times a second."""
        for child in tuple(self._children):
            child.tell(f"lease {self.lease.renewed_at}")
            if child.poll():
                end_orphans()

    def abandon(self) -> None:
        """Ends what runs, because this worker stops."""
        for child in tuple(self._children):
            child.close()
