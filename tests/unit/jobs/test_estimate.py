"""How long a build will take, as a range."""

from __future__ import annotations

from dataclasses import replace

import pytest

from core.base.precision import Precision
from core.base.units import seconds_between
from core.benchmark.measurement import Protocol
from core.jobs.estimate import Estimate, remaining, stage_estimate
from core.request.build_request import BuildRequest
from core.storage.builds import Build, StageName, StageRecord, State

SIZES = {"small": 10, "large": 100, "huge": 100_000}


def build(
    seconds: float,
    *,
    model: str = "a",
    stage: StageName = StageName.BUILD,
    state: State = State.DONE,
    path: str = "onnx.onnxruntime",
    **changes: object,
) -> Build:
    request = replace(BuildRequest(model=model, path=path), **changes)  # type: ignore[arg-type]
    record = StageRecord(stage=stage, state=state, seconds=seconds)
    return Build(key="k", request=request, state=state, stages=(record,), created_at=0.0)


def about(found: Estimate | None) -> tuple[float, float, float] | None:
    return (round(found.low, 2), round(found.middle, 2), round(found.high, 2)) if found else None


ASK = BuildRequest(model="a", path="onnx.onnxruntime")


def test_the_closest_kind_of_build_decides() -> None:
    history = [build(1.0), build(3.0), build(2.0), build(50.0, precision=Precision.FP16), build(90.0, model="b")]
    found = stage_estimate(StageName.BUILD, ASK, history)
    assert found is not None
    assert found.middle == 2.0
    other = stage_estimate(StageName.BUILD, replace(ASK, model="c", precision=Precision.FP16), history)
    assert other is not None
    assert other.middle == 50.0


def test_one_build_gives_a_wide_range_and_several_their_quantiles() -> None:
    assert about(stage_estimate(StageName.BUILD, ASK, [build(13.0)])) == (8.67, 13.0, 19.5)  # half of it each way
    nine = [build(float(seconds)) for seconds in range(10, 19)]
    # 10 % and 90 % of 10 to 18 s are 10.8 and 17.2 s, and nine of them are off by a third of one's half.
    assert about(stage_estimate(StageName.BUILD, ASK, nine)) == (9.26, 14.0, 20.07)


def test_another_models_time_is_scaled_by_its_size_but_for_the_start_of_a_process() -> None:
    small = build(12.0, model="small")
    found = stage_estimate(StageName.BUILD, replace(ASK, model="large"), [small], SIZES.get)
    assert about(found) == (51.0, 102.0, 204.0)  # 2 s to start, and ten times 10 s; the size tells the order alone
    shorter = stage_estimate(StageName.BUILD, replace(ASK, model="small"), [build(102.0, model="large")], SIZES.get)
    assert about(shorter) == (6.0, 12.0, 24.0)
    unknown = stage_estimate(StageName.BUILD, replace(ASK, model="nobody's"), [small], SIZES.get)
    assert about(unknown) == (6.0, 12.0, 24.0)
    hundredfold = stage_estimate(StageName.BUILD, replace(ASK, model="huge"), [small], SIZES.get)
    assert hundredfold is not None
    assert hundredfold.middle == 2.0 + 50 * 10.0, "no further than fifty times"


def test_a_measurement_takes_what_its_own_protocol_asks_for() -> None:
    quick, long = Protocol(warmup_seconds=0.5, min_seconds=1.0), Protocol(warmup_seconds=0.5, min_seconds=30.0)
    history = [build(4.5, stage=StageName.MEASURE, protocol=quick)]
    found = stage_estimate(StageName.MEASURE, replace(ASK, protocol=long), history)
    assert found is not None
    assert found.middle == pytest.approx(4.5 - 1.5 + 30.5)


def test_what_does_not_depend_on_the_path_is_told_by_any() -> None:
    other = "onnx.openvino"
    assert stage_estimate(StageName.BUILD, ASK, [build(1.0, path=other)]) is None
    assert stage_estimate(StageName.PARITY, ASK, [build(1.0, path=other, stage=StageName.PARITY)]) is not None
    on_gpu = build(1.0, path=other, stage=StageName.PARITY, device="cuda")
    assert stage_estimate(StageName.PARITY, ASK, [on_gpu]) is None


def test_what_failed_or_was_never_seen_tells_nothing() -> None:
    assert stage_estimate(StageName.BUILD, ASK, [build(1.0, state=State.FAILED)]) is None
    assert stage_estimate(StageName.MEASURE, ASK, [build(1.0)]) is None
    assert stage_estimate(StageName.BUILD, replace(ASK, device="cuda"), [build(1.0)]) is None


def test_time_that_is_gone_counts_and_never_below_zero() -> None:
    waiting = StageRecord(stage=StageName.BUILD)
    running = StageRecord(stage=StageName.BUILD, state=State.RUNNING, started_at=100.0)
    done = StageRecord(stage=StageName.BUILD, state=State.DONE, seconds=1.0)
    history = [build(13.0)]
    assert about(remaining(ASK, [waiting], history)) == (8.67, 13.0, 19.5)
    assert about(remaining(ASK, [running], history, now=104.0)) == (4.67, 9.0, 15.5)
    assert about(remaining(ASK, [running], history, now=112.0)) == (0.0, 1.0, 7.5)
    assert remaining(ASK, [running, waiting], history, now=122.0) is None, "longer than any before: nothing tells how much more"
    nothing = remaining(ASK, [done], [])
    assert about(nothing) == (0.0, 0.0, 0.0)
    assert nothing is not None
    assert nothing.text == ""
    assert remaining(ASK, [waiting], []) is None
    assert about(remaining(ASK, [running], history, now=112.0, repeats=3)) == (14.0, 27.0, 46.5)


def test_stages_add_up() -> None:
    history = [build(13.0), build(2.6, stage=StageName.PARITY)]
    stages = [StageRecord(stage=StageName.BUILD), StageRecord(stage=StageName.PARITY)]
    assert about(remaining(ASK, stages, history)) == (10.4, 15.6, 23.4)


@pytest.mark.parametrize(
    ("low", "high", "text"),
    [
        (110.0, 280.0, "2 to 5 min"),
        (38.0, 39.0, "about 40 s"),
        (0.0, 27.0, "up to 30 s"),
        (2.1, 2.4, "about 2.5 s"),
        (4.2, 11.0, "5 to 11 s"),
        (61.0, 85.0, "65 to 85 s"),
        (60.0, 100.0, "1 to 2 min"),
        (3000.0, 9000.0, "1 to 2.5 h"),
        (70.0, 3000.0, "up to 50 min"),
    ],
)
def test_a_range_is_told_in_round_numbers_of_one_unit(low: float, high: float, text: str) -> None:
    assert seconds_between(low, high) == text
