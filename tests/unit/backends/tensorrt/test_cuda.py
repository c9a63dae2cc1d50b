"""Errors of the CUDA runtime as sentences, and its device in another thread."""

import threading
from types import SimpleNamespace

import pytest

from core.backends._tensorrt import cuda as _cuda
from core.backends._tensorrt.build import check_gpu
from core.backends._tensorrt.log import Log
from core.backends._tensorrt.progress import Watch, watched
from core.base.errors import RunFailed, Unavailable
from core.base.precision import Precision
from core.precision.target import parse_target


def runtime_of(monkeypatch, **functions):
    monkeypatch.setattr(_cuda, "runtime", lambda: SimpleNamespace(cudaDeviceAttr=int, **functions))


@pytest.mark.parametrize(
    ("code", "words"),
    [(35, "driver is missing or older"), (100, "No NVIDIA GPU"), (101, "does not exist"), (999, "driver failed to start")],
)
def test_a_build_without_a_gpu_is_a_sentence(monkeypatch, code, words):
    runtime_of(monkeypatch, cudaGetDevice=lambda: (code, None))
    with pytest.raises(Unavailable, match=words) as failure:
        check_gpu(Precision.FP32, parse_target("tensorrt-8.6"))
    assert failure.value.hint
    assert failure.value.detail == f"cudaGetDevice: {code}"


def test_bindings_that_raise_without_a_driver_give_the_same_sentence(monkeypatch):
    def missing():
        raise RuntimeError("Failed to dlopen libcuda.so.1")

    runtime_of(monkeypatch, cudaGetDevice=missing)
    with pytest.raises(Unavailable, match="driver is missing or older") as failure:
        check_gpu(Precision.FP32, parse_target("tensorrt-8.6"))
    assert failure.value.detail == "cudaGetDevice: Failed to dlopen libcuda.so.1"


def test_other_errors_are_the_runs(monkeypatch):
    runtime_of(monkeypatch, cudaGetDevice=lambda: (700, None), cudaMalloc=lambda size: (2, None))
    with pytest.raises(RunFailed, match="CUDA failed in cudaGetDevice: 700"):
        _cuda.device_name()
    with pytest.raises(RunFailed, match="memory is full"):
        _cuda.DeviceBuffer(8)
    runtime_of(monkeypatch, cudaMalloc=lambda size: (999, None))
    with pytest.raises(RunFailed, match="CUDA failed in cudaMalloc: 999"):
        _cuda.DeviceBuffer(8)


def test_a_build_runs_on_the_device_of_its_builder(monkeypatch):
    told = []

    def note(what):
        told.append((what, threading.current_thread().name))
        return (0,)

    runtime_of(monkeypatch, cudaGetDevice=lambda: (0, 3), cudaSetDevice=lambda device: note(f"device {device}"))
    work = _cuda.on_this_device(lambda: note("build"))
    watched(work, Watch(), Log(), lambda _: None, can_stop=True)
    assert told == [("device 3", "tensorrt-build"), ("build", "tensorrt-build")]
