"""Recorded logs of TensorRT-RTX's builder (tests/golden), as messages and as the engine graphs that are read from them."""

from __future__ import annotations

import gzip
from pathlib import Path

from core.backends._tensorrt.build_log import LAYERS, layers_json, read_memory
from core.backends._tensorrt.inspector import read_inspector
from core.graph.engine_graph import EngineGraph

GOLDEN = Path(__file__).parents[1] / "tests/golden/tensorrt/tensorrt-rtx-1.7.1-no-gpu"


def messages(name: str) -> list[str]:
    """The messages of a recorded log: a line begins with its severity, and further lines go on with it."""
    found: list[str] = []
    for line in gzip.decompress((GOLDEN / f"{name}.log.gz").read_bytes()).decode().splitlines():
        severity, _, text = line.partition(" ")
        if severity in ("VERBOSE", "INFO", "WARNING", "ERROR"):
            found.append(text)
        else:
            found[-1] += f"\n{line}"
    return found


def told_layers(name: str) -> str:
    """The message that lists the layers."""
    return next(text for text in messages(name) if text.startswith(LAYERS))


def recorded_graph(name: str) -> EngineGraph:
    """The engine's layers and memory, without source nodes."""
    layers = tuple(entry.layer for entry in read_inspector(layers_json(told_layers(name))).layers)
    return EngineGraph(layers=layers, source_nodes=(), memory=read_memory(messages(name)))
