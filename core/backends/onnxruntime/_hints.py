"""What can be done about a model that ONNX Runtime does not build, by what it said."""

from __future__ import annotations

import re

from core.backends._errors import ASK_OTHERS, onnx_hint, whole
from core.models.model import Source

_IR_VERSION = re.compile(r"Unsupported model IR version: \d+, max supported IR version: (\d+)")
_OPSET = re.compile(r"Opset (\d+) is under development and support for this is limited.*?(?:is|till) (?:opset )?(\d+)", re.DOTALL)


def building_hint(error: Exception, source: Source) -> str:
    """Empty where nothing is known to help."""
    said = whole(error)
    if found := _IR_VERSION.search(said):
        return f"Export it with IR version {found[1]} or lower, or build it where a newer ONNX Runtime is installed."
    if found := _OPSET.search(said):
        return f"Export it with opset {found[2]} or lower, or build it where a newer ONNX Runtime is installed."
    if "NOT_IMPLEMENTED" in said or "Could not find an implementation" in said:
        return ASK_OTHERS
    return onnx_hint(source)


def running_hint(error: Exception) -> str:
    """Of a run that failed: shapes are named only where they are what failed."""
    about_shapes = "Got invalid dimensions" in whole(error) or "Invalid rank for input" in whole(error)
    return "Check the input shapes against the build's shape profile." if about_shapes else ""
