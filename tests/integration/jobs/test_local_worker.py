"""The worker that a dashboard starts for itself, and the command line over the same queue."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from bench.shop import ROOT, Shop, tiny_model, wait_until
from core.base.errors import StageCrashed
from core.jobs.device import Device
from core.jobs.job import JobState
from core.jobs.local import ensure_local_worker, is_running, let_go_of_ended, worker_log
from core.jobs.start import worker_lock_file

pytestmark = pytest.mark.usefixtures("forked")

START = """
import sys
from pathlib import Path
from core.jobs.local import ensure_local_worker
from core.storage.workspace import Workspace
print(ensure_local_worker(Workspace(Path(sys.argv[1]))))
"""


@pytest.mark.usefixtures("real_processes")
def test_many_dashboards_start_one_worker_that_outlives_them(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(shop.folder))
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    command = [sys.executable, "-c", START, str(shop.workspace.root)]
    dashboards = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    answers = [process.communicate(timeout=90)[0].strip() for process in dashboards]
    assert sorted(answers) == ["False", "False", "True"]
    wait_until(lambda: len(shop.queue.workers()) == 1, why=lambda: worker_log(shop.workspace).read_text())
    (worker,) = shop.queue.workers()
    try:
        assert os.getsid(worker.card.pid) != os.getsid(0)
        assert ensure_local_worker(shop.workspace) is False
        os.kill(worker.card.pid, signal.SIGKILL)
        wait_until(lambda: not is_running(worker_lock_file(shop.workspace, Device("cpu"))))
        assert ensure_local_worker(shop.workspace) is True
        fresh = wait_until(lambda: [w for w in shop.queue.workers() if w.card.id != worker.card.id])
        worker = fresh[0]
    finally:
        os.kill(worker.card.pid, signal.SIGTERM)
    wait_until(lambda: not [w for w in shop.queue.workers() if w.alive] and not let_go_of_ended())


def test_a_worker_that_cannot_start_tells_why(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("ENGINEROOM_DATABASE", "postgresql://nobody@127.0.0.1:1/none")
    with pytest.raises(StageCrashed, match="The local worker ended at once") as told:
        ensure_local_worker(shop.workspace)
    assert "Connection refused" in told.value.detail


def engineroom(shop: Shop, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "ENGINEROOM_WORKSPACE": str(shop.workspace.root), "PYTHONPATH": str(ROOT), "COLUMNS": "200"}
    command = [sys.executable, "-m", "core.cli", *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)


def test_the_command_line_submits_follows_cancels_and_cleans_up(shop: Shop, tmp_path: Path) -> None:
    model = str(tiny_model(tmp_path / "m.onnx"))
    alone = engineroom(shop, "submit", model, "--path", "onnx.onnxruntime", "--seed", "1", "--json")
    assert alone.returncode == 0, alone.stderr
    (submitted,) = json.loads(alone.stdout)
    assert submitted["answer"] == "queued"
    again = engineroom(shop, "submit", model, "--path", "onnx.onnxruntime", "--seed", "1")
    assert f"job {submitted['job']} is at it already" in again.stdout
    assert "No worker for 'cpu' is running" in again.stderr

    cancelled = engineroom(shop, "submit", model, "--path", "onnx.onnxruntime", "--seed", "2", "--json")
    other = json.loads(cancelled.stdout)[0]["job"]
    assert f"job {other} is cancelled" in engineroom(shop, "cancel", other[:8]).stdout

    shop.start_worker()
    followed = engineroom(shop, "log", "--follow", submitted["job"])
    assert "stage build of" in followed.stdout
    assert f"job {submitted['job']} is done" in followed.stderr
    listed = engineroom(shop, "jobs").stdout
    assert submitted["job"] in listed
    assert "cancelled" in listed
    retried = engineroom(shop, "retry", other)
    assert retried.returncode == 0, retried.stderr
    assert shop.finished(retried.stdout.split()[1]).state is JobState.DONE

    wrong = engineroom(shop, "cancel", "nosuchjob")
    assert wrong.returncode == 3
    assert "No job is called 'nosuchjob'" in wrong.stderr
    assert engineroom(shop, "submit", model, "--path", "onnx.onnxruntime", "--priority", "now").returncode == 2
    freed = engineroom(shop, "gc", "--quota", "0", "--json")
    assert freed.returncode == 0, freed.stderr
    assert list(shop.workspace.builds.iterdir()) == []
