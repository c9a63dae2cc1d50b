"""Badges of weak figures on the pages that show them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from streamlit.testing.v1 import AppTest

from bench.stored_builds import Shelf, fill, resnet, store_build, weaken
from core.base.files import WORKSPACE_VARIABLE
from core.jobs.job import JobState
from core.stages.outcome import load_outcome
from core.storage.builds import State
from core.storage.workspace import Workspace
from dashboard import services
from tests.pages.conftest import text_of
from tests.pages.test_compare import board
from tests.pages.test_engine import opened

OTHERS = "Other programs used 51% of the cores while measuring: measure again on a quiet machine."
DRIFTING = "Drifting: the second half ran 41% slower than the first; the machine may be heating up or getting busier."
WORDS = "drifting, shared cores"
BADGES = ":orange-badge[:material/warning: drifting] :orange-badge[shared cores]"


@pytest.fixture
def shelf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shelf:
    monkeypatch.setenv(WORKSPACE_VARIABLE, str(tmp_path))
    found = fill(Workspace(tmp_path))
    weaken(found.workspace, found.fp16, DRIFTING, OTHERS)
    return found


def test_the_tile_has_a_badge(shelf: Shelf) -> None:
    assert BADGES in text_of(opened("engine", build=shelf.fp16))
    assert "-badge[:material/warning" not in text_of(opened("engine", build=shelf.fp32))


def test_the_board_has_a_column(shelf: Shelf) -> None:
    rows = board(opened("compare", model=shelf.model.digest))
    assert rows.loc[shelf.fp16[:12], "Weak"] == WORDS
    assert pd.isna(rows.loc[shelf.fp32[:12], "Weak"])
    weaken(shelf.workspace, shelf.fp16)
    assert "Weak" not in board(opened("compare", model=shelf.model.digest)).columns


def test_two_builds_side_by_side_say_which_is_weak(shelf: Shelf) -> None:
    app = opened("compare", builds=f"{shelf.fp16},{shelf.fp32}")
    table = next(one.value for one in app.table if "A" in one.value.columns).set_index("")
    assert table.loc["Median latency", "A"].endswith(f"weak: {WORDS}")
    assert "weak" not in table.loc["Median latency", "B"]


def test_a_models_builds_and_the_recent_ones_have_a_badge_each(shelf: Shelf) -> None:
    for page, query in (("model", {"model": shelf.model.digest}), ("home", {})):
        assert text_of(opened(page, **query)).count(BADGES) == 1, page


def test_layer_times_that_contradict_the_latency_are_said_to(shelf: Shelf) -> None:
    request = replace(load_outcome(shelf.workspace, shelf.fp32).build.request, threads=3)
    key = store_build(shelf.workspace, request, graph=resnet("fp32"), median_ms=0.01)
    told = text_of(opened("engine", build=key))
    assert "layers' times sum to" in told
    assert "no layer's time or share is to be relied on" in told
    app = opened("engine", build=key, section="Findings")
    assert "Layer times contradict the latency" in text_of(app)
    kinds = next(frame.value for frame in app.dataframe if "Kind" in frame.value.columns)
    assert "Share" not in kinds.columns
    assert "times sum to" not in text_of(opened("engine", build=shelf.fp32))


def buttons(app: AppTest) -> list[str]:
    return [button.label for button in app.button]


def test_a_weak_figure_is_measured_again_from_its_page(shelf: Shelf) -> None:
    app = opened("engine", build=shelf.fp16)
    assert "Measure again" in buttons(app)
    assert f"engineroom bench {shelf.fp16[:12]}" in [code.value for code in app.code]
    assert "Measure again" not in buttons(opened("engine", build=shelf.fp32))
    app.button(key=f"again-head-{shelf.fp16}").click().run()
    assert not app.exception
    (job,) = services.queue().jobs()
    assert (job.key, job.measures_again, job.state, job.device) == (shelf.fp16, True, JobState.QUEUED, "cuda")
    told = text_of(app)
    assert "**Measuring again**" in told
    assert "Cancel" in buttons(app)
    assert "Run where it can" not in buttons(app)
    app.button(key=f"again-cancel-{job.id}").click().run()
    assert services.queue().job(job.id).state is JobState.CANCELLED
    told = text_of(app)
    assert "The figure is the one from before" in told
    assert "Measure again" in buttons(app)


def test_any_figure_can_be_measured_again_from_its_tab(shelf: Shelf) -> None:
    app = opened("engine", build=shelf.fp32, section="Measurement")
    app.button(key=f"again-tab-{shelf.fp32}").click().run()
    assert [job.key for job in services.queue().jobs()] == [shelf.fp32]


def test_a_job_that_measures_again_is_called_so(shelf: Shelf) -> None:
    job = services.queue().measure(shelf.fp16).job
    assert "measured again" in text_of(opened("jobs"))
    app = opened("jobs", job=job or "")
    assert f"engineroom bench {shelf.fp16[:12]}" in [code.value for code in app.code]


def test_a_cancelled_build_is_not_on_par_in_any_list(shelf: Shelf) -> None:
    build = load_outcome(shelf.workspace, shelf.fp16).build
    assert services.figures(build).on_par
    for state in (State.CANCELLED, State.FAILED):
        assert services.figures(replace(build, state=state)).on_par is None
