"""The digits CNN, trained for real, keeps its accuracy on every path that works here."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from pathlib import Path
from threading import Lock

import pytest

from core.backends.base import backend_named
from core.base.progress import Report
from core.intake.add_model import add_model
from core.models.model import Model
from core.request.build_request import BuildRequest, checked
from core.request.paths import BuildPath, paths_for
from core.stages.child import run_stage
from core.stages.outcome import Outcome, load_outcome
from core.stages.pipeline import run_build
from core.storage.builds import StageName
from core.storage.userdata import store_data
from core.storage.workspace import Workspace
from sample_models.make_models import sample

TEST_SET = Path(__file__).parents[2] / "sample_models" / "digits_test.npz"
JUDGED = (StageName.CONVERT, StageName.BUILD, StageName.REFERENCE, StageName.PARITY)

# What several paths share is made by one, and found by the others.
_ONE_AT_A_TIME = {stage: Lock() if stage in (StageName.CONVERT, StageName.REFERENCE) else nullcontext() for stage in StageName}

pytestmark = pytest.mark.usefixtures("forked")


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    return Workspace(tmp_path_factory.mktemp("digits"))


@pytest.fixture(scope="module")
def digits(workspace: Workspace) -> Model:
    return add_model(sample("digits"), workspace)


def only_accuracy(stage: StageName, folder: Path, report: Report) -> None:
    """Runs what accuracy needs; layers and latency are others' tests."""
    with _ONE_AT_A_TIME[stage]:
        if stage in JUDGED:
            run_stage(stage, folder, report)


def runs_here(path: BuildPath) -> bool:
    here = backend_named(path.backend).availability()
    return here.builds_on[0] in here.runs_on


@pytest.mark.slow
def test_every_path_keeps_the_accuracy(workspace: Workspace, digits: Model) -> None:
    inputs = store_data(workspace, TEST_SET)
    paths: list[BuildPath] = [path for path in paths_for(digits) if path.available and runs_here(path)]
    assert {path.backend for path in paths} >= {"tensorflow", "onnxruntime", "openvino", "litert"}

    def built(path: BuildPath) -> Outcome:
        request = checked(BuildRequest(model=digits.digest, path=path.id, inputs=inputs), digits)
        build = run_build(workspace, request, on_change=lambda *_: None, runner=only_accuracy)
        return load_outcome(workspace, build.key)

    with ThreadPoolExecutor(3) as pool:  # most of their time goes into starting runtimes, one core each; one may wait
        outcomes = list(pool.map(built, paths))
    for path, outcome in zip(paths, outcomes, strict=True):
        parity = outcome.parity
        assert parity is not None, f"{path.id}: {outcome.build.error}"
        assert parity.passed, path.id
        assert parity.accuracy is not None
        assert parity.reference_accuracy is not None
        assert parity.accuracy.samples == 360
        assert parity.accuracy.top1 == parity.reference_accuracy.top1 > 0.97, path.id
