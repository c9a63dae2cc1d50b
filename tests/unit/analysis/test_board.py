"""The board: titles that tell builds apart, and the baseline nobody chose."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from bench.stored_builds import Shelf, fill, store_build
from core.analysis.board import board, titled_candidates
from core.analysis.comparison import default_baseline
from core.analysis.comparison_row import Standing
from core.base.precision import Precision
from core.base.profile import AxisRange, ShapeProfile
from core.precision.settings import Placement, PrecisionSettings
from core.request.build_request import BuildRequest
from core.stages.outcome import Outcome, load_outcome
from core.storage.workspace import Workspace


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    return fill(Workspace(tmp_path))


def outcome(shelf: Shelf, **changes: object) -> Outcome:
    request = replace(BuildRequest(model=shelf.model.digest, path="onnx.onnxruntime"), **changes)  # type: ignore[arg-type]
    return load_outcome(shelf.workspace, store_build(shelf.workspace, request, median_ms=2.0))


def titles(*outcomes: Outcome) -> list[str]:
    return [candidate.title.removeprefix("ONNX Runtime") for candidate in titled_candidates(outcomes)]


def test_one_build_of_a_path_needs_no_more_than_the_path(shelf: Shelf) -> None:
    assert titles(outcome(shelf, threads=3, options={"graph_optimization": "basic"})) == [""]


def test_what_differs_is_in_the_title_and_nothing_else(shelf: Shelf) -> None:
    one, two = outcome(shelf, threads=1, seed=7), outcome(shelf, threads=2, seed=7)
    assert titles(one, two) == [", 1 thread", ", 2 threads"]


def test_options_and_their_absence_are_told(shelf: Shelf) -> None:
    plain, basic = outcome(shelf), outcome(shelf, options={"graph_optimization": "basic"})
    assert titles(plain, basic) == [", default graph_optimization", ", graph_optimization basic"]


def test_what_a_mend_changed_is_told(shelf: Shelf) -> None:
    mended = PrecisionSettings(placement=(Placement.HEAVY_ONLY,))
    plain, other = outcome(shelf, precision=Precision.INT8), outcome(shelf, precision=Precision.INT8, lowering=mended)
    assert titles(plain, other) == [", default placement", ", placement=heavy_only"]
    assert other.build.request.full_title == "ONNX Runtime in int8, placement=heavy_only"
    assert plain.build.request.full_title == "ONNX Runtime in int8"


def test_shapes_are_told(shelf: Shelf) -> None:
    small = outcome(shelf, profile=ShapeProfile(axes={"batch": AxisRange(min=1, opt=1, max=8)}))
    large = outcome(shelf, profile=ShapeProfile(axes={"batch": AxisRange(min=32, opt=32, max=32)}))
    assert titles(small, large) == [", batch 1:1:8", ", batch 32"]


def test_the_own_framework_is_the_baseline(shelf: Shelf) -> None:
    keys = (shelf.int8, shelf.fp16, shelf.fp32, shelf.untimed)
    found = titled_candidates([load_outcome(shelf.workspace, key) for key in keys])
    assert default_baseline(found) == shelf.untimed
    assert default_baseline(found[::-1]) == shelf.untimed
    assert default_baseline(found[:3]) == shelf.fp32
    assert default_baseline(found[:2]) is None
    assert default_baseline([]) is None


def test_the_board_keeps_the_order_and_holds_accuracy(shelf: Shelf) -> None:
    outcomes = [load_outcome(shelf.workspace, key) for key in (shelf.failed, shelf.fp16, shelf.fp32)]
    rows = board(outcomes)
    assert [row.key for row in rows] == [shelf.failed, shelf.fp16, shelf.fp32]
    assert [row.standing for row in rows] == [Standing.FAILED, Standing.FASTER, Standing.BASELINE]
    assert (rows[1].candidate.accuracy, rows[1].candidate.reference_accuracy, rows[0].candidate.accuracy) == (0.761, 0.762, None)
    assert rows[1].candidate.device == "cuda"
