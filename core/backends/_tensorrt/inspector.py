"""Reads the JSON of TensorRT's `IEngineInspector`, of versions 8.5 to 11, without TensorRT.

8.5 to 10 give a tensor's type and layout in one string, `Format/Datatype`; 11 gives `Datatype` and `Format` apart and
names the engine's ends as objects in `I/O Tensors`, not as strings in `Bindings`.
Source: NVIDIA's "Engine Inspector" and "Migrating IEngineInspector Usage from TensorRT 10.x to 11.x".
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from core.base.dtypes import dtype_in
from core.base.errors import BuildFailed
from core.graph.engine_graph import Layer, LayerTensor

# NVIDIA cuts a layer's metadata near this length, and the last entry with it.
METADATA_LIMIT = 3_900

_ONNX_ENTRY = "[ONNX Layer: "
_CONTROL = re.compile(r"[\x00-\x1f\x7f]+")
_TOLD_ELSEWHERE = frozenset({"Name", "LayerType", "Inputs", "Outputs", "TacticName", "Metadata"})
_FLOATS = frozenset({"float32", "float16", "bfloat16", "float8_e4m3fn", "float4_e2m1fn"})


@dataclass(frozen=True, slots=True, kw_only=True)
class InspectedLayer:
    """One layer as the inspector tells it.

    Attributes:
        layer: With no source nodes and no time yet; its name is unique.
        told_name: As TensorRT gave it, which can repeat.
        onnx_nodes: Names in the layer's metadata; empty before 8.6, for reformats and for Myelin's layers.
        cut: The metadata reached its limit, so names are missing.
    """

    layer: Layer
    told_name: str
    onnx_nodes: tuple[str, ...] = ()
    cut: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class InspectedEngine:
    """Attributes:
    bindings: Names of the engine's inputs and outputs.
    detailed: False when the engine was built without detailed verbosity and only tells names.
    """

    layers: tuple[InspectedLayer, ...]
    bindings: tuple[str, ...]
    detailed: bool


def read_inspector(text: str) -> InspectedEngine:
    """Parses what `get_engine_information(JSON)` returned.

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
    names = unique_names(str(entry["Name"]) for entry in detailed)
    ends = data.get("Bindings") or [tensor["Name"] for tensor in data.get("I/O Tensors", ())]
    return InspectedEngine(
        layers=tuple(_layer(entry, name) for entry, name in zip(detailed, names, strict=True)),
        bindings=tuple(str(name) for name in ends),
        detailed=all(isinstance(entry, dict) for entry in told),
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


def _layer(entry: Mapping[str, Any], name: str) -> InspectedLayer:
    metadata = str(entry.get("Metadata", ""))
    inputs = tuple(_tensor(tensor) for tensor in entry.get("Inputs", ()))
    outputs = tuple(_tensor(tensor) for tensor in entry.get("Outputs", ()))
    kernel = entry.get("TacticName")
    kind = str(entry.get("LayerType", "Layer"))
    layer = Layer(
        name=name,
        kind=kind,
        kernel=str(kernel) if kernel else None,
        precision=_precision(entry, kind, inputs, outputs),
        inputs=inputs,
        outputs=outputs,
        attributes={key: _text(value) for key, value in entry.items() if key not in _TOLD_ELSEWHERE and value not in ("", [])},
    )
    return InspectedLayer(
        layer=layer, told_name=str(entry["Name"]), onnx_nodes=onnx_names(metadata), cut=len(metadata) >= METADATA_LIMIT
    )


def _tensor(told: Mapping[str, Any]) -> LayerTensor:
    together = told.get("Format/Datatype")
    layout = together or told.get("Format")
    dtype = dtype_in(told.get("Datatype") or told.get("DataType")) or dtype_in(layout)
    shape = told.get("Dimensions")
    return LayerTensor(
        name=_CONTROL.sub(" ", str(told["Name"])),
        dtype=dtype,
        shape=tuple(int(length) for length in shape) if shape is not None and all(n >= 0 for n in shape) else None,
        format=str(layout) if layout else None,
    )


def _precision(
    entry: Mapping[str, Any], kind: str, inputs: tuple[LayerTensor, ...], outputs: tuple[LayerTensor, ...]
) -> str | None:
    """What a layer computes in: its weights' type, else its first input's; None where it only moves data or is not told."""
    if kind in ("Reformat", "MyelinReformat", "NoOp", "Constant", "Shuffle", "Myelin"):
        return None  # the last one is a block of many kernels, of which only the ends are told
    if "tf32" in str(entry.get("TacticName", "")).lower():
        return "tf32"
    weights = entry.get("Weights") or entry.get("ConvWeights")
    told = dtype_in(str(weights["Type"])) if isinstance(weights, Mapping) and weights.get("Count") else None
    moved = [tensor.dtype for tensor in (*inputs, *outputs) if tensor.dtype in _FLOATS or tensor.dtype == "int8"]
    return told or next(iter(moved), None)


def _text(value: Any) -> str:
    return _CONTROL.sub(" ", value if isinstance(value, str) else json.dumps(value))
