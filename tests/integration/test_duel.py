"""Engines head to head, with real engines in processes of their own."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from core.base.children.call import Fetch
from core.base.errors import InvalidRequest
from core.base.progress import Progress, Report
from core.benchmark.duel import DuelProtocol
from core.benchmark.sequential import FEWEST, is_narrow
from core.stages.child import LOG_FILE, run_stage
from core.stages.contestants import duel_of
from core.stages.head_to_head import run_duel
from core.stages.outcome import Outcome, load_outcome
from core.stages.pipeline import run_build
from core.storage.builds import Place, StageName, State
from core.storage.duels import Duel, duel_folder, stored_duel
from core.storage.housekeeping import delete_build
from core.storage.workspace import Workspace
from tests.digits import copy_into

pytestmark = pytest.mark.usefixtures("forked")
PLACE = Place(host="here", device="cpu:0", name="a processor")
SHORT = DuelProtocol(block_seconds=0.002, rounds=5, starts=FEWEST)


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory, digits_made: Workspace, forked: None) -> tuple[Workspace, Outcome, Outcome]:
    """Two builds of one engine."""
    workspace = Workspace(tmp_path_factory.mktemp("duel") / "workspace")
    one = copy_into(workspace, digits_made)
    request = replace(one.build.request, seed=1)
    other = run_build(workspace, request, on_change=lambda *_: None)
    return workspace, one, load_outcome(workspace, other.key)


def hold(workspace: Workspace, duel: Duel, *, place: Place = PLACE, stop_after: int | None = None) -> Duel:
    folder = duel_folder(workspace, duel.key)
    folder.mkdir(parents=True, exist_ok=True)

    def run(key: str, scratch: Path, report: Report, turn: Fetch) -> None:
        run_stage(StageName.DUEL, scratch, report, build=folder, turn=turn, holding=workspace.build_folder(key))

    def heard(now: Duel, progress: Progress | None) -> None:
        if stop_after is not None and len(now.starts) == stop_after and progress and progress.fraction:
            raise KeyboardInterrupt

    return run_duel(workspace, duel, place, on_change=heard, runner=run)


def test_each_start_has_the_turns_of_both_and_the_verdict_is_kept(pair: tuple[Workspace, Outcome, Outcome]) -> None:
    workspace, one, other = pair
    asked = duel_of([one, other], SHORT)
    done = hold(workspace, asked)
    assert done.state is State.DONE, done.error
    assert done.keys == (one.build.key, other.build.key)
    assert len(done.starts) == FEWEST
    for start in done.starts:
        assert {key: len(blocks) for key, blocks in start.blocks.items()} == dict.fromkeys(done.keys, 5)
        assert all(ms > 0 for blocks in start.blocks.values() for ms in blocks)
        assert set(start.load_ms) == set(done.keys)
        assert "other load" in start.conditions
    ratio = done.ratio(*done.keys)
    assert ratio is not None
    assert ratio.low < ratio.ratio < ratio.high
    assert done.settled is is_narrow(ratio)
    back = done.ratio(*reversed(done.keys))
    assert back is not None
    assert back.ratio == pytest.approx(1 / ratio.ratio)
    assert stored_duel(workspace, done.key) == done
    assert hold(workspace, asked) == done  # it is there already
    assert hold(workspace, duel_of([other, one], SHORT)).key == done.key
    assert (duel_folder(workspace, done.key) / LOG_FILE).exists()


def test_what_was_cut_off_goes_on_after_its_last_whole_start(pair: tuple[Workspace, Outcome, Outcome]) -> None:
    workspace, one, other = pair
    asked = duel_of([one, other], replace(SHORT, max_seconds=500))
    cut = hold(workspace, asked, stop_after=2)
    assert cut.state is State.CANCELLED
    assert len(cut.starts) == 2
    on = hold(workspace, asked)
    assert on.state is State.DONE
    assert on.starts[:2] == cut.starts
    moved = duel_of([one, other], replace(SHORT, max_seconds=400))
    first = hold(workspace, moved, stop_after=1)
    elsewhere = hold(workspace, moved, place=replace(PLACE, host="there"), stop_after=1)
    assert len(elsewhere.starts) == 1
    assert elsewhere.starts != first.starts  # two machines' starts are not put together


def test_an_engine_that_cannot_take_part_is_named(pair: tuple[Workspace, Outcome, Outcome], tmp_path: Path) -> None:
    made, one, other = pair
    workspace = Workspace(tmp_path / "workspace")
    shutil.copytree(made.root, workspace.root)
    assert other.built is not None
    asked = duel_of([one, other], replace(SHORT, max_seconds=300))
    for file in (workspace.artifacts / other.built.artifact).rglob("*.onnx"):
        file.unlink()
        file.write_bytes(b"nonsense")
    failed = hold(workspace, asked)
    assert failed.state is State.FAILED
    assert failed.error is not None
    title = other.build.request.full_title
    assert failed.error.message.startswith(f"{title} could not take part: ONNX Runtime could not load the engine")
    assert failed.error.hint


def test_builds_that_cannot_take_turns_are_refused(pair: tuple[Workspace, Outcome, Outcome]) -> None:
    _, one, other = pair
    with pytest.raises(InvalidRequest, match="between 2 and 12 builds; 1 different"):
        duel_of([one, one])
    with pytest.raises(InvalidRequest, match="are of two models"):
        duel_of([one, replace(other, model=replace(other.model, digest="other"))])
    with pytest.raises(InvalidRequest, match="has no engine to run: it is failed"):
        duel_of([one, replace(other, build=replace(other.build, state=State.FAILED))])
    with pytest.raises(InvalidRequest, match="has not run yet: not run here"):
        duel_of([one, replace(other, build=replace(other.build, not_run="not run here: it runs on a GPU"))])
    assert other.measurement is not None
    batched = replace(other.measurement, shapes={"image": (8, 8, 8, 1)})
    with pytest.raises(InvalidRequest, match="measured on other shapes"):
        duel_of([one, replace(other, measurement=batched)])


def test_a_build_that_was_made_anew_is_another_engine(pair: tuple[Workspace, Outcome, Outcome], tmp_path: Path) -> None:
    made, one, other = pair
    workspace = Workspace(tmp_path / "workspace")
    shutil.copytree(made.root, workspace.root)
    asked = duel_of([one, other], replace(SHORT, max_seconds=200))
    run_build(workspace, other.build.request, on_change=lambda *_: None, force=True)
    failed = hold(workspace, asked)
    assert failed.error is not None
    assert "was made anew meanwhile" in failed.error.message
    again = load_outcome(workspace, other.build.key)
    assert [round(one.median_ms, 9) for one in again.rebuilds] == [
        round(other.measurement.latency.median_ms, 9) if other.measurement else None
    ]
    delete_build(workspace, other.build.key)
    assert stored_duel(workspace, asked.key) is None
    assert load_outcome(workspace, one.build.key).rebuilds == ()
