"""State: what a graph keeps in its variables from one call to the next, which constants cannot."""

from __future__ import annotations

from typing import Any

from core.base.units import listed
from core.models.tf_graph import all_nodes

_WRITES = ("AssignVariableOp", "AssignAddVariableOp", "AssignSubVariableOp", "Assign", "AssignAdd", "AssignSub")
_NAMED = 3
STATE_HINT = (
    "TensorFlow as loaded runs it as it is and, unless it is of TensorFlow 1, XLA and LiteRT do too. "
    "For others, export the model with its state as input and output."
)


def kept_values(graph: Any) -> str:
    """What a `GraphDef` does to its variables, a phrase that follows its name; empty where it only reads them."""
    writers = sorted({node.name for node in all_nodes(graph) if node.op in _WRITES})
    return f"keeps values from one call to the next, written by {listed(writers, _NAMED)}" if writers else ""
