"""The compare page: the board of a model, its filters and baseline, and two builds side by side."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from streamlit.testing.v1 import AppTest

from bench.stored_builds import Shelf, fill, store_model
from core.base.files import WORKSPACE_VARIABLE
from core.base.precision import Precision
from core.jobs.job import JobState
from core.storage import housekeeping
from core.storage.workspace import Workspace
from dashboard import services
from dashboard.components import comparison_board
from tests.pages.test_engine import opened, said


@pytest.fixture
def shelf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shelf:
    monkeypatch.setenv(WORKSPACE_VARIABLE, str(tmp_path))
    return fill(Workspace(tmp_path))


def board(app: AppTest) -> pd.DataFrame:
    return next(frame.value for frame in app.dataframe if "Verdict" in frame.value.columns).set_index("Key")


def test_without_models_it_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(WORKSPACE_VARIABLE, str(tmp_path))
    assert "No model is stored yet." in said(opened("compare"))


def test_a_model_without_builds_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(WORKSPACE_VARIABLE, str(tmp_path))
    model = store_model(Workspace(tmp_path), "lonely")
    assert "Nothing has been built from lonely yet." in said(opened("compare", model=model.digest))


@pytest.mark.parametrize("page", ["compare", "build"])
def test_a_model_that_is_not_there_is_told(shelf: Shelf, page: str) -> None:
    assert "No model is stored as 'zzz'; here is the newest." in said(opened(page, model="zzz"))


def test_every_build_is_on_the_board_held_against_the_own_framework(shelf: Shelf) -> None:
    app = opened("compare", model=shelf.model.digest)
    rows = board(app)
    assert len(rows) == 6
    assert rows.loc[shelf.untimed[:12], "Verdict"] == "the baseline"
    assert rows.loc[shelf.fp16[:12], "Speed-up"] == pytest.approx(14.5, rel=0.05)
    assert rows.loc[shelf.int8[:12], "Verdict"].startswith("wrong:")
    assert rows.loc[shelf.failed[:12], "Verdict"].startswith("failed: TensorRT found no kernel")
    assert pd.isna(rows.loc[shelf.running[:12], "Median, ms"])
    assert "Not finished yet: 1 build" in said(app)


def test_verdicts_are_told_whole_and_with_their_margin(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(comparison_board, "VERDICT_LETTERS", 40)  # what the column has room for
    told = said(opened("compare", model=shelf.model.digest)).replace("\\", "")
    assert "failed: TensorRT found no kernel" in told
    assert "Measured apart: a winner is named only beyond what repeated runs of one engine differ by." in told


def test_it_tells_whether_each_narrow_precision_paid(shelf: Shelf) -> None:
    told = said(opened("compare", model=shelf.model.digest)).replace("\\", "")
    assert "Did the precision pay" in told
    assert "FP16 paid: " in told
    assert "INT8 did not pay: " in told
    assert "not on par" in told


def test_the_baseline_of_the_address_counts(shelf: Shelf) -> None:
    rows = board(opened("compare", model=shelf.model.digest, baseline=shelf.fp32[:12]))
    assert rows.loc[shelf.fp32[:12], "Verdict"] == "the baseline"
    assert rows.loc[shelf.untimed[:12], "Verdict"].startswith("not worth it")


def test_filters_leave_out_what_was_not_asked_for(shelf: Shelf) -> None:
    app = opened("compare", model=shelf.model.digest)
    app.button_group(key=f"compare-Precision-{shelf.model.digest}").set_value(["fp16"]).run()
    rows = board(app)
    assert list(rows.index) == [shelf.fp16[:12]]
    assert rows.loc[shelf.fp16[:12], "Speed-up"] == pytest.approx(14.5, rel=0.05)  # held against what is hidden


def test_a_baseline_that_is_not_there_is_offered_and_queued(shelf: Shelf) -> None:
    housekeeping.delete_build(shelf.workspace, shelf.untimed)
    app = opened("compare", model=shelf.model.digest)
    assert "ONNX Runtime in fp32 was not built, so TensorRT" in said(app)
    offer = next(button for button in app.button if button.label == "Build the baseline")
    offer.click().run()
    assert not app.exception
    (job,) = services.queue().jobs()
    assert (job.request.path, job.request.precision, job.state) == ("onnx.onnxruntime", Precision.FP32, JobState.QUEUED)
    assert "Build the baseline" not in [button.label for button in app.button]
    assert "Not finished yet: 2 builds" in said(app)


def test_a_baseline_that_is_there_is_not_offered(shelf: Shelf) -> None:
    app = opened("compare", model=shelf.model.digest)
    assert "Build the baseline" not in [button.label for button in app.button]
    app.button_group(key=f"compare-Precision-{shelf.model.digest}").set_value(["fp16"]).run()
    assert "Build the baseline" not in [button.label for button in app.button]


def test_titles_tell_builds_apart_that_differ_in_threads_alone(shelf: Shelf) -> None:
    rows = board(opened("compare", model=shelf.model.digest))
    assert rows.loc[shelf.running[:12], "Build"] == "TensorRT, 2 threads"
    assert rows["Build"].str.cat(rows["Precision"], sep=" ").is_unique


def test_two_builds_side_by_side_with_the_largest_difference_first(shelf: Shelf) -> None:
    app = opened("compare", builds=f"{shelf.fp32},{shelf.fp16}")
    differences = next(frame.value for frame in app.dataframe if "B − A, ms" in frame.value.columns)
    sizes = differences["B − A, ms"].abs().tolist()
    assert len(sizes) > 40
    assert sizes == sorted(sizes, reverse=True)
    assert "B, held against A: 2.1x faster" in said(app)


def test_a_build_without_layers_has_no_differences(shelf: Shelf) -> None:
    assert "B told no layers" in said(opened("compare", builds=f"{shelf.fp32},{shelf.failed}"))


@pytest.mark.parametrize("given", ["feedbeef,cafe", "{fp32}", "{fp32},{fp16},{int8}"])
def test_what_are_not_two_stored_builds_is_told(shelf: Shelf, given: str) -> None:
    app = opened("compare", builds=given.format(fp32=shelf.fp32, fp16=shelf.fp16, int8=shelf.int8))
    assert app.error
