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
from core.precision.calibration_data import CalibrationData, open_data
from core.precision.data_check import check_data
from core.precision.lower import load_for
from core.precision.modelopt_environment import availability, interpreter
from core.precision.opset import fit_opset
from core.precision.placement_check import check_placement
from core.precision.prepare import ENTRY, PrecisionOptions, PrecisionResult, finish
from core.precision.quantize import GRIDS, WEIGHTED_OPS
from core.precision.ranges import UNCALIBRATED
from core.precision.requested import requested_types
from core.precision.settings import MODELOPT
from core.precision.strides import spell_out_strides
from core.precision.target import OPENVINO, Target

# What it writes at least: its Q/DQ nodes carry FP16 scales.
_MIN_OPSET = {Precision.FP16: 13, Precision.BF16: 22, Precision.INT8: 19, Precision.FP8: 19}
_TYPES = {Precision.FP16: "float16", Precision.BF16: "bfloat16", Precision.INT8: "int8", Precision.FP8: "float8_e4m3fn"}
_METHODS = ("max", "entropy")


def prepare_with_modelopt(
    source: Path,
    folder: Path,
    precision: Precision,
    target: Target,
    calibration: Path | None,
    options: PrecisionOptions,
    report: Report,
) -> PrecisionResult:
    """What `prepare` promises, carried out by ModelOpt."""
    state = availability(options.python)
    if not state.available:
        raise Unavailable(f"ModelOpt does not work here: {state.reason}", hint=state.hint)
    if target.max_opset < _MIN_OPSET[precision]:
        raise InvalidRequest(
            f"ModelOpt writes {precision.value} at opset {_MIN_OPSET[precision]}; {target.name} reads {target.max_opset}.",
            hint="Use the engine `light` for this target.",
        )
    if options.method not in _METHODS:
        raise InvalidRequest(f"ModelOpt has no calibration {options.method!r}.", hint=f"It has: {', '.join(_METHODS)}.")
    report(Progress(message="Reading the graph", fraction=0.0))
    model, notes = load_for(source, precision, report)
    before = {node.name for node in model.graph.node}
    data = open_data(calibration, graph_signature(model), options.data)
    check = check_data(data, model, options.data.expected) if data.calibrated else None
    with tempfile.TemporaryDirectory(prefix="engineroom-modelopt-") as scratch:
        made = _run(model, Path(scratch), precision, target, data, options, report)
    made = _as_asked(made, target)
    # ModelOpt also quantizes other ops; what counts as converted is what computes in the type that was asked for.
    asked = {name: kind for name, kind in requested_types(made).items() if kind == _TYPES[precision]}
    after = {node.name for node in made.graph.node}
    lost = len(before - after)
    kept = {
        node.name: "ModelOpt left it"
        for node in made.graph.node
        if node.name in before and node.name not in asked and (precision not in GRIDS or node.op_type in WEIGHTED_OPS)
    }
    quantized = precision in GRIDS
    violations = check_placement(made, stored_weights=target.stores_weights) if quantized else ()
    if precision is Precision.INT8 and target.runtime == OPENVINO:
        spell_out_strides(made)
    result = PrecisionResult(
        entry=ENTRY,
        precision=precision,
        target=target.name,
        engine=f"{MODELOPT} {state.version}",
        opset=0,
        converted=tuple(asked),
        kept=kept,
        violations=violations,
        stamp=UNCALIBRATED if quantized and not data.calibrated else "",
        data=data.description,
        inputs=check.inputs if check else (),
        builder_flags=target.builder_flags(precision),
        notes=(
            *notes,
            *((f"{lost} nodes of the source are gone or renamed.",) if lost else ()),
            *(check.warnings if check else ()),
        ),
    )
    return finish(made, folder, result)


def _as_asked(made: onnx.ModelProto, target: Target) -> onnx.ModelProto:
    name_nodes(made)
    if (opset(made) or 0) > target.max_opset:
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
    options: PrecisionOptions,
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
        "method": options.method,
        "rest": target.rest.value,
        "keep_ops": list(options.keep_ops),
        "keep_nodes": [fnmatch.translate(pattern) for pattern in options.keep_nodes],
        "keep_io_types": options.keep_io_types,
        "opset": max(opset(model) or 0, _MIN_OPSET[precision]),
    }
    report(Progress(message=f"ModelOpt: {precision.value.upper()}", fraction=None))
    # Isolated: this folder must not be on its path, where `modelopt` would be this file.
    command = [str(interpreter(options.python)), "-I", modelopt_adapter.__file__]
    child = Child(environment=dict.fromkeys(("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV")))
    try:
        child.ask(command, request)
    except NoAnswer as end:
        raise ConversionFailed(f"ModelOpt failed: {end.last_line}", hint="Use the engine `light`.", detail=end.log) from end
    return read_onnx(scratch / "made.onnx")
