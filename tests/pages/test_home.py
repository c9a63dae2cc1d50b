"""Home: for a first visitor, and with models and jobs there."""

from __future__ import annotations

from core.models.model import Model
from core.request import BuildRequest
from core.workspace import Workspace
from dashboard import links, services
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
    assert "waiting since" in said


def test_a_damaged_model_on_disk_breaks_nothing(open_page: OpenPage, workspace: Workspace) -> None:
    broken = workspace.models / "0000" / "model.json"
    broken.parent.mkdir()
    broken.write_text("{")
    app = open_page(links.HOME)
    assert not app.exception
    assert not app.error
    broken.unlink()
