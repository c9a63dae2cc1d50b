"""What a profile costs, from real engines of TensorRT-RTX: the same build queued at another length, then on the curve."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from core.backends.base import backend_named
from core.base.files import WORKSPACE_VARIABLE
from core.base.profile import AxisRange, ShapeProfile
from core.intake.add_model import add_model
from core.jobs.job import JobState
from core.request.build_request import BuildRequest, checked
from core.stages.outcome import Outcome, load_outcome
from core.stages.pipeline import run_build
from core.storage.builds import State
from core.storage.workspace import Workspace
from dashboard import services
from tests.integration.tiny import write_tiny_onnx
from tests.pages.test_engine import opened, said
from tests.pages.test_memory import table

HERE = backend_named("tensorrt_rtx").availability()
pytestmark = [
    pytest.mark.skipif(not HERE.available, reason=f"{HERE.reason} {HERE.hint}"),
    pytest.mark.usefixtures("forked"),
]


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Workspace]:
    monkeypatch.setenv(WORKSPACE_VARIABLE, str(tmp_path / "workspace"))
    st.cache_resource.clear()
    yield Workspace(tmp_path / "workspace")
    services.queue().close()
    st.cache_resource.clear()


@pytest.fixture
def build(workspace: Workspace, tmp_path: Path) -> Outcome:
    model = add_model(write_tiny_onnx(tmp_path / "tiny.onnx"), workspace)
    profile = ShapeProfile(axes={"batch": AxisRange(min=1, opt=1, max=8)})
    return made(workspace, checked(BuildRequest(model=model.digest, path="onnx.tensorrt_rtx", profile=profile), model))


def made(workspace: Workspace, request: BuildRequest) -> Outcome:
    done = run_build(workspace, request, on_change=lambda *_: None)
    assert done.state is State.DONE, done.error
    return load_outcome(workspace, done.key)


def activations(outcome: Outcome) -> int:
    assert outcome.graph
    assert outcome.graph.memory
    assert outcome.graph.memory.activation_bytes is not None
    return outcome.graph.memory.activation_bytes


def queue_64(app: AppTest) -> None:
    next(group for group in app.button_group if group.label == "The same build at a largest batch of").set_value([64]).run()
    next(button for button in app.button if button.label == "Queue 1 build").click().run()


def test_another_length_is_queued_and_takes_its_place(workspace: Workspace, build: Outcome) -> None:
    app = opened("engine", build=build.build.key, section="Memory")
    queue_64(app)
    assert not app.error
    assert "Being built: 1 build." in said(app)
    (job,) = services.queue().jobs(states=(JobState.QUEUED, JobState.RUNNING))
    assert str(job.request.profile.axes["batch"]) == "1:1:64"
    assert (job.request.path, job.request.precision) == (build.build.request.path, build.build.request.precision)
    larger = made(workspace, job.request)
    assert activations(larger) > activations(build) > 0
    rows = table(opened("engine", build=build.build.key, section="Memory"), "Largest batch")
    assert rows["Largest batch"].tolist() == [8, 64]


def test_a_fixed_length_tells_what_each_layer_moves(workspace: Workspace, build: Outcome) -> None:
    app = opened("engine", build=build.build.key, section="Memory")
    next(group for group in app.button_group if group.label == "Built for").set_value(True).run()
    queue_64(app)
    (job,) = services.queue().jobs(states=(JobState.QUEUED, JobState.RUNNING))
    assert str(job.request.profile.axes["batch"]) == "64"
    fixed = made(workspace, job.request)
    rows = table(opened("engine", build=fixed.build.key, section="Memory"), "Together, bytes")
    assert rows["Together, bytes"].notna().all()
    image = 64 * 3 * 8 * 8 * 4  # what tests/integration/tiny.py takes, in float
    assert rows["Inputs, bytes"].iloc[0] == image
