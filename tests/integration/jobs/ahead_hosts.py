"""Hosts with real workers, a store between them and pretended GPUs: an engine is built on one and run on another."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from bench.shop import tiny_model, wait_until
from core.backends.base import all_backends
from core.benchmark.measurement import Protocol
from core.intake.add_model import add_model
from core.jobs.job import Job, JobState, Submitted
from core.jobs.queue import Queue
from core.request.build_request import BuildRequest
from core.storage.workspace import Workspace
from tests.forking import fork_server, forking
from tests.integration.jobs.ahead import ahead_of, mood_of, pretend_gpu, tree_with_ahead


@dataclass
class Hosts:
    """The dashboard's host, and workers on others; every host has a workspace of its own."""

    folder: Path
    tree: Path
    model: str
    queue: Queue
    workers: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    @property
    def mood(self) -> Path:
        return mood_of(self.tree)

    def environment(self, host: str) -> dict[str, str]:
        own = {
            "PYTHONPATH": str(self.tree),
            "ENGINEROOM_WORKSPACE": str(self.folder / host),
            "ENGINEROOM_DATABASE": self.queue.url,
            "ENGINEROOM_STORE": str(self.folder / "store"),
            "TMPDIR": str(self.folder / f"{host}-tmp"),
        }
        Path(own["TMPDIR"]).mkdir(exist_ok=True)
        return {**os.environ, **own}

    def start(self, host: str, device: str, gpu: tuple[str, str] | None = None) -> None:
        """A worker that has told its first sign of life, unless it is there already."""
        if host in self.workers:
            return
        environment = self.environment(host)
        if gpu:
            environment |= pretend_gpu(self.tree / "core" / f"{host}-driver", *gpu)
        command = [sys.executable, "-m", "core.cli", "worker", "--device", device, "--lease", "2"]
        with (self.folder / f"{host}.log").open("wb") as log:
            process = subprocess.Popen(command, env=environment, stdout=log, stderr=log, cwd=self.folder)
        self.workers[host] = process
        wait_until(lambda: any(w.card.pid == process.pid for w in self.queue.workers()), why=self.output)

    def stop(self, host: str) -> None:
        process = self.workers.pop(host)
        process.terminate()
        process.wait()

    def engineroom(self, *words: str) -> str:
        """What the program prints on the dashboard's host."""
        command = [sys.executable, "-m", "core.cli", *words]
        done = subprocess.run(command, env=self.environment("desk"), capture_output=True, text=True, check=False, cwd=self.folder)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def request(self, **changes: Any) -> BuildRequest:
        quick = Protocol(min_seconds=0.1, warmup_seconds=0.0)
        return BuildRequest(**{"model": self.model, "path": "onnx.ahead", "protocol": quick, **changes})

    def built(self, **changes: Any) -> str:
        """Key of a build that was not run."""
        done = self.finished(self.queue.submit(self.request(**changes)).job)
        assert done.state is JobState.DONE, done.error
        return done.key

    def finished(self, job: str | None) -> Job:
        def look() -> Job | None:
            found = self.queue.job(job or "")
            return found if found.state.finished else None

        return wait_until(look, seconds=60, why=lambda: f"{self.queue.job(job or '')}\n{self.output()}")

    def ran(self, submitted: Submitted) -> Job:
        """A run that has ended well."""
        done = self.finished(submitted.job)
        assert done.state is JobState.DONE, done.error
        return done

    def output(self) -> str:
        return "\n".join(path.read_text(errors="replace")[-3000:] for path in sorted(self.folder.glob("*.log")))


@contextmanager
def hosts_with_ahead(folder: Path) -> Iterator[Hosts]:
    """With the host that builds; a test starts what else it needs."""
    tree = tree_with_ahead(folder / "tree")
    desk = Workspace(folder / "desk")
    model = add_model(tiny_model(folder / "tiny.onnx"), desk)
    queue = Queue(desk, f"sqlite:///{folder / 'jobs.sqlite'}", str(folder / "store"))
    made = Hosts(folder=folder, tree=tree, model=model.digest, queue=queue)
    with pytest.MonkeyPatch.context() as patch, fork_server(tree) as server, forking(server, tree):
        patch.setitem(all_backends(), "ahead", ahead_of(tree).BACKEND)  # type: ignore[arg-type]
        try:
            made.start("cpu-host", "cpu")
            yield made
        finally:
            for host in list(made.workers):
                made.stop(host)
            queue.close()
            del sys.modules["core.backends.ahead"]
