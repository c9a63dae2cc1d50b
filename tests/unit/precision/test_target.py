"""What targets and devices take."""

from __future__ import annotations

import pytest

from core.base.errors import InvalidRequest
from core.base.precision import Precision
from core.precision.target import Device, advise, check_target, min_opset, parse_target


@pytest.mark.parametrize(
    ("text", "opset", "typed", "stored"),
    [
        ("tensorrt-8.5.3.1", 17, False, False),
        ("tensorrt-8.6", 17, False, False),
        ("tensorrt-10.1", 20, True, False),
        ("tensorrt-10.15", 24, True, False),
        ("tensorrt", 25, True, False),
        ("onnxruntime", None, False, True),
        ("openvino", None, False, True),
    ],
)
def test_targets(text: str, opset: int | None, typed: bool, stored: bool) -> None:
    target = parse_target(text)
    assert (target.max_opset, target.strongly_typed, target.stores_weights) == (opset, typed, stored)
    assert target.reads(17)
    assert target.reads(26) is (opset is None)


@pytest.mark.parametrize("text", ["tensorrt-8.4", "tensorrt-x", "onnxruntime-1.2", "coreml", ""])
def test_unknown_targets_are_refused(text: str) -> None:
    with pytest.raises(InvalidRequest):
        parse_target(text)


def test_weak_typing_needs_flags() -> None:
    assert parse_target("tensorrt-8.6").builder_flags(Precision.INT8) == ("INT8", "FP16")
    assert parse_target("tensorrt-8.6").builder_flags(Precision.FP16) == ("FP16",)
    assert parse_target("tensorrt-10.1").builder_flags(Precision.INT8) == ()


def test_quantized_graphs_are_fp16_in_between_where_types_are_strong() -> None:
    assert parse_target("tensorrt-11.0").rest is Precision.FP16
    assert min_opset(Precision.INT8, parse_target("tensorrt-11.0")) == 19
    assert parse_target("tensorrt-8.6").rest is Precision.FP32
    assert min_opset(Precision.INT8, parse_target("tensorrt-8.6")) == 13


@pytest.mark.parametrize("precision", [Precision.BF16, Precision.FP8])
def test_what_came_later_is_refused(precision: Precision) -> None:
    with pytest.raises(InvalidRequest, match=r"came with TensorRT (9|10)\.0; the target is tensorrt-8\.6"):
        check_target(precision, parse_target("tensorrt-8.6"))
    check_target(precision, parse_target("tensorrt-11"))


def advice(target: str, device: Device) -> dict[str, tuple[bool, bool | None]]:
    return {found.precision.value: (found.supported, found.fast) for found in advise(parse_target(target), device)}


def reasons(target: str, device: Device) -> dict[str, str]:
    return {found.precision.value: found.reason for found in advise(parse_target(target), device)}


H100, TURING = Device(kind="cuda", compute_capability=(9, 0)), Device(kind="cuda", compute_capability=(7, 5))


def test_an_h100_runs_everything_on_the_newest_tensorrt() -> None:
    assert set(advice("tensorrt", H100).values()) == {(True, True)}


def test_older_versions_and_devices_lack_types_and_say_which() -> None:
    assert reasons("tensorrt-8.6", H100)["fp8"] == "FP8 came with TensorRT 10.0; this is tensorrt-8.6."
    assert reasons("tensorrt", TURING)["bf16"] == "BF16 needs compute capability 8.0; this GPU has 7.5."
    assert advice("tensorrt", TURING)["tf32"] == (False, False)
    assert advice("tensorrt", TURING)["int8"] == (True, True)


def test_tensorrt_on_a_cpu_is_nothing() -> None:
    assert not any(found.supported for found in advise(parse_target("tensorrt"), Device(kind="cpu")))


def test_what_a_cpu_runs_depends_on_its_flags() -> None:
    old, new = Device(kind="cpu"), Device(kind="cpu", flags=frozenset({"avx512_vnni", "amx_bf16"}))
    assert advice("openvino", old)["bf16"] == (True, False)
    assert advice("openvino", new)["bf16"] == (True, True)
    assert advice("onnxruntime", new)["bf16"] == (False, False)
    assert advice("onnxruntime", new)["int8"] == (True, True)
    assert advice("onnxruntime", old)["int8"] == (True, None)
    assert advice("onnxruntime", new)["fp16"] == (True, False)
    assert all(text.endswith(".") for text in reasons("openvino", old).values())
