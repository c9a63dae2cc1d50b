"""TensorRT on a real GPU: running, measuring and inspecting engines of tiny models. Skipped where there is none."""

import gc

import numpy as np
import psutil
import pytest
from onnx import TensorProto, helper

from core.backends._tensorrt.versions import parse_version
from core.backends.tensorrt import BACKEND
from core.backends.tensorrt._product import features
from core.base.dtypes import numpy_dtype
from core.base.errors import InvalidRequest
from core.base.precision import Precision
from core.base.progress import silent
from core.benchmark.loop import measure
from core.benchmark.measurement import Protocol
from tests.integration.backends.tensorrt.engines import HERE, built, images, needs_gpu, reference, save

pytestmark = needs_gpu
SHORT = Protocol(warmup_seconds=0.1, min_seconds=0.2, min_samples=20)


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
    from core.backends._tensorrt import cuda as _cuda

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
    from core.backends._tensorrt import cuda as _cuda

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
