"""Lengths that a model leaves open: called guesses, taken from the inputs, and named where a run fails at them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from onnx import helper

from core.storage.workspace import Workspace
from tests.asked_models import FLOAT, info

from .building import build, save_arrays, write_onnx

pytestmark = pytest.mark.usefixtures("forked")
RNG = np.random.default_rng(2)


@pytest.fixture(scope="module")
def audio(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A filter of 400 samples with a stride of 160: 64 samples are none to it."""
    nodes = [
        helper.make_node("Conv", ["wave", "w"], ["frames"], strides=[160]),
        helper.make_node("Relu", ["frames"], ["y"]),
    ]
    weights = {"w": RNG.normal(size=(4, 1, 400)).astype(np.float32)}
    inputs, outputs = [info("wave", FLOAT, ["batch", 1, "samples"])], [info("y", FLOAT, ["batch", 4, "frames"])]
    return write_onnx(tmp_path_factory.mktemp("audio") / "audio.onnx", nodes, inputs, outputs, weights)


@pytest.mark.parametrize("path", ["onnx.onnxruntime", "onnx.openvino"])
def test_what_the_graph_demands_is_taken_and_called_a_guess(workspace: Workspace, audio: Path, path: str) -> None:
    found = build(workspace, audio, path)
    assert found.parity is not None, found.build.error
    assert found.parity.on_par is True
    (note,) = [note for note in found.notes if "guess" in note]
    assert "a guess: samples 416." in note
    assert "does not take 64, the first guess, for samples" in note


def test_a_run_that_fails_at_guessed_lengths_tells_how_to_give_others(workspace: Workspace, tmp_path: Path) -> None:
    """No length that is tried is the 77 that this product wants."""
    weights = {"w": RNG.normal(size=(77, 4)).astype(np.float32)}
    inputs, outputs = [info("wave", FLOAT, ["batch", "samples"])], [info("y", FLOAT, ["batch", 4])]
    model = write_onnx(tmp_path / "product.onnx", [helper.make_node("MatMul", ["wave", "w"], ["y"])], inputs, outputs, weights)
    found = build(workspace, model, "onnx.onnxruntime")
    errors = [record.error for record in found.build.stages if record.error]
    assert any("a guess: samples 64" in error.hint and "--shape samples=N" in error.hint for error in errors), errors
    assert any("a guess: samples 64" in note for note in found.notes)


@pytest.mark.parametrize("path", ["onnx.onnxruntime", "onnx.openvino"])
def test_the_inputs_own_length_is_taken(workspace: Workspace, audio: Path, tmp_path: Path, path: str) -> None:
    given = save_arrays(tmp_path / "given.npz", wave=RNG.normal(size=(2, 1, 16000)).astype(np.float32))
    found = build(workspace, audio, path, inputs=given)
    assert found.parity is not None, found.build.error
    assert found.parity.on_par is True
    assert found.measurement is not None
    assert not any("guess" in note for note in found.notes)


def test_asked_lengths_are_no_guesses(workspace: Workspace, audio: Path) -> None:
    found = build(workspace, audio, "onnx.onnxruntime", shapes=["samples=16000"])
    assert found.parity is not None, found.build.error
    assert found.parity.on_par is True
    assert not any("guess" in note for note in found.notes)
