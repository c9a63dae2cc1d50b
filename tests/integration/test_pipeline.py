"""A build from request to figures, through real stages: one in real processes, the others forked."""

from __future__ import annotations

import os
import shutil
import signal
from dataclasses import replace
from pathlib import Path

import pytest

from core.base.errors import BuildFailed, Cancelled, EngineRoomError, Failure, NotFound, RunFailed, StageCrashed, Unavailable
from core.base.precision import Precision
from core.base.profile import AxisRange, ShapeProfile
from core.base.progress import Progress, Report, silent
from core.benchmark.measurement import Protocol
from core.cli.requests import exit_code
from core.intake.add_model import add_model
from core.models.model import Model
from core.request.build_request import BuildRequest, checked
from core.stages.child import run_stage
from core.stages.outcome import load_outcome
from core.stages.pipeline import plan, run_build
from core.storage.builds import Build, StageName, State, all_builds
from core.storage.workspace import Workspace
from tests.integration.tiny import write_tiny_onnx

QUICK = Protocol(min_seconds=0.05, min_samples=5, warmup_seconds=0.0)

pytestmark = pytest.mark.usefixtures("forked")


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace(tmp_path / "workspace")


@pytest.fixture
def model(workspace: Workspace, tmp_path: Path) -> Model:
    return add_model(write_tiny_onnx(tmp_path / "tiny.onnx"), workspace)


def request_for(model: Model, path: str = "onnx.onnxruntime", **changes: object) -> BuildRequest:
    return checked(replace(BuildRequest(model=model.digest, path=path, protocol=QUICK), **changes), model)  # type: ignore[arg-type]


def ignore(_: Build, __: Progress | None) -> None:
    pass


def states(build: Build) -> dict[StageName, State]:
    return {record.stage: record.state for record in build.stages}


@pytest.mark.usefixtures("real_processes")
def test_a_build_leaves_engine_layers_parity_and_latency(workspace: Workspace, model: Model) -> None:
    seen: list[tuple[StageName, str]] = []

    def watch(build: Build, progress: Progress | None) -> None:
        running = [record.stage for record in build.stages if record.state is State.RUNNING]
        if progress and running:
            seen.append((running[0], progress.message))

    build = run_build(workspace, request_for(model), on_change=watch)
    outcome = load_outcome(workspace, build.key)
    assert build.state is State.DONE
    assert set(states(build).values()) == {State.DONE}
    assert outcome.graph is not None
    assert {name for layer in outcome.graph.layers for name in layer.source_nodes} | {
        node.name for node in outcome.graph.loose_nodes
    } == {"conv", "relu", "pool", "flat", "dense", "softmax"}
    assert outcome.parity is not None
    assert outcome.parity.passed
    assert outcome.measurement is not None
    assert outcome.measurement.shapes == {"image": (1, 3, 8, 8)}
    assert outcome.built is not None
    assert (workspace.artifacts / outcome.built.artifact / outcome.built.engine.artifact).exists()
    assert (StageName.MEASURE, "Warming up") in seen
    assert [other.key for other in all_builds(workspace)] == [build.key]


def test_the_same_request_runs_no_stage_again(workspace: Workspace, model: Model) -> None:
    first = run_build(workspace, request_for(model), on_change=ignore)

    def refuse(stage: StageName, folder: Path, report: Report) -> None:
        pytest.fail(f"{stage} ran again")

    assert run_build(workspace, request_for(model), on_change=ignore, runner=refuse) == first


def test_force_builds_again(workspace: Workspace, model: Model) -> None:
    first = run_build(workspace, request_for(model), on_change=ignore)
    again = run_build(workspace, request_for(model), on_change=ignore, force=True)
    built = load_outcome(workspace, again.key).built
    assert again.created_at > first.created_at
    assert built is not None
    assert not built.reused


def test_a_profile_sets_what_is_measured_and_makes_another_build(workspace: Workspace, model: Model) -> None:
    profile = ShapeProfile(axes={"batch": AxisRange(min=1, opt=4, max=4)})
    request = request_for(model, profile=profile)
    assert request.key != request_for(model).key
    outcome = load_outcome(workspace, run_build(workspace, request, on_change=ignore).key)
    assert outcome.measurement is not None
    assert outcome.measurement.shapes == {"image": (4, 3, 8, 8)}
    assert outcome.measurement.batch == 4


def test_unnamed_nodes_are_named_so_that_layers_can_be_traced(workspace: Workspace, tmp_path: Path) -> None:
    model = add_model(write_tiny_onnx(tmp_path / "unnamed.onnx", named=False), workspace)
    outcome = load_outcome(workspace, run_build(workspace, request_for(model), on_change=ignore).key)
    assert outcome.graph is not None
    assert len(outcome.graph.source_nodes) == 6
    assert not outcome.graph.unmapped
    assert outcome.prepared is not None
    assert "Unnamed nodes" in outcome.prepared.notes[0]


def test_reduced_precision_adds_its_stages(model: Model) -> None:
    assert StageName.PRECISION not in plan(request_for(model), model).stages
    assert StageName.PRECISION in plan(request_for(model, precision=Precision.FP16), model).stages


def failing_at(stage: StageName, error: EngineRoomError) -> object:
    def runner(running: StageName, folder: Path, report: Report) -> None:
        if running is stage:
            raise error
        run_stage(running, folder, report)

    return runner


def test_a_failed_build_stage_ends_the_build_and_a_retry_goes_on_there(workspace: Workspace, model: Model) -> None:
    failed = run_build(
        workspace,
        request_for(model),
        on_change=ignore,
        runner=failing_at(StageName.BUILD, BuildFailed("No.", hint="Try.")),  # type: ignore[arg-type]
    )
    assert failed.state is State.FAILED
    assert failed.error == Failure(kind="BuildFailed", message="No.", hint="Try.")
    assert states(failed)[StageName.MEASURE] is State.WAITING
    ran: list[StageName] = []

    def watch(stage: StageName, folder: Path, report: Report) -> None:
        ran.append(stage)
        run_stage(stage, folder, report)

    assert run_build(workspace, request_for(model), on_change=ignore, runner=watch).state is State.DONE
    assert StageName.CONVERT not in ran


def test_a_build_without_its_layers_still_is_measured(workspace: Workspace, model: Model) -> None:
    build = run_build(
        workspace,
        request_for(model),
        on_change=ignore,
        runner=failing_at(StageName.INSPECT, EngineRoomError("Opaque.")),  # type: ignore[arg-type]
    )
    outcome = load_outcome(workspace, build.key)
    assert build.state is State.DONE
    assert build.error is not None
    assert outcome.graph is None
    assert outcome.measurement is not None


def test_an_engine_that_was_not_measured_is_finished_and_measured_when_asked_for_again(
    workspace: Workspace, model: Model
) -> None:
    build = run_build(
        workspace,
        request_for(model),
        on_change=ignore,
        runner=failing_at(StageName.MEASURE, RunFailed("The device was taken away.")),  # type: ignore[arg-type]
    )
    outcome = load_outcome(workspace, build.key)
    assert (build.state, build.settled) == (State.DONE, False)
    assert build.missing(StageName.MEASURE) == "its stage failed: The device was taken away."
    assert outcome.built is not None
    assert exit_code(outcome) == RunFailed.exit_code
    ran: list[StageName] = []

    def watch(stage: StageName, folder: Path, report: Report) -> None:
        ran.append(stage)
        run_stage(stage, folder, report)

    again = run_build(workspace, request_for(model), on_change=ignore, runner=watch)
    assert ran == [StageName.MEASURE]
    assert again.settled
    assert exit_code(load_outcome(workspace, build.key)) == 0


def test_a_cancelled_build_says_so(workspace: Workspace, model: Model) -> None:
    build = run_build(
        workspace,
        request_for(model),
        on_change=ignore,
        runner=failing_at(StageName.BUILD, Cancelled("Stop.")),  # type: ignore[arg-type]
    )
    assert build.state is State.CANCELLED


@pytest.mark.usefixtures("real_processes")
def test_a_killed_stage_is_told_by_its_signal(workspace: Workspace, model: Model) -> None:
    request = request_for(model, protocol=replace(QUICK, min_seconds=30.0))
    build = run_build(workspace, request, on_change=ignore, runner=lambda *_: None)

    def kill_the_child(_: Progress) -> None:
        children = Path(f"/proc/self/task/{os.getpid()}/children").read_text(encoding="ascii").split()
        os.kill(int(children[-1]), signal.SIGKILL)

    for stage in (StageName.CONVERT, StageName.BUILD):
        run_stage(stage, workspace.build_folder(build.key), silent)
    with pytest.raises(StageCrashed, match="SIGKILL"):
        run_stage(StageName.MEASURE, workspace.build_folder(build.key), kill_the_child)


def test_a_deleted_engine_is_told(workspace: Workspace, model: Model) -> None:
    build = run_build(workspace, request_for(model), on_change=ignore)
    shutil.rmtree(workspace.artifacts)
    with pytest.raises(NotFound, match="engine of this build was deleted"):
        run_stage(StageName.MEASURE, workspace.build_folder(build.key), silent)


def test_what_does_not_work_here_is_refused_before_any_work(model: Model) -> None:
    with pytest.raises(Unavailable, match="TensorRT"):
        request_for(model, path="onnx.tensorrt")
