"""Whether an ONNX file keeps ONNX's own rules, by the onnx package's checker."""

from __future__ import annotations

import os
from pathlib import Path

import onnx

from core.base.reasons import shortened


def broken_rule(path: Path) -> str:
    """What the checker finds wrong, in a line; empty where it finds nothing, or nothing that a runtime minds."""
    try:
        onnx.checker.check_model(os.fspath(path))
    except onnx.checker.ValidationError as error:
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        told = lines[0] if lines else "it tells nothing"
        forgivable = ("ir_version" in told and "higher" in told) or "Field 'shape'" in told  # runtimes take ends without shapes
        return "" if forgivable else shortened(told, 200).rstrip(".")
    except (ValueError, OSError, RuntimeError):
        return ""
    return ""
