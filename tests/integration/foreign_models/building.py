"""Builds of models that others could have made, as the command line asks for them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from core.base.precision import Precision
from core.base.profile import parse_profile
from core.benchmark.measurement import Protocol
from core.intake.add_model import add_model
from core.request.build_request import BuildRequest, checked
from core.stages.outcome import Outcome, load_outcome
from core.stages.pipeline import run_build
from core.storage.userdata import store_data
from core.storage.workspace import Workspace
from tests.asked_models import model

QUICK = Protocol(min_seconds=0.02, min_samples=3, warmup_seconds=0.0)


def build(
    workspace: Workspace,
    model: Path,
    path: str,
    precision: Precision = Precision.FP32,
    *,
    shapes: Sequence[str] = (),
    inputs: Path | None = None,
    calibration: Path | None = None,
    **changes: Any,
) -> Outcome:
    """A build carried out to its end, good or bad."""
    stored = add_model(model, workspace)
    asked = BuildRequest(model=stored.digest, path=path, precision=precision, protocol=QUICK, profile=parse_profile(list(shapes)))
    data = {name: store_data(workspace, file) for name, file in (("inputs", inputs), ("calibration", calibration)) if file}
    request = checked(replace(asked, **data, **changes), stored)
    done = run_build(workspace, request, on_change=lambda build, progress: None)
    return load_outcome(workspace, done.key)


def write_onnx(
    path: Path,
    nodes: Sequence[onnx.NodeProto],
    inputs: Sequence[onnx.ValueInfoProto],
    outputs: Sequence[onnx.ValueInfoProto],
    weights: Mapping[str, np.ndarray] | None = None,
    *,
    opset: int = 17,
) -> Path:
    for number, node in enumerate(nodes):
        node.name = node.name or f"{node.op_type}_{number}"
    held = {name: np.asarray(value) for name, value in (weights or {}).items()}
    onnx.save(model(nodes, inputs, outputs, held, opset), path)
    return path


def save_arrays(path: Path, **arrays: np.ndarray) -> Path:
    np.savez(path, **arrays)
    return path
