"""TensorRT on a real GPU: building engines of tiny models, each knob, and what cannot be built. Skipped where there is none."""

import json
from dataclasses import replace

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from bench.overflow import overflowing_model
from core.backends._tensorrt.versions import parse_version
from core.backends.tensorrt import BACKEND
from core.backends.tensorrt._product import features
from core.base.errors import BuildFailed, Cancelled, InvalidRequest, RunFailed, Unavailable, UnsupportedOps
from core.base.precision import Precision
from core.models.model import Format, Source
from core.models.onnx_graph import graph_signature
from core.onnxio.file import read_onnx, save_onnx
from core.onnxio.simplify import simplify
from core.precision.calibration.samples import SampleSource
from tests.integration.backends.tensorrt.engines import HERE, built, images, in_precision, needs_gpu, reference

pytestmark = needs_gpu


def test_ops_without_a_translation_are_named(tmp_path):
    nodes = [
        helper.make_node("Relu", ["x"], ["a"], name="relu"),
        helper.make_node("Frobnicate", ["a"], ["b"], name="odd/one", domain="made.up"),
        helper.make_node("Relu", ["b"], ["y"], name="relu2"),
    ]
    graph = helper.make_graph(
        nodes,
        "main",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [2, 3])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [2, 3])],
    )
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("made.up", 1)]
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=8), tmp_path / "m.onnx")
    source = Source(path=tmp_path / "m.onnx", format=Format.ONNX, signature=graph_signature(read_onnx(tmp_path / "m.onnx")))
    with pytest.raises(UnsupportedOps) as failure:
        built(source, tmp_path / "engine", shapes=())
    assert "odd/one" in failure.value.message
    assert "Frobnicate" in failure.value.message
    assert "plugin" in failure.value.hint


def test_a_build_is_cancelled_in_the_middle(convolutions, tmp_path):
    seen = []

    def report(progress):
        seen.append(progress)
        if progress.message.startswith(("Optimizing", "Building", "Timing")):
            raise Cancelled("someone asked")

    with pytest.raises(Cancelled):
        built(convolutions, tmp_path / "engine", report=report)
    assert seen


def test_the_timing_cache_is_kept_and_found(convolutions, tmp_path):
    from core.backends._tensorrt.build import BuildFacts
    from core.base.serialization import read_json

    built(convolutions, tmp_path / "first")
    built(convolutions, tmp_path / "second")
    first, second = (read_json(BuildFacts, tmp_path / name / "build.json") for name in ("first", "second"))
    assert first.timing_cache_bytes is not None
    assert first.timing_cache_bytes[0] == 0 < first.timing_cache_bytes[1]
    assert second.timing_cache_bytes is not None
    assert second.timing_cache_bytes[0] == first.timing_cache_bytes[1]
    off = built(convolutions, tmp_path / "third", timing_cache=False)
    assert read_json(BuildFacts, off.folder / "build.json").timing_cache_bytes is None


@pytest.mark.parametrize(
    "options",
    [
        {"workspace_mb": 64},
        {"refit": True},
        {"sparsity": True},
        {"tactic_sources": "edge_mask_convolutions,jit_convolutions"},
        pytest.param({"memory_pools": "tactic_dram:1G"}, id="pools"),
        pytest.param({"optimization_level": 0}, id="level"),
        pytest.param({"aux_streams": 0}, id="streams"),
        pytest.param({"hardware_compatibility": "ampere_plus"}, id="hardware"),
        pytest.param({"version_compatible": True}, id="version"),
    ],
)
def test_every_knob_builds_or_says_which_version_has_it(convolutions, tmp_path, options):
    if (HERE.version or "").startswith("8.5") and not {"workspace_mb", "refit", "sparsity", "tactic_sources"} >= options.keys():
        with pytest.raises(InvalidRequest, match=r"TensorRT 8\.5 has no"):
            built(convolutions, tmp_path / "engine", **options)
        return
    try:
        engine = built(convolutions, tmp_path / "engine", **options)
    except Unavailable as error:
        if "libnvinfer_lean" not in error.message:
            raise
        pytest.skip(f"{error} {error.hint}")
    with BACKEND.open(engine) as session:
        inputs = images(2)
        np.testing.assert_allclose(session.run(inputs)["y"], reference(convolutions, inputs)["y"], rtol=1e-3, atol=1e-4)


def test_no_dla_on_a_desktop_gpu(convolutions, tmp_path):
    with pytest.raises(InvalidRequest, match="0 DLA cores"):
        built(convolutions, tmp_path / "engine", dla_core=0)


def test_engines_of_another_version_and_torn_ones_are_refused(convolutions, tmp_path):
    engine = built(convolutions, tmp_path / "engine")
    with (
        pytest.raises(RunFailed, match=r"built by TensorRT 7\.0"),
        BACKEND.open(replace(engine, versions={**engine.versions, "tensorrt": "7.0"})),
    ):
        pass
    plan = engine.folder / engine.artifact
    plan.write_bytes(plan.read_bytes()[:5000])
    with pytest.raises(RunFailed, match="could not load"), BACKEND.open(engine):
        pass


@pytest.mark.parametrize("precision", [Precision.TF32, Precision.FP16, Precision.INT8])
def test_reduced_precisions_build_from_the_graph_and_run_in_it(convolutions, tmp_path, precision):
    np.savez(tmp_path / "calibration.npz", **images(16))
    (tmp_path / "simple").mkdir()
    simple = tmp_path / "simple" / simplify(convolutions.path, tmp_path / "simple").entry
    lowered = in_precision(precision, simple, tmp_path / "graph", data=SampleSource(path=tmp_path / "calibration.npz"))
    engine = built(replace(convolutions, path=lowered.path), tmp_path / "engine", precision=precision)
    graph = BACKEND.describe(engine)
    assert graph.unmapped == ()
    computed = {layer.precision for layer in graph.layers}
    if precision is Precision.INT8:
        assert "int8" in computed
    elif precision is Precision.FP16 and features(parse_version(HERE.version or "")).strong_types:
        assert "float16" in computed  # before, TensorRT is free to find FP32 faster, as it does for so small a network
    with BACKEND.open(engine) as session:
        inputs = images(2)
        result, expected = session.run(inputs)["y"], reference(convolutions, inputs)["y"]
    assert np.abs(result - expected).max() < 0.1 * np.abs(expected).max()


@pytest.mark.parametrize("precision", [Precision.FP16, Precision.INT8])
def test_what_fp16_would_overflow_is_computed_in_fp32(tmp_path, precision):
    save_onnx(overflowing_model(), tmp_path / "source.onnx")
    data = SampleSource(expected={"x": (-1.0, 1.0)})
    source = in_precision(precision, tmp_path / "source.onnx", tmp_path / "graph", data=data)
    engine = built(source, tmp_path / "engine", precision=precision)
    held = json.loads((engine.folder / "build.json").read_text())["held_in_fp32"]
    assert bool(held) == (not features(parse_version(HERE.version or "")).strong_types)
    inputs = {"x": np.random.default_rng(0).uniform(-1, 1, (2, 32)).astype(np.float32)}
    with BACKEND.open(engine) as session:
        result = session.run(inputs)["y"]
    expected = reference(replace(source, path=tmp_path / "source.onnx"), inputs)["y"]
    assert np.abs(result - expected).max() < 0.05 * np.abs(expected).max()


def test_the_gpus_memory_can_be_too_small(convolutions, tmp_path):
    """Everything but a little of the memory is taken, so the build or the run ends in a sentence."""
    from core.backends._tensorrt import cuda as _cuda

    engine = built(convolutions, tmp_path / "engine", shapes=("batch=1:2:512",))
    free, _ = _cuda.memory_bytes()
    hog = _cuda.DeviceBuffer(free - 24 * 2**20)
    try:
        with pytest.raises((RunFailed, BuildFailed)) as failure, BACKEND.open(engine) as session:
            session.run(images(512))
        assert failure.value.hint
    finally:
        hog.free()
