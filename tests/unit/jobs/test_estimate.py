from __future__ import annotations

from core.base.precision import Precision
from core.jobs.estimate import remaining_seconds, stage_seconds
from core.request.build_request import BuildRequest
from core.storage.builds import Build, StageName, StageRecord, State


def build(seconds: float, *, model: str = "a", precision: Precision = Precision.FP32, state: State = State.DONE) -> Build:
    request = BuildRequest(model=model, path="onnx.onnxruntime", precision=precision)
    record = StageRecord(stage=StageName.BUILD, state=state, seconds=seconds)
    return Build(key="k", request=request, state=state, stages=(record,), created_at=0.0)


def test_the_closest_kind_of_build_decides() -> None:
    history = [build(1.0), build(3.0), build(2.0), build(50.0, precision=Precision.FP16), build(90.0, model="b")]
    ask = BuildRequest(model="a", path="onnx.onnxruntime")
    assert stage_seconds(StageName.BUILD, ask, history) == 2.0
    other = BuildRequest(model="c", path="onnx.onnxruntime", precision=Precision.FP16)
    assert stage_seconds(StageName.BUILD, other, history) == 50.0


def test_what_failed_or_was_never_seen_tells_nothing() -> None:
    ask = BuildRequest(model="a", path="onnx.onnxruntime")
    assert stage_seconds(StageName.BUILD, ask, [build(1.0, state=State.FAILED)]) is None
    assert stage_seconds(StageName.MEASURE, ask, [build(1.0)]) is None
    elsewhere = BuildRequest(model="a", path="onnx.onnxruntime", device="cuda")
    assert stage_seconds(StageName.BUILD, elsewhere, [build(1.0)]) is None


def test_time_that_is_gone_counts_and_never_below_zero() -> None:
    ask = BuildRequest(model="a", path="onnx.onnxruntime")
    waiting = StageRecord(stage=StageName.BUILD)
    running = StageRecord(stage=StageName.BUILD, state=State.RUNNING, started_at=100.0)
    done = StageRecord(stage=StageName.BUILD, state=State.DONE, seconds=1.0)
    history = [build(10.0)]
    assert remaining_seconds(ask, [waiting], history) == 10.0
    assert remaining_seconds(ask, [running], history, now=104.0) == 6.0
    assert remaining_seconds(ask, [running], history, now=500.0) == 0.0
    assert remaining_seconds(ask, [done], []) == 0.0
    assert remaining_seconds(ask, [waiting], []) is None
