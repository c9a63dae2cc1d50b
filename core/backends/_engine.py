"""The record of an engine that a build has just left in its folder."""

from __future__ import annotations

from pathlib import Path

from core.backends._trial import keep_trial
from core.backends.base import Backend, BuildConfig, Engine
from core.base.availability import installed_version
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
    """Its size is that of the artifact, a file or a folder below `folder`; the source's trial inputs come beside it."""
    keep_trial(source, folder)
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


def build_again(engine: Engine, package: str) -> str:
    """What to do about an engine that does not load; empty where the same package built it, as it would build the same again."""
    built_by, here = engine.versions.get(package), installed_version(package)
    if built_by == here:
        return ""
    return f"Build it again here: {package} {built_by or 'of another version'} built it, and {here} is to run it."
