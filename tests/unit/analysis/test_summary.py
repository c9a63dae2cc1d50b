"""A build in figures, as the command line, the report and the page draw them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bench.stored_builds import SIGNATURE, Shelf, fill
from core.analysis.board import board
from core.analysis.candidate import candidate_from
from core.analysis.comparison_data import row_as_data
from core.analysis.comparison_row import Standing
from core.analysis.summary import Figure, build_figures, devices_text, failures, protocol_text, ran_on_text, state_text
from core.base.errors import Failure
from core.models.model import Format
from core.stages.outcome import Outcome, load_outcome
from core.stages.stage import Prepared
from core.storage.builds import Place, Run, StageName, StageRecord, State
from core.storage.workspace import Workspace


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Shelf:
    return fill(Workspace(tmp_path_factory.mktemp("workspace")))


def figures(outcome: Outcome) -> dict[str, Figure]:
    return {figure.label: figure for figure in build_figures(outcome)}


def test_every_figure_stands_beside_what_it_is_held_against(shelf: Shelf) -> None:
    found = figures(load_outcome(shelf.workspace, shelf.fp16))
    assert list(found) == [
        "Median latency", "Engine size", "Build time", "Memory", "Parity", "Accuracy", "Layers", "Ran as asked",
    ]  # fmt: skip
    assert found["Median latency"].value == "0.619 ms"
    assert found["Median latency"].against[0].startswith("95 % interval 0.61")
    assert found["Engine size"].against == ("source on disk 102.4 MB (0.50×)", "frozen weights 102.0 MB (0.50×)")
    assert (found["Build time"].value, found["Build time"].against) == ("38 s", ("loads in 120 ms", "first inference 3.00 ms"))
    assert (found["Memory"].value, found["Memory"].against) == ("600.0 MB", ("above 300.0 MB of the process before loading",))
    assert found["Parity"].against == ("relative error 2.0e-03", "cosine 0.999900", "top-1 agrees 100 %")
    assert (found["Accuracy"].value, found["Accuracy"].against) == ("76.1 %", ("source model 76.2 %",))
    assert found["Layers"].value == "63"
    assert found["Ran as asked"].basis == "of the nodes whose layer tells its precision, fp16 asked for"


def test_build_time_is_one_figure_everywhere(shelf: Shelf) -> None:
    outcome = load_outcome(shelf.workspace, shelf.fp16)
    assert outcome.built
    prepared = Prepared(artifact=None, entry="m.onnx", format=Format.ONNX, signature=SIGNATURE, made_seconds=20.0)
    converted = replace(outcome, prepared=prepared)
    assert candidate_from(converted).build_seconds == outcome.built.build_seconds
    assert figures(converted)["Build time"].against[0] == "converting before it 20 s"


def test_where_an_engine_was_run_is_told_of_those_run_here_too(shelf: Shelf) -> None:
    build = load_outcome(shelf.workspace, shelf.fp16).build
    place = Place(host="gpu-host", device="cuda:0", name="NVIDIA L4")
    assert ran_on_text(build) == "cuda"
    assert ran_on_text(replace(build, built_on=place)) == "NVIDIA L4 (cuda:0) of gpu-host"
    assert ran_on_text(load_outcome(shelf.workspace, shelf.failed).build) is None


def test_what_was_not_found_is_said_and_is_no_zero(shelf: Shelf) -> None:
    outcome = load_outcome(shelf.workspace, shelf.failed)
    values = {label: figure.value for label, figure in figures(outcome).items()}
    assert values == {
        "Median latency": "not measured",
        "Engine size": "not built",
        "Build time": "not built",
        "Memory": "not measured",
        "Parity": "not checked",
    }
    assert failures(outcome.build) == ["Stage build: TensorRT found no kernel for a block. Give it more workspace."]
    assert protocol_text([outcome]) == "Nothing was measured."


def unmeasured(shelf: Shelf, **of_the_build: object) -> Outcome:
    """A build whose engine is there and whose figures are not."""
    outcome = load_outcome(shelf.workspace, shelf.fp16)
    kept = [record for record in outcome.build.stages if record.stage not in (StageName.PARITY, StageName.MEASURE)]
    build = replace(outcome.build, **{"stages": tuple(kept), **of_the_build})
    return replace(outcome, build=build, measurement=None, parity=None)


def test_a_good_engine_that_was_not_measured_is_one(shelf: Shelf) -> None:
    why = Failure(kind="RunFailed", message="The device was taken away.")
    failed = StageRecord(stage=StageName.MEASURE, state=State.FAILED, error=why)
    outcome = unmeasured(shelf, stages=(failed,))
    told = figures(outcome)["Median latency"]
    assert (told.value, told.against) == ("not measured", ("its stage failed: The device was taken away.",))
    (row,) = board([outcome])
    assert row.standing is Standing.NOT_MEASURED
    assert row.verdict == "not measured: its stage failed: The device was taken away."


def test_what_does_not_run_where_it_is_built_says_so(shelf: Shelf) -> None:
    where = "it runs on a GPU of compute capability 8.0"
    outcome = unmeasured(shelf, not_run=where)
    found = figures(outcome)
    for label in ("Median latency", "Memory", "Parity"):
        assert (found[label].value, found[label].against) == ("not run here", (where,))
    assert found["Engine size"].value != "not built"
    (row,) = board([outcome])
    assert (row.standing, row.verdict) == (Standing.NOT_MEASURED, where)
    assert row_as_data(row)["unmeasured"] == where
    assert protocol_text([outcome]) == f"Nothing was measured; {where}."
    assert state_text(outcome.build) == "done, not run here"
    assert devices_text(outcome.build) == f"built for cuda, {where}"


@pytest.mark.parametrize(("state", "why"), [(State.FAILED, "the build failed"), (State.CANCELLED, "the build was cancelled")])
def test_what_was_not_built_does_not_run_anywhere(shelf: Shelf, state: State, why: str) -> None:
    """A target that cannot be built for is none that the engine runs on."""
    outcome = unmeasured(shelf, not_run="not run here: it runs on a GPU of compute capability 9.0", state=state)
    found = figures(outcome)
    for label, value in (("Median latency", "not measured"), ("Memory", "not measured"), ("Parity", "not checked")):
        assert (found[label].value, found[label].against) == (value, (why,))
    assert devices_text(outcome.build) == "cuda"


def run_elsewhere(outcome: Outcome, place: Place, state: State = State.DONE) -> Outcome:
    why = Failure(kind="RunFailed", message="The engine cannot run on this GPU.")
    failed = StageRecord(stage=StageName.MEASURE, state=State.FAILED, error=why)
    run = Run(place=place, state=state, stages=(failed,) if state is State.FAILED else (), built_at=0.0, started_at=1.0)
    not_run = "not run here: it runs on a GPU" if state is State.FAILED else ""
    request = replace(outcome.build.request, device="cpu")
    return replace(outcome, build=replace(outcome.build, request=request, run=run, not_run=not_run))


L4 = Place(host="gpu-host", device="cuda:0", name="NVIDIA L4", capability="8.9")


def test_figures_of_a_run_elsewhere_say_where_they_were_taken(shelf: Shelf) -> None:
    outcome = run_elsewhere(load_outcome(shelf.workspace, shelf.fp16), L4)
    told = figures(outcome)["Median latency"]
    where = "NVIDIA L4 (cuda:0, compute capability 8.9) of gpu-host"
    assert (told.value, told.basis) == ("0.619 ms", f"of 3,000 samples, host to host, on {where}")
    assert devices_text(outcome.build) == f"built for cpu, run on {where}"
    assert state_text(outcome.build) == "done"
    (row,) = board([outcome])
    assert row.candidate.device == "cuda"


def test_a_run_elsewhere_that_failed_says_why(shelf: Shelf) -> None:
    outcome = run_elsewhere(unmeasured(shelf), L4, State.FAILED)
    told = figures(outcome)["Median latency"]
    why = "on NVIDIA L4 (cuda:0, compute capability 8.9) of gpu-host it failed: The engine cannot run on this GPU."
    assert (told.value, told.against) == ("not run here", (f"it runs on a GPU; {why}",))
    (row,) = board([outcome])
    assert row.verdict == f"not run here: it runs on a GPU; {why}"


def test_a_precision_is_held_against_fp32_on_the_same_gpu_alone(shelf: Shelf) -> None:
    fp32, fp16 = (load_outcome(shelf.workspace, key) for key in (shelf.fp32, shelf.fp16))
    other = replace(L4, host="other-host")
    assert board([run_elsewhere(fp32, L4), run_elsewhere(fp16, L4)])[1].payoff
    assert board([run_elsewhere(fp32, L4), run_elsewhere(fp16, other)])[1].payoff is None


def test_the_failing_output_is_the_one_that_is_told(shelf: Shelf) -> None:
    outcome = load_outcome(shelf.workspace, shelf.int8)
    assert outcome.parity
    broken = replace(outcome.parity.outputs[0], name="count", max_rel=None, cosine=None, top1=None, unequal=3)
    passing = replace(outcome.parity.outputs[0], max_rel=1e-3)
    parity = replace(outcome.parity, outputs=(passing, broken))
    assert figures(replace(outcome, parity=parity))["Parity"].against == ("worst is count", "3 unequal")


def test_conditions_are_those_of_the_first_measured_build(shelf: Shelf) -> None:
    outcomes = [load_outcome(shelf.workspace, key) for key in (shelf.failed, shelf.fp16)]
    told = protocol_text(outcomes)
    assert told.startswith("image 1×224×224×3; at least 3 s and 30 runs after warm-up")
    assert told.endswith("NVIDIA H100.")


def test_figures_from_several_machines_are_told_to_be_so(shelf: Shelf) -> None:
    def on(host: str) -> Outcome:
        outcome = load_outcome(shelf.workspace, shelf.fp16)
        assert outcome.measurement
        return replace(outcome, measurement=replace(outcome.measurement, machine={"gpu": "NVIDIA H100", "host": host}))

    assert protocol_text([on("a"), on("b"), on("a")]).endswith("NVIDIA H100. The figures are from several machines: a, b.")
    assert protocol_text([on("a"), on("a"), load_outcome(shelf.workspace, shelf.fp32)]).endswith("NVIDIA H100.")
