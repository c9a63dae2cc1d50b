"""The engine page's findings: what may mend them, tried in one click, and before and after."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from bench.stored_builds import resnet, store_build, store_lowered
from core.analysis.finding import FindingKind, Mend
from core.analysis.findings import findings_of
from core.backends.base import backend_named
from core.base.files import WORKSPACE_VARIABLE
from core.base.precision import Precision
from core.precision.settings import Placement
from core.stages.outcome import load_outcome
from core.storage.builds import State
from core.storage.workspace import Workspace
from dashboard import links, services
from tests.pages.conftest import SECONDS, text_of
from tests.unit.analysis.engines import listed
from tests.unit.analysis.test_attention import FUSED, MERGED, engine

MAIN = Path(__file__).parents[2] / "dashboard" / "main.py"
HERE = backend_named("tensorrt_rtx").availability()
needs_builder = pytest.mark.skipif(not HERE.available, reason=f"{HERE.reason} {HERE.hint}")


@pytest.fixture
def shelf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Workspace]:
    monkeypatch.setenv(WORKSPACE_VARIABLE, str(tmp_path))
    yield Workspace(tmp_path)
    services.queue().close()


def opened(build: str) -> AppTest:
    app = AppTest.from_file(str(MAIN), default_timeout=SECONDS)
    app.switch_page(links.ENGINE)
    app.query_params["build"] = build
    app.query_params["section"] = "Findings"
    app.run()
    assert not app.exception, app.exception
    return app


def mend_of(workspace: Workspace, build: str, kind: FindingKind) -> Mend:
    found = next(one for one in findings_of(load_outcome(workspace, build)) if one.kind is kind)
    assert found.mend is not None
    return found.mend


def said(app: AppTest) -> str:
    return (text_of(app) + "\n".join(str(one.value) for one in app.text)).replace("\\", "")


def test_findings_come_with_bytes_nodes_and_what_to_try(shelf: Workspace) -> None:
    app = opened(store_lowered(shelf, listed("mobilenetv2-int8")))
    told = said(app)
    assert "Its layers read and write 90.3 MB between them, and 3.9 MB of constants." in told
    assert "51 layers compute in int8 and write float32" in told
    assert [block.value for block in app.code if block.value.startswith("--")] == [
        "--lower placement=scales_behind",
        "--lower placement=heavy_only",
        "--lower placement=float_depthwise",
    ]
    assert [button.label for button in app.button if button.key.startswith("try-")] == ["Try it"] * 3
    assert any("From 68 source nodes" in expander.label for expander in app.expander)
    assert any(len(frame.value) == 68 for frame in app.dataframe)


def test_a_name_that_turns_the_letters_around_it_is_shown_by_its_numbers(shelf: Workspace) -> None:
    graph = resnet("fp32")
    slow = replace(graph.layers[0], name="\u202egnp.elbissop\u202c", time_ms=10.0)
    build = store_lowered(shelf, replace(graph, layers=(slow, *graph.layers[1:])))
    messages = [one.value for one in opened(build).text]
    assert messages[0] == "One layer takes 96% of the time: ‹202E›gnp.elbissop‹202C› (96%)."
    assert not [message for message in messages if "\u202e" in message]


def test_what_was_tried_before_is_shown_at_once(shelf: Workspace) -> None:
    build = store_lowered(shelf, listed("mobilenetv2-int8"))
    mend = mend_of(shelf, build, FindingKind.QUANTIZING)
    fewer = listed("mobilenetv2-fp16")
    assert store_lowered(shelf, fewer, request=mend.request) == mend.request.key
    app = opened(build)
    assert "**Tried.** It helps: layers −47 %, kernels that only quantize −100 %, bytes moved" in said(app)
    (table,) = app.table
    rows = {row[0]: tuple(row[1:]) for row in table.value.to_numpy().tolist()}
    assert rows["Layers"] == ("108", "57", ":green[−51]")
    assert rows["Kernels that only quantize"] == ("52", "0", ":green[−52]")
    assert rows["Moved between layers"] == ("90.3 MB", "28.6 MB", ":green[−68.4 %]")
    assert len([button for button in app.button if button.key.startswith("try-")]) == 2


@needs_builder
def test_one_click_queues_the_build_with_that_change_alone_and_follows_it(shelf: Workspace) -> None:
    build = store_lowered(shelf, listed("mobilenetv2-int8"))
    mend = mend_of(shelf, build, FindingKind.PADDED)
    app = opened(build)
    app.button(key=f"try-{mend.request.key}").click().run()
    assert not app.exception, app.exception
    (job,) = services.queue().jobs()
    assert job.key == mend.request.key
    asked = load_outcome(shelf, build).build.request
    assert job.request == replace(asked, lowering=asked.lowering.placing([Placement.FLOAT_DEPTHWISE]))
    assert "No worker for 'cpu' is running" in said(app)
    assert [bar for bar in app.get("progress") if "for a moment now" in bar.proto.text]
    assert len([button for button in app.button if button.key.startswith("try-")]) == 2


@needs_builder
def test_a_trial_that_was_cancelled_can_be_tried_again(shelf: Workspace) -> None:
    build = store_lowered(shelf, listed("mobilenetv2-int8"))
    mend = mend_of(shelf, build, FindingKind.PADDED)
    queue = services.queue()
    job = queue.submit(mend.request).job
    assert job is not None
    queue.cancel(job)
    app = opened(build)
    assert "cancelled" in said(app)
    assert app.button(key=f"try-{mend.request.key}").label == "Try it"


def test_a_build_that_failed_with_the_change_is_not_compared(shelf: Workspace) -> None:
    build = store_lowered(shelf, listed("mobilenetv2-int8"))
    mend = mend_of(shelf, build, FindingKind.PADDED)
    store_build(shelf, mend.request, state=State.FAILED)
    app = opened(build)
    assert not app.table
    assert len([button for button in app.button if button.key.startswith("try-")]) == 3


def test_fused_attention_is_told_as_good(shelf: Workspace) -> None:
    app = opened(store_lowered(shelf, engine(MERGED, FUSED), Precision.FP16))
    assert "Q, K and V of 1 attention block run as one GEMM; 1 fused attention kernel." in said(app)
    assert ":green-badge[" in said(app)
    assert not [button for button in app.button if button.key.startswith("try-")]
