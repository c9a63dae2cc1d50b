"""State: what a graph keeps in its variables from one call to the next, which constants cannot."""

from __future__ import annotations

from typing import Any

from core.base.units import listed

_WRITES = ("AssignVariableOp", "AssignAddVariableOp", "AssignSubVariableOp", "Assign", "AssignAdd", "AssignSub")
_NAMED = 3
STATE_HINT = (
    "TensorFlow as loaded runs it as it is and, unless it is of TensorFlow 1, XLA and LiteRT do too. "
    "For others, export the model with its state as input and output."
)


def kept_values(graph: Any) -> str:
    """What a `GraphDef` does to its variables, a phrase that follows its name; empty where it only reads them."""
    bodies = [graph.node, *(function.node_def for function in graph.library.function)]
    writers = sorted({node.name for body in bodies for node in body if node.op in _WRITES})
    return f"keeps values from one call to the next, written by {listed(writers, _NAMED)}" if writers else ""
