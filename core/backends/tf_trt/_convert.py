"""The conversion itself, with `TrtGraphConverterV2`."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from core.backends.base import BuildConfig, OptionValue
from core.backends.tf_trt._segments import engine_graph, read_report, segments, source_nodes
from core.base.errors import BuildFailed, Unavailable
from core.base.lean import import_tensorflow
from core.base.precision import Precision
from core.base.profile import Point, ShapeProfile
from core.base.progress import Progress, Report
from core.base.tensors import Array, Signature
from core.graph.engine_graph import EngineGraph
from core.models.model import Source
from core.precision.calibration.samples import SampleSource, open_data
from core.precision.settings import PrecisionSettings

_MODES = {Precision.FP32: "FP32", Precision.TF32: "FP32", Precision.FP16: "FP16", Precision.INT8: "INT8"}
_CALIBRATION_SAMPLES = 100
# A path as this variable's value has TF-TRT write there why it left ops to TensorFlow (tf2tensorrt/segment/segment.cc).
_REPORT_VARIABLE = "TF_TRT_SHOW_DETAILED_REPORT"


@dataclass(frozen=True, slots=True, kw_only=True)
class Converted:
    """What a conversion found besides the SavedModel it wrote.

    Attributes:
        notes: Sentences, where the calibration data came from among them.
    """

    graph: EngineGraph
    notes: tuple[str, ...]


def start(config: BuildConfig) -> Any:
    """TensorFlow on the GPU, with TF32 as the precision asks.

    Raises:
        Unavailable: TensorFlow cannot be imported, has no TF-TRT or sees no GPU.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "1")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # an old TensorFlow warns of newer packages beside it, from C++, where none may raise
            tf = import_tensorflow()
            from tensorflow.python.compiler.tensorrt import trt_convert  # noqa: F401
    except ImportError as error:
        raise Unavailable(f"TF-TRT cannot be imported: {error}", hint="It needs TensorFlow before 2.18.") from error
    gpus = tf.config.list_physical_devices("GPU")
    if not gpus:
        raise Unavailable("TensorFlow sees no GPU here.", hint="`nvidia-smi` must list one; check CUDA_VISIBLE_DEVICES.")
    for gpu in gpus:
        try:
            tf.config.experimental.set_memory_growth(gpu, True)
        except RuntimeError:  # TensorFlow is running already and keeps what it has
            break
    tf.config.experimental.enable_tensor_float_32_execution(config.precision is not Precision.FP32)
    return tf


def convert(
    tf: Any, source: Source, config: BuildConfig, options: Mapping[str, OptionValue], target: Path, why: Path, report: Report
) -> Converted:
    """Writes the converted SavedModel to `target`, and TF-TRT's own report of what it did not convert to `why`.

    Raises:
        BuildFailed: TF-TRT refused, or put nothing into TensorRT.
    """
    from tensorflow.python.compiler.tensorrt import trt_convert

    data = _calibration(source, config)
    limits = {}
    if int(options["max_workspace_size_bytes"]) > 0:
        limits["max_workspace_size_bytes"] = int(options["max_workspace_size_bytes"])
    converter = trt_convert.TrtGraphConverterV2(
        input_saved_model_dir=str(source.path),
        input_saved_model_signature_key=source.signature.name,
        precision_mode=_MODES[config.precision],
        minimum_segment_size=int(options["minimum_segment_size"]),
        maximum_cached_engines=int(options["maximum_cached_engines"]),
        use_calibration=config.precision is Precision.INT8,
        use_dynamic_shape=bool(options["dynamic_shapes"]),
        dynamic_shape_profile_strategy="Range" if options["dynamic_shapes"] else None,
        **limits,
    )
    before = source_nodes(_frozen(tf, source))
    report(Progress(message="Converting with TF-TRT" + (" and calibrating" if data else "")))
    with _environment(_REPORT_VARIABLE, str(why)):
        function = converter.convert(**({"calibration_input_fn": _feeds(tf, data.read)} if data else {}))
    graph_def = function.graph.as_graph_def(add_shapes=True)
    told = why.read_text(encoding="utf-8") if why.exists() else ""
    if not segments(graph_def):
        raise BuildFailed(
            "TF-TRT put no part of this model into TensorRT.",
            hint="Lower minimum_segment_size, or use the path through ONNX.",
            detail=told,
        )
    if options["engines"] == "built":
        report(Progress(message="Building the engines", fraction=0.6))
        shapes = 3 if options["dynamic_shapes"] else int(options["maximum_cached_engines"])
        converter.build(input_fn=_feeds(tf, lambda: profile_samples(source.signature, config.profile, shapes)))
    report(Progress(message="Saving", fraction=0.9))
    converter.save(str(target))
    notes = [f"Calibrated with {data.description}."] if data and data.calibrated else []
    if data and not data.calibrated:
        notes.append("Uncalibrated: the INT8 ranges come from random values. Do not deploy this engine.")
    return Converted(graph=engine_graph(before, graph_def, read_report(told)), notes=tuple(notes))


def _calibration(source: Source, config: BuildConfig) -> Any:
    if config.precision is not Precision.INT8:
        return None
    samples = SampleSource(path=source.calibration, profile=config.profile)
    return open_data(samples, source.signature, PrecisionSettings(samples=_CALIBRATION_SAMPLES))


def _feeds(tf: Any, samples: Any) -> Any:
    """TF-TRT's kind of input function; dictionaries are matched by the signature's names."""

    def feed() -> Iterator[dict[str, Any]]:
        for sample in samples():
            yield {name: tf.constant(array) for name, array in sample.items()}

    return feed


def profile_samples(signature: Signature, profile: ShapeProfile, limit: int) -> Iterator[dict[str, Array]]:
    """Inputs at the profile's opt, max and min lengths, each shape once: engines are built for the shapes they are shown."""
    points = (tuple(profile.shape(spec, point) for spec in signature.inputs) for point in (Point.OPT, Point.MAX, Point.MIN))
    for shapes in list(dict.fromkeys(points))[:limit]:
        yield {spec.name: np.ones(shape, dtype=spec.dtype) for spec, shape in zip(signature.inputs, shapes, strict=True)}


def _frozen(tf: Any, source: Source) -> Any:
    from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

    loaded = tf.saved_model.load(str(source.path))
    return convert_variables_to_constants_v2(loaded.signatures[source.signature.name]).graph.as_graph_def()


@contextmanager
def _environment(name: str, value: str) -> Iterator[None]:
    before = os.environ.get(name)
    os.environ[name] = value
    try:
        yield
    finally:
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before
