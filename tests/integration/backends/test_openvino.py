"""What is OpenVINO's own: types, precision, its reader's limits, and what it refuses."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import ml_dtypes
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from core.backends.base import BuildConfig, Engine, backend_named
from core.backends.openvino._arrays import as_array, as_tensor
from core.base.dtypes import numpy_dtype
from core.base.errors import BuildFailed, RunFailed
from core.base.precision import Precision
from core.base.profile import AxisRange, ShapeProfile
from core.base.progress import silent
from core.models.model import Format, Source
from core.models.onnx_graph import graph_signature
from core.onnxio.file import read_onnx
from core.precision.prepare import prepare
from core.precision.record import ENTRY
from core.precision.settings import PrecisionSettings
from core.precision.target import parse_target
from sample_models.make_models import sample

BACKEND = backend_named("openvino")
VALUE = helper.make_tensor_value_info


def saved(path: Path, nodes: list[object], inputs: list[object], outputs: list[object], weights: tuple[object, ...] = ()) -> Path:
    model = helper.make_model(
        helper.make_graph(nodes, "g", inputs, outputs, weights), opset_imports=[helper.make_opsetid("", 17)]
    )
    model.ir_version = 8
    onnx.save(model, path)
    return path


def built(path: Path, folder: Path, config: BuildConfig | None = None) -> Engine:
    folder.mkdir(exist_ok=True)
    source = Source(path=path, format=Format.ONNX, signature=graph_signature(read_onnx(path, weights=False)))
    return BACKEND.build(source, config or BuildConfig(), folder, silent)


@pytest.fixture
def product(tmp_path: Path) -> Path:
    weight = numpy_helper.from_array(np.random.default_rng(0).normal(size=(64, 64)).astype(np.float32), "w")
    return saved(
        tmp_path / "product.onnx",
        [helper.make_node("MatMul", ["x", "w"], ["p"], name="product"), helper.make_node("Relu", ["p"], ["y"], name="relu")],
        [VALUE("x", TensorProto.FLOAT, ["n", 64])],
        [VALUE("y", TensorProto.FLOAT, ["n", 64])],
        (weight,),
    )


def test_carries_every_type_but_text(tmp_path: Path) -> None:
    types = {
        "flag": (TensorProto.BOOL, np.array([True, False, True])),
        "long": (TensorProto.INT64, np.array([1, 2**30, -3])),
        "byte": (TensorProto.UINT8, np.array([1, 255, 0], np.uint8)),
        "half": (TensorProto.FLOAT16, np.array([1.5, -2, 0], np.float16)),
        "brain": (TensorProto.BFLOAT16, np.array([1.5, -2, 0], ml_dtypes.bfloat16)),
        "double": (TensorProto.DOUBLE, np.array([1.5, -2, 0])),
        "scalar": (TensorProto.FLOAT, np.array(2.5, np.float32)),
    }

    def shape(name: str) -> list[str]:
        return [] if name == "scalar" else ["n"]

    path = saved(
        tmp_path / "types.onnx",
        [helper.make_node("Identity", [name], [f"{name}_out"]) for name in types],
        [*(VALUE(name, kind, shape(name)) for name, (kind, _) in types.items()), VALUE("unused", TensorProto.FLOAT, ["n"])],
        [VALUE(f"{name}_out", kind, shape(name)) for name, (kind, _) in types.items()],
    )
    engine = built(path, tmp_path / "engine")
    inputs = {name: value for name, (_, value) in types.items()} | {"unused": np.zeros(3, np.float32)}
    with BACKEND.open(engine) as session:
        outputs = session.run(inputs)
    for name in types:
        assert outputs[f"{name}_out"].dtype == inputs[name].dtype
        np.testing.assert_array_equal(outputs[f"{name}_out"], inputs[name])
    assert "32 bits" in engine.notes[0]


def test_refuses_text(tmp_path: Path) -> None:
    ends = [VALUE("words", TensorProto.STRING, ["n"])], [VALUE("y", TensorProto.STRING, ["n"])]
    path = saved(tmp_path / "text.onnx", [helper.make_node("Identity", ["words"], ["y"])], *ends)
    with pytest.raises(BuildFailed, match="words"):
        built(path, tmp_path / "engine")


@pytest.mark.parametrize(("precision", "error"), [(Precision.FP32, 1e-6), (Precision.FP16, 1e-2), (Precision.BF16, 5e-2)])
def test_computes_in_the_precision_that_was_asked(product: Path, tmp_path: Path, precision: Precision, error: float) -> None:
    try:
        engine = built(product, tmp_path / "engine", BuildConfig(precision=precision))
    except BuildFailed as refused:
        assert "This processor computes in" in refused.message  # noqa: PT017
        assert precision is not Precision.FP32
        pytest.skip(refused.message)
    given = np.random.default_rng(1).normal(size=(4, 64)).astype(np.float32)
    weight = numpy_helper.to_array(onnx.load(product).graph.initializer[0])
    expected = np.maximum(given.astype(np.float64) @ weight, 0)
    with BACKEND.open(engine) as session:
        output = session.run({"x": given})["y"]
    off = float(np.abs(output - expected).max() / expected.max())
    assert off < error
    if precision is not Precision.FP32:
        assert off > 1e-5
    (layer,) = (layer for layer in BACKEND.describe(engine).layers if layer.source_nodes)
    assert layer.source_nodes == ("product", "relu")
    assert layer.precision == {"fp32": "float32", "fp16": "float16", "bf16": "bfloat16"}[precision.value]
    assert layer.kernel


@pytest.mark.parametrize("precision", [Precision.FP16, Precision.BF16])
def test_nodes_kept_in_fp32_run_in_fp32(tmp_path: Path, precision: Precision) -> None:
    weight = np.random.default_rng(0).normal(0, 0.1, size=(16, 16, 3, 3)).astype(np.float32)
    names = ("first", "kept", "last")
    outputs = ("a", "b", "y")
    nodes = [
        helper.make_node("Conv", [before, "w"], [after], name=name, pads=[1, 1, 1, 1])
        for name, before, after in zip(names, ("x", *outputs), outputs, strict=False)
    ]
    ends = [VALUE("x", TensorProto.FLOAT, [1, 16, 8, 8])], [VALUE("y", TensorProto.FLOAT, [1, 16, 8, 8])]
    source = saved(tmp_path / "three.onnx", nodes, *ends, (numpy_helper.from_array(weight, "w"),))
    (tmp_path / "lowered").mkdir()
    settings = PrecisionSettings(keep_nodes=("kept",))
    prepare(source, tmp_path / "lowered", precision, target=parse_target("openvino"), settings=settings)
    try:
        engine = built(tmp_path / "lowered" / ENTRY, tmp_path / "engine", BuildConfig(precision=precision))
    except BuildFailed as refused:
        assert "This processor computes in" in refused.message  # noqa: PT017
        pytest.skip(refused.message)
    ran = {name: layer.precision for layer in BACKEND.describe(engine).layers for name in layer.source_nodes if name in names}
    narrow = {Precision.FP16: "float16", Precision.BF16: "bfloat16"}[precision]
    assert ran == {"first": narrow, "kept": "float32", "last": narrow}
    with BACKEND.open(engine) as session:
        assert session.settings["inference precision"] == "as the graph is typed"


def test_refuses_int8_of_a_graph_that_is_not_quantized(product: Path, tmp_path: Path) -> None:
    with pytest.raises(BuildFailed, match="quantized"):
        built(product, tmp_path / "engine", BuildConfig(precision=Precision.INT8))


def test_refuses_shapes_outside_the_profile(product: Path, tmp_path: Path) -> None:
    profile = ShapeProfile(axes={"n": AxisRange(min=2, opt=4, max=8)})
    engine = built(product, tmp_path / "engine", BuildConfig(profile=profile))
    shapes = {tensor.shape for layer in BACKEND.describe(engine).layers for tensor in layer.outputs}
    assert shapes == {(4, 64)}
    with BACKEND.open(engine) as session:
        for length in (2, 8):
            assert session.run({"x": np.zeros((length, 64), np.float32)})["y"].shape == (length, 64)
        for length in (1, 9):
            with pytest.raises(RunFailed, match=rf"x \[{length}, 64\]") as caught:
                session.run({"x": np.zeros((length, 64), np.float32)})
            assert "profile" in caught.value.hint


def test_one_node_may_be_several_layers_of_lasting_names(tmp_path: Path) -> None:
    """Opset 9's Softmax flattens, so OpenVINO reshapes around its own."""
    graph = helper.make_graph(
        [helper.make_node("Softmax", ["x"], ["y"], name="softmax")],
        "g",
        [VALUE("x", TensorProto.FLOAT, [2, 3, 4])],
        [VALUE("y", TensorProto.FLOAT, [2, 3, 4])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 9)])
    model.ir_version = 4
    onnx.save(model, tmp_path / "softmax.onnx")
    engine = built(tmp_path / "softmax.onnx", tmp_path / "engine")
    layers = BACKEND.describe(engine).layers
    assert "Softmax" in {layer.kind for layer in layers}
    assert {layer.source_nodes for layer in layers} == {("softmax",)}


def test_reads_only_the_default_signature_of_several(tmp_path: Path) -> None:
    from core.models.savedmodel import read_savedmodel

    path = sample("two_signatures")
    for signature in read_savedmodel(path).signatures:
        source = Source(path=path, format=Format.SAVEDMODEL, signature=replace(signature))
        if signature.name == "serving_default":
            BACKEND.build(source, BuildConfig(), tmp_path, silent)
            continue
        with pytest.raises(BuildFailed, match=signature.name) as caught:
            BACKEND.build(source, BuildConfig(), tmp_path, silent)
        assert "ONNX" in caught.value.hint


def test_an_unknown_op_is_named(tmp_path: Path) -> None:
    ends = [VALUE("x", TensorProto.FLOAT, [1])], [VALUE("y", TensorProto.FLOAT, [1])]
    path = saved(tmp_path / "odd.onnx", [helper.make_node("Frobnicate", ["x"], ["y"], name="odd")], *ends)
    with pytest.raises(BuildFailed, match="Frobnicate"):
        built(path, tmp_path / "engine")


@pytest.mark.parametrize("name", ["float8_e4m3fn", "float8_e5m2", "float4_e2m1fn"])
def test_outputs_of_few_bits_have_their_type(tmp_path: Path, name: str) -> None:
    """An odd count, so that the last of two in a byte is none."""
    kind = getattr(TensorProto, {"float8_e4m3fn": "FLOAT8E4M3FN", "float8_e5m2": "FLOAT8E5M2"}.get(name, "FLOAT4E2M1"))
    values = np.array([[0, 0.5, 1], [-1, 2, 3], [-6, 4, 1.5]], np.float32)
    model = helper.make_model(
        helper.make_graph(
            [helper.make_node("Cast", ["x"], ["y"], to=kind)],
            "g",
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, [3, 3])],
            [helper.make_tensor_value_info("y", kind, [3, 3])],
        ),
        opset_imports=[helper.make_opsetid("", 23)],
    )
    model.ir_version = 11
    onnx.save(model, tmp_path / "m.onnx")
    signature = graph_signature(read_onnx(tmp_path / "m.onnx", weights=False))
    (tmp_path / "engine").mkdir()
    source = Source(path=tmp_path / "m.onnx", format=Format.ONNX, signature=signature)
    with BACKEND.open(BACKEND.build(source, BuildConfig(), tmp_path / "engine", silent)) as session:
        got = session.run({"x": values})["y"]
    assert got.dtype.name == name
    np.testing.assert_array_equal(got.astype(np.float32), values)


@pytest.mark.parametrize("name", ["int4", "uint4", "float8_e4m3fn", "bfloat16"])
def test_arrays_of_few_bits_come_back_as_they_went(name: str) -> None:
    array = np.array([[1, 2, 3], [4, 5, 6], [7, 0, 1]]).astype(numpy_dtype(name))
    np.testing.assert_array_equal(as_array(as_tensor(array)), array)
