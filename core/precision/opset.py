"""Brings a graph to an opset that both its precision and its target take."""

from __future__ import annotations

from contextlib import suppress

import onnx
from onnx import helper, version_converter

from core.base.errors import ConversionFailed, InvalidRequest
from core.base.precision import Precision
from core.onnxio.walk import STANDARD_DOMAINS, name_nodes, nodes, opset
from core.precision.target import Target, min_opset
from core.precision.view import lift_constants, without_weights

_RESIZE_NAMES_PLACES = 11
_CAST_TAKES_BF16 = 13


def fit_opset(model: onnx.ModelProto, precision: Precision, target: Target) -> onnx.ModelProto:
    """The model at an opset the target reads and the precision needs; the model itself when its own will do.

    One that is newer than the target is known to read, and has no older form, stays too: the target itself says what it lacks.

    Raises:
        ConversionFailed: ONNX's version converter has no way there.
        InvalidRequest: No opset does for both.
    """
    have = opset(model) or 1
    needed = min_opset(precision, target)
    if precision is Precision.BF16 and target.max_opset:
        needed = min(needed, target.max_opset)  # what has no BF16 version there stays FP32
    if not target.reads(needed):
        raise InvalidRequest(
            f"{precision.value.upper()} needs opset {needed}, and {target.name} reads up to {target.max_opset}.",
            hint="Choose another precision or a newer runtime.",
        )
    if have < needed:
        return _converted(model, have, needed, target)
    if target.reads(have):
        return model
    with suppress(ConversionFailed):
        return _converted(model, have, target.max_opset or have, target)
    return model


def with_casts(model: onnx.ModelProto, precision: Precision, target: Target) -> onnx.ModelProto:
    """The model at an opset whose Cast has the precision's type; the model itself when its own will do.

    Raises:
        ConversionFailed: ONNX's version converter has no way there.
    """
    have = opset(model) or 1
    if precision is not Precision.BF16 or have >= _CAST_TAKES_BF16:
        return model
    return _converted(model, have, _CAST_TAKES_BF16, target)


def _converted(model: onnx.ModelProto, have: int, wanted: int, target: Target) -> onnx.ModelProto:
    light = without_weights(model)
    stripped = {value.name for value in light.graph.input} - {value.name for value in model.graph.input}
    try:
        changed = version_converter.convert_version(light, wanted)
    except Exception as error:
        raise ConversionFailed(
            f"The model has opset {have}, {target.name} needs {wanted} here, and it could not be converted: {error}",
            hint=f"Export the model with opset {wanted}.",
        ) from error
    for value in [value for value in changed.graph.input if value.name in stripped]:
        changed.graph.input.remove(value)
    changed.graph.initializer.extend(tensor for tensor in model.graph.initializer if tensor.name in stripped)
    changed.metadata_props.extend(model.metadata_props)
    standard = [entry for entry in changed.opset_import if entry.domain in STANDARD_DOMAINS]
    changed.ir_version = max(model.ir_version, helper.find_min_ir_version_for(standard))
    if have < _RESIZE_NAMES_PLACES <= wanted:
        _keep_places(changed)
    lift_constants(changed)  # attributes that became inputs
    name_nodes(changed)
    return changed


def _keep_places(model: onnx.ModelProto) -> None:
    """Says of each Resize what held before it could be said: converted, it would take values from other places, by default."""
    for node in (node for node in nodes(model) if node.op_type == "Resize"):
        known = {attribute.name for attribute in node.attribute}
        for name, value in (("coordinate_transformation_mode", "asymmetric"), ("nearest_mode", "floor")):
            if name not in known:
                node.attribute.append(helper.make_attribute(name, value))
