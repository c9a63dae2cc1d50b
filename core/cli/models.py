"""`inspect`, `models`, `paths`: what a model is and where it can go."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from core.base.errors import NotFound
from core.base.tensors import TensorSpec
from core.base.units import count, digest, shape, size
from core.cli.output import print_fields, print_json, print_notes, print_table, progress_bar
from core.intake.take_in import take_in
from core.models.model import Model
from core.request.paths import paths_for
from core.storage.workspace import Workspace, default_workspace

SAMPLE_PREFIX = "sample:"

ModelArgument = Annotated[
    str, typer.Argument(metavar="MODEL", help="A file or folder, `sample:NAME`, or the digest of a stored model.")
]
InputNames = Annotated[list[str] | None, typer.Option("--input-name", help="GraphDef only: a tensor to feed (repeatable).")]
OutputNames = Annotated[list[str] | None, typer.Option("--output-name", help="GraphDef only: a tensor to fetch (repeatable).")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for scripts.")]


def register(app: typer.Typer) -> None:
    app.command("inspect")(inspect_command)
    app.command("models")(models_command)
    app.command("paths")(paths_command)


def stored_model(
    workspace: Workspace, given: str, input_names: list[str] | None = None, output_names: list[str] | None = None
) -> Model:
    """The model that a MODEL argument names; files and folders are stored first.

    Raises:
        NotFound: It is neither a file, a sample nor a stored model.
    """
    path = _sample(given.removeprefix(SAMPLE_PREFIX)) if given.startswith(SAMPLE_PREFIX) else Path(given)
    if path.exists():
        with progress_bar(f"Reading {path.name}") as report:
            return take_in(path, workspace, inputs=input_names or (), outputs=output_names or (), report=report)
    try:
        return workspace.model(given)
    except NotFound:
        hint = "Give the path of a file or folder, `sample:NAME`, or a digest that `engineroom models` lists."
        raise NotFound(f"There is no file, folder or stored model {given!r}.", hint=hint) from None


def _sample(name: str) -> Path:
    from sample_models.make_models import SAMPLES, sample

    if name not in SAMPLES:
        raise NotFound(f"There is no sample {name!r}.", hint=f"The samples are {', '.join(SAMPLES)}.")
    return sample(name)


def inspect_command(
    model: ModelArgument, input_name: InputNames = None, output_name: OutputNames = None, json: AsJson = False
) -> None:
    """Tell what a model is: format, signatures, sizes, ops."""
    found = stored_model(default_workspace(), model, input_name, output_name)
    if json:
        print_json(found)
        return
    print_fields(
        found.name,
        [
            ("format", found.format.value),
            ("producer", found.producer),
            ("opset", found.opset),
            ("parameters", count(found.parameters) if found.parameters is not None else None),
            ("on disk", size(found.size_bytes)),
            ("frozen", size(found.frozen_bytes) if found.frozen_bytes is not None else None),
            ("digest", found.digest),
        ],
    )
    for signature in found.signatures:
        rows = [("input", *_spec(spec)) for spec in signature.inputs] + [("output", *_spec(spec)) for spec in signature.outputs]
        print_table(f"signature {signature.name}", ["", "name", "dtype", "shape"], rows)
    ops = sorted(found.ops.items(), key=lambda item: -item[1])
    print_table(f"{sum(found.ops.values())} ops", ["op", "count"], ops, numbers=["count"])
    print_notes(found.notes)


def _spec(spec: TensorSpec) -> tuple[str, str, str]:
    return spec.name, spec.dtype, shape(spec)


def models_command(json: AsJson = False) -> None:
    """List the stored models."""
    found = default_workspace().all_models()
    if json:
        print_json(found)
        return
    rows = [(digest(m.digest), m.name, m.format.value, size(m.size_bytes), count(m.parameters)) for m in found]
    print_table("", ["digest", "name", "format", "on disk", "parameters"], rows, numbers=["on disk", "parameters"])


def paths_command(model: ModelArgument, json: AsJson = False) -> None:
    """List every path from a model's format to a backend, and what each lacks here."""
    workspace = default_workspace()
    paths = paths_for(stored_model(workspace, model))
    if json:
        rows_as_data = [
            {"id": p.id, "title": p.title, "available": p.available, "lacks": [x.reason for x in p.obstacles]} for p in paths
        ]
        print_json(rows_as_data)
        return
    rows = [(p.id, p.title, "yes" if p.available else "no", " ".join(f"{x.reason} {x.hint}" for x in p.obstacles)) for p in paths]
    print_table("", ["path", "what it does", "here", "what it lacks"], rows)
