"""Many hosts, played by workers with workspaces of their own: Postgres, a shared store, two device types, Python 3.10 too."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from bench.postgres import Server, cluster, find_programs
from bench.shop import ROOT, Shop, make_shop, wait_until
from core.base.errors import StoreFailed
from core.jobs.database import prepare
from core.jobs.job import Answer, JobState
from core.jobs.queue import Queue
from core.stages.toolchains import link_core, probe
from core.stages.tools import ML_DTYPES, ONNXRUNTIME, ONNXSLIM
from core.storage.builds import State

pytestmark = pytest.mark.usefixtures("forked")

REQUIREMENTS = ROOT / "requirements/worker.txt"


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    programs = find_programs()
    if programs is None:
        pytest.skip("no Postgres server is installed (Debian: apt-get install postgresql)")
    with cluster(programs) as running:
        yield running


@pytest.fixture
def postgres(server: Server) -> str:
    return server.url


@pytest.fixture(scope="session")
def python310() -> str:
    """CPython 3.10 with what a worker needs, made once and kept inside of .venv."""
    venv = ROOT / ".venv/worker-3.10"
    done = venv / "installed.txt"
    if not done.exists() or done.read_text() != REQUIREMENTS.read_text():
        candidates = [*sorted(Path.home().glob(".pyenv/versions/3.10*/bin/python")), Path("/usr/bin/python3.10")]
        found = next((path for path in candidates if path.exists()), None)
        if found is None:
            pytest.skip("no CPython 3.10 is installed here (pyenv install 3.10)")
        pip = [
            sys.executable,
            "-m",
            "pip",
            "--python",
            str(venv / "bin/python"),
            "install",
            "--quiet",
        ]  # it needs none of its own
        pinned = ["--no-deps", "--no-compile", "--require-hashes", "-r", str(REQUIREMENTS)]
        for command in ([str(found), "-m", "venv", "--without-pip", str(venv)], [*pip, *pinned]):
            made = subprocess.run(command, capture_output=True, text=True, check=False)
            if made.returncode:
                pytest.skip(f"CPython 3.10's environment could not be made: {made.stderr[-300:]}")
        done.write_text(REQUIREMENTS.read_text())
    return str(venv / "bin/python")


@pytest.fixture
def hosts(tmp_path: Path, postgres: str) -> Iterator[Shop]:
    """The dashboard's host; workers get other workspaces."""
    made = make_shop(tmp_path, database=postgres, store=str(tmp_path / "store"))
    yield made
    made.close()


@pytest.mark.usefixtures("real_processes")
def test_jobs_go_to_workers_of_their_device_type_and_results_come_back(hosts: Shop, python310: str) -> None:
    gpu_host, cpu_host = hosts.folder / "gpu-host", hosts.folder / "cpu-host"
    hosts.start_worker("cuda", interpreter=python310, workspace=gpu_host)
    hosts.start_worker("cpu", fake=False, workspace=cpu_host)
    by_type = {worker.card.device_type: worker.card for worker in hosts.queue.workers()}
    assert by_type["cuda"].versions["python"].startswith("3.10.")
    assert by_type["cpu"].versions["python"].startswith(f"3.{sys.version_info.minor}.")

    on_gpu = hosts.queue.submit(hosts.request(device="cuda"))
    on_cpu = hosts.queue.submit(hosts.request(device="cpu"))
    done = {job.device: job for job in (hosts.finished(on_gpu.job), hosts.finished(on_cpu.job, seconds=90))}
    assert {job.state for job in done.values()} == {JobState.DONE}, [job.error for job in done.values()]
    assert {device: job.worker for device, job in done.items()} == {name: card.id for name, card in by_type.items()}

    assert not hosts.workspace.build_folder(on_cpu.key).exists()
    outcome = hosts.queue.outcome(on_cpu.key)
    assert outcome.build.state is State.DONE
    assert outcome.measurement is not None
    assert outcome.parity is not None
    assert outcome.parity.passed
    assert outcome.built is not None
    assert hosts.workspace.artifact(outcome.built.artifact) is None
    hosts.queue.bring_artifacts(on_cpu.key)
    engine = hosts.workspace.artifact(outcome.built.artifact)
    assert engine is not None
    assert (engine / outcome.built.engine.artifact).exists()
    assert hosts.queue.submit(hosts.request(device="cpu")).answer is Answer.STORED


def test_a_dead_hosts_job_goes_to_another_of_its_type(hosts: Shop) -> None:
    script = f"import os, time\nif '{hosts.folder}/first/' in folder: time.sleep(600)"
    first = hosts.start_worker("cpu:1", workspace=hosts.folder / "first")
    job = hosts.started(hosts.queue.submit(hosts.behave(1, script)).job)
    hosts.start_worker("cpu:2", workspace=hosts.folder / "second")
    hosts.start_worker("cuda", workspace=hosts.folder / "third")
    first.send_signal(signal.SIGKILL)
    first.wait()
    done = hosts.finished(job.id)
    assert done.state is JobState.DONE
    assert done.attempt == 2
    assert "/cpu:2/" in (done.worker or "")
    assert not [entry for entry in hosts.journal() if entry["event"] == "doubled"]
    ends = [entry["stage"] for entry in hosts.journal() if entry["event"] == "end"]
    assert len(ends) == len(set(ends)), "a stage that the first host had finished ran again"
    wait_until(lambda: {w.card.device for w in hosts.queue.workers()} == {"cpu:2", "cuda:0"}, why=hosts.output)


def test_a_frozen_host_never_runs_its_job_beside_its_successor(hosts: Shop) -> None:
    script = f"import os, time\ntime.sleep(600 if '{hosts.folder}/first/' in folder else 2)"
    frozen = hosts.start_worker("cpu:1", workspace=hosts.folder / "first")
    job = hosts.started(hosts.queue.submit(hosts.behave(1, script)).job)
    hosts.start_worker("cpu:2", workspace=hosts.folder / "second")
    frozen.send_signal(signal.SIGSTOP)
    wait_until(lambda: [e["event"] for e in hosts.journal() if e["stage"] == "build"].count("start") == 2, why=hosts.output)
    frozen.send_signal(signal.SIGCONT)
    assert hosts.finished(job.id).state is JobState.DONE
    assert [e["event"] for e in hosts.journal() if e["stage"] == "build"] == ["start", "start", "end"]
    assert not [entry for entry in hosts.journal() if entry["event"] == "doubled"]


def test_a_worker_that_lost_the_database_ends_its_build_and_goes_on_when_it_is_back(hosts: Shop, server: Server) -> None:
    worker = hosts.start_worker()
    waiting = hosts.queue.submit(hosts.request(2))
    hosts.finished(waiting.job)
    job = hosts.started(hosts.queue.submit(hosts.behave(1, "import time; time.sleep(600)")).job)
    server.stop()
    wait_until(lambda: not hosts.stage_processes(), seconds=10, why=hosts.output)
    with pytest.raises(StoreFailed, match="Check that it runs"):
        hosts.queue.jobs()
    hosts.behave(1, "")
    server.start()
    done = hosts.finished(job.id)
    assert done.state is JobState.DONE
    assert worker.poll() is None
    assert not [entry for entry in hosts.journal() if entry["event"] == "doubled"]


def test_many_processes_may_make_the_tables_at_once(postgres: str) -> None:
    fresh = f"{postgres.rpartition('/')[0]}/made_by_many"
    modules = "from core.jobs.database import prepare; from core.jobs.heartbeats import Heartbeats"
    script = f"{modules}; prepare({fresh!r}); Heartbeats({fresh!r})"
    with ThreadPoolExecutor(3) as pool:
        done = list(
            pool.map(lambda _: subprocess.run([sys.executable, "-c", script], capture_output=True, check=False), range(3))
        )
    assert [one.returncode for one in done] == [0] * 3, done[0].stderr.decode()[-500:]
    prepare(fresh)


def test_the_queue_tells_the_same_on_postgres(hosts: Shop) -> None:
    hosts.start_worker()
    failed = hosts.finished(hosts.queue.submit(hosts.behave(1, "import ctypes; ctypes.string_at(0)")).job)
    assert failed.state is JobState.FAILED
    assert failed.error is not None
    assert "SIGSEGV" in failed.error.message
    assert "stage build of" in hosts.queue.log(failed.id).text
    running = hosts.started(hosts.queue.submit(hosts.behave(2, "import time; time.sleep(600)")).job)
    other = Queue(hosts.workspace, hosts.database, hosts.store)
    assert other.cancel(running.id).state is JobState.CANCELLED
    other.close()
    wait_until(lambda: not hosts.stage_processes(), seconds=5)
    hosts.behave(2, "")
    assert hosts.finished(hosts.queue.retry(running.id).job).state is JobState.DONE


def test_core_works_under_python_310(python310: str, tmp_path: Path) -> None:
    found = probe("py310", python310, link_core(tmp_path))
    assert found.version.startswith("3.10.")
    assert {name for name, tool in found.tools.items() if tool.available} == {ONNXSLIM, ONNXRUNTIME, ML_DTYPES}
    assert not found.backends["openvino"].available
    assert found.backends["openvino"].hint == "pip install openvino"
