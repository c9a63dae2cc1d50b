"""The record of an engine that a build has just left in its folder."""

from __future__ import annotations

from pathlib import Path

from core.backends.base import Backend, BuildConfig, Engine
from core.base.files import folder_bytes
from core.models.model import Source


def built(
    backend: Backend,
    source: Source,
    config: BuildConfig,
    folder: Path,
    artifact: str,
    *,
    versions: dict[str, str],
    notes: tuple[str, ...] = (),
) -> Engine:
    """Its size is that of the artifact, a file or a folder below `folder`."""
    return Engine(
        folder=folder,
        backend=backend.name,
        config=config,
        signature=source.signature,
        artifact=artifact,
        size_bytes=folder_bytes(folder, [artifact]),
        versions=versions,
        notes=notes,
    )
