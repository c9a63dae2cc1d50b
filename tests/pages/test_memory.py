"""The engine page's tab of memory and its lanes of streams, and GPU memory on the Compare page."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from streamlit.testing.v1 import AppTest

from bench.rtx_logs import recorded_graph
from bench.stored_builds import Shelf, fill, store_build, streaming, streaming_request
from core.base.files import WORKSPACE_VARIABLE
from core.base.profile import AxisRange, ShapeProfile
from core.graph.engine_graph import EngineGraph
from core.storage.workspace import Workspace
from tests.pages.test_engine import figures, opened, said


@pytest.fixture
def shelf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shelf:
    monkeypatch.setenv(WORKSPACE_VARIABLE, str(tmp_path))
    return fill(Workspace(tmp_path))


def stored(shelf: Shelf, graph: EngineGraph | None = None, **changes: object) -> str:
    return store_build(shelf.workspace, streaming_request(shelf.model, **changes), graph=graph or streaming(), median_ms=2.0)


def table(app: AppTest, column: str) -> pd.DataFrame:
    return next(frame.value for frame in app.dataframe if column in frame.value.columns)


def up_to(most: int) -> ShapeProfile:
    return ShapeProfile(axes={"batch": AxisRange(min=1, opt=1, max=most)})


def taking(activations: int) -> EngineGraph:
    graph = streaming()
    assert graph.memory
    return replace(graph, memory=replace(graph.memory, activation_bytes=activations))


def test_memory_is_told_by_part_with_what_each_means(shelf: Shelf) -> None:
    app = opened("engine", build=stored(shelf), section="Memory")
    assert figures(app)["GPU memory"] == "101.5 MB"
    assert "25.7 MB of weights, loaded once, and 75.8 MB for each context." in said(app)
    rows = {row[0]: row[1:] for row in app.table[0].value.to_numpy().tolist()}
    assert rows["Activations"][0] == "75.8 MB"
    assert "Inside the activations" in rows["Scratch"][1]
    assert rows["Inputs, outputs"][0] == "4.8 MB, 32.0 kB"


def test_contexts_add_up_and_live_in_the_address(shelf: Shelf) -> None:
    app = opened("engine", build=stored(shelf), section="Memory", contexts="3")
    rows = table(app, "Contexts").set_index("Contexts")
    assert rows.loc[3].tolist() == ["25.7 MB", "227.4 MB", "253.1 MB", "240 B"]
    app.number_input[0].set_value(16).run()
    assert table(app, "Contexts")["Contexts"].tolist() == [1, 2, 4, 8, 16]
    assert app.query_params["contexts"] in ("16", ["16"])


def test_a_block_is_said_to_stand_for_many_kernels(shelf: Shelf) -> None:
    app = opened("engine", build=stored(shelf), section="Memory")
    assert table(app, "Stands for")["Stands for"].tolist() == ["a block of kernels"]
    assert "what one kernel of it asks for is not told" in said(app)


def test_bytes_are_told_where_shapes_are_and_not_where_they_are_open(shelf: Shelf) -> None:
    key = stored(shelf, recorded_graph("resnet50-fp16-two-profiles"), options={"profiles": "batch=8:8:16"}, profile=up_to(1))
    app = opened("engine", build=key, section="Memory", layer="2")
    rows = table(app, "Constants, bytes").set_index("#")
    assert rows.loc[2, ["Inputs, bytes", "Constants, bytes", "Outputs, bytes", "Together, bytes"]].tolist() == [
        401_408, 25_224, 1_605_632, 2_032_264,
    ]  # fmt: skip
    assert rows.loc[rows["Profile"] == 1, "Inputs, bytes"].isna().all()
    assert "Layers of profile 0: all 59 read and write 110.3 MB together." in said(app)
    own = table(app, "Largest scratch of a layer")
    assert own["Activations"].tolist() == ["20.4 MB", "86.2 MB"]
    assert own["Profile"].tolist() == ["batch 1", "batch 8:8:16"]


def test_a_row_of_bytes_selects_its_layer_and_leads_to_it(shelf: Shelf) -> None:
    app = opened("engine", build=stored(shelf), section="Memory", layer="13")
    next(button for button in app.button if button.label == "Show layer 13 among the others").click().run()
    assert "**Layer 13 of 123**" in said(app)


def test_builds_that_differ_in_profile_alone_make_a_curve(shelf: Shelf) -> None:
    key = stored(shelf)
    stored(shelf, taking(20_000_000), profile=up_to(2))
    stored(shelf, taking(1), profile=up_to(4), path="onnx.tensorrt")
    app = opened("engine", build=key, section="Memory")
    rows = table(app, "Largest batch")
    assert rows["Largest batch"].tolist() == [2, 8]
    assert rows["Activations"].tolist() == ["20.0 MB", "75.8 MB"]
    assert rows["Profile"].tolist() == ["batch 1:1:2", "batch 1:1:8 (this build)"]
    assert "20.0 MB of activations at a largest batch of 2, 75.8 MB at 8: 9.3 MB for each more on average." in said(app)
    offered = next(group for group in app.button_group if group.label == "The same build at a largest batch of")
    assert list(offered.options) == ["1", "4", "16", "32", "64"]


def test_one_length_alone_says_so(shelf: Shelf) -> None:
    assert "So far only one length of batch was built: 8." in said(opened("engine", build=stored(shelf), section="Memory"))


def test_the_same_build_on_one_stream_tells_what_streams_cost(shelf: Shelf) -> None:
    key = stored(shelf)
    assert "On one stream the engine may take less." in said(opened("engine", build=key, section="Memory"))
    single = stored(shelf, taking(11_800_000), options={"aux_streams": 0})
    told = said(opened("engine", build=key, section="Memory"))
    assert "on one stream, the activations are 11.8 MB; here they are 75.8 MB." in told
    assert "on one stream" not in said(opened("engine", build=single, section="Memory"))


@pytest.mark.parametrize(
    ("which", "words"),
    [
        ("untimed", "Not told what this engine takes of a GPU's memory: builders of TensorRT tell it"),
        ("fp16", "Not told what this engine takes of a GPU's memory"),
        ("failed", "This build told no layers, and no memory"),
        ("running", "This build told no layers, and no memory"),
    ],
)
def test_what_is_not_told_is_said(shelf: Shelf, which: str, words: str) -> None:
    assert words in said(opened("engine", build=getattr(shelf, which), section="Memory"))


def test_two_streams_are_lanes_in_words_too(shelf: Shelf) -> None:
    app = opened("engine", build=stored(shelf), layer="13")
    told = said(app)
    assert "**2 streams; 16 of 107 layers on stream 1; 8 waits.**" in told
    assert "No layer was timed, so the lanes show order, not duration." in told
    assert "Stream: **1**" in told
    assert "May run beside: **layers 7, 8, 9, 10, 11**" in told
    assert "Waits: **for event 1, which layer 6 signals**" in said(opened("engine", build=stored(shelf), layer="12"))
    assert table(app, "Source nodes")["Stream"].tolist().count(1) == 24


def test_timed_lanes_show_duration(shelf: Shelf) -> None:
    app = opened("engine", build=stored(shelf, streaming(timed=True)))
    assert "one after the other; with what may overlap, at best" in said(app)
    assert "not duration" not in said(app)


def test_each_profile_has_its_lanes(shelf: Shelf) -> None:
    key = stored(shelf, recorded_graph("resnet50-fp16-two-profiles"), options={"profiles": "batch=8:8:16"}, profile=up_to(1))
    assert "7 of 59 layers on stream 1" in said(opened("engine", build=key, layer="9"))
    assert "7 of 61 layers on stream 1" in said(opened("engine", build=key, layer="85"))


def test_one_stream_or_none_told_is_said(shelf: Shelf) -> None:
    alone = opened("engine", build=stored(shelf, recorded_graph("mobilenetv2-fp16")))
    assert "Streams: 1 stream: all 57 layers run one after the other, none beside another." in said(alone)
    assert "Stream" not in table(alone, "Source nodes").columns
    assert "Streams: not told by this runtime" in said(opened("engine", build=shelf.fp16))


def test_compare_has_gpu_memory_where_it_is_told(shelf: Shelf) -> None:
    without = opened("compare", model=shelf.model.digest)
    assert "**GPU memory**" not in said(without)
    key = stored(shelf)
    app = opened("compare", model=shelf.model.digest, contexts="2")
    rows = table(app, "Verdict").set_index("Key")
    assert rows.loc[key[:12], "With one context, MB"] == pytest.approx(101.504902)
    assert pd.isna(rows.loc[shelf.fp16[:12], "With one context, MB"])
    assert "**GPU memory**" in said(app)
    assert app.number_input[0].value == 2
    pair = opened("compare", builds=f"{shelf.fp16},{key}")
    rows = {row[0]: row[1:] for row in pair.table[0].value.to_numpy().tolist()}
    assert rows["GPU memory"][0] == "not told"
    assert rows["GPU memory"][1].startswith("101.5 MB; weights 25.7 MB")
