"""TensorRT on a real GPU: building, running, measuring and inspecting tiny models. Skipped where there is none."""

import gc
import json
import os
from dataclasses import replace

import numpy as np
import onnx
import psutil
import pytest
from onnx import TensorProto, helper, numpy_helper

from bench.overflow import overflowing_model
from core.backends.base import BuildConfig
from core.backends.tensorrt import BACKEND
from core.backends.tensorrt._execution import numpy_dtype
from core.backends.tensorrt._versions import features, parse_version
from core.benchmark.loop import measure
from core.benchmark.measurement import Protocol
from core.errors import BuildFailed, Cancelled, InvalidRequest, RunFailed, Unavailable, UnsupportedOps
from core.models.model import Format, Source
from core.models.profile import parse_profile
from core.onnxfile import graph_signature, read_onnx, save_onnx
from core.precision.calibration_data import DataOptions
from core.precision.kinds import Precision
from core.precision.prepare import PrecisionOptions, prepare
from core.precision.target import TENSORRT, parse_target
from core.progress import silent
from core.simplify import simplify

HERE = BACKEND.availability()
pytestmark = pytest.mark.skipif(not HERE.available, reason=f"TensorRT cannot run here: {HERE.reason}")

# For hosts whose TensorRT has no cuBLAS or cuDNN beside it.
TACTICS = {"tactic_sources": os.environ["ENGINEROOM_TACTIC_SOURCES"]} if "ENGINEROOM_TACTIC_SOURCES" in os.environ else {}
SHORT = Protocol(warmup_seconds=0.1, min_seconds=0.2, min_samples=20)


def save(path, nodes, weights, inputs, outputs):
    """Inputs and outputs as (name, element type, shape)."""
    graph = helper.make_graph(
        nodes,
        "main",
        [helper.make_tensor_value_info(*spec) for spec in inputs],
        [helper.make_tensor_value_info(*spec) for spec in outputs],
        [numpy_helper.from_array(array, name) for name, array in weights.items()],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return Source(path=path, format=Format.ONNX, signature=graph_signature(read_onnx(path)))


@pytest.fixture
def convolutions(tmp_path):
    """Two convolutions with a residual Add, dynamic in the batch."""
    rng = np.random.default_rng(0)
    weights = {
        "w1": rng.normal(0, 0.2, (16, 3, 3, 3)).astype(np.float32),
        "w2": rng.normal(0, 0.1, (16, 16, 3, 3)).astype(np.float32),
        "twice": np.full(1, 2, np.float32),
        "once": np.ones(1, np.float32),
    }
    nodes = [
        helper.make_node("Conv", ["x", "w1"], ["a"], name="conv1", pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["a"], ["b"], name="relu1"),
        helper.make_node("Conv", ["b", "w2"], ["c"], name="conv2", pads=[1, 1, 1, 1]),
        helper.make_node("Add", ["c", "b"], ["d"], name="add"),
        helper.make_node("Relu", ["d"], ["e"], name="relu2"),
        helper.make_node("Mul", ["once", "twice"], ["factor"], name="fold"),
        helper.make_node("Mul", ["e", "factor"], ["y"], name="scale"),
    ]
    shape = ["batch", 3, 32, 32]
    return save(
        tmp_path / "convolutions.onnx",
        nodes,
        weights,
        [("x", TensorProto.FLOAT, shape)],
        [("y", TensorProto.FLOAT, ["batch", 16, 32, 32])],
    )


def built(source, folder, *, precision=Precision.FP32, shapes=("batch=2",), report=silent, **options):
    folder.mkdir(parents=True, exist_ok=True)
    config = BuildConfig(precision=precision, profile=parse_profile(list(shapes)), options={**TACTICS, **options}, device="cuda")
    return BACKEND.build(source, replace(config, profile=config.profile.complete(source.signature)), folder, report)


def in_precision(precision, model, folder, **options):
    """The graph that `prepare` makes of a model for the TensorRT here."""
    folder.mkdir()
    made = prepare(model, folder, precision, target=parse_target(f"{TENSORRT}-{HERE.version}"), **options)
    path = folder / made.entry
    return Source(path=path, format=Format.ONNX, signature=graph_signature(read_onnx(path)))


def images(batch, seed=0):
    return {"x": np.random.default_rng(seed).normal(size=(batch, 3, 32, 32)).astype(np.float32)}


def reference(source, inputs):
    import onnxruntime

    session = onnxruntime.InferenceSession(source.path, providers=["CPUExecutionProvider"])
    return dict(zip([o.name for o in session.get_outputs()], session.run(None, inputs), strict=True))


@pytest.fixture(autouse=True)
def _own_workspace(tmp_path, monkeypatch):
    monkeypatch.setenv("ENGINEROOM_WORKSPACE", str(tmp_path / "workspace"))


def test_an_engine_computes_what_the_model_does(convolutions, tmp_path):
    engine = built(convolutions, tmp_path / "engine")
    with BACKEND.open(engine) as session:
        for seed in range(3):
            inputs = images(2, seed)
            np.testing.assert_allclose(session.run(inputs)["y"], reference(convolutions, inputs)["y"], rtol=1e-3, atol=1e-4)
    assert engine.size_bytes == (engine.folder / engine.artifact).stat().st_size
    assert engine.versions["tensorrt"] == HERE.version
    assert (engine.folder / "build.log").read_text()


def test_one_engine_runs_every_shape_of_its_profile_and_no_other(convolutions, tmp_path):
    engine = built(convolutions, tmp_path / "engine", shapes=("batch=1:4:8",))
    with BACKEND.open(engine) as session:
        for batch in (4, 1, 8, 4):
            inputs = images(batch)
            np.testing.assert_allclose(session.run(inputs)["y"], reference(convolutions, inputs)["y"], rtol=1e-3, atol=1e-4)
        with pytest.raises(InvalidRequest, match="not between"):
            session.run(images(9))
        with pytest.raises(InvalidRequest):
            session.run({"x": images(2)["x"].astype(np.float64)})
        assert session.run(images(2))["y"].shape == (2, 16, 32, 32)


def test_several_profiles_share_an_engine(convolutions, tmp_path):
    engine = built(convolutions, tmp_path / "engine", shapes=("batch=1",), profiles="batch=8:8:16")
    with BACKEND.open(engine) as session:
        for batch in (1, 16, 1, 8):
            inputs = images(batch)
            np.testing.assert_allclose(session.run(inputs)["y"], reference(convolutions, inputs)["y"], rtol=1e-3, atol=1e-4)
        with pytest.raises(InvalidRequest):
            session.run(images(4))


def test_a_cuda_graph_gives_the_same_and_survives_new_shapes(convolutions, tmp_path):
    engine = built(convolutions, tmp_path / "engine", shapes=("batch=1:2:4",), cuda_graph=True)
    with BACKEND.open(engine) as session:
        for batch in (2, 2, 4, 2):
            inputs = images(batch, seed=batch)
            np.testing.assert_allclose(session.run(inputs)["y"], reference(convolutions, inputs)["y"], rtol=1e-3, atol=1e-4)
        assert session.settings["cuda graph"] == "on"


@pytest.mark.parametrize("cuda_graph", [False, True])
def test_runs_alike_are_prepared_once(convolutions, tmp_path, monkeypatch, cuda_graph):
    engine = built(convolutions, tmp_path / "engine", cuda_graph=cuda_graph)
    with BACKEND.open(engine) as session:
        first = session.run(images(2))["y"]
        monkeypatch.setattr(session, "_prepare", None)
        again, other = session.run(images(2))["y"], session.run(images(2, seed=1))["y"]
        np.testing.assert_array_equal(again, first)
        np.testing.assert_allclose(other, reference(convolutions, images(2, seed=1))["y"], rtol=1e-3, atol=1e-4)


def test_a_thousand_runs_leave_no_memory_behind(convolutions, tmp_path):
    from core.backends.tensorrt import _cuda

    engine = built(convolutions, tmp_path / "engine", shapes=("batch=1:2:4",), cuda_graph=True)

    def run(session, runs):
        for index in range(runs):
            session.run(images(1 + index % 4))

    def memory():
        gc.collect()
        return _cuda.memory_bytes()[0], psutil.Process().memory_info().rss

    with BACKEND.open(engine) as session:
        run(session, 100)
    closed, _ = memory()
    with BACKEND.open(engine) as session:
        run(session, 100)  # buffers have grown to the largest batch, and what the driver loads late is there
        free, resident = memory()
        run(session, 1000)
        free_after, resident_after = memory()
    assert free - free_after < 4 * 2**20
    assert resident_after - resident < 16 * 2**20
    assert closed - memory()[0] < 4 * 2**20


def test_layers_account_for_every_node_and_have_times(convolutions, tmp_path):
    engine = built(convolutions, tmp_path / "engine")
    graph = BACKEND.describe(engine)
    assert graph.unmapped == ()
    placed = {name for layer in graph.layers for name in layer.source_nodes}
    loose = {node.name for node in graph.loose_nodes}
    assert placed | loose == {node.name for node in graph.source_nodes}
    times = BACKEND.layer_times(engine, images(2), runs=5)
    assert set(times) <= {layer.name for layer in graph.layers}
    assert sum(times.values()) > 0


def test_gpu_times_hold_together(convolutions, tmp_path):
    engine = built(convolutions, tmp_path / "engine", shapes=("batch=1:2:8",))
    told = []
    times = BACKEND.gpu_times(engine, images(2), SHORT, told.append)
    assert {(run.transfers, run.graph) for run in times.runs} == {(False, False), (False, True), (True, False), (True, True)}
    for run in times.runs:
        assert 0 < run.compute.median_ms <= run.latency.median_ms
        assert run.compute.samples >= 20
        assert (run.h2d_ms is None) is (not run.transfers)
    assert [point.batch for point in times.batches] == [1, 2, 4, 8]
    assert times.knee in (1, 2, 4, 8)
    streams = [point.streams for point in times.streams]
    assert streams == [1, 2, 4][: len(streams)]
    assert streams or any("streams" in warning for warning in times.warnings)
    assert set(times.host_to_host) == {"plain", "graph"}
    assert times.clocks
    assert all(sample.sm_mhz for sample in times.clocks)
    assert told


def test_host_to_host_is_measured_like_every_backend(convolutions, tmp_path):
    engine = built(convolutions, tmp_path / "engine")
    measurement = measure(lambda: BACKEND.open(engine), images(2), SHORT, silent, batch=2)
    assert measurement.latency.median_ms > 0


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16", "int32", "int64", "bool", "uint8"])
def test_every_dtype_goes_in_and_out(tmp_path, dtype):
    from core.backends.tensorrt import _cuda

    strong = features(parse_version(HERE.version or "")).strong_types
    if dtype == "bfloat16" and not (strong and _cuda.compute_capability() >= (8, 0)):
        pytest.skip("BF16 needs TensorRT 10 and a GPU of compute capability 8.0")
    kinds = {"uint8": TensorProto.UINT8, "bool": TensorProto.BOOL, "int32": TensorProto.INT32}
    kinds |= {"int64": TensorProto.INT64, "float32": TensorProto.FLOAT, "float16": TensorProto.FLOAT16}
    kinds |= {"bfloat16": TensorProto.BFLOAT16}
    if dtype == "uint8":
        nodes = [helper.make_node("Cast", ["x"], ["y"], to=TensorProto.FLOAT, name="cast")]
        out = TensorProto.FLOAT
    elif dtype == "bool":
        nodes, out = [helper.make_node("Not", ["x"], ["y"], name="not")], TensorProto.BOOL
    else:
        nodes, out = [helper.make_node("Add", ["x", "x"], ["y"], name="add")], kinds[dtype]
    source = save(tmp_path / "m.onnx", nodes, {}, [("x", kinds[dtype], [2, 3])], [("y", out, [2, 3])])
    precision = {"float16": Precision.FP16, "bfloat16": Precision.BF16}.get(dtype, Precision.FP32)
    engine = built(source, tmp_path / "engine", precision=precision, shapes=())
    value = np.arange(6).reshape(2, 3).astype(numpy_dtype(dtype))
    with BACKEND.open(engine) as session:
        result = session.run({"x": value})["y"]
    expected = {"bool": ~value if dtype == "bool" else value, "uint8": value.astype(np.float32)}.get(dtype, value + value)
    assert result.dtype == expected.dtype
    np.testing.assert_array_equal(result, expected)


def test_integers_that_the_engine_cannot_hold_are_refused(tmp_path):
    nodes = [helper.make_node("Add", ["x", "x"], ["y"], name="add")]
    source = save(tmp_path / "m.onnx", nodes, {}, [("x", TensorProto.INT64, [2])], [("y", TensorProto.INT64, [2])])
    wide = {"x": np.array([1, 2**31], np.int64)}
    with BACKEND.open(built(source, tmp_path / "engine", shapes=())) as session:
        if features(parse_version(HERE.version or "")).strong_types:
            np.testing.assert_array_equal(session.run(wide)["y"], wide["x"] + wide["x"])
            return
        for _ in range(2):
            with pytest.raises(InvalidRequest, match="x holds 2147483648"):
                session.run(wide)
            np.testing.assert_array_equal(session.run({"x": np.array([1, 2], np.int64)})["y"], [2, 4])


def test_scalars_go_in_and_out(tmp_path):
    nodes = [helper.make_node("Mul", ["x", "x"], ["y"], name="square")]
    source = save(tmp_path / "m.onnx", nodes, {}, [("x", TensorProto.FLOAT, [])], [("y", TensorProto.FLOAT, [])])
    with BACKEND.open(built(source, tmp_path / "engine", shapes=())) as session:
        assert session.run({"x": np.float32(3).reshape(())})["y"] == 9


@pytest.mark.parametrize("value", [np.eye(4, dtype=np.float32), np.ones((3, 4), np.float32), np.zeros((2, 4), np.float32)])
def test_outputs_whose_shape_depends_on_values(tmp_path, value):
    nodes = [
        helper.make_node("NonZero", ["x"], ["found"], name="nonzero"),
        helper.make_node("Transpose", ["found"], ["y"], name="transpose", perm=[1, 0]),
    ]
    source = save(
        tmp_path / "m.onnx", nodes, {}, [("x", TensorProto.FLOAT, ["batch", 4])], [("y", TensorProto.INT64, ["count", 2])]
    )
    engine = built(source, tmp_path / "engine", shapes=("batch=1:2:4",))
    with BACKEND.open(engine) as session:
        for data in (np.eye(2, 4, dtype=np.float32), value):
            result = session.run({"x": data})["y"]
            assert result.dtype == np.int64
            np.testing.assert_array_equal(result, np.argwhere(data))


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
    from core.backends.tensorrt._build import BuildFacts
    from core.serialization import read_json

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
    lowered = in_precision(precision, simple, tmp_path / "graph", calibration=tmp_path / "calibration.npz")
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
    options = PrecisionOptions(data=DataOptions(expected={"x": (-1.0, 1.0)}))
    source = in_precision(precision, tmp_path / "source.onnx", tmp_path / "graph", options=options)
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
    from core.backends.tensorrt import _cuda

    engine = built(convolutions, tmp_path / "engine", shapes=("batch=1:2:512",))
    free, _ = _cuda.memory_bytes()
    hog = _cuda.DeviceBuffer(free - 24 * 2**20)
    try:
        with pytest.raises((RunFailed, BuildFailed)) as failure, BACKEND.open(engine) as session:
            session.run(images(512))
        assert failure.value.hint
    finally:
        hog.free()
