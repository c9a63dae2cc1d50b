"""Verdicts on graphs of each kind that was called wrong, or right, without being so: by `engineroom compare` and `build`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from core.cli.requests import NOT_CHECKED

ROOT = Path(__file__).parents[2]
QUICK = ("--seconds", "0.1")
BOTH = ("--path", "onnx.onnxruntime", "--path", "onnx.openvino")

pytestmark = pytest.mark.usefixtures("forked")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("verdicts")


def engineroom(home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "ENGINEROOM_WORKSPACE": str(home / "workspace")}
    command = [sys.executable, "-m", "core.cli", *arguments]
    return subprocess.run(command, capture_output=True, text=True, env=environment, cwd=ROOT, check=False)


def write(
    path: Path, nodes: list[onnx.NodeProto], out: int = TensorProto.FLOAT, weights: dict[str, Any] | None = None, kind: int = 1
) -> Path:
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", kind, [1, 64])],
        [helper.make_tensor_value_info("y", out, None)],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in (weights or {}).items()],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return path


def rows(home: Path, path: Path, *more: str) -> tuple[list[dict[str, Any]], int]:
    done = engineroom(home, "compare", str(path), *BOTH, *QUICK, *more, "--json")
    assert done.stdout, done.stderr
    return json.loads(done.stdout), done.returncode


def node(op: str, inputs: str, output: str = "y", **more: Any) -> onnx.NodeProto:
    return helper.make_node(op, inputs.split(), [output], name=output, **more)


def test_where_numbers_from_0_to_1_give_nan_others_are_tried(home: Path) -> None:
    model = write(home / "root.onnx", [node("Sub", "x one", "d"), node("Sqrt", "d")], weights={"one": np.float32(1)})
    found, code = rows(home, model)
    assert code == 0
    assert [row["parity"] for row in found] == ["on par"] * 2
    assert "compared on numbers from 1 to 2." in " ".join(found[1]["notes"])
    # The user's own inputs are taken as they are.
    found, code = rows(home, model, "--range", "x=0:0.5")
    assert code == NOT_CHECKED
    assert [row["unchecked"] for row in found] == ["the reference is NaN on these inputs"] * 2
    assert found[0]["verdict"] == "the baseline, and uncompared: the reference is NaN on these inputs"
    assert found[1]["standing"] == "not checked"


def test_what_is_nan_everywhere_is_uncompared(home: Path) -> None:
    model = write(home / "nan.onnx", [node("Sub", "x x", "zero"), node("Div", "zero zero")])
    found, code = rows(home, model)
    assert code == NOT_CHECKED
    assert [row["parity"] for row in found] == ["uncompared"] * 2


def test_a_random_model_cannot_be_compared(home: Path) -> None:
    nodes = [node("RandomUniformLike", "x", "r", dtype=1, low=0.0, high=1.0), node("Add", "x r")]
    found, code = rows(home, write(home / "random.onnx", nodes))
    assert code == NOT_CHECKED
    assert [row["unchecked"] for row in found] == ["not deterministic, cannot be compared"] * 2
    assert not [row for row in found if row["standing"] == "wrong"]


def test_a_step_of_the_grid_is_no_error(home: Path) -> None:
    """The runtimes' rounding of 64 products to 8 bits differs by a step in places."""
    rng = np.random.default_rng(3)
    nodes = [node("MatMul", "x w", "m"), node("QuantizeLinear", "m scale zero", "q"), node("DequantizeLinear", "q scale zero")]
    weights = {"w": rng.normal(size=(64, 4096)).astype(np.float32), "scale": np.float32(0.25), "zero": np.int8(0)}
    found, code = rows(home, write(home / "grid.onnx", nodes, weights=weights))
    assert (code, [row["parity"] for row in found]) == (0, ["on par"] * 2)


def test_a_sigmoid_near_zero_is_not_wrong_by_its_rounding(home: Path) -> None:
    rng = np.random.default_rng(3)
    nodes = [node("MatMul", "x w", "m"), node("Sub", "m far", "s"), node("Sigmoid", "s")]
    weights = {"w": rng.normal(size=(64, 512)).astype(np.float32) / 8, "far": np.float32(15)}
    found, code = rows(home, write(home / "sigmoid.onnx", nodes, weights=weights))
    assert (code, [row["parity"] for row in found]) == (0, ["on par"] * 2)


def test_the_noise_of_a_float16_source_is_the_bar(home: Path) -> None:
    rng = np.random.default_rng(3)
    names = ["x", *(f"h{n}" for n in range(300)), "y"]
    nodes = [node("MatMul", f"{a} w", b) for a, b in pairwise(names)]
    weights = {"w": np.linalg.qr(rng.normal(size=(64, 64)))[0].astype(np.float16)}
    model = write(home / "half.onnx", nodes, TensorProto.FLOAT16, weights, kind=TensorProto.FLOAT16)
    found, code = rows(home, model)
    assert (code, [row["parity"] for row in found]) == (0, ["on par"] * 2)
    assert any("the source model's own rounding is that large" in note for row in found for note in row["notes"])


def test_what_could_not_be_checked_says_so(home: Path) -> None:
    """ONNX Runtime has no bfloat16 product, so there is no reference."""
    weights = {"w": np.ones((64, 8), np.float32)}
    model = onnx.load(write(home / "brain.onnx", [node("MatMul", "x w")], TensorProto.BFLOAT16, weights, TensorProto.BFLOAT16))
    narrow = helper.make_tensor("w", TensorProto.BFLOAT16, [64, 8], np.ones(512, np.float32))
    model.graph.initializer[0].CopyFrom(narrow)
    onnx.save(model, home / "brain.onnx")
    done = engineroom(home, "build", str(home / "brain.onnx"), "-p", "onnx.openvino", *QUICK, "--json")
    told = json.loads(done.stdout)
    assert (done.returncode, told["parity"], told["verdict"]) == (NOT_CHECKED, None, "not checked")
    assert told["unchecked"].startswith("the source model did not run: ONNX Runtime could not build")
    found, code = rows(home, home / "brain.onnx")
    assert code not in (0, NOT_CHECKED)
    own, other = found
    assert own["standing"] == "failed"
    assert other["verdict"].startswith("the baseline, and not checked: the source model did not run")
    assert other["verdict"].endswith(", as ONNX Runtime in fp32 was not measured")


def test_where_the_reference_is_the_outlier_a_second_opinion_settles_it(home: Path) -> None:
    """A bias of a million that a batch normalization takes off again: gone where the two are fused, else it rounds."""
    rng = np.random.default_rng(3)
    nodes = [
        node("Reshape", "x square", "image"),
        node("Conv", "image w b", "c", pads=[1, 1, 1, 1]),
        node("BatchNormalization", "c scale zeros mean scale"),
    ]
    weights = {
        "square": np.array([1, 1, 8, 8]),
        "w": rng.normal(size=(4, 1, 3, 3)).astype(np.float32),
        "b": np.full(4, 1e6, np.float32),
        "mean": np.full(4, 1e6, np.float32),
        "scale": np.ones(4, np.float32),
        "zeros": np.zeros(4, np.float32),
    }
    found, code = rows(home, write(home / "outlier.onnx", nodes, weights=weights))
    assert (code, [row["parity"] for row in found]) == (0, ["on par"] * 2)
    for row in found:
        assert any("The reference, ONNX Runtime, graph not optimized, is the outlier" in note for note in row["notes"])
        assert row["max_rel"] < 1e-5


def test_an_engine_that_is_wrong_stays_wrong_when_others_are_asked(home: Path) -> None:
    """Half of the values are too small for the grid that INT8 puts them on, and weigh as much as the others."""
    sizes = np.repeat([1.0, 1e-4], 32).astype(np.float32)
    rng = np.random.default_rng(3)
    weights = {"d": sizes, "w": (rng.normal(size=(64, 16)) / sizes[:, None]).astype(np.float32)}
    model = write(home / "narrowed.onnx", [node("Mul", "x d", "m"), node("MatMul", "m w")], weights=weights)
    done = engineroom(home, "build", str(model), "-p", "onnx.onnxruntime", "--precision", "int8", *QUICK, "--json")
    told = json.loads(done.stdout)
    assert (done.returncode, told["verdict"]) == (11, "not on par")
    assert any("asked for a second opinion, is" in note for note in told["parity"]["notes"])
    assert told["stamp"] == "uncalibrated, do not deploy"
    shown = engineroom(home, "findings", told["build"]["key"])
    assert "Not on par" in shown.stdout.splitlines()[3]
