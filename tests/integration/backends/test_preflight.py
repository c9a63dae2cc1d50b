"""What the real runtimes say of models; that builds bear it out is in docs/measurements/preflight.md."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest

from core.backends.base import BuildConfig, Preflights, backend_named
from core.base.availability import availability_of
from core.base.errors import Unavailable
from core.base.progress import silent
from core.graph.support import NodeSupport, Support, Verdict
from core.models.model import Format, Source
from core.models.onnx_graph import graph_signature
from core.onnxio.file import save_onnx
from tests import asked_models as models

RTX, OPENVINO, ORT = "tensorrt_rtx", "openvino", "onnxruntime"
ALL = (RTX, OPENVINO, ORT)
NO_PLUGIN = "Plugin not found, are the plugin name, version, and namespace correct?"


def ask(backend: str, made: onnx.ModelProto, folder: Path, external_above: int = 1 << 30, **options: str) -> Support:
    found = backend_named(backend)
    here = availability_of(found)
    if not here.available:
        pytest.skip(here.reason)
    assert isinstance(found, Preflights)
    model, work = folder / "model", folder / backend
    model.mkdir()
    work.mkdir()
    save_onnx(made, model / "model.onnx", external_above=external_above)
    source = Source(path=model / "model.onnx", format=Format.ONNX, signature=graph_signature(made))
    return found.preflight(source, BuildConfig(options=options), work, silent)


def refused(support: Support) -> dict[str, NodeSupport]:
    assert not support.of(Verdict.UNKNOWN)
    return {node.name: node for node in support.of(Verdict.REFUSED)}


@pytest.mark.parametrize("backend", ALL)
def test_what_all_have_is_taken_whole(backend: str, tmp_path: Path) -> None:
    support = ask(backend, models.taken(), tmp_path)
    assert support.complete
    assert [(node.op, node.region) for node in support.nodes] == [("Relu", 1), ("Sigmoid", 1)]
    assert support.versions[backend.replace("onnxruntime", "onnxruntime")]


@pytest.mark.parametrize(
    ("backend", "reason"),
    [
        (RTX, NO_PLUGIN),
        (OPENVINO, "No conversion rule found for my.ops.Fancy"),
        (ORT, "my.ops:Fancy(-1) is not a registered function/op"),
    ],
)
def test_an_op_of_an_unknown_domain_stands_between_two_regions(backend: str, reason: str, tmp_path: Path) -> None:
    support = ask(backend, models.custom_between(), tmp_path)
    (node,) = refused(support).values()
    assert (node.name, node.op, node.reason) == ("odd one", "my.ops.Fancy", reason)
    assert (node.before, node.after, support.regions) == ((1,), (2,), 2)
    assert node.hint


def test_rtx_wants_a_plugin_for_nonzero_and_others_do_not(tmp_path: Path) -> None:
    support = ask(RTX, models.non_zero(), tmp_path)
    (node,) = refused(support).values()
    assert (node.name, node.op) == ("nz", "NonZero")
    assert "NonZero plugin creator version 1 was not found in plugin registry" in node.reason
    assert node.hint == "Give a library with a plugin for NonZero by the option `plugins`."
    assert node.stands_between


@pytest.mark.parametrize("backend", [OPENVINO, ORT])
@pytest.mark.parametrize("made", [models.non_zero, models.suppression, models.small_integers, models.branches, models.loop])
def test_these_take_what_rtx_refuses(backend: str, made: object, tmp_path: Path) -> None:
    assert ask(backend, made(), tmp_path).complete  # type: ignore[operator]


def test_rtx_reads_suppression_and_its_builder_does_not_build_it(tmp_path: Path) -> None:
    support = ask(RTX, models.suppression(), tmp_path)
    (node,) = refused(support).values()
    assert node.name == "nms"
    assert node.reason.startswith("The parser reads it, but the builder refuses it: ")
    assert "no runners that implement it" in node.reason


def test_a_type_that_rtx_has_not_is_refused_wherever_it_stands(tmp_path: Path) -> None:
    """The Cast reads uint16 too; what comes of it is float32, and taken."""
    support = ask(RTX, models.small_integers(), tmp_path)
    assert list(refused(support)) == ["sum16", "cast"]
    assert {node.reason for node in refused(support).values()} == {"Failed to convert ONNX date type to TensorRT data type."}
    assert support.nodes[2].region == 1


def test_text_is_for_onnx_runtime_alone(tmp_path: Path) -> None:
    assert ask(ORT, models.text(), tmp_path).complete


@pytest.mark.parametrize(
    ("backend", "reason"), [(RTX, "there is no translation for this op"), (OPENVINO, "Engine Room tries no build with text")]
)
def test_text_is_refused_by_others(backend: str, reason: str, tmp_path: Path) -> None:
    (node,) = refused(ask(backend, models.text(), tmp_path)).values()
    assert node.reason.startswith(reason)


def test_onnx_runtime_tells_the_types_that_it_has_kernels_for(tmp_path: Path) -> None:
    support = ask(ORT, models.double_convolution(), tmp_path)
    (node,) = refused(support).values()
    assert node.reason == "Could not find an implementation for Conv(11) node with name 'conv'"
    assert node.hint == "It has kernels of Conv for float32: cast to one of them."
    assert support.regions == 2


def test_a_refused_node_inside_a_branch_is_told_with_its_owner(tmp_path: Path) -> None:
    (node,) = refused(ask(RTX, models.branches(), tmp_path)).values()
    assert (node.name, node.op) == ("the if", "If")
    assert node.reason.endswith("(at NonZero inside else inside it)")


@pytest.mark.parametrize("backend", ALL)
def test_odd_names_come_back_whole(backend: str, tmp_path: Path) -> None:
    support = ask(backend, models.odd_names(), tmp_path)
    assert [node.name for node in support.nodes] == [*models.ODD_NAMES[:5], "cast", models.ODD_NAMES[5]]
    assert list(refused(support)) == (["p | q"] if backend == RTX else [])


@pytest.mark.parametrize("backend", ALL)
def test_weights_may_lie_in_a_file_of_their_own(backend: str, tmp_path: Path) -> None:
    support = ask(backend, models.weighted(), tmp_path, external_above=0)
    assert (tmp_path / "model" / "model.onnx.data").exists()
    assert list(refused(support)) == ["odd one"]
    assert support.nodes[0].verdict is Verdict.TAKEN


@pytest.mark.parametrize("backend", ALL)
def test_many_of_several_kinds_are_each_told(backend: str, tmp_path: Path) -> None:
    """Twenty pairs of an op that nobody has and one that all have, in a row."""
    nodes, last = [], "x"
    for place in range(20):
        nodes += [
            models.node(f"Odd{place % 3}", last, f"o{place}", domain=models.CUSTOM),
            models.node("Add", f"o{place} x", f"a{place}"),
        ]
        last = f"a{place}"
    support = ask(backend, models.model([*nodes, models.node("Relu", last, "y")]), tmp_path)
    assert [node.verdict for node in support.nodes] == [Verdict.REFUSED, Verdict.TAKEN] * 20 + [Verdict.TAKEN]
    assert len(support.cuts) == 19  # before the first there is nothing


def test_a_shape_that_is_fed_is_refused_as_a_build_refuses_it(tmp_path: Path) -> None:
    made = models.model(
        [models.node("Relu", "x", "a", "before"), models.node("Reshape", "a s", "y", "it")],
        [models.info("x"), models.info("s", models.INT64, [2])],
        [models.info("y", shape=["n", "m"])],
    )
    (node,) = refused(ask(RTX, made, tmp_path)).values()
    assert node.name == "it"
    assert node.reason == "Input s decides about shapes, which a profile of axis lengths cannot bound."
    assert node.hint == "Export the model with that input as a constant."


@pytest.mark.parametrize("backend", [ORT])
def test_an_opset_that_is_too_new_is_told_of_every_node(backend: str, tmp_path: Path) -> None:
    made = models.taken()
    made.opset_import[0].version = 99
    support = ask(backend, made, tmp_path)
    assert {node.verdict for node in support.nodes} == {Verdict.REFUSED}
    assert "Opset 99 is under development" in support.nodes[0].reason
    assert "older opset" in support.nodes[0].hint


def test_a_plugin_library_that_is_missing_is_told(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match=r"plugin library /nowhere/plugin\.so could not be loaded"):
        ask(RTX, models.taken(), tmp_path, plugins="/nowhere/plugin.so")


def test_a_dynamic_batch_does_not_keep_the_builder_from_being_asked(tmp_path: Path) -> None:
    """Its open axis is tried at the length that a build has by default; with it, nothing is left untold."""
    made = models.suppression()
    for value in made.graph.input:
        value.type.tensor_type.shape.dim[0].dim_param = "batch"
    support = ask(RTX, made, tmp_path)
    assert list(refused(support)) == ["nms"]


def test_a_graph_without_weights_in_the_answer_is_the_one_that_was_asked(tmp_path: Path) -> None:
    """Constants are no part of any region."""
    value = onnx.numpy_helper.from_array(np.array([4, 1], np.int64))
    constant = onnx.helper.make_node("Constant", [], ["s"], name="k", value=value)
    support = ask(
        ORT, models.model([constant, models.node("Reshape", "x s", "y", "r")], outputs=[models.info("y", shape=[4, 1])]), tmp_path
    )
    assert [(node.name, node.region) for node in support.nodes] == [("k", None), ("r", 1)]
