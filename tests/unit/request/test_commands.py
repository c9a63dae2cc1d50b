"""Commands to copy: what the program makes of them is the request they were made from."""

from __future__ import annotations

import shlex
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import typer

from core.base.precision import Precision
from core.base.profile import AxisRange, ShapeProfile
from core.base.tensors import Signature, TensorSpec
from core.benchmark.measurement import Protocol
from core.cli.app import app
from core.cli.requests import RequestOptions, make_request
from core.models.model import Format, Model
from core.request.build_request import BuildRequest, checked
from core.request.commands import command_for, report_command_for, sweep_command_for
from core.storage.workspace import Workspace

SPEC = TensorSpec(name="ids", dtype="int64", shape=("batch", "length"))
MODEL = Model(
    digest="ab" * 32,
    name="net.onnx",
    format=Format.ONNX,
    entry="net.onnx",
    signatures=(Signature(name="main", inputs=(SPEC,), outputs=(SPEC,)), Signature(name="other one", inputs=(SPEC,), outputs=())),
    size_bytes=1,
)
PLAIN = BuildRequest(model=MODEL.digest, path="onnx.onnxruntime")
CHANGES: list[dict[str, Any]] = [
    {},
    {"precision": Precision.FP16},
    {"signature": "other one"},
    {"profile": ShapeProfile(axes={"batch": AxisRange(min=1, opt=8, max=32), "length": AxisRange(min=7, opt=7, max=7)})},
    {"options": {"graph_optimization": "basic"}},
    {"ranges": {"ids": (0.0, 16777217.0)}, "seed": 3},
    {"threads": 2, "protocol": Protocol(min_seconds=0.25)},
    {"device": "cuda"},
]


def parsed(command: str) -> tuple[str, dict[str, Any]]:
    """What the program reads in a command: the subcommand and its options, those with values."""
    program, name, *rest = shlex.split(command)
    assert program == "engineroom"
    group = typer.main.get_command(app)
    subcommand = group.commands[name]  # type: ignore[attr-defined]
    with subcommand.make_context(name, rest) as context:
        return name, {key: value for key, value in context.params.items() if value is not None}


def request_of(command: str, workspace: Workspace) -> BuildRequest:
    _, options = parsed(command)
    assert MODEL.digest.startswith(options.pop("model"))
    options.pop("force"), options.pop("json"), options.pop("run_elsewhere")
    path, precision = options.pop("path"), options.pop("precision")
    return make_request(workspace, MODEL, path, Precision(precision), RequestOptions(**options), here=False)


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: "-".join(change) or "plain")
def test_the_command_makes_the_same_request(change: dict[str, Any], tmp_path: Path) -> None:
    change = dict(change)
    if "options" in change:  # whatever this backend's first option is, at a value that is no default
        from core.backends.base import backend_named

        option = next(option for option in backend_named("onnxruntime").options if option.choices)
        change["options"] = {option.name: next(value for value in option.choices if value != option.default)}
    request = checked(replace(PLAIN, **change), MODEL, here=False)
    workspace = Workspace(tmp_path)
    assert request_of(command_for(request, workspace.data_path), workspace).key == request.key


def test_data_that_a_user_brought_is_named_by_its_stored_file(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path / "a workspace")
    stored = workspace.root / "data" / "f00" / "data.npz"
    stored.parent.mkdir(parents=True)
    stored.write_bytes(b"")
    _, options = parsed(command_for(replace(PLAIN, inputs="f00"), workspace.data_path))
    assert options["inputs"] == stored


def test_a_sweep_is_one_command_when_it_is_every_path_in_every_precision(tmp_path: Path) -> None:
    paths, precisions = ("onnx.onnxruntime", "onnx.openvino"), (Precision.FP32, Precision.FP16)
    requests = [replace(PLAIN, path=path, precision=precision) for path in paths for precision in precisions]
    (command,) = sweep_command_for(requests, Workspace(tmp_path).data_path)
    name, options = parsed(command)
    assert (name, tuple(options["path"]), tuple(options["precision"])) == ("submit", paths, precisions)
    assert len(sweep_command_for(requests[:3], Workspace(tmp_path).data_path)) == 3


def test_requests_that_differ_in_more_get_commands_of_their_own(tmp_path: Path) -> None:
    assert len(sweep_command_for([PLAIN, replace(PLAIN, threads=2)], Workspace(tmp_path).data_path)) == 2


def test_report_names_its_builds() -> None:
    assert report_command_for(["0123456789abcdef"], "a b.html") == "engineroom report 0123456789ab -o 'a b.html'"
