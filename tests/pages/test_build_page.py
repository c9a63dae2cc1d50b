"""The Build page: nothing stored, a model to build, a sweep, a wrong shape."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from core.backends.base import all_backends, backend_named
from core.base.availability import Availability
from core.intake.add_model import add_model
from core.jobs.job import JobState
from core.jobs.queue import Queue
from core.models.model import Model
from core.storage.builds import StageName, all_builds
from core.storage.workspace import Workspace, default_workspace
from tests.documented import documented_backend
from tests.integration.tiny import write_tiny_onnx

MAIN = Path(__file__).parents[2] / "dashboard" / "main.py"


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Workspace]:
    monkeypatch.setenv("ENGINEROOM_WORKSPACE", str(tmp_path / "workspace"))
    st.cache_resource.clear()
    yield default_workspace()
    st.cache_resource.clear()


@pytest.fixture
def model(workspace: Workspace, tmp_path: Path) -> Model:
    return add_model(write_tiny_onnx(tmp_path / "tiny.onnx"), workspace)


def open_page(page: str, **ids: str) -> AppTest:
    app = AppTest.from_file(str(MAIN), default_timeout=20)
    app.run()
    for name, value in ids.items():
        app.query_params[name] = value
    app.switch_page(f"../pages/{page}.py").run()
    assert not app.exception
    return app


def texts(app: AppTest) -> str:
    parts = [*app.markdown, *app.caption, *app.info, *app.warning, *app.error, *app.subheader, *app.title]
    return "\n".join(str(part.value) for part in parts)


def boxes(app: AppTest) -> dict[str, bool]:
    return {box.label: box.value for box in app.checkbox}


@pytest.mark.usefixtures("workspace")
def test_nothing_stored() -> None:
    assert "No model is stored yet." in texts(open_page("build"))


def test_possible_and_impossible_paths_are_told(model: Model) -> None:
    app = open_page("build", model=model.digest)
    assert boxes(app)["ONNX Runtime in fp32"]
    assert "OpenVINO in int8" in boxes(app)
    assert "TensorRT in fp32" not in boxes(app)
    assert "TensorRT is not installed" in texts(app)


def test_the_command_to_copy_follows_the_choice(model: Model) -> None:
    app = open_page("build", model=model.digest)
    next(box for box in app.checkbox if box.label == "OpenVINO in fp16").check().run()
    next(field for field in app.number_input if field.label == "batch: usual").set_value(4).run()
    command = app.code[0].value
    assert "--path onnx.openvino" in command
    assert "fp16" in command
    assert "--shape batch=1:4:8" in command


def test_a_sweep_is_queued(model: Model, workspace: Workspace) -> None:
    app = open_page("build", model=model.digest)
    next(box for box in app.checkbox if box.label == "OpenVINO in fp32").check().run()
    next(button for button in app.button if button.label == "Queue 2 builds").click().run()
    assert not app.exception
    jobs = Queue(workspace).jobs()
    assert {job.request.path for job in jobs} == {"onnx.onnxruntime", "onnx.openvino"}
    assert {job.state for job in jobs} == {JobState.QUEUED}
    assert "No worker for 'cpu' is running" in texts(app)
    assert all_builds(workspace) == []


def test_a_wrong_shape_is_a_sentence(model: Model) -> None:
    app = open_page("build", model=model.digest)
    next(field for field in app.number_input if field.label == "batch: smallest").set_value(9).run()
    assert "must rise" in texts(app)
    assert not [button for button in app.button if button.label.startswith("Queue")]


def test_int8_without_data_warns(model: Model) -> None:
    app = open_page("build", model=model.digest)
    next(box for box in app.checkbox if box.label == "OpenVINO in int8").check().run()
    assert "uncalibrated, do not deploy" in texts(app)


def test_nothing_checked(model: Model) -> None:
    app = open_page("build", model=model.digest)
    for box in app.checkbox:
        if box.value:
            box.uncheck().run()
    assert "Check at least one box" in texts(app)


def test_the_queue_and_a_job(model: Model, workspace: Workspace) -> None:
    assert "Nothing has been built yet." in texts(open_page("jobs"))
    app = open_page("build", model=model.digest)
    next(button for button in app.button if button.label.startswith("Queue 1")).click().run()
    listed = open_page("jobs")
    assert "No worker is running" in texts(listed)
    assert "tiny.onnx: ONNX Runtime in fp32" in texts(listed)
    job = Queue(workspace).jobs()[0]
    detail = open_page("jobs", job=job.id)
    assert "**measure** · waiting" in texts(detail)
    next(button for button in detail.button if button.label == "Cancel").click().run()
    assert Queue(workspace).job(job.id).state is JobState.CANCELLED
    again = open_page("jobs", job=job.id)
    next(button for button in again.button if button.label == "Retry").click().run()
    assert len(Queue(workspace).jobs()) == 2


@pytest.mark.usefixtures("workspace")
def test_an_unknown_job_is_a_sentence() -> None:
    app = open_page("jobs", job="nothere")
    assert "No job" in texts(app)


def test_what_does_not_run_here_can_be_asked_to_run_elsewhere(model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    backend: Any = documented_backend()
    backend.name = "ahead"
    backend.availability = lambda: Availability(available=True, version="1", builds_on=("cpu",), runs_on=("cuda",))
    monkeypatch.setitem(all_backends(), "ahead", backend)  # type: ignore[arg-type]
    wish = "Run elsewhere what does not run where it is built"
    app = open_page("build", model=model.digest)
    assert wish not in boxes(app)
    for box in app.checkbox:
        box.set_value(box.label == "ONNX reference in fp32")
    app.run()
    next(box for box in app.checkbox if box.label == wish).check().run()
    assert app.code[0].value.endswith("--run-elsewhere")
    next(button for button in app.button if button.label == "Queue 1 build").click().run()
    assert not app.exception
    (job,) = Queue(default_workspace()).jobs()
    assert job.run_elsewhere
    assert [record.stage for record in job.stages][-2:] == [StageName.INSPECT, StageName.REFERENCE]


def test_an_option_that_makes_no_sense_is_told_before_anything_is_queued(model: Model, workspace: Workspace) -> None:
    if not backend_named("tensorrt_rtx").availability().available:
        pytest.skip("TensorRT-RTX is not installed.")
    app = open_page("build", model=model.digest)
    next(box for box in app.checkbox if box.label == "TensorRT-RTX in fp16").check().run()
    next(box for box in app.text_input if box.label == "Target capabilities").set_value("8.6, 9.0").run()
    assert "No engine can be built for compute capability 9.0." in texts(app)
    assert not [button for button in app.button if button.label.startswith("Queue")]
    assert all_builds(workspace) == []
