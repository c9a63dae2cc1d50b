"""What the tests and `faults.py` share: a workspace with a tiny model, and workers as real processes."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import onnx
import psutil
from onnx import TensorProto, helper, numpy_helper

from core.base.serialization import to_data
from core.benchmark.measurement import Protocol
from core.intake.add_model import add_model
from core.jobs.device import parse_device
from core.jobs.job import Job
from core.jobs.queue import Queue
from core.jobs.start import OPTIONS_VARIABLE, WorkerOptions
from core.jobs.supervisor import StageLimits
from core.request.build_request import BuildRequest
from core.storage.workspace import Workspace

T = TypeVar("T")

ROOT = Path(__file__).parents[1]
PATH = "onnx.onnxruntime"


def wait_until(found: Callable[[], T | None], *, seconds: float = 40.0, why: Callable[[], str] = str) -> T:
    """What `found` returns, as soon as it is true."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if value := found():
            return value
        time.sleep(0.05)  # a look at the queue or at all processes takes some milliseconds itself
    raise AssertionError(f"not within {seconds} s: {why()}")


def tiny_model(path: Path) -> Path:
    weight = numpy_helper.from_array(np.eye(4, dtype=np.float32), "w")
    node = helper.make_node("MatMul", ["x", "w"], ["y"], name="matmul")
    tensors = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", 4]) for name in ("x", "y")]
    graph = helper.make_graph([node], "tiny", tensors[:1], tensors[1:], [weight])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), path)
    return path


@dataclass
class Shop:
    """One workspace with its queue and workers."""

    folder: Path
    workspace: Workspace
    model: str
    python: Path
    database: str | None = None
    store: str | None = None
    workers: list[subprocess.Popen[bytes]] = field(default_factory=list)
    queues: list[Queue] = field(default_factory=list)

    @property
    def queue(self) -> Queue:
        if not self.queues:
            self.queues.append(Queue(self.workspace, self.database, self.store))
        return self.queues[0]

    def request(self, seed: int = 0, **changes: Any) -> BuildRequest:
        protocol = Protocol(min_seconds=0.1, warmup_seconds=0.0)
        return BuildRequest(**{"model": self.model, "path": PATH, "seed": seed, "protocol": protocol, **changes})

    def behave(self, seed: int, script: str, stage: str = "build") -> BuildRequest:
        """The request whose stage of that name runs this script."""
        (self.folder / "behaviour").mkdir(exist_ok=True)
        (self.folder / "behaviour" / (f"{seed}" if stage == "build" else f"{seed}.{stage}")).write_text(script)
        return self.request(seed)

    def launch_worker(
        self,
        device: str = "cpu",
        *,
        fake: bool = True,
        interpreter: str = sys.executable,
        workspace: Path | None = None,
        toolchains: Sequence[tuple[str, str]] = (),
        time_limit: float = 600.0,
        memory_bytes: int = 4_000_000_000,
        lease: float = 2.0,
    ) -> subprocess.Popen[bytes]:
        """A worker that starts now; with real stages when it is not `fake`."""
        options = WorkerOptions(
            workspace=Workspace(workspace) if workspace else self.workspace,
            device=parse_device(device),
            limits=StageLimits(time_seconds=time_limit, memory_bytes=memory_bytes),
            database=self.database,
            store=self.store,
            toolchains=[*([("default", str(self.python))] if fake else []), *toolchains],
            lease_seconds=lease,
        )
        given = {OPTIONS_VARIABLE: json.dumps(to_data(options)), "TMPDIR": str(self.folder), "PYTHONPATH": str(ROOT)}
        with (self.folder / f"worker-{len(self.workers)}.log").open("wb") as output:
            command = [interpreter, "-m", "core.jobs"]
            process = subprocess.Popen(command, env={**os.environ, **given}, stdout=output, stderr=output, cwd=self.folder)
        self.workers.append(process)
        return process

    def start_worker(self, device: str = "cpu", **options: Any) -> subprocess.Popen[bytes]:
        """A worker that has told its first sign of life."""
        process = self.launch_worker(device, **options)

        def joined() -> bool:
            if process.poll() is not None:
                raise AssertionError(self.output())
            return any(worker.card.pid == process.pid for worker in self.queue.workers())

        wait_until(joined, seconds=300.0, why=self.output)
        return process

    def finished(self, job: str | None, *, seconds: float = 40.0) -> Job:
        def look() -> Job | None:
            found = self.queue.job(job or "")
            return found if found.state.finished else None

        return wait_until(look, seconds=seconds, why=lambda: f"{self.queue.job(job or '')}\n{self.output()}")

    def started(self, job: str | None) -> Job:
        """The job, once its build stage is under way."""
        found = self.queue.job(job or "")

        def under_way() -> bool:
            if self.queue.job(found.id).state.finished:
                raise AssertionError(f"{self.queue.job(found.id)}\n{self.output()}")
            return any((e["event"], e.get("key"), e.get("stage")) == ("start", found.key, "build") for e in self.journal())

        wait_until(under_way, why=self.output)
        return self.queue.job(found.id)

    def journal(self) -> list[dict[str, Any]]:
        path = self.folder / "journal.jsonl"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    def output(self) -> str:
        return "\n".join(path.read_text(errors="replace")[-3000:] for path in sorted(self.folder.glob("worker-*.log"))[-4:])

    def freeze(self, worker: subprocess.Popen[bytes]) -> None:
        """Stops a worker between two of its writes: in the midst of one, SQLite stays locked for everyone until it goes on."""

        def frozen() -> bool:
            worker.send_signal(signal.SIGSTOP)
            connection = sqlite3.connect(self.workspace.root / "jobs.sqlite", timeout=0.2)
            try:
                connection.execute("BEGIN IMMEDIATE")
                connection.rollback()
            except sqlite3.OperationalError:
                worker.send_signal(signal.SIGCONT)
                return False
            finally:
                connection.close()
            return True

        wait_until(frozen, why=self.output)

    def stage_processes(self) -> list[psutil.Process]:
        """Processes of stages that run now."""
        found = []
        for process in psutil.process_iter(["cmdline", "status"]):
            line = process.info["cmdline"] or ()
            if str(self.folder / "fake_python.py") in line or (str(self.python) in line and "core.jobs.guard" not in line):
                found.append(process)
        return [process for process in found if process.info["status"] != psutil.STATUS_ZOMBIE]

    def close(self) -> None:
        for process in self.workers:
            process.kill()
            process.wait()
        wait_until(lambda: not self.stage_processes(), why=self.output)
        for queue in self.queues:
            queue.close()


def make_shop(folder: Path, **settings: Any) -> Shop:
    workspace = Workspace(folder / "workspace")
    (folder / "fake_python.py").write_text((ROOT / "bench/fake_python.py").read_text())
    python = folder / "fake-python"
    python.write_text(f'#!/bin/sh\nexec {sys.executable} -IS {folder}/fake_python.py {folder} "$@"\n')
    python.chmod(0o755)
    model = add_model(tiny_model(folder / "tiny.onnx"), workspace)
    return Shop(folder=folder, workspace=workspace, model=model.digest, python=python, **settings)
