"""Engines of TensorRT-RTX on a GPU that takes them: the builder's list of layers against the inspector's, and the results."""

from collections import Counter

import numpy as np
import pytest

from core.backends.base import BuildConfig
from core.backends.tensorrt_rtx import BACKEND
from core.base.profile import parse_profile
from core.base.progress import silent
from tests.integration.backends.tensorrt_rtx.test_building import built, convolutions

HERE = BACKEND.availability()
pytestmark = pytest.mark.skipif("cuda" not in HERE.builds_on, reason=f"TensorRT-RTX runs on {HERE.runs_where}; here is no GPU.")


def on_gpu(source, folder):
    folder.mkdir(parents=True)
    profile = parse_profile(["n=1:2:8"]).complete(source.signature)
    return BACKEND.build(source, BuildConfig(profile=profile, device="cuda"), folder, silent)


def test_the_builders_list_and_the_inspectors_agree(tmp_path):
    source = convolutions(tmp_path / "net.onnx")
    told = BACKEND.describe(built(source, tmp_path / "told"))
    asked = BACKEND.describe(on_gpu(source, tmp_path / "asked"))
    if any("could not be loaded" in note for note in asked.notes):
        pytest.skip(next(note for note in asked.notes if "could not be loaded" in note))
    carried = [Counter(name for layer in graph.layers for name in layer.source_nodes) for graph in (told, asked)]
    assert carried[0].keys() == carried[1].keys()
    assert Counter(told.kinds) == Counter(asked.kinds)


def test_it_computes_what_the_graph_says(tmp_path):
    source = convolutions(tmp_path / "net.onnx")
    engine = on_gpu(source, tmp_path / "engine")
    if any("could not be loaded" in note for note in BACKEND.describe(engine).notes):
        pytest.skip("This GPU is none of those that its engines run on.")
    with BACKEND.open(engine) as session:
        scores = session.run({"x": np.random.default_rng(0).normal(size=(3, 3, 16, 16)).astype(np.float32)})["y"]
    np.testing.assert_allclose(scores.sum(axis=1), 1, rtol=1e-5)
