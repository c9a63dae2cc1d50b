"""Stages as descriptors, and the recipes that decide what is made anew."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

import core
from core.base import availability
from core.base.availability import Availability, forget_availability
from core.base.errors import Cancelled, RunFailed
from core.base.gpus import RunsOn
from core.base.precision import Precision
from core.base.progress import silent
from core.base.tensors import Signature, TensorSpec
from core.graph.engine_graph import EngineGraph, Layer
from core.models.model import Format, Model
from core.precision.settings import PrecisionEngine
from core.request.build_request import BuildRequest
from core.stages import build, convert, inspect, precision, reference, simplify
from core.stages.all_stages import all_stages
from core.stages.pipeline import Plan, plan
from core.stages.stage import PREPARING_STAGES, Prepared, StageContext
from core.storage.builds import StageName
from core.storage.workspace import Workspace
from tests.integration.tiny import write_tiny_onnx

SIGNATURE = Signature(name="main", inputs=(TensorSpec(name="x", dtype="float32", shape=(1,)),), outputs=())
MODEL = Model(digest="m", name="m", format=Format.ONNX, entry="m.onnx", signatures=(SIGNATURE,), size_bytes=1)
INT8 = BuildRequest(model="m", path="onnx.onnxruntime", precision=Precision.INT8)


def test_every_stage_tells_what_it_is() -> None:
    assert list(all_stages()) == list(StageName)
    assert all(stage.name is name for name, stage in all_stages().items())
    preparing = tuple(name for name, stage in all_stages().items() if stage.result is Prepared)
    assert preparing == PREPARING_STAGES


def test_what_is_not_run_here_has_no_stage_but_its_reference() -> None:
    assert plan(INT8, MODEL).stages == tuple(name for name in StageName if name is not StageName.DUEL)
    offer = Availability(available=True, builds_on=("cpu",), runs_on=("cuda",), runs_where="a GPU of capability 8.0")
    left_out = {StageName.PARITY, StageName.MEASURE, StageName.DUEL}
    assert plan(INT8, MODEL, offer) == Plan(
        stages=tuple(name for name in StageName if name not in left_out),
        not_run="not run here: it runs on a GPU of capability 8.0",
        runs_on=RunsOn(devices=("cuda",), backend="onnxruntime", title="ONNX Runtime", where="a GPU of capability 8.0"),
    )


class Recorder(StageContext):
    """Takes down the key of what a stage would make, and makes nothing."""

    keys: list[str] = []  # noqa: RUF012

    def make_artifact(self, recipe, make):
        self.keys.append(recipe.key)
        raise Cancelled("Only the key was asked for.")


def key_of(stage, tmp_path: Path, request: BuildRequest = INT8, model: Model = MODEL) -> str:
    context = Recorder(workspace=Workspace(tmp_path), folder=tmp_path, request=request, model=model, report=silent)
    with pytest.raises(Cancelled):
        stage.run(context)
    return Recorder.keys[-1]


CONVERTED = (replace(INT8, path="savedmodel.onnx.onnxruntime"), replace(MODEL, format=Format.SAVEDMODEL, entry="."))


@pytest.mark.parametrize(
    ("stage", "given", "package"),
    [
        (convert, CONVERTED, "tf2onnx"),
        (convert, CONVERTED, "tensorflow"),
        (simplify, (INT8, MODEL), "onnxslim"),
        (precision, (INT8, MODEL), "onnxruntime"),
        (precision, (INT8, MODEL), "ml-dtypes"),
        (build, (INT8, MODEL), "onnxruntime"),
        (reference, (INT8, MODEL), "onnxruntime"),
    ],
)
def test_a_new_version_of_a_tool_makes_it_anew(stage, given, package, tmp_path, monkeypatch) -> None:
    before = key_of(stage, tmp_path, *given)
    assert key_of(stage, tmp_path, *given) == before
    installed = availability.version

    def upgraded(name: str) -> str:
        return "999.0" if name.removesuffix("-cpu") == package else installed(name)

    monkeypatch.setattr(availability, "version", upgraded)
    assert key_of(stage, tmp_path, *given) != before


@pytest.mark.parametrize("stage", [convert, simplify, precision, build, reference])
def test_a_new_release_of_ours_makes_it_anew(stage, tmp_path, monkeypatch) -> None:
    given = CONVERTED if stage is convert else (INT8, MODEL)
    before = key_of(stage, tmp_path, *given)
    monkeypatch.setattr(core, "__version__", "999.0")
    assert key_of(stage, tmp_path, *given) != before


def test_modelopts_version_counts_where_it_lowers(tmp_path, monkeypatch) -> None:
    by_modelopt = replace(INT8, lowering=replace(INT8.lowering, engine=PrecisionEngine.MODELOPT))

    def key(version: str, request: BuildRequest) -> str:
        state = Availability(available=True, version=version)
        monkeypatch.setattr("core.precision.modelopt_environment.availability", lambda: state)
        return key_of(precision, tmp_path, request)

    assert key("1", by_modelopt) != key("2", by_modelopt)
    assert key("1", INT8) == key("2", INT8)


GRAPH = EngineGraph(layers=(Layer(name="conv", kind="Conv"),), source_nodes=())


class Opaque:
    """A backend that tells its layers, and whose profiler fails."""

    name, title = "opaque", "Opaque"

    def __init__(self, error: Exception | None, *, runs_on: tuple[str, ...] = ("cpu",)) -> None:
        self.error = error
        self.runs_on = runs_on

    def availability(self):
        return Availability(available=True, builds_on=("cpu",), runs_on=self.runs_on)

    def describe(self, engine):
        return GRAPH

    def layer_times(self, engine, inputs, runs):
        if self.error:
            raise self.error
        return {"conv": 0.25}


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (RunFailed("The profiler is busy.", hint="Close the other one."), "The profiler is busy. Close the other one."),
        (ValueError("odd event"), "ValueError: odd event"),
    ],
)
def test_layers_stay_when_their_times_cannot_be_taken(error, words, tmp_path, monkeypatch) -> None:
    graph = inspected(Opaque(error), tmp_path, monkeypatch)
    assert [(layer.name, layer.time_ms) for layer in graph.layers] == [("conv", None)]
    assert graph.notes == (f"The layers were not timed: {words}",)


def test_layers_have_their_times(tmp_path, monkeypatch) -> None:
    assert inspected(Opaque(None), tmp_path, monkeypatch).layers[0].time_ms == 0.25


def test_layers_of_what_does_not_run_here_have_no_times(tmp_path, monkeypatch) -> None:
    graph = inspected(Opaque(RunFailed("It was run."), runs_on=("cuda",)), tmp_path, monkeypatch)
    assert [layer.name for layer in graph.layers] == ["conv"]
    assert graph.notes == ("The layers were not timed; not run here: it runs on cuda.",)


def test_layers_are_timed_on_the_device_that_the_stage_is_on(tmp_path, monkeypatch) -> None:
    graph = inspected(Opaque(None, runs_on=("cuda",)), tmp_path, monkeypatch, device="cuda")
    assert graph.layers[0].time_ms == 0.25
    assert graph.notes == ()


def test_a_cancelled_timing_is_cancelled(tmp_path, monkeypatch) -> None:
    with pytest.raises(Cancelled):
        inspected(Opaque(Cancelled("Stop.")), tmp_path, monkeypatch)


def inspected(backend: Opaque, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, device: str = "") -> EngineGraph:
    forget_availability()
    monkeypatch.setattr(inspect, "backend_named", lambda name: backend)
    monkeypatch.setattr(inspect, "built_engine", lambda context: None)
    about = {"workspace": Workspace(tmp_path), "folder": tmp_path, "request": INT8, "model": MODEL}
    context = StageContext(**about, report=silent, device=device)
    source = context.source(context.prepared).path
    source.parent.mkdir(parents=True)
    write_tiny_onnx(source)
    return inspect.run(context)
