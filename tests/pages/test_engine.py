"""The engine page over stored builds: done, failed, running, unknown, none."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from core.base.files import WORKSPACE_VARIABLE
from core.base.serialization import read_json, write_json
from core.models.model import Format
from core.stages.build import Built
from core.stages.stage import Prepared
from core.storage.builds import StageName, result_file
from core.storage.workspace import Workspace
from tests.stored_builds import SIGNATURE, Shelf, fill

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
    assert bool(app.error) is (section == "Precision")
