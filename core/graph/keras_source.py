"""The layers of a Keras model and what flows between them, from its config alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from core.graph.engine_graph import SourceNode


def layers_of_keras(config: Mapping[str, Any]) -> tuple[SourceNode, ...]:
    """Every layer in the config's order; a model inside the model is one node. A Sequential's layers follow each other.

    Keras 3 names a layer's inputs as {"keras_history": [layer, node, tensor]}, Keras 2 as [layer, node, tensor, {...}].
    """
    inner = config.get("config", {})
    layers = inner if isinstance(inner, list) else inner.get("layers", [])
    functional = any("inbound_nodes" in layer for layer in layers)
    nodes: list[SourceNode] = []
    before: tuple[str, ...] = ()
    for number, layer in enumerate(layers, 1):
        name = layer.get("name") or layer.get("config", {}).get("name") or f"layer {number}"
        reads = tuple(dict.fromkeys(_histories(layer.get("inbound_nodes", [])))) if functional else before
        nodes.append(SourceNode(name=name, op=layer["class_name"], inputs=reads, outputs=(name,)))
        before = (name,)
    return tuple(nodes)


def _histories(value: Any) -> Iterator[str]:
    """Names of the layers that something in a config refers to."""
    if isinstance(value, Mapping):
        history = value.get("keras_history")
        if history:
            yield history[0]
        else:
            yield from (name for item in value.values() for name in _histories(item))
    elif isinstance(value, list):
        if len(value) >= 3 and isinstance(value[0], str) and all(isinstance(item, int) for item in value[1:3]):
            yield value[0]
        else:
            yield from (name for item in value for name in _histories(item))
