"""An engine is built on one host and run on another, which has the GPU: real workers, a store between them, pretended GPUs."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from core.base.errors import InvalidRequest
from core.jobs.job import Answer, JobKind, JobState
from core.stages.outcome import Outcome
from core.storage.builds import StageName, State
from core.storage.workspace import Workspace
from tests.integration.jobs.ahead_hosts import Hosts, hosts_with_ahead

WAITS = "a GPU worker of compute capability 8.6 or 8.9 that has Ahead"
NOT_RUN = "not run here: it runs on a GPU of compute capability 8.6 (RTX 30, A10) or 8.9 (RTX 40, L4)"


@pytest.fixture(scope="module")
def hosts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hosts]:
    """Each test starts what else it needs, and builds with a seed of its own."""
    with hosts_with_ahead(tmp_path_factory.mktemp("hosts")) as made:
        yield made


def is_whole(outcome: Outcome, gpu: str) -> None:
    """Holds the figures of a build that was run on that GPU."""
    build = outcome.build
    assert build.not_run == ""
    assert build.run is not None
    assert (build.run.state, build.run.place.name) == (State.DONE, gpu)
    assert outcome.measurement is not None
    assert outcome.measurement.machine["gpu"] == gpu
    assert outcome.measurement.machine["compute capability"] == build.run.place.capability
    assert outcome.parity is not None
    assert outcome.parity.passed
    assert outcome.graph is not None
    assert [layer.time_ms for layer in outcome.graph.layers] == [0.25] * len(outcome.graph.layers)
    assert outcome.graph.notes == ()


def test_a_build_waits_for_a_gpu_and_is_run_there(hosts: Hosts) -> None:
    hosts.start("h100-host", "cuda", ("NVIDIA H100", "9.0"))
    build = hosts.finished(hosts.queue.submit(hosts.request(), run_elsewhere=True).job)
    assert build.state is JobState.DONE
    assert build.not_run == NOT_RUN
    run = next(job for job in hosts.queue.jobs() if job.kind is JobKind.RUN)
    assert (run.state, run.key, run.waits_for) == (JobState.QUEUED, build.key, WAITS)
    assert [record.stage for record in run.stages] == [StageName.INSPECT, StageName.PARITY, StageName.MEASURE]

    before = hosts.queue.outcome(build.key)
    assert before.build.not_run == NOT_RUN
    assert before.parity is before.measurement is None
    assert before.graph is not None
    assert before.graph.notes == (f"The layers were not timed; {NOT_RUN}.",)
    assert "done, not run here" in hosts.engineroom("builds")
    assert "waits for a GPU worker of compute capability 8.6 or 8.9" in hosts.engineroom("jobs")

    joined = hosts.queue.run(build.key)
    assert (joined.answer, joined.job, joined.note) == (Answer.JOINED, run.id, f"The run waits for {WAITS}.")
    with pytest.raises(InvalidRequest, match="needs it"):
        hosts.queue.delete_build(build.key)
    assert hosts.queue.cancel(run.id).state is JobState.CANCELLED
    again = hosts.queue.submit(hosts.request(), run_elsewhere=True)
    assert again.job not in (run.id, None)
    assert again.note == f"It was built before; its run is queued. The run waits for {WAITS}."

    other = hosts.queue.submit(hosts.request(device="cuda"))
    assert hosts.finished(other.job).state is JobState.DONE, "held up by a job that waits for another GPU"
    assert hosts.queue.job(again.job or "").state is JobState.QUEUED

    hosts.start("l4-host", "cuda", ("NVIDIA L4", "8.9"))
    done = hosts.ran(again)
    assert hosts.queue.job(run.id).state is JobState.CANCELLED
    assert "/cuda:0/" in (done.worker or "")
    assert [record.state for record in done.stages] == [State.DONE] * 3
    assert done.worker in hosts.queue.log(done.id).text
    assert hosts.queue.submit(hosts.request(), run_elsewhere=True).answer is Answer.STORED

    after = hosts.queue.outcome(build.key)
    is_whole(after, "NVIDIA L4")
    assert after.build.state is State.DONE
    assert after.build.built_on is not None
    assert after.build.built_on.device == "cpu:0"
    assert after.build.stages == before.build.stages
    there = Workspace(hosts.folder / "l4-host")
    assert len(list(there.artifacts.iterdir())) == 2, "the engine and the reference's outputs are all it needs"
    assert list(there.root.glob("tmp/run-*")) == []

    assert "not run here" not in hosts.engineroom("builds").splitlines()[-2]
    (row,) = [r for r in json.loads(hosts.engineroom("builds", "--json")) if r["key"] == build.key]
    assert row["run"]["place"]["name"] == "NVIDIA L4"
    hosts.engineroom("report", build.key, "-o", "report.html")
    report = (hosts.folder / "report.html").read_text()
    assert "not run here" not in report
    assert "run on NVIDIA L4 (cuda:0, compute capability 8.9)" in report


def test_a_run_that_fails_leaves_the_build_and_can_be_tried_again(hosts: Hosts) -> None:
    hosts.start("l4-host", "cuda", ("NVIDIA L4", "8.9"))
    key = hosts.built(options={"gpus": "8.9"})  # a queue that this worker has not heard of when it starts
    hosts.mood.touch()
    asked = json.loads(hosts.engineroom("run", key[:10], "--json"))
    assert (asked["key"], asked["answer"], asked["note"]) == (key, "queued", "")
    failed = hosts.finished(asked["job"])
    assert failed.state is JobState.FAILED
    assert failed.error is not None
    assert failed.error.message == "The engine cannot run on this GPU."
    outcome = hosts.queue.outcome(key)
    assert outcome.build.state is State.DONE
    assert outcome.measurement is outcome.parity is None
    assert outcome.graph is not None
    assert outcome.graph.layers
    told = outcome.build.missing(StageName.MEASURE)
    where = "not run here: it runs on a GPU of compute capability 8.9 (RTX 40, L4)"
    assert told.startswith(f"{where}; on NVIDIA L4 (cuda:0, compute capability 8.9) of ")
    assert told.endswith("it failed: The engine cannot run on this GPU.")

    hosts.mood.unlink()
    retried = hosts.queue.retry(failed.id)
    assert retried.job != failed.id
    hosts.ran(retried)
    is_whole(hosts.queue.outcome(key), "NVIDIA L4")


def test_the_last_run_that_succeeds_is_the_one_that_counts(hosts: Hosts) -> None:
    hosts.start("l4-host", "cuda", ("NVIDIA L4", "8.9"))
    key = hosts.built(seed=2)
    hosts.ran(hosts.queue.run(key))
    is_whole(hosts.queue.outcome(key), "NVIDIA L4")
    hosts.stop("l4-host")
    hosts.start("a10-host", "cuda:1", ("NVIDIA A10", "8.6"))
    hosts.ran(hosts.queue.run(key))
    second = hosts.queue.outcome(key)
    is_whole(second, "NVIDIA A10")
    hosts.mood.touch()
    assert hosts.finished(hosts.queue.run(key).job).state is JobState.FAILED
    hosts.mood.unlink()
    hosts.stop("a10-host")
    assert hosts.queue.outcome(key) == second, "a run that failed took the figures of one that did not"


def test_what_runs_where_it_was_built_is_not_run_elsewhere(hosts: Hosts) -> None:
    key = hosts.built(path="onnx.onnxruntime")
    with pytest.raises(InvalidRequest, match="runs where it was built"):
        hosts.queue.run(key)
