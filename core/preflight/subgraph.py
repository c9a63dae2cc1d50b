"""A node of a graph that was asked about, as a small file."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from pathlib import Path

from core.base.box.limits import passing_box
from core.base.box.plain import check_plain
from core.base.children.call import Child, NoAnswer
from core.base.errors import NotFound, StageCrashed
from core.graph.tflite_source import operators_of, subgraph_of
from core.models.model import Format, Model
from core.models.tflite_parts import Operators
from core.models.tflite_tables import read_tables
from core.onnxio.extract import extract
from core.preflight.answer import Answer
from core.stages.stage import Prepared
from core.storage.workspace import Workspace

MOST_BYTES = 2_000_000_000  # a protobuf's own limit


def write_subgraph(workspace: Workspace, model: Model, answer: Answer, names: Sequence[str], path: Path) -> None:
    """Writes these nodes as a file of the format that the target reads; the model is opened in a process of its own.

    Raises:
        NotFound: There are no such nodes, or the graph was deleted meanwhile.
        InvalidRequest: The file would not be small.
        StageCrashed: The process ended without an answer.
    """
    asked, graph = answer.asked, answer.graph
    for prepared in [asked] if asked == graph else [asked, graph]:  # nodes that went when it was simplified are in the other
        source = path_of(workspace, model, prepared).absolute()
        try:
            with passing_box("nodes", [source.parent]) as box:
                made = box.home / "nodes"
                Child(box=box).call(write_nodes, source, prepared, list(names), made)
                check_plain(made, os.lstat(made), MOST_BYTES)
                shutil.copyfile(made, path)
        except NotFound:
            if prepared == graph:
                raise
        except NoAnswer as end:
            raise StageCrashed(
                "Taking the nodes out ended without an answer.", hint="It may need more memory than there is.", detail=end.log
            ) from None
        else:
            return


def path_of(workspace: Workspace, model: Model, prepared: Prepared) -> Path:
    """Where a graph lies that was asked about."""
    if prepared.artifact is None:
        return workspace.model_folder(model.digest) / "content" / prepared.entry
    return workspace.artifacts / prepared.artifact / prepared.entry


def suffix_of(answer: Answer) -> str:
    """Of the file: `.onnx`, or `.tflite` for a target that reads those."""
    return ".tflite" if answer.asked.format is Format.TFLITE else ".onnx"


def write_nodes(source: Path, prepared: Prepared, names: list[str], path: Path) -> None:
    """See `write_subgraph`; in this process."""
    if not source.exists():
        raise NotFound("The graph that was asked about was deleted.", hint="Run the preflight again.")
    if prepared.format is not Format.TFLITE:
        path.write_bytes(extract(source, names).SerializeToString())
        return
    tables = read_tables(source)
    subgraph = subgraph_of(tables, prepared.signature.name)
    places = [place for place, node in enumerate(operators_of(tables, subgraph)) if node.name == names[0]]
    if len(names) > 1 or not places:
        raise NotFound(f"The file has no operator called {names[0]}.", hint="Name one operator of a .tflite file at a time.")
    path.write_bytes(Operators(source, subgraph).alone(places[0]))
