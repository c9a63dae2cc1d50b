from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from core.base.errors import BrokenModel
from core.models.onnx_graph import graph_signature, weight_total
from core.models.onnx_model import read_onnx_model
from core.onnxio.file import check_external_files, read_onnx, save_onnx
from core.onnxio.walk import name_nodes, nodes, op_counts, opset

WEIGHT = np.arange(64 * 64, dtype=np.float32).reshape(64, 64)


def branch(name: str) -> onnx.GraphProto:
    out = helper.make_tensor_value_info(f"{name}_out", TensorProto.FLOAT, None)
    return helper.make_graph([helper.make_node("Neg", ["y"], [f"{name}_out"])], name, [], [out])


def make_model(**graph_options: object) -> onnx.ModelProto:
    """x @ w, negated in both branches of an If, with a weight in typed data and one in an attribute."""
    typed = helper.make_tensor("typed", TensorProto.FLOAT, (64, 64), WEIGHT.ravel().tolist())
    body = [
        helper.make_node("Constant", [], ["c"], value=numpy_helper.from_array(WEIGHT + 1)),
        helper.make_node("MatMul", ["x", "w"], ["a"], name="same"),
        helper.make_node("MatMul", ["a", "c"], ["b"], name="same"),
        helper.make_node("MatMul", ["b", "typed"], ["y"]),
        helper.make_node("If", ["flag"], ["z"], then_branch=branch("then"), else_branch=branch("else")),
        helper.make_node("Gelu", ["z"], ["out"], domain="com.microsoft"),
    ]
    graph = helper.make_graph(
        body,
        "g",
        [
            helper.make_tensor_value_info("x", TensorProto.FLOAT, [None, 64]),
            helper.make_tensor_value_info("flag", TensorProto.BOOL, []),
            helper.make_tensor_value_info("w", TensorProto.FLOAT, [64, 64]),  # as IR 3 wants it
        ],
        [helper.make_tensor_value_info("out", TensorProto.FLOAT, [None, 64])],
        [numpy_helper.from_array(WEIGHT, "w"), typed, numpy_helper.from_array(np.array([1, -1]), "shape")],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17), helper.make_opsetid("com.microsoft", 1)])


def values(model: onnx.ModelProto) -> dict[str, np.ndarray]:
    return {t.name: numpy_helper.to_array(t) for t in model.graph.initializer}


def test_small_model_is_one_file(tmp_path: Path) -> None:
    assert save_onnx(make_model(), tmp_path / "m.onnx") == (tmp_path / "m.onnx",)
    assert read_onnx(tmp_path / "m.onnx") == make_model()


def test_external_data_round_trip_and_source_is_left_alone(tmp_path: Path) -> None:
    model = make_model()
    before = model.SerializeToString(deterministic=True)
    path, data = save_onnx(model, tmp_path / "m.onnx", external_above=1000)
    assert model.SerializeToString(deterministic=True) == before
    assert data.name == "m.onnx.data"
    assert data.stat().st_size >= 3 * WEIGHT.nbytes
    assert path.stat().st_size < 4096
    again = read_onnx(path)
    assert set(values(again)) == {"w", "typed", "shape"}
    for name, value in values(model).items():
        np.testing.assert_array_equal(values(again)[name], value)
    np.testing.assert_array_equal(numpy_helper.to_array(again.graph.node[0].attribute[0].t), WEIGHT + 1)
    onnx.shape_inference.infer_shapes(again)


def test_structure_only_reads_no_data_and_counts_them(tmp_path: Path) -> None:
    path, data = save_onnx(make_model(), tmp_path / "m.onnx", external_above=1000)
    data.unlink()
    model = read_onnx(path, weights=False)
    total = weight_total(model)
    assert (total.parameters, total.size_bytes) == (3 * 64 * 64, 3 * WEIGHT.nbytes)
    with pytest.raises(BrokenModel, match=r"m\.onnx\.data"):
        read_onnx(path)


def test_short_external_data(tmp_path: Path) -> None:
    path, data = save_onnx(make_model(), tmp_path / "m.onnx", external_above=1000)
    data.write_bytes(data.read_bytes()[:-1])
    with pytest.raises(BrokenModel, match="cut short"):
        read_onnx(path)


@pytest.mark.parametrize("location", ["../w.bin", "/etc/passwd", "C:\\w.bin", "a/../../w.bin", ""])
def test_external_data_must_stay_in_the_folder(tmp_path: Path, location: str) -> None:
    model = make_model()
    weight = model.graph.initializer[0]
    weight.data_location = TensorProto.EXTERNAL
    weight.external_data.add(key="location", value=location)
    with pytest.raises(BrokenModel, match="not below"):
        check_external_files(model, tmp_path)


def test_name_nodes_is_complete_unique_and_deterministic() -> None:
    first, second = make_model(), make_model()
    assert name_nodes(first)
    name_nodes(second)
    names = [node.name for node in nodes(first)]
    assert names == ["Constant_0", "same", "MatMul_2", "MatMul_3", "If_4", "Gelu_5", "Neg_6", "Neg_7"]
    assert names == [node.name for node in nodes(second)]
    assert not name_nodes(first)


def test_name_nodes_avoids_names_that_are_there() -> None:
    model = make_model()
    model.graph.node[1].name = "MatMul_3"
    name_nodes(model)
    assert [node.name for node in model.graph.node if node.op_type == "MatMul"] == ["MatMul_3", "same", "MatMul_3_"]


def test_ops_opset_signature() -> None:
    model = make_model()
    assert op_counts(model) == {"MatMul": 3, "Neg": 2, "Constant": 1, "If": 1, "com.microsoft.Gelu": 1}
    assert opset(model) == 17
    found = graph_signature(model)
    assert [(spec.name, spec.dtype, spec.shape) for spec in found.inputs] == [
        ("x", "float32", ("batch", 64)),
        ("flag", "bool", ()),
    ]
    assert found.outputs[0].shape == ("batch", 64)


def test_dynamic_axes_keep_their_names_and_others_get_their_own() -> None:
    def info(name: str, *shape: int | str | None) -> onnx.ValueInfoProto:
        return helper.make_tensor_value_info(name, TensorProto.INT64, shape)

    node = helper.make_node("Max", ["a", "b"], ["c"])
    graph = helper.make_graph([node], "g", [info("a", "N", -1, None), info("b", None, "seq", None)], [info("c", None, None)])
    found = graph_signature(helper.make_model(graph))
    assert found.inputs[0].shape == ("N", "a_1", "a_2")
    assert found.inputs[1].shape == ("b_0", "seq", "b_2")
    assert found.outputs[0].shape == ("c_0", "c_1")


def test_axis_names_that_only_say_unknown_are_forgotten(tmp_path: Path) -> None:
    axes = ("N", 3, "?", "?", "unk__12", "p2o.DynamicDimension.1")
    value = [helper.make_tensor_value_info(name, TensorProto.FLOAT, axes) for name in "xy"]
    model = helper.make_model(helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "g", value[:1], value[1:]))
    onnx.save(model, tmp_path / "m.onnx")
    graph = read_onnx(tmp_path / "m.onnx").graph
    for told in (graph.input[0], graph.output[0]):
        assert [dim.WhichOneof("value") for dim in told.type.tensor_type.shape.dim] == [
            "dim_param",
            "dim_value",
            None,
            None,
            None,
            None,
        ]


@pytest.mark.parametrize("data", [b"", b"not a model", b"\x08\x07\x12\xff"])
def test_not_onnx(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "m.onnx").write_bytes(data)
    with pytest.raises(BrokenModel, match=r"m\.onnx"):
        read_onnx(tmp_path / "m.onnx")


def test_graph_without_weights(tmp_path: Path) -> None:
    (tmp_path / "m.onnx").write_bytes(make_model().SerializeToString())
    told, whole = read_onnx(tmp_path / "m.onnx", weights=False), make_model()
    assert [len(t.raw_data) + len(t.float_data) for t in told.graph.initializer] == [0, 0, 16]
    assert weight_total(told) == weight_total(whole)
    assert graph_signature(told) == graph_signature(whole)
    del told.graph.initializer[:2], whole.graph.initializer[:2]
    assert told == whole  # small tensors, nodes and their attributes are all there


@pytest.mark.parametrize("cut", [1, 100, 20_000, 40_000])
def test_cut_file_is_refused_without_weights_too(tmp_path: Path, cut: int) -> None:
    data = make_model().SerializeToString()
    (tmp_path / "m.onnx").write_bytes(data[:-cut])
    for weights in (True, False):
        with pytest.raises(BrokenModel, match="could not be read as ONNX"):
            read_onnx(tmp_path / "m.onnx", weights=weights)


@pytest.mark.parametrize("data", [b"", b"\x0b", b"\xff" * 30, b"no onnx at all"])
def test_other_bytes_are_refused_without_weights_too(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "m.onnx").write_bytes(data)
    with pytest.raises(BrokenModel):
        read_onnx(tmp_path / "m.onnx", weights=False)


def test_files_beyond_protobufs_limit_are_told_so(tmp_path: Path) -> None:
    with (tmp_path / "m.onnx").open("wb") as file:
        file.truncate(1 << 31)  # sparse: takes no disk
    with pytest.raises(BrokenModel, match="larger than 2 GiB"):
        read_onnx(tmp_path / "m.onnx", weights=False)


def test_what_cannot_be_read_is_told_in_a_sentence_with_one_end(tmp_path: Path) -> None:
    (tmp_path / "m.onnx").write_bytes(b"\x0a\xff\xff\xff\xff\x7f not a model")
    with pytest.raises(BrokenModel) as told:
        read_onnx(tmp_path / "m.onnx")
    assert told.value.message.startswith("m.onnx could not be read as ONNX: ")
    assert told.value.message.endswith(".")
    assert not told.value.message.endswith("..")


def test_a_producer_without_a_version_is_its_name_alone(tmp_path: Path) -> None:
    model = make_model()
    model.graph.node.pop()  # an op of nobody's
    model.graph.output[0].name = "z"
    model.producer_name, model.producer_version = "tf2onnx", "1.17.0 None"
    assert read_onnx_model(save_onnx(model, tmp_path / "m.onnx")[0]).producer == "tf2onnx 1.17.0"
