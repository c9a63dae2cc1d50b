"""The model that FP16 turns to zeros: what ONNX Runtime shows, what rounding shows, and what is kept in FP32 unasked.

    python -m bench.overflow [model.onnx]

With a file name, the model is written there too, to be built by `engineroom build model.onnx --precision fp16`.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import numpy as np
import onnx
from onnx import helper, numpy_helper

from core.base.precision import Precision
from core.models.onnx_graph import graph_signature
from core.onnxio.file import read_onnx, save_onnx
from core.parity.compare import compare
from core.precision.calibration.samples import SampleSource, open_data
from core.precision.load import load_simplified
from core.precision.lower import lower
from core.precision.prepare import prepare
from core.precision.record import ENTRY
from core.precision.runner import Runner
from core.precision.sensitivity import make_trial
from core.precision.settings import PrecisionSettings
from core.precision.target import parse_target

RANGE = {"x": (-1.0, 1.0)}


def overflowing_model() -> onnx.ModelProto:
    """Unit vectors by their norm, whose sum of squares is about 200,000: beyond FP16's 65,504."""
    rng = np.random.default_rng(5)
    weights = {
        "w": rng.normal(0, 9, (32, 256)).astype(np.float32),
        "v": rng.normal(0, 1, (256, 4)).astype(np.float32),
        "axes": np.array([1]),
    }
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["h"], name="widen"),
        helper.make_node("Mul", ["h", "h"], ["squared"], name="square"),
        helper.make_node("ReduceSum", ["squared", "axes"], ["total"], name="sum"),
        helper.make_node("Sqrt", ["total"], ["norm"], name="root"),
        helper.make_node("Div", ["h", "norm"], ["unit"], name="divide"),
        helper.make_node("MatMul", ["unit", "v"], ["y"], name="project"),
    ]
    graph = helper.make_graph(
        nodes,
        "main",
        [helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, ["batch", 32])],
        [helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, ["batch", 4])],
        [numpy_helper.from_array(array, name) for name, array in weights.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def overflow_rows() -> list[str]:
    """A table as Markdown lines."""
    lines = [
        "## The model that overflows",
        "",
        "Correct in FP32, all zeros in real FP16. `unguarded` converts every node; `light` is the default, which keeps in FP32",
        "what leaves FP16's range on the calibration data or on random values.",
        "",
        "| FP16 by | judged by | max. rel. error | zeros | kept in FP32 |",
        "|---|---|---|---|---|",
    ]
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "source.onnx"
        model = overflowing_model()
        save_onnx(model, source)
        data = open_data(SampleSource(expected=RANGE, random_samples=8), graph_signature(model))
        samples = list(data.read())
        truth = [{"y": Runner(model, ["y"]).run(sample)[0]} for sample in samples]
        for title, guarded in (("unguarded", False), ("light", True)):
            out = Path(folder) / title
            out.mkdir()
            target = parse_target("tensorrt-8.6")
            if guarded:
                record = prepare(source, out, Precision.FP16, target=target, data=SampleSource(expected=RANGE))
            else:
                lowered, record = lower(load_simplified(source, Precision.FP16), Precision.FP16, target)
                save_onnx(lowered, out / ENTRY)
            kept = tuple(record.kept)
            trial = make_trial(read_onnx(source), Precision.FP16, PrecisionSettings(keep_nodes=kept))
            runners = {"ONNX Runtime": Runner(read_onnx(out / ENTRY), ["y"]), "rounding": Runner(trial.model, ["y"], exact=True)}
            for judge, runner in runners.items():
                got = [{"y": runner.run(sample)[0]} for sample in samples]
                found = compare(truth, got, 0.01).outputs[0]
                zeros = float(np.mean([np.mean(one["y"] == 0) for one in got]))
                lines.append(f"| {title} | {judge} | {found.max_rel:.2g} | {zeros:.0%} | {', '.join(kept) or 'none'} |")
    return lines


if __name__ == "__main__":
    for file in sys.argv[1:]:
        save_onnx(overflowing_model(), Path(file))
    print("\n".join(overflow_rows()))
