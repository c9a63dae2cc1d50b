"""Reads the JSON of TensorRT's `IEngineInspector`, of versions 8.5 to 11, without TensorRT.

8.5 to 10 give a tensor's type and layout in one string, `Format/Datatype`; 11 gives `Datatype` and `Format` apart and
names the engine's ends as objects in `I/O Tensors`, not as strings in `Bindings`.
Source: NVIDIA's "Engine Inspector" and "Migrating IEngineInspector Usage from TensorRT 10.x to 11.x".
"""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from operator import itemgetter
from typing import Any

from core.backends._tensorrt.build_log import UNREAD
from core.backends._tensorrt.constants import weight_bytes
from core.backends._tensorrt.names import profiles_in
from core.base.dtypes import dtype_in
from core.base.errors import BuildFailed
from core.graph.engine_graph import Layer, LayerTensor
from core.onnxio.aliases import NO_ALIASES, Aliases

# NVIDIA cuts a layer's metadata near this length, and the last entry with it.
METADATA_LIMIT = 3_900

_ONNX_ENTRY = "[ONNX Layer: "
_CONTROL = re.compile(r"[\x00-\x1f\x7f]+")
_TOLD_ELSEWHERE = frozenset({"Name", "LayerType", "Inputs", "Outputs", "TacticName", "Metadata", "StreamId", "EventId"})
# A stand-in for a kernel that is chosen, and compiled, on the GPU.
_STAND_IN = re.compile(r"__myelin_CASK_STUB\w*")
CHOSEN_ON_DEVICE = "chosen on the device"
_SYNCHRONIZING = ("signal", "wait", "shape_call")
_FLOATS = frozenset({"float32", "float16", "bfloat16", "float8_e4m3fn", "float4_e2m1fn"})


@dataclass(frozen=True, slots=True, kw_only=True)
class InspectedLayer:
    """One layer as the inspector tells it.

    Attributes:
        layer: With no source nodes and no time yet; its name is unique.
        told_name: As TensorRT gave it, which can repeat.
        onnx_nodes: Names in the layer's metadata; empty before 8.6, for reformats and for Myelin's layers.
        named_after: Nodes that the layer bears the name of, where they had aliases.
        cut: The metadata reached its limit, so names are missing.
    """

    layer: Layer
    told_name: str
    onnx_nodes: tuple[str, ...] = ()
    named_after: tuple[str, ...] = ()
    cut: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class InspectedEngine:
    """Attributes:
    bindings: Names of the engine's inputs and outputs.
    detailed: False when the engine was built without detailed verbosity and only tells names.
    unread: Lines of the builder's log that should be layers and could not be read.
    """

    layers: tuple[InspectedLayer, ...]
    bindings: tuple[str, ...]
    detailed: bool
    unread: tuple[str, ...] = ()


def read_inspector(text: str, aliases: Aliases = NO_ALIASES) -> InspectedEngine:
    """Parses what `get_engine_information(JSON)` returned, or what `build_log.layers_json` made.

    Args:
        aliases: Under which the builder had the nodes.

    Raises:
        BuildFailed: It is not the inspector's JSON.
    """
    try:
        data = json.loads(text, strict=False)  # metadata holds raw control characters
        told = data["Layers"]
    except (json.JSONDecodeError, KeyError, TypeError) as error:
        raise BuildFailed(
            "The engine inspector's answer could not be read.",
            hint="Keep it for a bug report: inspector.json.",
            detail=str(error),
        ) from error
    detailed = [entry if isinstance(entry, dict) else {"Name": str(entry)} for entry in told]
    names = unique_names(aliases.restore(str(entry["Name"])) for entry in detailed)
    profiles = profiles_in([str(entry["Name"]) for entry in detailed])
    ends = data.get("Bindings") or [tensor["Name"] for tensor in data.get("I/O Tensors", ())]
    return InspectedEngine(
        layers=tuple(_layer(*each, aliases) for each in zip(detailed, names, profiles, strict=True)),
        bindings=tuple(str(name) for name in ends),
        detailed=all(isinstance(entry, dict) for entry in told),
        unread=tuple(aliases.restore(str(line)) for line in data.get(UNREAD, ())),
    )


def unique_names(names: Iterable[str]) -> list[str]:
    """The names in order, fit for display; the second of the same name gets ` #2`, and so on."""
    seen: Counter[str] = Counter()
    result = []
    for name in names:
        shown = _CONTROL.sub(" ", name).strip() or "(unnamed)"
        seen[shown] += 1
        result.append(shown if seen[shown] == 1 else f"{shown} #{seen[shown]}")
    return result


def onnx_names(metadata: str) -> tuple[str, ...]:
    """The ONNX nodes that a layer's metadata names, each once.

    What follows ` | ` in an entry is TensorRT's own; an entry that was cut off in the middle is left out.
    """
    names = []
    for entry in metadata.split(_ONNX_ENTRY)[1:]:
        name, bar, _ = entry.partition(" | ")
        name = _CONTROL.sub(" ", name).strip()
        if bar:
            names.append(name)
        elif name.endswith("]"):
            names.append(name[:-1])
    return tuple(dict.fromkeys(names))


def _layer(entry: Mapping[str, Any], name: str, profile: int | None, aliases: Aliases) -> InspectedLayer:
    metadata = str(entry.get("Metadata", ""))
    inputs = tuple(_tensor(tensor, aliases) for tensor in entry.get("Inputs", ()))
    outputs = tuple(_tensor(tensor, aliases) for tensor in entry.get("Outputs", ()))
    kernel = _STAND_IN.sub(CHOSEN_ON_DEVICE, str(entry.get("TacticName") or ""))
    kind = str(entry.get("LayerType", "Layer"))
    streams = {field: int(entry[field]) if entry.get(field) is not None else None for field in ("StreamId", "EventId")}
    layer = Layer(
        name=name,
        kind=kind,
        kernel=kernel or None,
        precision=_precision(entry, kind, inputs, outputs),
        inputs=inputs,
        outputs=outputs,
        stream=streams["StreamId"],
        event=streams["EventId"],
        weight_bytes=weight_bytes(entry),
        profile=profile,
        attributes={key: _text(value) for key, value in entry.items() if key not in _TOLD_ELSEWHERE and value not in ("", [])},
    )
    return InspectedLayer(
        layer=layer,
        told_name=str(entry["Name"]),
        onnx_nodes=tuple(dict.fromkeys(map(aliases.name, onnx_names(metadata)))),
        named_after=aliases.nodes_in(str(entry["Name"])),
        cut=len(metadata) >= METADATA_LIMIT,
    )


def _tensor(told: Mapping[str, Any], aliases: Aliases) -> LayerTensor:
    together = told.get("Format/Datatype")
    layout = together or told.get("Format")
    dtype = dtype_in(told.get("Datatype") or told.get("DataType")) or dtype_in(layout)
    shape = told.get("Dimensions")
    lengths = tuple(int(length) if length >= 0 else None for length in shape or ())
    return LayerTensor(
        name=_CONTROL.sub(" ", aliases.restore(str(told["Name"]))),
        dtype=dtype,
        shape=tuple(int(length) for length in shape) if shape is not None and all(n >= 0 for n in shape) else None,
        format=str(layout) if layout else None,
        lengths=lengths if None in lengths else None,
    )


def _precision(
    entry: Mapping[str, Any], kind: str, inputs: tuple[LayerTensor, ...], outputs: tuple[LayerTensor, ...]
) -> str | None:
    """What a layer computes in: its weights' type, else its first input's; None where it only moves data or is not told."""
    if kind in ("Reformat", "MyelinReformat", "NoOp", "Constant", "Shuffle", "Myelin", *_SYNCHRONIZING):
        return None  # the last one is a block of many kernels, of which only the ends are told
    if "tf32" in str(entry.get("TacticName", "")).lower():
        return "tf32"
    weights = entry.get("Weights") or entry.get("ConvWeights")
    told = dtype_in(str(weights["Type"])) if isinstance(weights, Mapping) and weights.get("Count") else None
    moved = [tensor.dtype for tensor in (*inputs, *outputs) if tensor.dtype in _FLOATS or tensor.dtype == "int8"]
    if "Constants" in entry and not told:
        told = _type_of_weights(entry["Constants"])
        moved = moved if len(set(moved)) == 1 else []  # a fused kernel between two types computes in both
    return told or next(iter(moved), None)


def _type_of_weights(constants: Iterable[Mapping[str, Any]]) -> str | None:
    """The type of the largest constant with more than one axis that is longer than 1; biases and scales have only one."""
    told = [([n for n in tensor.get("Dimensions", ()) if n != 1], tensor.get("Datatype")) for tensor in constants]
    matrices = [(math.prod(lengths), dtype) for lengths, dtype in told if len(lengths) > 1]
    return dtype_in(max(matrices, key=itemgetter(0))[1]) if matrices else None


def _text(value: Any) -> str:
    return _CONTROL.sub(" ", value if isinstance(value, str) else json.dumps(value))
