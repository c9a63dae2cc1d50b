"""The preflight on the Model page: asked for, under way, told, and in the graph's colours."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from core.base.errors import Failure, StageCrashed
from core.intake.add_model import add_model
from core.models.model import Model
from core.onnxio.file import save_onnx
from core.preflight.run import preflight
from core.preflight.targets import targets_for
from core.storage.workspace import Workspace
from dashboard import links, preflights
from tests import asked_models as models
from tests.pages.conftest import OpenPage, text_of


@pytest.fixture(scope="module")
def odd(workspace: Workspace, tmp_path_factory: pytest.TempPathFactory) -> Model:
    """Refused by TensorRT-RTX for its NonZero, taken by others; asked about already."""
    path = tmp_path_factory.mktemp("models") / "odd.onnx"
    save_onnx(models.odd_names(), path)
    model = add_model(path, workspace)
    told = preflight(workspace, model, targets_for(model)[0])
    assert [target.failure for target in told.targets] == [None] * len(told.targets)
    return model


@pytest.fixture
def fresh(workspace: Workspace, tmp_path: Path) -> Iterator[Model]:
    """Nobody was asked about it."""
    made = models.taken()
    made.graph.node[0].name = tmp_path.name  # a model of this test's own
    save_onnx(made, tmp_path / "fresh.onnx")
    model = add_model(tmp_path / "fresh.onnx", workspace)
    yield model
    for key in [key for key in preflights._failures if key[1] == model.digest]:
        del preflights._failures[key]


def label_of(app: AppTest, words: str) -> list[str]:
    return [button.label for button in app.button if words in button.label]


def test_before_anything_was_asked_it_offers_to_ask(open_page: OpenPage, fresh: Model) -> None:
    app = open_page(links.MODEL, model=fresh.digest)
    assert not app.exception
    assert "which nodes they take, and why not the others, before you build." in text_of(app)
    assert label_of(app, "preflight") == ["Run preflight"]


def test_asking_shows_how_far_it_is_and_then_the_answer(open_page: OpenPage, fresh: Model) -> None:
    app = open_page(links.MODEL, model=fresh.digest)
    next(button for button in app.button if button.label == "Run preflight").click().run()
    assert not app.exception
    assert not label_of(app, "preflight")
    deadline = time.monotonic() + 60
    while preflights.running(fresh, "main") and time.monotonic() < deadline:
        time.sleep(0.1)
    app = open_page(links.MODEL, model=fresh.digest)
    said = text_of(app)
    assert "takes all 2 nodes: 1 region." in said
    assert not label_of(app, "preflight")


def test_a_preflight_is_cancelled_and_leaves_nothing_behind(open_page: OpenPage, fresh: Model) -> None:
    with preflights._ASKING:  # another one is under way
        app = open_page(links.MODEL, model=fresh.digest)
        app = next(button for button in app.button if button.label == "Run preflight").click().run()
        app = next(button for button in app.button if button.label == "Cancel").click().run()
        assert not app.exception
        state = preflights.running(fresh, "main")
        assert state
        assert state.cancelled
    deadline = time.monotonic() + 60
    while preflights.running(fresh, "main") and time.monotonic() < deadline:
        time.sleep(0.1)
    told, _ = preflights.told(fresh, "main")
    assert [(target.answer, target.failure) for target in told.targets] == [(None, None)] * len(told.targets)


def test_each_target_has_a_line(open_page: OpenPage, odd: Model) -> None:
    app = open_page(links.MODEL, model=odd.digest)
    assert not app.exception
    frame = next(table.value for table in app.dataframe if "Says" in table.value)
    says = dict(zip(frame["Target"], frame["Says"], strict=True))
    assert says["ONNX Runtime"] == "✓ takes all 7 nodes"
    assert says["TensorRT-RTX"] == "✗ refuses 1 of 7 nodes"


def test_what_is_refused_is_told_with_what_to_do(open_page: OpenPage, odd: Model) -> None:
    """The first target that refuses something is shown unless the address names another."""
    said = text_of(open_page(links.MODEL, model=odd.digest))
    assert "NonZero plugin creator version 1 was not found in plugin registry" in said
    assert "Give a library with a plugin for NonZero by the option" in said
    assert "stands between regions 1 and 2" in said
    assert "take the whole model" in said
    other = text_of(open_page(links.MODEL, model=odd.digest, target="onnxruntime"))
    assert "takes all 7 nodes: 1 region." in other
    assert "NonZero plugin" not in other


def test_the_refused_node_is_selected_in_the_graph(open_page: OpenPage, odd: Model) -> None:
    app = open_page(links.MODEL, model=odd.digest)
    assert "**NonZero** · operation 5 of 7" in text_of(app)
    assert "✗ not supported by TensorRT-RTX" in text_of(app)
    colours = next(group for group in app.button_group if "TensorRT-RTX takes" in group.options)
    assert colours.options == ["Kind of op", "ONNX Runtime takes", "OpenVINO takes", "TensorRT-RTX takes"]


def test_a_node_is_chosen_for_the_graph(open_page: OpenPage, odd: Model) -> None:
    app = open_page(links.MODEL, model=odd.digest, node="1")
    assert "operation 1 of 7" in text_of(app)
    next(button for button in app.button if button.label == "In the graph").click().run()
    assert not app.exception
    assert "**NonZero** · operation 5 of 7" in text_of(app)
    assert app.query_params["node"] == "5"


def test_a_target_that_failed_says_so_and_is_asked_again(open_page: OpenPage, fresh: Model) -> None:
    error = StageCrashed("The process that asked OpenVINO was ended by SIGSEGV.", hint="Try it alone.")
    key = preflights._key(fresh, "main")
    preflights._failures[key] = {"openvino": Failure.of(error)}
    app = open_page(links.MODEL, model=fresh.digest)
    assert not app.exception
    assert "was ended by SIGSEGV." in text_of(app)
    assert "What to do: Try it alone." in text_of(app)
    assert label_of(app, "Ask again") == ["Ask again where there is no answer"]
    frame = next(table.value for table in app.dataframe if "Says" in table.value)
    assert dict(zip(frame["Target"], frame["Says"], strict=True))["OpenVINO"] == "✗ no answer"


def test_targets_that_cannot_be_asked_say_why(open_page: OpenPage, odd: Model) -> None:
    said = text_of(open_page(links.MODEL, model=odd.digest))
    assert "**TensorRT**: TensorRT is not installed." in said
