"""ModelOpt as another engine behind `prepare`: NVIDIA's own passes, in an environment and a process of their own.

It needs PyTorch (1.4 to 2 GB), so it is never a dependency. `requirements/modelopt.txt` has its pins, docs/precision.md the
commands, and ENGINEROOM_MODELOPT_PYTHON names the interpreter.
"""

from __future__ import annotations

import fnmatch
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from core.base.children.call import Child, NoAnswer
from core.base.errors import ConversionFailed, InvalidRequest, Unavailable
from core.base.precision import Precision
from core.base.progress import Progress, Report
from core.models.onnx_graph import graph_signature
from core.onnxio.file import read_onnx, save_onnx
from core.onnxio.walk import name_nodes, opset
from core.precision import modelopt_adapter
from core.precision.calibration.check import DataCheck, check_data
from core.precision.calibration.ranges import UNCALIBRATED
from core.precision.calibration.samples import CalibrationData, SampleSource, open_data
from core.precision.lower import suit_runtime
from core.precision.modelopt_environment import availability, interpreter
from core.precision.opset import fit_opset
from core.precision.placement_check import check_placement
from core.precision.quantize_plan import WEIGHTED_OPS
from core.precision.record import PrecisionRecord
from core.precision.requested import requested_types
from core.precision.settings import PrecisionEngine, PrecisionSettings
from core.precision.target import FP16_QDQ_OPSET, Target


def check_modelopt(precision: Precision, target: Target) -> None:
    """Refuses what ModelOpt cannot do here.

    Raises:
        Unavailable: It has no environment.
        InvalidRequest: It writes the precision in an opset that the target does not read.
    """
    state = availability()
    if not state.available:
        raise Unavailable(f"ModelOpt does not work here: {state.reason}", hint=state.hint)
    if not target.reads(needed := _opset(precision)):
        raise InvalidRequest(
            f"ModelOpt writes {precision.value} at opset {needed}; {target.name} reads {target.max_opset}.",
            hint="Use the engine `light` for this target.",
        )


def lower_with_modelopt(
    model: onnx.ModelProto,
    precision: Precision,
    target: Target,
    source: SampleSource,
    settings: PrecisionSettings,
    report: Report,
) -> tuple[onnx.ModelProto, PrecisionRecord]:
    """What `core.precision.lower.lower` promises, carried out by ModelOpt, which calibrates on the samples itself."""
    before = {node.name for node in model.graph.node}
    data = open_data(source, graph_signature(model), settings)
    check = check_data(data, model, source.expected) if data.calibrated else DataCheck()
    with tempfile.TemporaryDirectory(prefix="engineroom-modelopt-") as scratch:
        made = _run(model, Path(scratch), precision, target, data, settings, report)
    made = _as_asked(made, target)
    # ModelOpt also quantizes other ops; what counts as converted is what computes in the type that was asked for.
    converted = tuple(name for name, kind in requested_types(made).items() if kind == precision.facts.dtype)
    lost = len(before - {node.name for node in made.graph.node})
    kept = {
        node.name: "ModelOpt left it"
        for node in made.graph.node
        if node.name in before - set(converted) and (not precision.quantizes or node.op_type in WEIGHTED_OPS)
    }
    violations = check_placement(made, stored_weights=target.stores_weights) if precision.quantizes else ()
    suit_runtime(made, precision, target)
    record = PrecisionRecord(
        target=target.name,
        engine=f"{PrecisionEngine.MODELOPT.value} {availability().version}",
        precision=precision,
        converted=converted,
        kept=kept,
        violations=violations,
        stamp=UNCALIBRATED if precision.quantizes and not data.calibrated else "",
        data=data.description,
        inputs=check.inputs,
        notes=(*((f"{lost} nodes of the source are gone or renamed.",) if lost else ()), *check.warnings),
    )
    return made, record


def _opset(precision: Precision) -> int:
    """What it writes at least: its Q/DQ nodes carry FP16 scales."""
    return max(precision.facts.opset, FP16_QDQ_OPSET) if precision.quantizes else precision.facts.opset


def _as_asked(made: onnx.ModelProto, target: Target) -> onnx.ModelProto:
    name_nodes(made)
    if not target.reads(opset(made) or 0):
        raise ConversionFailed(
            f"ModelOpt wrote opset {opset(made)}; {target.name} reads {target.max_opset}.", hint="Use the engine `light`."
        )
    return made


def _run(
    model: onnx.ModelProto,
    scratch: Path,
    precision: Precision,
    target: Target,
    data: CalibrationData,
    settings: PrecisionSettings,
    report: Report,
) -> onnx.ModelProto:
    model = fit_opset(model, precision, target)
    save_onnx(model, scratch / "source.onnx")
    samples = scratch / "samples"
    samples.mkdir()
    for index, sample in enumerate(data.read()):
        np.savez(samples / f"{index:06d}.npz", **sample)  # type: ignore[arg-type]
        report(Progress(message=f"Writing {data.count} samples for ModelOpt", fraction=(index + 1) / data.count / 5))
    request: Mapping[str, Any] = {
        "model": str(scratch / "source.onnx"),
        "output": str(scratch / "made.onnx"),
        "samples": str(samples),
        "first_sample": str(samples / "000000.npz"),
        "precision": precision.value,
        "quantizes": precision.quantizes,
        "method": settings.method.value,
        "rest": target.rest.value,
        "keep_ops": list(settings.keep_ops),
        "keep_nodes": [fnmatch.translate(pattern) for pattern in settings.keep_nodes],
        "keep_io_types": settings.keep_io_types,
        "opset": max(opset(model) or 0, _opset(precision)),
    }
    report(Progress(message=f"ModelOpt: {precision.value.upper()}", fraction=None))
    # Isolated: this folder must not be on its path, where `modelopt` would be this file.
    command = [str(interpreter()), "-I", modelopt_adapter.__file__]
    child = Child(environment=dict.fromkeys(("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV")))
    try:
        child.ask(command, request)
    except NoAnswer as end:
        raise ConversionFailed(f"ModelOpt failed: {end.last_line}", hint="Use the engine `light`.", detail=end.log) from end
    return read_onnx(scratch / "made.onnx")
