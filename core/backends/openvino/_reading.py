"""A model as OpenVINO reads it, and the signature's names on it."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from core.backends._errors import ASK_OTHERS, onnx_hint, told_as
from core.base.availability import Availability
from core.base.dtypes import worded_dtype
from core.base.errors import BuildFailed, Unavailable
from core.base.profile import Point, ShapeProfile
from core.base.reasons import plain_reason, shortened
from core.base.tensors import TensorSpec
from core.models.model import Format, Source
from core.models.tflite_tables import read_tables, signature_ends

_DEFAULT_SIGNATURE = "serving_default"
# What OpenVINO puts before the sentences that tell something.
_NOISE = re.compile(
    r"^(Exception from |Check '|FrontEnd API failed|Summary:|\[ ?(GENERAL_ERROR|ERROR)|While validating|Loading input model$"
    r"|Converting input model$|Model wasn't fully converted|.* with a message:$|To facilitate the conversion|$)"
)
_MOST_LINES = 4
_UNCONVERTED = re.compile(r"ONNX node '<Node\((\w+)\): ([^>]+)>'")


@dataclass(frozen=True, slots=True, kw_only=True)
class Ports:
    """OpenVINO's tensor name of each input and output of the signature.

    An input that the model never reads may have none.
    """

    inputs: dict[str, str]
    outputs: dict[str, str]


def imported() -> Any:
    """The `openvino` module.

    Raises:
        Unavailable: It is not installed, or does not load.
    """
    try:
        import openvino
    except ImportError as error:
        raise Unavailable(f"OpenVINO cannot be imported: {error}", hint="pip install openvino") from error
    return openvino


def dtype_of(element_type: Any) -> str:
    """Our name of an `openvino.Type`, or of its short word ("f32"); the word itself where we have none."""
    word = element_type if isinstance(element_type, str) else element_type.get_type_name()
    return worded_dtype(word) or word


def told(error: Exception) -> str:
    """The sentence in an OpenVINO error that says what is wrong."""
    lines = [line.strip(" -") for line in str(error).splitlines()]
    telling = [line for line in lines if not _NOISE.match(line)] or lines or [type(error).__name__]
    if missing := next((line for line in telling if line.startswith("No conversion rule")), ""):
        return shortened(missing)
    first = re.split(r"\n\n|\nSummary:|\n-- ", str(error).partition(" with a message:\n")[2])[0]
    if found := _UNCONVERTED.search(first):
        return shortened(f"it cannot convert the {found[1]} that makes {found[2]}: {first.splitlines()[-1]}")
    return shortened(plain_reason("; ".join(line.rstrip(" :.") for line in telling[:_MOST_LINES])))


def read_model(core: Any, source: Source) -> Any:
    """Reads a model.

    Raises:
        BuildFailed: OpenVINO cannot read it, or cannot read that signature.
    """
    if source.format is Format.SAVEDMODEL and (refused := refusal(source.format, source.signature.name, _signatures(source))):
        raise BuildFailed(refused.reason, hint=refused.hint)
    with told_as(BuildFailed, f"OpenVINO could not read {source.title}", hint=lambda _: onnx_hint(source), sentence=told):
        return core.read_model(os.fspath(source.path))


def find_ports(model: Any, source: Source) -> Ports:
    """The model's tensors for the signature's names.

    Raises:
        BuildFailed: Some cannot be told.
    """
    given, wanted = _tensor_names(model.inputs), _tensor_names(model.outputs)
    read, written = _tflite_names(source) if source.format is Format.TFLITE else ({}, {})
    inputs = _matched(source.signature.inputs, given, read)
    inputs |= _passed_through(model, source, inputs)
    outputs = _matched(source.signature.outputs, wanted, written)
    if len(inputs) < len(given) or len(outputs) < len(source.signature.outputs):
        raise BuildFailed(
            f"OpenVINO's names for signature {source.signature.name} could not be told: it has inputs {_listed(given)} and "
            f"outputs {_listed(wanted)}.",
            hint=ASK_OTHERS,
        )
    return Ports(inputs=inputs, outputs=outputs)


def narrow_shapes(model: Any, source: Source, profile: ShapeProfile, ports: Ports) -> None:
    """Gives the model's dynamic axes the lengths that the profile allows.

    Raises:
        BuildFailed: The model does not work at these shapes.
    """
    openvino = imported()
    shapes = {}
    for spec in source.signature.inputs:
        if spec.name in ports.inputs and spec.shape is not None:
            bounds = zip(profile.shape(spec, Point.MIN), profile.shape(spec, Point.MAX), strict=True)
            shapes[ports.inputs[spec.name]] = openvino.PartialShape([openvino.Dimension(low, high) for low, high in bounds])
    if all(model.input(name).partial_shape == shape for name, shape in shapes.items()):
        return  # reshaping infers every shape anew, changed or not
    what, hint = "The model does not take the shapes of the profile", "Try other lengths for its dynamic axes."
    with told_as(BuildFailed, what, hint=hint, sentence=told):
        model.reshape(shapes)


def refusal(format: Format, signature: str, known: Sequence[str]) -> Availability | None:
    """OpenVINO reads a SavedModel's default signature, or all of them merged into one; and a .tflite file's first."""
    if len(known) < 2 or format not in (Format.SAVEDMODEL, Format.TFLITE):
        return None
    read = _DEFAULT_SIGNATURE if format is Format.SAVEDMODEL else known[0]
    if signature == read:
        return None
    way = "Take the path through ONNX." if format is Format.SAVEDMODEL else "Use LiteRT, or convert that signature alone."
    return Availability(
        available=False,
        reason=f"OpenVINO reads only the signature {read} of a {format.label}; {signature} was asked.",
        hint=way,
    )


def _signatures(source: Source) -> list[str]:
    from core.models.savedmodel import read_savedmodel

    return [signature.name for signature in read_savedmodel(source.path).signatures]


def _tflite_names(source: Source) -> tuple[dict[str, str], dict[str, str]]:
    """Tensor names by signature name, of inputs and of outputs; OpenVINO knows a TFLite file's tensors alone."""
    ends = signature_ends(read_tables(source.path), source.signature.name)
    if ends is None:
        return {}, {}
    if ends.subgraph:
        raise BuildFailed(
            f"OpenVINO reads only the first signature of a .tflite file; {source.signature.name} was asked.",
            hint="Use LiteRT, or convert that signature alone.",
        )
    return ends.inputs, ends.outputs


def _tensor_names(ports: Sequence[Any]) -> list[set[str]]:
    return [set(port.get_names()) for port in ports]


def _matched(specs: Sequence[TensorSpec], ports: Sequence[set[str]], aliases: Mapping[str, str]) -> dict[str, str]:
    """Tensor names by signature name: the same name, else the one that OpenVINO made of it because it was taken."""
    names = {name for port in ports for name in port}
    found = {}
    for spec in specs:
        wanted = aliases.get(spec.name, spec.name)
        if wanted in names:
            found[spec.name] = wanted
    for spec in specs:
        numbered = [name for name in names - set(found.values()) if re.fullmatch(rf"{re.escape(spec.name)}_\d+", name)]
        if spec.name not in found and len(numbered) == 1:
            found[spec.name] = numbered[0]
    return found


def _passed_through(model: Any, source: Source, known: Mapping[str, str]) -> dict[str, str]:
    """Tensor names of the inputs whose own name is gone: one that passes straight through is called as the output is.

    Where several are, an ONNX file's keep their order; another format's are told where types leave one choice.
    """
    specs = [spec for spec in source.signature.inputs if spec.name not in known]
    ports = [port for port in model.inputs if not port.get_names() & set(known.values())]
    if len(specs) != len(ports) or (len(specs) > 1 and source.format is not Format.ONNX):
        return {}
    pairs = list(zip(specs, ports, strict=True))
    alike = all(port.get_names() and dtype_of(port.get_element_type()) == spec.dtype for spec, port in pairs)
    return {spec.name: sorted(port.get_names())[0] for spec, port in pairs} if alike else {}


def _listed(ports: Sequence[set[str]]) -> str:
    return ", ".join("/".join(sorted(port)) or "(unnamed)" for port in ports) or "none"
