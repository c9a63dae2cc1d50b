"""The forms of a model and their operations; files are read by a child process, see op_reader.py."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import streamlit as st

from core.base.box.limits import passing_box
from core.base.children.call import Child, NoAnswer
from core.base.errors import EngineRoomError, StageCrashed
from core.base.tensors import Signature
from core.graph.engine_graph import EngineGraph
from core.models.model import Format, Model
from core.precision.settings import settings_as_texts
from core.preflight.subgraph import path_of
from core.stages.stage import Prepared, preparations_in
from core.storage.builds import Build, StageName
from core.storage.workspace import Workspace
from dashboard.op_reader import read_ops

KEPT = 8  # graphs held in memory
SECONDS = 300.0
TITLES = {
    StageName.CONVERT: "Converted to ONNX",
    StageName.SIMPLIFY: "Simplified",
    StageName.PRECISION: "In {precision}",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelForm:
    """One form of a model: as it was uploaded, or as a stage left it."""

    title: str
    path: Path
    format: Format


def forms_of(workspace: Workspace, model: Model, builds: Sequence[Build], asked: Iterable[Prepared] = ()) -> list[ModelForm]:
    """The uploaded form of a model, every ONNX form that a build left, and those that targets were asked about, each once."""
    found: dict[Path, tuple[str, Sequence[str], Format]] = {}
    for build in reversed(builds):
        with suppress(EngineRoomError):
            for stage, prepared in preparations_in(workspace.build_folder(build.key)).items():
                if prepared.artifact and prepared.format is Format.ONNX:
                    title = TITLES[stage].format(precision=build.request.precision.value.upper())
                    more = _settings(build, prepared) if stage is StageName.PRECISION else ()
                    found.setdefault(path_of(workspace, model, prepared), (title, more, prepared.format))
    for prepared in asked:
        if prepared.artifact:
            found.setdefault(path_of(workspace, model, prepared), (f"Converted to {prepared.format.label}", (), prepared.format))
    forms = {"As uploaded": ModelForm(title="As uploaded", path=workspace.model_path(model), format=model.format)}
    found = {path: form for path, form in found.items() if path.is_file()}
    for path, (title, told, kind) in found.items():
        alike = [other for name, other, _ in found.values() if name == title]
        apart = [text for text in told if any(text not in other for other in alike)]
        fresh = _fresh(", ".join([title, *apart]), forms)
        forms[fresh] = ModelForm(title=fresh, path=path, format=kind)
    return list(forms.values())


def _settings(build: Build, prepared: Prepared) -> tuple[str, ...]:
    """What sets forms of one precision apart: what they are written for, and how."""
    record, request = prepared.precision, build.request
    data = f"calibrated on {request.calibration[:6]}" if request.calibration else "calibrated on random data"
    quantized = (data,) if request.precision.quantizes else ()
    return (f"for {record.target}" if record else "", *settings_as_texts(request.lowering), *quantized)


def _fresh(title: str, taken: Iterable[str]) -> str:
    number = sum(known.split(" · ")[0] == title for known in taken)
    return f"{title} · {number + 1}" if number else title


@st.cache_resource(max_entries=KEPT, show_spinner="Reading the graph")
def op_graph_of(form: ModelForm, signature: Signature) -> EngineGraph:
    """The operations of a stored model as layers of one node each; stored files never change.

    Raises:
        EngineRoomError: It cannot be read.
        StageCrashed: The child ended without an answer.
    """
    try:
        with passing_box("ops", (form.path.parent, form.path)) as box:
            return Child(box=box, seconds=SECONDS).call(read_ops, form.format, form.path, signature)
    except NoAnswer as end:
        raise StageCrashed(
            f"Reading {form.path.name} ended without an answer.", hint="It may need more memory than there is.", detail=end.log
        ) from end
