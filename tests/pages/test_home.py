"""Home: for a first visitor, and with models and jobs there."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bench.stored_builds import store_build
from core.base.serialization import read_json, write_json
from core.jobs.job import JobState
from core.models.model import Model
from core.request.build_request import BuildRequest
from core.storage.builds import BUILD_FILE, Build, all_builds
from core.storage.workspace import Workspace
from dashboard import links, services
from dashboard.components.recent_builds import newest
from dashboard.intakes import ALLOWED_FOLDER_VARIABLE
from sample_models.make_models import sample
from tests.pages.conftest import OpenPage, text_of


def test_a_first_visitor_learns_what_this_is_and_what_to_do(open_page: OpenPage) -> None:
    app = open_page(links.HOME)
    assert not app.exception
    said = text_of(app)
    assert "Bring a trained model" in said
    assert "Begin with a model" in said
    assert "ONNX Runtime" in said
    assert "No worker is running" in said
    assert app.button(key="sample").label == "Try the sample model"


def test_the_sample_is_stored_and_opened(open_page: OpenPage, workspace: Workspace) -> None:
    app = open_page(links.HOME)
    app.button(key="sample").click().run()
    assert not app.exception
    assert [model.name for model in workspace.all_models()] == ["digits"]
    assert [title.value for title in app.title] == ["digits"]


def test_models_and_jobs_are_listed(open_page: OpenPage, digits: Model) -> None:
    services.queue().submit(BuildRequest(model=digits.digest, path="savedmodel.onnx.onnxruntime"))
    said = text_of(open_page(links.HOME))
    assert "SavedModel · 361.4 kB" in said
    assert "waiting for a worker for cpu: none is running · for a moment now" in said
    assert "nothing like it was built before" in said


def test_a_build_made_in_the_foreground_is_listed(open_page: OpenPage, workspace: Workspace, digits: Model) -> None:
    store_build(workspace, BuildRequest(model=digits.digest, path="savedmodel.tensorflow.signature"), median_ms=1.0)
    app = open_page(links.HOME)
    assert not app.exception
    assert ", in the foreground" in text_of(app)


def test_what_goes_on_comes_first_and_a_job_stands_for_its_build(workspace: Workspace, digits: Model) -> None:
    request = BuildRequest(model=digits.digest, path="savedmodel.tensorflow.signature", seed=8)
    other = BuildRequest(model=digits.digest, path="savedmodel.tensorflow.signature", seed=7)
    key = services.queue().submit(request).key
    (job,) = [job for job in services.queue().jobs() if job.key == key]
    store_build(workspace, job.request, median_ms=1.0)
    store_build(workspace, other, median_ms=1.0)
    shown = newest([job], services.recent_builds(10), 10)
    assert shown[0] is job
    assert [entry.key for entry in shown].count(key) == 1
    assert other.key in [entry.key for entry in shown]


def test_what_runs_is_shown_however_much_waits(digits: Model) -> None:
    request = BuildRequest(model=digits.digest, path="savedmodel.tensorflow.signature", seed=9)
    key = services.queue().submit(request).key
    (job,) = [job for job in services.queue().jobs() if job.key == key]
    waiting = [replace(job, id=f"w{n}", key=f"k{n}", submitted_at=job.submitted_at + n) for n in range(1, 9)]
    running = replace(job, state=JobState.RUNNING)
    assert newest([*waiting, running], [], 5)[0] is running


def test_newest_first_is_by_the_end(open_page: OpenPage, workspace: Workspace, digits: Model) -> None:
    long, short = (BuildRequest(model=digits.digest, path="savedmodel.tensorflow.signature", seed=seed) for seed in (20, 21))
    for request, begun, ended in ((long, 1.9e9, 1.9e9 + 900), (short, 1.9e9 + 60, 1.9e9 + 120)):
        file = workspace.build_folder(store_build(workspace, request)) / BUILD_FILE
        write_json(file, replace(read_json(Build, file), created_at=begun, finished_at=ended))
    order = [build.request.seed for build in all_builds(workspace)]
    assert order.index(20) < order.index(21)


def test_a_damaged_model_on_disk_breaks_nothing(open_page: OpenPage, workspace: Workspace) -> None:
    broken = workspace.models / "0000" / "model.json"
    broken.parent.mkdir()
    broken.write_text("{")
    app = open_page(links.HOME)
    assert not app.exception
    assert not app.error
    broken.unlink()


def test_a_model_is_added_by_its_path_where_that_is_allowed(
    open_page: OpenPage, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert not open_page(links.HOME).expander, "off by default"
    monkeypatch.setenv(ALLOWED_FOLDER_VARIABLE, str(sample("two_signatures").parent))
    app = open_page(links.HOME)
    app.text_input[0].set_value("../README.md")
    add = next(button for button in app.button if button.label == "Add it")
    assert "is not inside" in text_of(add.click().run())
    app.text_input[0].set_value("two_signatures")
    next(button for button in app.button if button.label == "Add it").click().run()
    assert not app.exception
    assert [title.value for title in app.title] == ["two_signatures"]
    assert "two_signatures" in [model.name for model in workspace.all_models()]
