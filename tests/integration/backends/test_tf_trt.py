"""TF-TRT on a real GPU: the committed digits network in each of its precisions. Skipped where there is none."""

from dataclasses import replace

import numpy as np
import pytest

from core.backends.base import BuildConfig
from core.backends.tf_trt import BACKEND
from core.backends.tf_trt._segments import ENGINE_OP, read_report
from core.base.errors import BuildFailed, InvalidRequest
from core.base.precision import Precision
from core.base.profile import parse_profile
from core.base.progress import silent
from core.models.model import Format, Source
from core.models.savedmodel import read_savedmodel
from sample_models.make_models import sample

HERE = BACKEND.availability()
pytestmark = pytest.mark.skipif(not HERE.available, reason=f"TF-TRT cannot run here: {HERE.reason}")


@pytest.fixture(scope="module")
def digits():
    path = sample("digits")
    return Source(path=path, format=Format.SAVEDMODEL, signature=read_savedmodel(path).signatures[0])


@pytest.fixture(scope="module")
def pictures():
    """Real digits and their labels."""
    data = np.load(sample("digits_test"))
    return data["image"], data["labels"]


def built(source, folder, precision=Precision.FP32, shape="batch=16", **options):
    folder.mkdir()
    config = BuildConfig(precision=precision, profile=parse_profile([shape]), options=options, device="cuda")
    return BACKEND.build(source, replace(config, profile=config.profile.complete(source.signature)), folder, silent)


@pytest.mark.parametrize("precision", [Precision.FP32, Precision.FP16, Precision.INT8])
def test_each_precision_classifies_as_trained(digits, pictures, tmp_path, precision):
    images, labels = pictures
    np.savez(tmp_path / "calibration.npz", image=images[64:128])
    engine = built(replace(digits, calibration=tmp_path / "calibration.npz"), tmp_path / "engine", precision)
    if precision is Precision.INT8:
        assert any("Calibrated with" in note for note in engine.notes)
    with BACKEND.open(engine) as session:
        found = np.concatenate([session.run({"image": images[i : i + 16]})["probabilities"] for i in range(0, 64, 16)])
    assert (found.argmax(1) == labels[:64]).mean() > 0.95
    graph = BACKEND.describe(engine)
    placed = {name for layer in graph.layers for name in layer.source_nodes}
    assert placed | {node.name for node in graph.loose_nodes} == {node.name for node in graph.source_nodes}
    engines = [layer for layer in graph.layers if layer.kind == ENGINE_OP]
    assert {layer.precision for layer in engines} == {{"fp32": "float32", "fp16": "float16", "int8": "int8"}[precision.value]}
    assert any("Conv2D" in layer.attributes["ops inside"] for layer in engines)
    assert all(layer.attributes["why not in an engine"] for layer in graph.layers if layer.kind != ENGINE_OP)
    assert read_report((engine.folder / "not_converted.csv").read_text())


def test_without_data_an_int8_engine_carries_a_stamp(digits, tmp_path):
    engine = built(digits, tmp_path / "engine", Precision.INT8)
    assert any(note.startswith("Uncalibrated") for note in engine.notes)


def test_one_engine_serves_a_range_of_shapes(digits, pictures, tmp_path):
    engine = built(digits, tmp_path / "engine", shape="batch=1:4:16", dynamic_shapes=True)
    images, labels = pictures
    with BACKEND.open(engine) as session:
        for batch in (1, 4, 16):
            found = session.run({"image": images[:batch]})["probabilities"]
            assert found.shape == (batch, 10)
            np.testing.assert_array_equal(found.argmax(1)[:1], labels[:1])
        with pytest.raises(InvalidRequest):
            session.run({"image": images[:2].astype(np.float64)})


def test_a_segment_can_be_too_small_for_an_engine(digits, tmp_path):
    with pytest.raises(BuildFailed, match="put no part of this model into TensorRT"):
        built(digits, tmp_path / "engine", minimum_segment_size=1000)


def test_the_workspace_is_limited(digits, tmp_path):
    engine = built(digits, tmp_path / "engine", max_workspace_size_bytes=2**26, engines="at_first_run")
    limits = {layer.attributes["workspace_size_bytes"] for layer in BACKEND.describe(engine).layers if layer.kind == ENGINE_OP}
    assert limits
    assert all(0 < int(limit) <= 2**26 for limit in limits)


def test_engines_of_the_first_run_are_small_to_keep_and_right(digits, pictures, tmp_path):
    images, labels = pictures
    later = built(digits, tmp_path / "later", engines="at_first_run")
    with BACKEND.open(later) as session:
        found = session.run({"image": images[:16]})["probabilities"]
    assert (found.argmax(1) == labels[:16]).mean() > 0.9
    assert later.size_bytes < built(digits, tmp_path / "now").size_bytes


def test_several_cached_engines_serve_several_shapes(digits, pictures, tmp_path):
    images, labels = pictures
    engine = built(digits, tmp_path / "engine", shape="batch=1:4:16", maximum_cached_engines=3)
    cached = {
        layer.attributes["max_cached_engines_count"] for layer in BACKEND.describe(engine).layers if layer.kind == ENGINE_OP
    }
    assert cached == {"3"}
    with BACKEND.open(engine) as session:
        for batch in (4, 16, 1):
            np.testing.assert_array_equal(session.run({"image": images[:batch]})["probabilities"].argmax(1)[:1], labels[:1])
