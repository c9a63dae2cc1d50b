"""Makes what the rows of one network are built and judged with: ONNX graphs, inputs, and TensorFlow's outputs for them.

IN/<network>/onnx/fp32/model.onnx   converted and simplified; fp16 and int8 beside it
IN/<network>/inputs.npz             four samples; reference.npz: TensorFlow's outputs on the CPU
IN/<network>/calibration.npz        32 other samples
"""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path
from typing import Any

import numpy as np

from bench.networks import inputs_file
from core.backends.base import BuildConfig, backend_named
from core.base.errors import EngineRoomError
from core.base.precision import Precision
from core.base.profile import parse_profile
from core.base.progress import silent
from core.base.serialization import to_data
from core.base.tensors import Signature
from core.models.model import Format, Source
from core.models.savedmodel import read_savedmodel
from core.onnxio.file import read_onnx
from core.onnxio.simplify import simplify
from core.onnxio.walk import op_counts
from core.precision.calibration.samples import SampleSource
from core.precision.prepare import prepare
from core.precision.target import Target, check_target, parse_target
from sample_models.make_models import sample

OLDEST = "8.5"
SAMPLES, CALIBRATION = 4, 32


def prepare_network(network: str, folder: Path, savedmodels: Path | None) -> dict[str, Any]:
    """Everything of one network, and what each step took and changed.

    Args:
        folder: `IN/<network>`.
        savedmodels: Folder of the sample SavedModels; None to make them, which needs Keras 3.
    """
    from core.conversion.onnx_from_savedmodel import CONVERSION

    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    model = (savedmodels / network) if savedmodels else sample(network)
    signature = read_savedmodel(model).signatures[0]
    source = Source(path=model, format=Format.SAVEDMODEL, signature=signature)
    told: dict[str, Any] = {"savedmodel_bytes": sum(f.stat().st_size for f in model.rglob("*") if f.is_file())}
    _write_inputs(network, folder)
    np.savez(folder / "reference.npz", **_reference(source, folder))

    started = time.perf_counter()
    (folder / "converted").mkdir()
    converted = CONVERSION.convert(source, folder / "converted", silent)
    told["convert_seconds"] = round(time.perf_counter() - started, 2)
    graphs = folder / "onnx"
    (graphs / "fp32").mkdir(parents=True)
    simplified = simplify(folder / "converted" / converted.entry, graphs / "fp32")
    told["simplified"] = to_data(simplified)
    target = parse_target(f"tensorrt-{backend_named('tensorrt').availability().version or OLDEST}")
    told["refused"] = _refused(target)
    for precision in (Precision.FP16, Precision.INT8):
        (graphs / precision.value).mkdir()
        made = prepare(
            graphs / "fp32" / simplified.entry,
            graphs / precision.value,
            precision,
            target=target,
            data=SampleSource(path=folder / "calibration.npz"),
        )
        told[precision.value] = {
            "seconds": round(made.seconds or 0, 2),
            "converted": len(made.converted),
            "kept": len(made.kept),
            "violations": len(made.violations),
            "ops": op_counts(read_onnx(graphs / precision.value / made.entry, weights=False)),
        }
    return told


def signature_of(network: str, savedmodels: Path | None) -> tuple[Path, Signature]:
    model = (savedmodels / network) if savedmodels else sample(network)
    return model, read_savedmodel(model).signatures[0]


def onnx_of(folder: Path, precision: Precision) -> Path:
    """The graph of a precision; FP32 and TF32 share one."""
    name = precision.value if precision in (Precision.FP16, Precision.INT8) else "fp32"
    return folder / "onnx" / name / "model.onnx"


def _refused(target: Target) -> dict[str, str]:
    """The precisions that this TensorRT does not build, with why."""
    found = {}
    for precision in Precision:
        try:
            check_target(precision, target)
        except EngineRoomError as error:
            found[precision.value] = str(error)
    return found


def _write_inputs(network: str, folder: Path) -> None:
    inputs_file(network, CALIBRATION, 0, folder).rename(folder / "calibration.npz")
    inputs_file(network, SAMPLES, 1, folder).rename(folder / "inputs.npz")


def _reference(source: Source, folder: Path) -> dict[str, Any]:
    """TensorFlow's own outputs on the CPU, one sample at a time, stacked."""
    os.environ["CUDA_VISIBLE_DEVICES"] = "-1"
    backend = backend_named("tensorflow")
    profile = parse_profile(["batch=1"]).complete(source.signature)
    (folder / "reference").mkdir()
    engine = backend.build(source, BuildConfig(variant="signature", profile=profile), folder / "reference", silent)
    inputs = dict(np.load(folder / "inputs.npz"))
    with backend.open(engine) as session:
        results = [session.run({name: array[i : i + 1] for name, array in inputs.items()}) for i in range(SAMPLES)]
    shutil.rmtree(folder / "reference")
    return {name: np.concatenate([result[name] for result in results]) for name in results[0]}
