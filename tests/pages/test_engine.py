"""The engine page over stored builds: done, failed, running, unknown, none."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from bench.stored_builds import SIGNATURE, Shelf, fill
from core.base.availability import Availability
from core.base.errors import Failure
from core.base.files import WORKSPACE_VARIABLE
from core.base.gpus import RunsOn, gpus_text
from core.base.serialization import read_json, write_json
from core.jobs.heartbeats import Heartbeats
from core.jobs.job import JobKind, JobState, WorkerCard
from core.models.model import Format
from core.stages.build import Built
from core.stages.stage import Prepared
from core.stages.toolchains import Toolchain
from core.storage.builds import BUILD_FILE, Build, Place, Run, StageName, StageRecord, State, result_file
from core.storage.workspace import Workspace
from dashboard import services

MAIN = Path(__file__).parents[2] / "dashboard" / "main.py"


@pytest.fixture
def shelf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shelf:
    monkeypatch.setenv(WORKSPACE_VARIABLE, str(tmp_path))
    return fill(Workspace(tmp_path))


def opened(page: str, **query: str) -> AppTest:
    app = AppTest.from_file(str(MAIN), default_timeout=60)
    app.run()
    app.switch_page(f"../pages/{page}.py")
    for name, value in query.items():
        app.query_params[name] = value
    app.run()
    assert not app.exception, app.exception
    return app


def figures(app: AppTest) -> dict[str, str]:
    return {metric.label: metric.value for metric in app.metric}


def said(app: AppTest) -> str:
    kinds = (app.title, app.subheader, app.markdown, app.caption, app.text, app.info, app.warning, app.error, app.success)
    return "\n".join(str(element.value) for kind in kinds for element in kind)


def test_without_builds_it_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(WORKSPACE_VARIABLE, str(tmp_path))
    assert "Nothing has been built yet" in said(opened("engine"))


def test_a_finished_build_shows_its_figures(shelf: Shelf) -> None:
    app = opened("engine", build=shelf.fp16)
    shown = figures(app)
    assert shown["Median latency"] == "0.619 ms"
    assert (shown["Engine size"], shown["Build time"], shown["Parity"]) == ("51.0 MB", "38 s", "on par")
    assert shown["Layers"] == "63"
    assert "frozen weights 102.0 MB (0.50×)" in said(app)


def test_the_beginning_of_a_key_is_enough(shelf: Shelf) -> None:
    assert figures(opened("engine", build=shelf.fp16[:12]))["Layers"] == "63"


def test_the_layer_of_the_address_is_the_selected_one(shelf: Shelf) -> None:
    app = opened("engine", build=shelf.fp16, layer="7")
    assert "**Layer 7 of 63**" in said(app)
    table = next(frame for frame in app.dataframe if "Source nodes" in frame.value.columns)
    assert len(table.value) == 63


@pytest.mark.parametrize("layer", ["4000", "-1", "0", "seven", "²", "9" * 5000, ""])
def test_a_layer_that_does_not_exist_is_no_error(shelf: Shelf, layer: str) -> None:
    assert "of 63**" in said(opened("engine", build=shelf.fp16, layer=layer))


def test_a_filter_finds_the_layer_of_a_source_node(shelf: Shelf) -> None:
    app = opened("engine", build=shelf.fp16)
    app.text_input(key=f"layer-filter-{shelf.fp16}").set_value("conv5_block1_0_conv").run()
    table = next(frame.value for frame in app.dataframe if "Source nodes" in frame.value.columns)
    assert 1 <= len(table) <= 3
    assert table["Source nodes"].str.contains("conv5_block1_0_conv").all()


def test_layers_without_times_are_shown_as_not_measured(shelf: Shelf) -> None:
    app = opened("engine", build=shelf.untimed)
    assert "Layer times were not measured" in said(app)
    assert not [frame for frame in app.dataframe if "Time, ms" in frame.value.columns]


@pytest.mark.parametrize("section", ["Source nodes", "Findings", "Measurement", "Parity", "Build"])
@pytest.mark.parametrize("which", ["fp16", "int8", "failed", "running"])
def test_every_section_of_every_build_opens(shelf: Shelf, section: str, which: str) -> None:
    app = opened("engine", build=getattr(shelf, which), section=section)
    assert len(said(app)) > 100


def test_a_failed_build_says_why_and_what_to_do(shelf: Shelf) -> None:
    app = opened("engine", build=shelf.failed)
    assert "TensorRT found no kernel for a block." in said(app)
    assert "Give it more workspace." in said(app)
    assert figures(app)["Median latency"] == "not measured"


def test_a_running_build_says_how_far_it_is(shelf: Shelf) -> None:
    app = opened("engine", build=shelf.running)
    assert figures(app)["Parity"] == "not checked"
    assert [bar for bar in app.get("progress") if "Stage build is running" in bar.proto.text]


def test_an_unknown_build_is_told_with_a_way_out(shelf: Shelf) -> None:
    app = opened("engine", build="feedbeef")
    assert "No build is stored as 'feedbeef'." in said(app)


def test_the_command_to_copy_is_there(shelf: Shelf) -> None:
    app = opened("engine", build=shelf.fp16, section="Build")
    assert any("--precision fp16" in block.value for block in app.code)


def test_parity_that_failed_is_told(shelf: Shelf) -> None:
    app = opened("engine", build=shelf.int8, section="Parity")
    assert figures(app)["Parity"] == "not on par"
    assert "Not on par with the source model" in said(app)


def test_simplification_and_precision_both_tell_what_they_changed(shelf: Shelf) -> None:
    folder = shelf.workspace.build_folder(shelf.fp16)
    simplified = Prepared(
        artifact="s",
        entry="model.onnx",
        format=Format.ONNX,
        signature=SIGNATURE,
        ops={"Conv": 53, "Relu": 49},
        versions={"onnxslim": "0.1.98"},
        details={"nodes": "214 before, 126 after"},
        changed={"folded": ("bias/Identity",)},
    )
    lowered = replace(simplified, ops={"Conv": 53, "Relu": 49, "Cast": 2}, versions={}, details={"opset": "17"}, changed={})
    write_json(result_file(folder, StageName.SIMPLIFY), simplified)
    write_json(result_file(folder, StageName.PRECISION), lowered)
    app = opened("engine", build=shelf.fp16, section="Build")
    assert "**What the simplify stage changed**" in said(app)
    assert "**What the precision stage changed**" in said(app)
    rows = [row for frame in app.dataframe for row in frame.value.to_numpy().tolist()]
    assert ["nodes", "214 before, 126 after"] in rows
    assert ["opset", "17"] in rows
    assert ["Cast", 0, 2] in rows
    assert ["bias/Identity", "folded"] in rows
    assert ["onnxslim", "0.1.98"] in rows


@pytest.mark.parametrize("section", ["Build", "Precision"])
def test_an_engine_that_was_quantized_by_its_runtime_shows_its_stamp(shelf: Shelf, section: str) -> None:
    path = result_file(shelf.workspace.build_folder(shelf.int8), StageName.BUILD)
    built = read_json(Built, path)
    stamp = "Uncalibrated: the INT8 ranges come from random values. Do not deploy this engine."
    write_json(path, replace(built, engine=replace(built.engine, notes=(stamp,))))
    app = opened("engine", build=shelf.int8, section=section)
    assert stamp in said(app).replace("\\", "")
    assert "uncalibrated, do not deploy" in said(app)  # in the head, whatever section is open
    assert bool(app.error) is (section == "Precision")


RTX = RunsOn(
    devices=("cuda",),
    backend="tensorrt",
    title="TensorRT",
    capabilities=("8.6", "8.9"),
    where=gpus_text(("8.6", "8.9")),
)
L4 = Place(host="gpu-host", device="cuda:0", name="NVIDIA L4", capability="8.9")


@pytest.fixture
def handed_on(shelf: Shelf) -> Iterator[str]:
    """Key of a build that was not run where it was built."""
    change_build(shelf, shelf.fp16, not_run=f"not run here: it runs on {RTX.where}", runs_on=RTX)
    for stage in (StageName.PARITY, StageName.MEASURE):
        result_file(shelf.workspace.build_folder(shelf.fp16), stage).unlink()
    yield shelf.fp16
    services.queue().close()
    services._queue.clear()  # type: ignore[attr-defined]


def change_build(shelf: Shelf, key: str, **changes: object) -> None:
    path = shelf.workspace.build_folder(key) / BUILD_FILE
    write_json(path, replace(read_json(Build, path), **changes))


def labels(app: AppTest) -> set[str]:
    return {button.label for button in app.button}


def test_an_engine_that_runs_elsewhere_says_on_which_gpus_and_waits_for_one(handed_on: str) -> None:
    chain = Toolchain(name="default", python="/python", version="3.11.7", backends={"tensorrt": Availability(available=True)})
    beats = Heartbeats(services.queue().url)
    about = {"id": "h", "host": "gpu-host", "pid": 1, "device": "cuda:0", "device_type": "cuda", "device_name": "NVIDIA H100"}
    beats.join(WorkerCard(**about, capability="9.0", toolchains=(chain,)))  # type: ignore[arg-type]
    app = opened("engine", build=handed_on)
    told = said(app).replace("\\", "")
    assert "It runs on a GPU of compute capability 8.6 (RTX 30, A10) or 8.9 (RTX 40, L4)." in told
    assert "None of the workers that are running can: NVIDIA H100 of gpu-host has compute capability 9.0." in told
    assert figures(app)["Median latency"] == "not run here"

    next(button for button in app.button if button.label == "Run where it can").click().run()
    assert not app.exception
    (job,) = services.queue().jobs()
    assert (job.kind, job.key, job.state) == (JobKind.RUN, handed_on, JobState.QUEUED)
    waits = "waits for a GPU worker of compute capability 8.6 or 8.9 that has TensorRT"
    assert waits in said(app).replace("\\", "")
    assert "Run where it can" not in labels(app)
    assert waits in said(opened("jobs")).replace("\\", "")

    next(button for button in app.button if button.label == "Cancel").click().run()
    assert services.queue().job(job.id).state is JobState.CANCELLED
    assert "Run where it can" in labels(app)
    beats.remove("h")
    beats.close()
    assert "No worker for cuda is running." in said(opened("engine", build=handed_on))


def test_a_run_elsewhere_that_failed_is_told_and_can_be_tried_again(shelf: Shelf, handed_on: str) -> None:
    why = Failure(kind="RunFailed", message="The engine cannot run on this GPU.")
    failed = StageRecord(stage=StageName.MEASURE, state=State.FAILED, error=why)
    change_build(shelf, handed_on, run=Run(place=L4, state=State.FAILED, stages=(failed,), built_at=0.0, started_at=1.0))
    app = opened("engine", build=handed_on)
    told = said(app).replace("\\", "")
    assert "on NVIDIA L4 (cuda:0, compute capability 8.9) of gpu-host it failed: The engine cannot run on this GPU." in told
    assert figures(app)["Layers"] == "63"
    assert "Run where it can" in labels(app)


def test_figures_of_a_run_elsewhere_say_where_they_are_from(shelf: Shelf) -> None:
    done = StageRecord(stage=StageName.MEASURE, state=State.DONE, seconds=3.0)
    change_build(
        shelf,
        shelf.fp16,
        runs_on=RTX,
        built_on=Place(host="desk", device="cpu:0", name="A CPU"),
        run=Run(place=L4, state=State.DONE, stages=(done,), built_at=0.0, started_at=1.0),
    )
    app = opened("engine", build=shelf.fp16, section="Build")
    told = said(app).replace("\\", "")
    assert "**Run on NVIDIA L4 (cuda:0, compute capability 8.9) of gpu-host**" in told
    assert "Built on A CPU (cpu:0) of desk." in told
    assert figures(app)["Median latency"] == "0.619 ms"
    assert "Run again" in labels(app)
    stages = next(frame.value for frame in app.dataframe if "Stage" in frame.value)
    assert list(stages["Where"]) == ["where it was built"] * 6 + ["NVIDIA L4"]
    assert "Run again" not in labels(opened("engine", build=shelf.int8)), "it runs where it was built"
