"""Kernel timings kept from build to build: one file for each GPU type and TensorRT version, shared by all builds."""

from __future__ import annotations

import fcntl
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from core.base.files import CACHES, workspace_root


def cache_path(product: str, gpu: str, version: str) -> Path:
    """Where the timings of that product, GPU type and version lie, in the workspace."""
    name = re.sub(r"[^A-Za-z0-9.]+", "-", f"{gpu}-{product}-{version}").strip("-").lower()
    return workspace_root() / CACHES / product / f"{name}.timing"


def attach(config: Any, path: Path) -> int:
    """Gives the builder the timings that are there; returns their bytes."""
    with _locked(path):
        stored = path.read_bytes() if path.exists() else b""
    cache = config.create_timing_cache(stored)
    if cache is None or not config.set_timing_cache(cache, False):  # torn, or of another driver
        stored = b""
        config.set_timing_cache(config.create_timing_cache(b""), False)
    return len(stored)


def keep(config: Any, path: Path) -> int:
    """Adds the builder's timings to those that other builds have stored meanwhile; returns the bytes now."""
    cache = config.get_timing_cache()
    if cache is None:
        return 0
    with _locked(path):
        if path.exists() and (stored := config.create_timing_cache(path.read_bytes())) is not None:
            cache.combine(stored, False)
        data = bytes(cache.serialize())
        partial = path.with_suffix(".partial")
        partial.write_bytes(data)
        partial.replace(path)
    return len(data)


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
