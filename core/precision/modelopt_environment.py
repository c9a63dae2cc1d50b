"""Where ModelOpt is: an interpreter of its own, named by ENGINEROOM_MODELOPT_PYTHON."""

from __future__ import annotations

import os
from pathlib import Path

from core.base.availability import Availability

PYTHON_VARIABLE = "ENGINEROOM_MODELOPT_PYTHON"
_SETUP = f"Make it as docs/precision.md tells and set {PYTHON_VARIABLE} to its interpreter."


def availability() -> Availability:
    """Whether there is an interpreter with ModelOpt; looks at its files and starts nothing."""
    python = interpreter()
    if python is None:
        return Availability(available=False, reason="No ModelOpt environment is named.", hint=_SETUP)
    if not os.access(python, os.X_OK):
        return Availability(available=False, reason=f"{python} is no interpreter.", hint=_SETUP)
    found = sorted(python.parent.parent.glob("lib/python*/site-packages/nvidia_modelopt-*.dist-info"))
    if not found:
        return Availability(available=False, reason=f"{python} has no ModelOpt.", hint=_SETUP)
    return Availability(
        available=True, version=found[0].name.split("-")[1].removesuffix(".dist"), builds_on=("cpu",), runs_on=("cpu",)
    )


def interpreter() -> Path | None:
    named = os.environ.get(PYTHON_VARIABLE)
    return Path(named) if named else None
