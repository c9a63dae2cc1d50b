"""Precision as options of `engineroom build`: the overflow mended, the cost told layer by layer, and whether it paid."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from bench.overflow import overflowing_model
from core.onnxio.file import save_onnx
from tests.integration.tiny import write_tiny_onnx

ROOT = Path(__file__).parents[3]

pytestmark = pytest.mark.usefixtures("forked")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace, the model that overflows, and a classifier with labels that it gets right."""
    folder = tmp_path_factory.mktemp("precision-build")
    save_onnx(overflowing_model(), folder / "overflow.onnx")
    write_tiny_onnx(folder / "tiny.onnx")
    image = np.random.default_rng(0).uniform(0, 1, (24, 3, 8, 8)).astype(np.float32)
    np.savez(folder / "labelled.npz", image=image, labels=np.arange(24) % 3)
    return folder


def engineroom(home: Path, *arguments: str, code: int = 0) -> str:
    environment = {**os.environ, "ENGINEROOM_WORKSPACE": str(home / "workspace")}
    command = [sys.executable, "-m", "core.cli", "build", *arguments, "--path", "onnx.onnxruntime", "--seconds", "0.1"]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=ROOT, check=False)
    assert done.returncode == code, done.stderr
    return done.stdout


def test_what_overflows_in_fp16_is_mended_unasked(home: Path) -> None:
    model = str(home / "overflow.onnx")
    told = engineroom(home, model, "--precision", "fp16", "--range", "x=-1:1", "--lower", "layer_errors=true", "--json")
    found: dict[str, Any] = json.loads(told)
    record = found["prepared"]["precision"]
    assert record["kept"].keys() == {"sum", "root"}
    assert record["cost"]["emulated"]
    assert record["cost"]["first_bad"] is None
    assert record["cost"]["worst"][0]["node"] == "square"
    asked = {node["name"]: node["requested"] for node in found["graph"]["source_nodes"]}
    assert (asked["widen"], asked["sum"], asked["root"]) == ("float16", "float32", "float32")
    assert found["parity"]["passed"]


def test_int8_tells_its_cost_and_whether_it_paid(home: Path) -> None:
    model, data = str(home / "tiny.onnx"), str(home / "labelled.npz")
    int8 = (model, "--precision", "int8", "--calibration", data, "--lower", "top1_drop=0.5")
    told = engineroom(home, *int8)
    assert "of the nodes whose layer tells its precision, int8 asked for" in told.split("ran as asked", 1)[1].splitlines()[0]
    assert "in fp32" in told.split("by the labels", 1)[1].splitlines()[0]
    assert "The layers that lose most" in told
    assert "good enough" in told
    assert "Build the same path in fp32 too" in told
    engineroom(home, model)
    assert "INT8" in engineroom(home, *int8).rsplit("•", 1)[1]


def test_a_folder_of_images_gives_the_engines_accuracy(home: Path) -> None:
    for number in range(6):
        file = home / "classes" / str(number % 2) / f"{number}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((8, 8, 3), 40 * number, np.uint8)).save(file)
    parity = json.loads(engineroom(home, str(home / "tiny.onnx"), "--inputs", str(home / "classes"), "--json"))["parity"]
    assert parity["inputs"] == "6 of 6 samples of your data"
    assert parity["accuracy"]["samples"] == parity["reference_accuracy"]["samples"] == 6
    assert parity["accuracy"]["top1"] == parity["reference_accuracy"]["top1"]


def test_a_goal_that_needs_labels_says_so(home: Path) -> None:
    told = engineroom(home, str(home / "tiny.onnx"), "--precision", "fp16", "--lower", "top1_drop=0.01", "--json", code=2)
    error = json.loads(told)["build"]["stages"][2]["error"]
    assert "needs labelled data" in error["message"]


def test_builds_with_the_same_usual_length_share_the_graph(home: Path) -> None:
    """Only that length decides about random calibration data, so the engine alone is made anew."""

    def graph_of(shape: str) -> str:
        told = engineroom(home, str(home / "tiny.onnx"), "--precision", "fp16", "--shape", f"batch={shape}", "--json")
        return str(json.loads(told)["prepared"]["artifact"])

    assert graph_of("1:2:4") == graph_of("1:2:16") == graph_of("2")
    assert graph_of("1:2:4") != graph_of("1:3:4")
