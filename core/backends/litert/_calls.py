"""Calling a model on an interpreter by its own names."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from core.base.tensors import Array

Call = Callable[..., dict[str, Any]]
_EMPTY = "Invalid tensor size"  # what LiteRT says of an output without elements, and it is none that failed


def by_signature(interpreter: Any, name: str, subgraph: int) -> Call:
    """Calls one of the model's signatures.

    Args:
        subgraph: The graph that it is of.
    """
    runner = interpreter.get_signature_runner(name)

    def call(**arrays: Array) -> dict[str, Any]:
        try:
            found: dict[str, Any] = runner(**arrays)
        except ValueError as error:
            if _EMPTY not in str(error):
                raise
            details = runner.get_output_details()
            found = {output: _read(interpreter, detail, subgraph) for output, detail in details.items()}
        return found

    return call


def by_tensor(interpreter: Any) -> Call:
    """Calls a model without signatures by the names of its tensors."""
    feeds = {detail["name"]: detail["index"] for detail in interpreter.get_input_details()}

    def call(**arrays: Array) -> dict[str, Any]:
        for name, array in arrays.items():
            interpreter.resize_tensor_input(feeds[name], array.shape)
        interpreter.allocate_tensors()
        for name, array in arrays.items():
            interpreter.set_tensor(feeds[name], array)
        interpreter.invoke()
        return {detail["name"]: _read(interpreter, detail, 0) for detail in interpreter.get_output_details()}

    return call


def _read(interpreter: Any, detail: Any, subgraph: int) -> Any:
    shape = tuple(detail["shape"])
    if 0 in shape:
        return np.empty(shape, detail["dtype"])
    return interpreter.get_tensor(detail["index"], subgraph)
