"""Which GPUs an engine runs on."""

from __future__ import annotations

import pytest

from core.base.gpus import RunsOn, either, fits, gpus_text

RTX = ("8.0", "8.6", "8.9", "12.x")


@pytest.mark.parametrize("capability", ["8.0", "8.6", "8.9", "12.0", "12.1"])
def test_a_gpu_of_the_family_or_the_very_one_fits(capability: str) -> None:
    assert fits(capability, RTX)


@pytest.mark.parametrize("capability", ["7.5", "8.7", "9.0", "10.0", "1.2", "", None])
def test_no_other_fits_nor_one_that_is_not_told(capability: str | None) -> None:
    assert not fits(capability, RTX)


def test_any_fits_where_none_is_named() -> None:
    assert fits("9.0", ())
    assert fits(None, ())


def test_they_are_told_by_capability_and_name() -> None:
    assert gpus_text(("9.0",)) == "a GPU of compute capability 9.0 (H100)"
    assert gpus_text(("8.7", "8.9")) == "a GPU of compute capability 8.7 or 8.9 (RTX 40, L4)"
    assert [either(names) for names in ((), ("a",), ("a", "b"), ("a", "b", "c"))] == ["", "a", "a or b", "a, b or c"]


def test_a_worker_that_is_waited_for_is_told_in_words() -> None:
    rtx = RunsOn(devices=("cuda",), backend="tensorrt_rtx", title="TensorRT-RTX", capabilities=RTX, where="")
    assert rtx.worker == "a GPU worker of compute capability 8.0, 8.6, 8.9 or 12.x that has TensorRT-RTX"
    other = RunsOn(devices=("npu", "cuda"), backend="b", title="B", where="")
    assert other.worker == "a worker for npu or cuda that has B"
