"""Every conversion on small models, against what the source model itself computes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest

from core.base.errors import ConversionFailed, UnsupportedOps
from core.onnxio.file import external_files, read_onnx
from core.onnxio.walk import graphs, nodes, op_counts, opset

from .conftest import Case

Find = Callable[[str], Case]
CONVERTED = (
    "cnn", "large", "dynamic_axes", "many_inputs", "nested_inputs", "erfc", "one_hot", "control_flow", "lookup_table", "encode",
    "decode", "tf1", "tf1_hidden", "graphdef_whole", "graphdef_cut", "graphdef_whole_large", "from_tflite", "from_tanh",
    "from_keras_to_onnx", "from_h5_to_onnx", "marked_calls", "marked_calls_large", "marked_graphdef", "marked_graphdef_large",
    "grouped",
)  # fmt: skip


def run_onnx(case: Case, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(case.model), options, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, inputs), strict=True))


def axes(info: Any) -> list[int | str]:
    return [dim.dim_param or dim.dim_value for dim in info.type.tensor_type.shape.dim]


@pytest.mark.parametrize("name", CONVERTED)
def test_onnx_computes_what_the_source_model_does(case: Find, name: str) -> None:
    found = case(name)
    assert found.runs
    for inputs, expected in found.runs:
        outputs = run_onnx(found, inputs)
        assert outputs.keys() == expected.keys()
        for key, value in expected.items():
            assert outputs[key].dtype == value.dtype
            np.testing.assert_allclose(outputs[key], value, rtol=1e-4, atol=2e-5, err_msg=key)


@pytest.mark.parametrize("name", CONVERTED)
def test_inputs_and_outputs_are_the_signature_s(case: Find, name: str) -> None:
    found = case(name)
    graph = read_onnx(found.model).graph
    for infos, specs in ((graph.input, found.converted.signature.inputs), (graph.output, found.converted.signature.outputs)):
        assert [info.name for info in infos] == [spec.name for spec in specs]
        for info, spec in zip(infos, specs, strict=True):
            assert spec.shape is None or axes(info) == list(spec.shape)
    names = [node.name for node in graph.node]
    assert len(set(names)) == len(names)
    assert "" not in names


@pytest.mark.parametrize("name", CONVERTED)
def test_no_symbol_but_the_signature_s(case: Find, name: str) -> None:
    found = case(name)
    known = {
        axis for spec in (*found.converted.signature.inputs, *found.converted.signature.outputs) for axis in spec.dynamic_axes
    }
    for graph in graphs(read_onnx(found.model)):
        for info in (*graph.input, *graph.output, *graph.value_info):
            assert {axis for axis in axes(info) if isinstance(axis, str)} <= known


def test_both_dynamic_axes_are_shared_by_inputs_and_outputs(case: Find) -> None:
    graph = read_onnx(case("dynamic_axes").model).graph
    ids, mask = (axes(info) for info in graph.input)
    assert ids == mask
    assert ids[0] == "batch"
    assert {output.name: axes(output)[0] for output in graph.output} == {"hidden": "batch", "pooled": "batch"}


def test_opset_versions_and_counts_are_recorded(case: Find) -> None:
    converted = case("cnn").converted
    assert opset(read_onnx(case("cnn").model)) == 17
    assert {"tensorflow", "tf2onnx", "onnx"} <= converted.versions.keys()
    assert converted.ops["Conv"] == 1
    assert any("TensorFlow ops became" in note for note in converted.notes)


def test_batch_normalization_is_merged_and_gelu_takes_the_form_that_runtimes_fuse(case: Find, tmp_path: Any) -> None:
    found = case("cnn")
    assert found.converted.ops["Erf"] == 1
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
    options.optimized_model_filepath = str(tmp_path / "optimized.onnx")
    onnxruntime.InferenceSession(str(found.model), options, providers=["CPUExecutionProvider"])
    fused = op_counts(onnx.load(tmp_path / "optimized.onnx"))
    assert fused["com.microsoft.Gelu"] == 1
    assert "Erf" not in fused
    assert fused["Conv"] == fused["Transpose"] == 1


def test_nodes_keep_the_names_of_their_tensorflow_nodes(case: Find) -> None:
    names = {node.op_type: node.name for node in nodes(read_onnx(case("cnn").model))}
    assert "/conv_1/" in names["Conv"]
    assert "/gelu_1/" in names["Erf"]


@pytest.mark.parametrize(("name", "elements"), [("large", 8 * 300 + 300 * 300 + 300 * 8), ("graphdef_whole_large", 4 * 600)])
def test_large_models_keep_their_weights_in_one_file_beside(case: Find, name: str, elements: int) -> None:
    found = case(name)
    assert sorted(path.name for path in found.folder.iterdir()) == ["model.onnx", "model.onnx.data"]
    files = external_files(read_onnx(found.model, weights=False))
    assert set(files) == {"model.onnx.data"}
    assert files["model.onnx.data"] == (found.folder / "model.onnx.data").stat().st_size
    assert 0 <= files["model.onnx.data"] - elements * 4 < 3 * 4096


@pytest.mark.parametrize("name", ["from_int8", "to_tflite", "from_keras", "from_h5"])
def test_other_targets_are_whole(case: Find, name: str) -> None:
    found = case(name)
    assert found.converted, found.error
    assert found.runs


def test_quantized_tflite_keeps_its_scales(case: Find) -> None:
    found = case("from_int8")
    assert found.converted.ops["DequantizeLinear"] > 1
    ((inputs, expected),) = found.runs
    outputs = run_onnx(found, inputs)
    for key, value in expected.items():
        assert np.abs(outputs[key].astype(float) - value.astype(float)).max() <= 0.02 * max(1.0, float(np.abs(value).max()))


def test_tflite_computes_what_the_source_model_does(case: Find) -> None:
    from ai_edge_litert.interpreter import Interpreter

    found = case("to_tflite")
    assert found.converted.ops["CONV_2D"] == 1
    for inputs, expected in found.runs:
        interpreter = Interpreter(str(found.model), num_threads=1)
        outputs = interpreter.get_signature_runner("serving_default")(**inputs)
        for key, value in expected.items():
            np.testing.assert_allclose(outputs[key], value, rtol=1e-4, atol=2e-5)


def test_tflite_falls_back_on_tensorflow_s_ops_and_says_so(case: Find) -> None:
    converted = case("tflite_flex").converted
    assert any("MatrixDeterminant" in note for note in converted.notes)
    assert "custom.FlexMatrixDeterminant" in converted.ops


@pytest.mark.parametrize("name", ["unsupported", "tflite_custom"])
def test_ops_without_translation_are_named_with_their_nodes(case: Find, name: str) -> None:
    error = case(name).error
    assert isinstance(error, UnsupportedOps)
    expected = {
        "unsupported": ("2 op types", "DecodeJpeg (node", "/read_jpeg)", "Lgamma (nodes", "/inner", "/outer)"),
        "tflite_custom": ("UnicodeScript (node script)",),
    }
    assert all(part in error.message for part in expected[name]), error.message
    assert error.hint


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("name_clash", ("same name (state)",)),
        ("no_signature", ("'gone'", "encode, decode")),
        ("graphdef_wrong", ("elsewhere",)),
        ("custom_keras", ("custom.keras", "model.export")),
        ("table_without_translation", ("LookupTableFindV2",)),
    ],
)
def test_failures_say_what_failed_and_what_to_do(case: Find, name: str, parts: tuple[str, ...]) -> None:
    error = case(name).error
    assert isinstance(error, ConversionFailed)
    assert all(part in str(error) for part in parts), str(error)
    assert error.hint
    assert "\n" not in error.message
