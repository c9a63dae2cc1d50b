"""Tiny models, and TensorRT's engines of them."""

import os
from dataclasses import replace

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from core.backends.base import BuildConfig
from core.backends.tensorrt import BACKEND
from core.base.precision import Precision
from core.base.profile import parse_profile
from core.base.progress import silent
from core.models.model import Format, Source
from core.models.onnx_graph import graph_signature
from core.onnxio.file import read_onnx
from core.precision.prepare import prepare
from core.precision.target import TENSORRT, parse_target

HERE = BACKEND.availability()
needs_gpu = pytest.mark.skipif(not HERE.available, reason=f"TensorRT cannot run here: {HERE.reason}")

# For hosts whose TensorRT has no cuBLAS or cuDNN beside it.
TACTICS = {"tactic_sources": os.environ["ENGINEROOM_TACTIC_SOURCES"]} if "ENGINEROOM_TACTIC_SOURCES" in os.environ else {}


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
