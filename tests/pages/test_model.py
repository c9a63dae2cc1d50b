"""Models: the list, one model before and after a build, and deleting it."""

from __future__ import annotations

from dataclasses import replace

from streamlit.testing.v1 import AppTest

from core.base.serialization import read_json, write_json
from core.intake.add_model import add_model
from core.models.model import Model
from core.stages.outcome import Outcome
from core.storage.workspace import Workspace
from dashboard import links
from sample_models.make_models import sample
from tests.pages.conftest import OpenPage, text_of


def metrics(app: AppTest) -> dict[str, str]:
    return {metric.label: metric.value for metric in app.metric}


def test_without_models_it_says_how_to_add_one(open_page: OpenPage) -> None:
    app = open_page(links.MODEL)
    assert not app.exception
    assert "Add a model" in text_of(app)


def test_a_model_that_is_not_there_has_a_way_out(open_page: OpenPage) -> None:
    app = open_page(links.MODEL, model="abc")
    assert not app.exception
    assert "No model is stored as 'abc'." in text_of(app)


def test_a_model_says_what_it_is(open_page: OpenPage, digits: Model) -> None:
    app = open_page(links.MODEL, model=digits.digest[:10])
    assert not app.exception
    assert metrics(app) == {"Parameters": "68.1 k", "Weights": "272.6 kB", "On disk": "361.4 kB", "Graph nodes": "100"}
    left = "constants, reads of weights and what only hands a value on are left out"
    assert f"43 operations of 100 nodes: {left}." in text_of(app)
    tensors = app.dataframe[0].value
    assert tensors["Name"].tolist() == ["image", "probabilities"]
    assert tensors["Shape"].tolist() == ["[batch, 8, 8, 1]", "[batch, 10]"]
    said = text_of(app)
    assert "As uploaded, SavedModel" in said
    assert "operation 1 of 43" in said
    assert "None yet. Build this model" in said


def test_its_builds_and_its_graph_show_once_it_is_built(open_page: OpenPage, digits_build: Outcome) -> None:
    app = open_page(links.MODEL, model=digits_build.model.digest)
    assert not app.exception
    said = text_of(app)
    assert "Builds · 1" in said
    assert ":green-badge[on par]" in said
    assert "operation 1 of" in said
    forms = next(group.options for group in app.button_group if "As uploaded" in group.options)
    assert forms[:2] == ["As uploaded", "Converted to ONNX"]


def test_the_signature_is_chosen_by_the_address(open_page: OpenPage, workspace: Workspace) -> None:
    model = add_model(sample("two_signatures"), workspace)
    name = model.signatures[1].name
    app = open_page(links.MODEL, model=model.digest, signature=name)
    assert not app.exception
    assert app.selectbox[0].value == name
    assert app.dataframe[0].value["Name"].tolist()[0] == model.signatures[1].inputs[0].name


def test_what_is_not_known_is_shown_as_such(open_page: OpenPage, digits: Model, workspace: Workspace) -> None:
    path = workspace.model_folder(digits.digest) / "model.json"
    kept = read_json(Model, path)
    write_json(path, replace(kept, parameters=None, frozen_bytes=None, ops={}, notes=("It is odd.",)))
    try:
        app = open_page(links.MODEL, model=digits.digest)
        assert not app.exception
        assert metrics(app)["Parameters"] == "–"
        assert metrics(app)["Weights"] == "–"
        assert "This model's ops are not known." in text_of(app)
        assert "It is odd." in text_of(app)
    finally:
        write_json(path, kept)


def test_many_models_can_be_searched(open_page: OpenPage, digits: Model, workspace: Workspace) -> None:
    copies = [replace(digits, digest=f"{n:064x}", name=f"net {n}") for n in range(7)]
    for copy in copies:
        write_json(workspace.model_folder(copy.digest) / "model.json", copy)
    app = open_page(links.MODEL)
    app.text_input[0].set_value("NET 3").run()
    assert [link.proto.label for link in app.get("page_link")] == ["net 3"]
    app.text_input[0].set_value("nothing").run()
    assert "No model has that in its name" in text_of(app)
    for copy in copies:
        (workspace.model_folder(copy.digest) / "model.json").unlink()


def test_deleting_asks_first_and_says_what_goes(open_page: OpenPage, digits_build: Outcome, workspace: Workspace) -> None:
    """AppTest cannot confirm a dialog; tests/browser/test_models.py does."""
    digest = digits_build.model.digest
    app = open_page(links.MODEL, model=digest)
    next(button for button in app.button if button.label == "Delete").click().run()
    assert not app.exception
    assert "Its **1 build** goes with it" in text_of(app)
    assert workspace.model_folder(digest).exists()
