"""The baseline that is missing, as the request that would make it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from bench.stored_builds import SIGNATURE
from core.analysis.baseline import missing_baseline
from core.base.precision import Precision
from core.base.serialization import content_key
from core.benchmark.measurement import Protocol
from core.models.model import Format, Model
from core.request.build_request import BuildRequest, checked
from core.storage.builds import Build, StageName, StageRecord, State

ONNX = Model(digest=content_key("net"), name="net", format=Format.ONNX, entry="model.onnx", signatures=(SIGNATURE,), size_bytes=1)
ALL_DONE = tuple(StageRecord(stage=stage, state=State.DONE) for stage in (StageName.BUILD, StageName.MEASURE))


def build(path: str, *, state: State = State.DONE, stages: Sequence[StageRecord] = ALL_DONE, **changes: object) -> Build:
    asked = replace(BuildRequest(model=ONNX.digest, path=path), **changes)  # type: ignore[arg-type]
    request = checked(asked, ONNX, here=False)
    return Build(key=request.key, request=request, state=state, stages=tuple(stages), created_at=1.0)


OTHER = build("onnx.openvino", seed=7, threads=2, protocol=Protocol(min_seconds=1.0), precision=Precision.FP16)


def test_the_own_framework_in_fp32_under_the_same_conditions() -> None:
    found = missing_baseline(ONNX, [OTHER])
    assert found is not None
    assert (found.path, found.precision, found.device) == ("onnx.onnxruntime", Precision.FP32, "cpu")
    assert (found.seed, found.threads, found.protocol.min_seconds) == (7, 2, 1.0)
    assert found.profile == OTHER.request.profile
    assert found.options == {}
    assert found == checked(found, ONNX, here=False)  # as the queue wants it


def test_a_gpus_builds_get_one_on_the_processor_where_the_framework_has_no_gpu_here() -> None:
    on_gpu = replace(OTHER, request=replace(OTHER.request, path="onnx.tensorrt", device="cuda"))
    found = missing_baseline(ONNX, [on_gpu])
    assert found is not None
    assert found.path == "onnx.onnxruntime"


@pytest.mark.parametrize("state", [State.WAITING, State.RUNNING])
def test_nothing_is_missing_where_it_was_measured_or_is_being_built(state: State) -> None:
    own = build("onnx.onnxruntime")
    assert missing_baseline(ONNX, [OTHER, own]) is None
    assert missing_baseline(ONNX, [OTHER, replace(own, state=state, stages=())]) is None


def test_another_precision_of_the_own_framework_is_no_baseline() -> None:
    found = missing_baseline(ONNX, [build("onnx.onnxruntime", precision=Precision.FP16), OTHER])
    assert found is not None
    assert found.precision is Precision.FP32


@pytest.mark.parametrize(
    ("state", "stages"),
    [
        (State.CANCELLED, ALL_DONE[:1]),
        (State.FAILED, ()),
        (State.DONE, (ALL_DONE[0], StageRecord(stage=StageName.MEASURE, state=State.FAILED))),
    ],
)
def test_one_that_was_not_measured_is_tried_again_as_it_was(state: State, stages: Sequence[StageRecord]) -> None:
    own = build("onnx.onnxruntime", state=state, stages=stages, threads=1)
    assert missing_baseline(ONNX, [OTHER, own]) == own.request


def test_without_builds_there_is_nothing_to_hold_anything_against() -> None:
    assert missing_baseline(ONNX, []) is None
