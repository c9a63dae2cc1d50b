"""Kernels that TensorRT-RTX has compiled for a GPU, kept in the workspace: an engine's next start on such a GPU takes them.

An engine of TensorRT-RTX names no kernels; the GPU that runs it compiles them when a context is made, and for new shapes later.
`IRuntimeCache` is where its runtime keeps them while the process lives. Written against the bindings of 1.7.1 and NVIDIA's API
reference; it has not been run, as no GPU that TensorRT-RTX takes was at hand.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from core.backends._tensorrt import cuda
from core.base.files import CACHES, workspace_root


def cache_file(engine: Path, version: str) -> Path:
    """Where the kernels of an engine, by its folder's name, lie for this GPU: its runtime refuses those of another or of another
    version. A stage cannot write into an engine's own folder.
    """
    name = re.sub(r"[^A-Za-z0-9.]+", "-", f"{cuda.device_name()}-{version}").strip("-").lower()
    return workspace_root() / CACHES / "kernels" / engine.name / f"{name}.cache"


class CachedEngine:
    """An `ICudaEngine` whose contexts share one cache of kernels; all else is the engine's own."""

    def __init__(self, engine: Any, stored: bytes) -> None:
        self._engine = engine
        self._config = engine.create_runtime_config()
        self._cache = self._config.create_runtime_cache()
        self.found = len(stored) if stored and self._cache.deserialize(stored) else 0
        self._config.set_runtime_cache(self._cache)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._engine, name)

    def create_execution_context(self) -> Any:
        return self._engine.create_execution_context(self._config)

    def kernels(self) -> bytes:
        """All that has been compiled by now, and what was found."""
        found = self._cache.serialize()
        return b"" if found is None else bytes(found)


@contextmanager
def cached(engine: Any, path: Path) -> Iterator[CachedEngine]:
    """The engine with the kernels that are at `path`, where its own are left at the end.

    A file that cannot be read is no file, and what cannot be written is lost: the next start compiles again.
    """
    stored = b""
    with suppress(OSError):
        stored = path.read_bytes()
    made = CachedEngine(engine, stored)
    try:
        yield made
    finally:
        with suppress(OSError, RuntimeError):  # of a full disk, of a runtime whose GPU broke: nothing else is lost by it
            kernels = made.kernels()
            if kernels and kernels != stored:
                _write(path, kernels)


def _write(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    partial.write_bytes(data)
    partial.replace(path)
