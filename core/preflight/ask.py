"""The question to one target, in a process of its own: a runtime may crash over a model, and the file is opened here alone."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from core.backends.base import Preflights, backend_named
from core.base.errors import InvalidRequest, Unavailable
from core.base.progress import Report
from core.base.serialization import write_json
from core.base.units import plural
from core.graph.source import nodes_of_onnx
from core.graph.support import NodeSupport, Support, Verdict
from core.models.model import Format
from core.onnxio.file import read_onnx
from core.preflight.answer import ANSWER, Answer
from core.request.build_request import BuildRequest
from core.stages.stage import Prepared, StageContext
from core.storage.workspace import Workspace

_WORK = "work"


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What to ask.

    Attributes:
        key: Of the artifact that holds the answer.
        request: A build by the path to the target.
        graph, asked: As in `Answer`.
    """

    key: str
    request: BuildRequest
    graph: Prepared
    asked: Prepared


def ask(root: Path, question: Question, report: Report) -> None:
    """Asks, and leaves the answer as an artifact of the workspace at `root`.

    Raises:
        EngineRoomError: The runtime is not here, or the model cannot be read.
    """
    workspace = Workspace(root)
    request = question.request
    backend = backend_named(request.backend)
    if not isinstance(backend, Preflights):
        raise InvalidRequest(f"{backend.title} has no way to be asked before a build.")
    model = workspace.model(request.model)
    context = StageContext(workspace=workspace, folder=root, request=request, model=model, report=report)
    source, origin = context.source(question.asked), context.source(question.graph)

    def make(folder: Path) -> None:
        work = folder / _WORK
        work.mkdir()
        try:
            support = backend.preflight(source, request.config, work, report)
        except ImportError as error:
            raise Unavailable(f"{backend.title} cannot be imported: {error}", hint="Install it again.") from error
        finally:
            shutil.rmtree(work, ignore_errors=True)
        if question.asked != question.graph and question.graph.format is Format.ONNX:
            support = _with_all_nodes(support, origin.path, backend.title)
        write_json(folder / ANSWER, Answer(graph=question.graph, asked=question.asked, support=support))

    workspace.make_artifact(question.key, make)


def _with_all_nodes(support: Support, path: Path, title: str) -> Support:
    """What is told of a simplified graph, for the nodes of the graph that it came from, in that one's order."""
    told = {node.name: node for node in support.nodes}
    source = nodes_of_onnx(read_onnx(path, weights=False)).nodes
    gone = f"Simplifying folds or removes it, before {title} sees the graph."
    nodes = [told.pop(node.name, NodeSupport(name=node.name, op=node.op, reason=gone)) for node in source]
    kept = sum(node.reason != gone for node in nodes)
    note = f"Asked about the simplified graph, as a build would: {kept} of {plural(len(nodes), 'node')} are left in it."
    notes = (note, *support.notes) if kept < len(nodes) else support.notes
    return replace(support, nodes=(*nodes, *_of_simplifying(told.values())), notes=notes)


def _of_simplifying(nodes: Iterable[NodeSupport]) -> Iterator[NodeSupport]:
    for node in nodes:
        if node.verdict is not Verdict.TAKEN:
            yield replace(node, added=True, reason=f"{node.reason} (simplifying made this node)")
