"""Kernels kept beside an engine, with a stand-in for the runtime: no GPU that TensorRT-RTX takes was at hand."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from core.backends._tensorrt import cuda
from core.backends._tensorrt.runtime_cache import cache_file, cached


class Cache:
    """As `IRuntimeCache`: takes what it wrote itself, and holds a kernel for each context."""

    def __init__(self) -> None:
        self.kernels: list[bytes] = []

    def deserialize(self, blob: bytes) -> bool:
        if not blob.startswith(b"rtx:"):
            return False
        self.kernels = blob.removeprefix(b"rtx:").split(b",")
        return True

    def serialize(self) -> bytes:
        return b"rtx:" + b",".join(self.kernels) if self.kernels else b""


class Engine:
    """As `ICudaEngine`."""

    num_io_tensors = 2

    def __init__(self) -> None:
        self.cache: Any = None

    def create_runtime_config(self) -> Any:
        return SimpleNamespace(create_runtime_cache=Cache, set_runtime_cache=lambda cache: setattr(self, "cache", cache))

    def create_execution_context(self, config: Any) -> str:
        assert hasattr(config, "set_runtime_cache")
        self.cache.kernels = [*self.cache.kernels, b"k"] if not self.cache.kernels else self.cache.kernels
        return "context"


def test_kernels_are_found_by_the_next_start(tmp_path: Path) -> None:
    path = tmp_path / "kernels" / "gpu.cache"
    with cached(Engine(), path) as first:
        assert first.found == 0
        assert (first.create_execution_context(), first.num_io_tensors) == ("context", 2)
    assert path.read_bytes() == b"rtx:k"
    with cached(Engine(), path) as second:
        assert second.found == 5
        assert second.kernels() == b"rtx:k"


def test_nothing_is_written_where_nothing_was_compiled(tmp_path: Path) -> None:
    with cached(Engine(), tmp_path / "kernels" / "gpu.cache"):
        pass
    assert list(tmp_path.iterdir()) == []


def test_what_another_version_left_is_compiled_anew(tmp_path: Path) -> None:
    path = tmp_path / "gpu.cache"
    path.write_bytes(b"other")
    with cached(Engine(), path) as engine:
        assert engine.found == 0
        engine.create_execution_context()
    assert path.read_bytes() == b"rtx:k"


def test_a_run_that_failed_keeps_its_kernels_and_a_full_disk_costs_nothing(tmp_path: Path) -> None:
    path = tmp_path / "kernels" / "gpu.cache"
    with pytest.raises(RuntimeError), cached(Engine(), path) as engine:
        _fails(engine)
    assert path.read_bytes() == b"rtx:k"
    (tmp_path / "file").write_text("no folder")
    with cached(Engine(), tmp_path / "file" / "gpu.cache") as other:
        other.create_execution_context()


def _fails(engine: Any) -> None:
    engine.create_execution_context()
    raise RuntimeError("The run failed.")


def test_each_gpu_and_version_has_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cuda, "device_name", lambda: "NVIDIA L4")
    monkeypatch.setenv("ENGINEROOM_WORKSPACE", str(tmp_path))
    assert cache_file(tmp_path / "engine", "1.7.1.116") == tmp_path / "caches/kernels/engine/nvidia-l4-1.7.1.116.cache"
