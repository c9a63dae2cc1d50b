"""What a builder itself tells of the engine it made, read from its log: layers, and memory.

Where no driver is, nothing can be asked of an engine; but with detailed verbosity the builder of TensorRT-RTX writes every layer
into its VERBOSE log, in one message. Its form is documented nowhere; it was learned from logs of 1.7.1
(tests/golden/tensorrt/tensorrt-rtx-1.7.1-no-gpu). The memory lines are those of TensorRT 8.5 to 11 too.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from typing import Any

from core.backends._tensorrt.names import profiles_in
from core.graph.memory import EngineMemory, LayerMemory

LAYERS = "Layers:\n"
UNREAD = "Unread"

_TENSORS = r"(?: \{ .*? \})?"
_LAYER = re.compile(
    rf"Name: (?P<Name>.*?), LayerType: (?P<LayerType>\w+), Inputs: \[(?P<Inputs>{_TENSORS})\]"
    rf"(?:, Constants: \[(?P<Constants>{_TENSORS})\])?, Outputs: \[(?P<Outputs>{_TENSORS})\]"
    r"(?P<more>(?:, [A-Za-z]\w*: .*?)?), Metadata: (?P<Metadata>.*)",
    re.DOTALL,
)
_FIELD = re.compile(r", (?=[A-Za-z]\w*: )")
_TENSOR = re.compile(
    r"\{ Name: (?P<Name>.*?), (?:Location: (?P<Location>\w+), )?Dimensions: \[(?P<Dimensions>[-\d,]*)\], "
    r"(?:Strides: \[(?P<Strides>[-\d,]*)\], StrideOrder: \[(?P<StrideOrder>[-\d,]*)\], )?"
    r"Datatype: (?P<Datatype>\w+), Format: (?P<Format>.*?) ?\}(?=, \{ Name: |$)",
    re.DOTALL,
)
_END = re.compile(r"^ ?Name: (?P<Name>.*?), IOMode: ", re.DOTALL)
_LISTS = ("Inputs", "Constants", "Outputs")
_WHOLE = ("StreamId", "EventId")
_NUMBERS = ("Dimensions", "Strides", "StrideOrder")

_MEMORY_OF_LAYER = re.compile(
    r"Layer: (?P<name>.*) Host Persistent: (?P<host>\d+)(?: bytes)? Device Persistent: (?P<device>\d+)(?: bytes)? "
    r"Scratch Memory: (?P<scratch>\d+)",
    re.DOTALL,
)
_TOTALS = {
    "Total Weights Memory": "weights_bytes",
    "Total Activation Memory": "activation_bytes",
    "Max Scratch Memory": "scratch_bytes",
    "Total Scratch Memory": "scratch_bytes",
    "Total Device Persistent Memory": "device_persistent_bytes",
    "Total Host Persistent Memory": "host_persistent_bytes",
}
_TOTAL = re.compile(rf"({'|'.join(_TOTALS)}): (\d+)(?: bytes)?")


def is_about_memory(text: str) -> bool:
    """Whether a message of the log tells of the engine's memory."""
    return bool(_TOTAL.match(text) or _MEMORY_OF_LAYER.match(text))


def layers_json(message: str) -> str:
    """The builder's list of layers in the form of the inspector's JSON, as TensorRT 11 writes it.

    Args:
        message: The one that begins with `LAYERS`; any other gives an engine of no layers.

    Returns:
        A line that cannot be read stands as it is in the list `UNREAD`, and no layer is made of it.
    """
    body, _, rest = message.removeprefix(LAYERS).partition("\nI/O Tensors:")
    lines = re.split(r"\n(?=Name: )", body.strip("\n")) if message.startswith(LAYERS) else []
    layers, unread = [], []
    for line in lines:
        layer = _layer(line)
        if layer is None:
            unread.append(line)
        else:
            layers.append(layer)
    ends = rest.partition("\nEngine Metadata:")[0]
    tensors = [{"Name": found["Name"]} for end in re.split(r"\n(?= ?Name: )", ends) if (found := _END.match(end))]
    return json.dumps({"Layers": layers, "I/O Tensors": tensors, UNREAD: unread})


def read_memory(messages: Iterable[str]) -> EngineMemory | None:
    """The engine's memory as the builder's log tells it; None where it tells nothing.

    A builder tells its layers and totals for one profile after the other, the weights once for all. A context takes what its
    profile does, so of several profiles the largest figures count.
    """
    totals: dict[str, list[int]] = {}
    layers: list[tuple[str, int, re.Match[str]]] = []
    for text in messages:
        if found := _TOTAL.match(text):
            totals.setdefault(_TOTALS[found[1]], []).append(int(found[2]))
        elif found := _MEMORY_OF_LAYER.match(text):
            layers.append((found["name"], len(totals.get("activation_bytes", ())), found))
    if not totals and not layers:
        return None
    activations = totals.get("activation_bytes", [])
    tagged = profiles_in([name for name, _, _ in layers])
    return EngineMemory(
        **{name: max(figures) for name, figures in totals.items()},
        profile_bytes=tuple(activations) if len(activations) > 1 else (),
        layers=tuple(
            LayerMemory(
                layer=name,
                host_persistent_bytes=int(found["host"]),
                device_persistent_bytes=int(found["device"]),
                scratch_bytes=int(found["scratch"]),
                profile=(turn if len(activations) > 1 else None) if tag is None else tag,
            )
            for (name, turn, found), tag in zip(layers, tagged, strict=True)
        ),
    )


def _layer(line: str) -> dict[str, Any] | None:
    found = _LAYER.fullmatch(line)
    if found is None:
        return None
    layer: dict[str, Any] = {key: text for key, text in found.groupdict().items() if text is not None}
    for part in _FIELD.split(layer.pop("more"))[1:]:
        key, _, value = part.partition(": ")
        layer[key] = int(value) if key in _WHOLE and value.isdecimal() else value
    for field in _LISTS:
        if field in layer and (tensors := _tensors(layer[field])) is not None:
            layer[field] = tensors
    return layer if all(isinstance(layer.get(field, []), list) for field in _LISTS) else None


def _tensors(text: str) -> list[dict[str, Any]] | None:
    """The tensors of one list; None unless every character of it is read."""
    found = [*_TENSOR.finditer(text.strip())]
    if ", ".join(match.group() for match in found) != text.strip():
        return None
    return [{key: _value(key, text) for key, text in match.groupdict().items() if text is not None} for match in found]


def _value(key: str, text: str) -> Any:
    return [int(part) for part in text.split(",") if part] if key in _NUMBERS else text
