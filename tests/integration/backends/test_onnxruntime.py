"""What is ONNX Runtime's own: types, external data, options, and what it refuses."""

from __future__ import annotations

from pathlib import Path

import ml_dtypes
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from core.backends.base import BuildConfig, Engine, backend_named
from core.base.dtypes import onnx_number
from core.base.errors import BuildFailed, InvalidRequest, RunFailed
from core.base.precision import Precision
from core.base.profile import AxisRange, ShapeProfile
from core.base.progress import silent
from core.models.model import Format, Source
from core.models.onnx_graph import graph_signature
from core.onnxio.file import read_onnx

BACKEND = backend_named("onnxruntime")
VALUE = helper.make_tensor_value_info


def saved(path: Path, nodes: list[object], inputs: list[object], outputs: list[object], weights: list[object] = []) -> Path:  # noqa: B006
    model = helper.make_model(
        helper.make_graph(nodes, "g", inputs, outputs, weights), opset_imports=[helper.make_opsetid("", 17)]
    )
    model.ir_version = 8
    onnx.save(model, path)
    return path


def built(path: Path, folder: Path, config: BuildConfig = BuildConfig()) -> Engine:  # noqa: B008
    folder.mkdir(exist_ok=True)
    source = Source(path=path, format=Format.ONNX, signature=graph_signature(read_onnx(path, weights=False)))
    return BACKEND.build(source, config, folder, silent)


def test_carries_every_type(tmp_path: Path) -> None:
    types = {
        "text": (TensorProto.STRING, np.array(["a", "schön", ""], dtype=object)),
        "flag": (TensorProto.BOOL, np.array([True, False, True])),
        "long": (TensorProto.INT64, np.array([1, 2**40, -3])),
        "byte": (TensorProto.UINT8, np.array([1, 255, 0], np.uint8)),
        "half": (TensorProto.FLOAT16, np.array([1.5, -2, 0], np.float16)),
        "double": (TensorProto.DOUBLE, np.array([1.5, -2, 0])),
    }
    path = saved(
        tmp_path / "types.onnx",
        [helper.make_node("Identity", [name], [f"{name}_out"]) for name in types],
        [*(VALUE(name, kind, ["n"]) for name, (kind, _) in types.items()), VALUE("unused", TensorProto.FLOAT, ["n"])],
        [VALUE(f"{name}_out", kind, ["n"]) for name, (kind, _) in types.items()],
    )
    engine = built(path, tmp_path / "engine")
    inputs = {name: value for name, (_, value) in types.items()} | {"unused": np.zeros(3, np.float32)}
    with BACKEND.open(engine) as session:
        outputs = session.run(inputs)
    for name in types:
        assert outputs[f"{name}_out"].dtype == inputs[name].dtype
        np.testing.assert_array_equal(outputs[f"{name}_out"], inputs[name])


def test_carries_bfloat16(tmp_path: Path) -> None:
    path = saved(
        tmp_path / "b.onnx",
        [
            helper.make_node("Cast", ["x"], ["wide"], to=TensorProto.FLOAT),
            helper.make_node("Cast", ["wide"], ["y"], to=TensorProto.BFLOAT16),
        ],
        [VALUE("x", TensorProto.BFLOAT16, ["n", 2])],
        [VALUE("y", TensorProto.BFLOAT16, ["n", 2]), VALUE("wide", TensorProto.FLOAT, ["n", 2])],
    )
    engine = built(path, tmp_path / "engine")
    given = np.array([[1, 2], [3, 4.5]], ml_dtypes.bfloat16)
    with BACKEND.open(engine) as session:
        outputs = session.run({"x": given})
        session.run({"x": np.zeros_like(given)})
    assert outputs["y"].dtype == ml_dtypes.bfloat16
    np.testing.assert_array_equal(outputs["y"], given)
    np.testing.assert_array_equal(outputs["wide"], given.astype(np.float32))


@pytest.mark.parametrize("name", ["float8_e4m3fn", "float8_e4m3fnuz", "float8_e5m2", "float8_e5m2fnuz"])
def test_carries_floats_of_8_bits(tmp_path: Path, name: str) -> None:
    """In and out beside another type, and of a count that is no multiple of two."""
    kind = onnx_number(name)
    nodes = [
        helper.make_node("Cast", ["x"], ["wide"], to=TensorProto.FLOAT),
        helper.make_node("Cast", ["wide"], ["y"], to=kind),
    ]
    model = helper.make_model(
        helper.make_graph(
            nodes,
            "g",
            [VALUE("x", kind, ["n", 3])],
            [VALUE("y", kind, ["n", 3]), VALUE("wide", TensorProto.FLOAT, ["n", 3])],
        ),
        opset_imports=[helper.make_opsetid("", 19)],
    )
    model.ir_version = 9
    onnx.save(model, tmp_path / "m.onnx")
    engine = built(tmp_path / "m.onnx", tmp_path / "engine")
    given = np.array([[1, 2, 0.5], [-1, 3, 4], [0, -0.25, 1.5]]).astype(getattr(ml_dtypes, name))
    with BACKEND.open(engine) as session:
        outputs = session.run({"x": given})
    assert outputs["y"].dtype.name == name
    np.testing.assert_array_equal(outputs["y"], given)
    np.testing.assert_array_equal(outputs["wide"], given.astype(np.float32))


def _add(folder: Path, *, weight_is_fed: bool = False, external: bool = False) -> Path:
    weight = numpy_helper.from_array(np.arange(2000, dtype=np.float32), "w")
    inputs = [VALUE("x", TensorProto.FLOAT, ["n", 2000])] + ([VALUE("w", TensorProto.FLOAT, [2000])] if weight_is_fed else [])
    nodes = [
        helper.make_node("Neg", ["w"], ["negated"], name="neg"),
        helper.make_node("Add", ["x", "negated"], ["y"], name="add"),
    ]
    path = saved(folder / "add.onnx", nodes, inputs, [VALUE("y", TensorProto.FLOAT, ["n", 2000])], [weight])
    if external:
        onnx.save(onnx.load(path), path, save_as_external_data=True, location="add.weights", size_threshold=0)
    return path


@pytest.mark.parametrize("level", ["disabled", "all"])
@pytest.mark.parametrize("weight_is_fed", [False, True])
def test_external_data_come_along(tmp_path: Path, level: str, weight_is_fed: bool) -> None:
    path = _add(tmp_path, external=True, weight_is_fed=weight_is_fed)
    engine = built(path, tmp_path / "engine", BuildConfig(options={"graph_optimization": level}))
    for file in (path, tmp_path / "add.weights"):
        file.unlink()
    assert engine.artifact == "model"
    assert engine.size_bytes > 8000
    with BACKEND.open(engine) as session:
        outputs = session.run({"x": np.ones((1, 2000), np.float32)})
    np.testing.assert_array_equal(outputs["y"][0], 1 - np.arange(2000))


def test_weights_among_the_inputs_need_not_be_fed_and_are_folded(tmp_path: Path) -> None:
    engine = built(_add(tmp_path, weight_is_fed=True), tmp_path / "engine")
    with BACKEND.open(engine) as session:
        outputs = session.run({"x": np.zeros((2, 2000), np.float32)})
    np.testing.assert_array_equal(outputs["y"][1], -np.arange(2000))
    assert [node.name for node in BACKEND.describe(engine).loose_nodes] == ["neg"]


def test_an_axis_of_one_length_is_fixed(tmp_path: Path) -> None:
    path = saved(
        tmp_path / "shape.onnx",
        [helper.make_node("Shape", ["x"], ["s"], name="shape"), helper.make_node("Identity", ["s"], ["y"], name="pass")],
        [VALUE("x", TensorProto.FLOAT, ["n", 3])],
        [VALUE("y", TensorProto.INT64, [2])],
    )
    three = ShapeProfile(axes={"n": AxisRange(min=3, opt=3, max=3)})
    engine = built(path, tmp_path / "fixed", BuildConfig(profile=three))
    with BACKEND.open(engine) as session:
        assert session.run({"x": np.zeros((3, 3), np.float32)})["y"].tolist() == [3, 3]
        with pytest.raises(RunFailed, match="dimensions"):
            session.run({"x": np.zeros((4, 3), np.float32)})
    assert [node.name for node in BACKEND.describe(engine).loose_nodes] == ["shape", "pass"]


def test_sessions_are_set_to_what_was_asked(tmp_path: Path) -> None:
    options = {"spinning": True, "execution_mode": "parallel", "inter_op_threads": 2}
    engine = built(_add(tmp_path), tmp_path / "engine", BuildConfig(threads=1, options=options))
    with BACKEND.open(engine) as session:
        assert session.settings == {"threads": "1", "spinning": "on", "execution mode": "parallel"}  # type: ignore[attr-defined]
    with BACKEND.open(built(_add(tmp_path), tmp_path / "other")) as session:
        assert session.settings["spinning"] == "off"  # type: ignore[attr-defined]


def test_refuses_what_would_not_be_what_was_asked(tmp_path: Path) -> None:
    path = _add(tmp_path)
    with pytest.raises(BuildFailed, match="quantized"):
        built(path, tmp_path / "int8", BuildConfig(precision=Precision.INT8))
    with pytest.raises(InvalidRequest, match="cuda"):
        built(path, tmp_path / "cuda", BuildConfig(device="cuda"))
    with pytest.raises(InvalidRequest, match="bf16"):
        built(path, tmp_path / "bf16", BuildConfig(precision=Precision.BF16))


def test_an_unknown_op_is_named(tmp_path: Path) -> None:
    path = saved(
        tmp_path / "odd.onnx",
        [helper.make_node("Frobnicate", ["x"], ["y"], name="odd")],
        [VALUE("x", TensorProto.FLOAT, [1])],
        [VALUE("y", TensorProto.FLOAT, [1])],
    )
    with pytest.raises(BuildFailed, match="Frobnicate") as caught:
        built(path, tmp_path / "engine")
    assert caught.value.hint


def test_time_in_a_branch_counts_for_its_node_alone(tmp_path: Path) -> None:
    def branch(op: str) -> object:
        out = VALUE(f"{op}_out", TensorProto.FLOAT, None)
        return helper.make_graph([helper.make_node(op, ["x"], [f"{op}_out"])], op, [], [out])

    path = saved(
        tmp_path / "if.onnx",
        [
            helper.make_node("ReduceMax", ["x"], ["top"], name="top", keepdims=0),
            helper.make_node("Cast", ["top"], ["flag"], name="flag", to=TensorProto.BOOL),
            helper.make_node("If", ["flag"], ["chosen"], name="choose", then_branch=branch("Relu"), else_branch=branch("Tanh")),
            helper.make_node("Neg", ["chosen"], ["y"], name="neg"),
        ],
        [VALUE("x", TensorProto.FLOAT, ["n"])],
        [VALUE("y", TensorProto.FLOAT, ["n"])],
    )
    engine = built(path, tmp_path / "engine")
    graph = BACKEND.describe(engine)
    assert [layer.kind for layer in graph.layers] == ["ReduceMax", "Cast", "If", "Neg"]
    assert "2 nodes" in graph.notes[0]
    times = BACKEND.layer_times(engine, {"x": np.ones(4, np.float32)}, 2)
    assert times.keys() == {layer.name for layer in graph.layers}
