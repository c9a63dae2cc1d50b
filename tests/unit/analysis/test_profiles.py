"""What shape profiles cost: builds that differ in them alone, and the profiles of one engine."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bench.rtx_logs import recorded_graph
from core.analysis.profiles import (
    at_length,
    curve,
    ends_bytes,
    growth_text,
    largest,
    offered_lengths,
    profile_rows,
    profiles_of,
    same_but_shapes,
)
from core.base.precision import Precision
from core.base.profile import AxisRange, ShapeProfile
from core.base.tensors import Signature, TensorSpec
from core.graph.memory import EngineMemory
from core.request.build_request import BuildRequest


def request(low: int, usual: int, high: int, length: int = 64, **more: object) -> BuildRequest:
    axes = {"batch": AxisRange(min=low, opt=usual, max=high), "length": AxisRange(min=length, opt=length, max=length)}
    asked = BuildRequest(model="m", path="onnx.tensorrt_rtx", profile=ShapeProfile(axes=axes))
    return replace(asked, **more)  # type: ignore[arg-type]


def taking(activations: int) -> EngineMemory:
    return EngineMemory(weights_bytes=10, activation_bytes=activations, device_persistent_bytes=0)


def test_more_profiles_have_every_axis() -> None:
    asked = request(1, 1, 1, options={"profiles": "batch=8:8:32; length=128"})
    assert [profile.axes["batch"].max for profile in profiles_of(asked)] == [1, 32, 8]
    assert [profile.axes["length"].max for profile in profiles_of(asked)] == [64, 256, 128]
    assert (largest(asked, "batch"), largest(asked, "length")) == (32, 256)


def test_the_curve_holds_what_differs_in_profile_alone() -> None:
    chosen = request(1, 1, 8)
    builds = {
        "wider": (request(1, 1, 16, seed=3, threads=2), taking(160)),
        chosen.key: (chosen, taking(80)),
        "fixed": (request(2, 2, 2), taking(20)),
        "queued": (request(4, 4, 4), None),
        "other precision": (request(1, 1, 4, precision=Precision.FP16), taking(1)),
        "other option": (request(1, 1, 4, options={"aux_streams": 0}), taking(2)),
        "longer": (request(1, 1, 4, length=128), taking(3)),
        "other path": (request(1, 1, 4, path="onnx.tensorrt"), taking(4)),
    }
    points = curve(chosen, "batch", builds)
    assert [(point.key, point.length, point.activation_bytes) for point in points] == [
        ("fixed", 2, 20),
        ("queued", 4, None),
        (chosen.key, 8, 80),
        ("wider", 16, 160),
    ]
    assert [point.key for point in points if point.is_chosen] == [chosen.key]
    assert growth_text(points, "batch") == (
        "20 B of activations at a largest batch of 2, 160 B at 16: 10 B for each more on average."
    )


def test_an_engine_of_several_profiles_stands_at_its_largest() -> None:
    several = request(1, 1, 1, options={"profiles": "batch=8:8:32,length=64"})
    (point,) = curve(request(1, 1, 8), "batch", {"several": (several, taking(320))})
    assert (point.length, point.text) == (32, "batch 1, length 64; batch 8:8:32, length 64")


def test_one_length_alone_tells_no_growth() -> None:
    points = curve(request(1, 1, 8), "batch", {"a": (request(1, 1, 8), taking(5)), "b": (request(8, 8, 8), taking(4))})
    assert growth_text(points, "batch") == ""


@pytest.mark.parametrize(
    ("old", "length", "alone", "new"),
    [
        ((1, 1, 8), 32, False, "1:1:32"),
        ((4, 8, 16), 2, False, "2"),
        ((4, 8, 16), 6, False, "4:6:6"),
        ((8, 8, 8), 32, False, "8:8:32"),
        ((4, 8, 16), 32, True, "32"),
    ],
)
def test_another_largest_length_keeps_the_range_it_can(old: tuple[int, int, int], length: int, alone: bool, new: str) -> None:
    asked = request(*old, options={"profiles": "batch=64", "aux_streams": 0})
    made = at_length(asked, "batch", length, alone=alone)
    assert str(made.profile.axes["batch"]) == new
    assert made.profile.axes["length"] == asked.profile.axes["length"]
    assert made.options == {"aux_streams": 0}
    assert same_but_shapes(made) == same_but_shapes(asked)


def test_what_is_there_is_not_offered() -> None:
    assert offered_lengths(request(1, 1, 8), "batch", [8, 2]) == [1, 4, 16, 32, 64]
    assert offered_lengths(request(1, 1, 100), "batch", [])[-1] == 128
    assert offered_lengths(request(1, 1, 8), "batch", [1, 2, 4, 8, 16, 32, 64]) == [128]
    assert offered_lengths(request(1, 1, 1_000_000), "batch", [])[-1] == 4096


def test_each_profile_of_a_recorded_engine_costs_its_own_and_the_engine_the_largest() -> None:
    memory = recorded_graph("resnet50-fp16-two-profiles").memory
    assert memory
    profiles = [ShapeProfile(axes={"batch": AxisRange(min=a, opt=b, max=c)}) for a, b, c in ((1, 1, 1), (8, 8, 16))]
    rows = profile_rows(memory, profiles)
    assert [(row.number, row.activation_bytes, row.scratch_bytes) for row in rows] == [
        (0, 20_398_080, 20_398_080),
        (1, 86_188_032, 86_188_032),
    ]
    assert memory.activation_bytes == 86_188_032
    assert profile_rows(memory, profiles[:1]) == []


def test_profiles_that_are_not_told_apart_have_no_figures() -> None:
    profiles = [ShapeProfile(), ShapeProfile()]
    assert [(row.activation_bytes, row.scratch_bytes) for row in profile_rows(taking(7), profiles)] == [(None, None)] * 2


def test_inputs_and_outputs_at_their_largest() -> None:
    signature = Signature(
        name="main",
        inputs=(TensorSpec(name="x", dtype="float32", shape=("batch", 3)), TensorSpec(name="n", dtype="int64", shape=())),
        outputs=(TensorSpec(name="y", dtype="float16", shape=("batch", "found")),),
    )
    profiles = [ShapeProfile(axes={"batch": AxisRange(min=1, opt=1, max=most)}) for most in (4, 16)]
    assert ends_bytes(signature, profiles) == (16 * 3 * 4 + 8, None)
    assert ends_bytes(replace(signature, outputs=signature.inputs), profiles[:1]) == (56, 56)
    text = Signature(name="text", inputs=(TensorSpec(name="t", dtype="string", shape=(1,)),), outputs=())
    assert ends_bytes(text, profiles) == (None, 0)
