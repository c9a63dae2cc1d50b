"""Single nodes as small files: they load, they check, they compute the same."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper
from onnx.reference import ReferenceEvaluator

from core.base.errors import NotFound
from core.onnxio.extract import LARGEST_WEIGHT_BYTES, extract
from core.onnxio.file import save_onnx
from tests.asked_models import ODD_NAMES, branches, custom_between, info, loop, model, node, odd_names, weighted


def stored(made: onnx.ModelProto, folder: Path, **how: int) -> Path:
    path = folder / "model.onnx"
    save_onnx(made, path, **how)
    return path


@pytest.mark.parametrize(
    ("made", "name"), [(branches(), "the if"), (loop(), "the loop"), (custom_between(), "before"), (odd_names(), ODD_NAMES[4])]
)
def test_a_known_node_checks_alone(made: onnx.ModelProto, name: str, tmp_path: Path) -> None:
    part = extract(stored(made, tmp_path), [name])
    onnx.checker.check_model(part)
    assert [one.name for one in part.graph.node] == [name]


def test_a_small_weight_comes_out_of_its_own_file(tmp_path: Path) -> None:
    made = weighted()
    part = extract(stored(made, tmp_path, external_above=0), ["matmul"])
    onnx.checker.check_model(part, full_check=True)
    given = np.random.default_rng(1).normal(size=(3, 64)).astype(np.float32)
    (got,) = ReferenceEvaluator(part).run(None, {"x": given})
    np.testing.assert_allclose(got, given @ numpy_helper.to_array(made.graph.initializer[0]), rtol=1e-5)


def test_a_large_weight_is_an_input_and_the_file_says_so(tmp_path: Path) -> None:
    side = int((LARGEST_WEIGHT_BYTES / 4) ** 0.5) + 1
    made = model(
        [node("MatMul", "x w", "y", "it")],
        [info("x", shape=[1, side])],
        [info("y", shape=[1, side])],
        {"w": np.ones((side, side), np.float32)},
    )
    part = extract(stored(made, tmp_path), ["it"])
    onnx.checker.check_model(part)
    assert [value.name for value in part.graph.input] == ["x", "w"]
    assert "Inputs in place of large weights: w." in part.doc_string
    assert part.ByteSize() < 1_000


def test_a_name_that_no_node_has_is_told(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match=r"no node called nothing\."):
        extract(stored(custom_between(), tmp_path), ["before", "nothing"])


def test_unnamed_nodes_go_by_the_names_that_a_preflight_tells(tmp_path: Path) -> None:
    made = model([node("Relu", "x", "a"), node("Neg", "a", "y")])
    for one in made.graph.node:
        one.name = ""
    part = extract(stored(made, tmp_path), ["Neg_1"])
    assert part.graph.node[0].op_type == "Neg"
