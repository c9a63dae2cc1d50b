"""What the preparing stages share: make an artifact once, and hand it on."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

from core.serialization import content_key, read_json, write_json
from core.stages.stage import Prepared, StageContext

RECORD = "prepared.json"


def make_prepared(context: StageContext, recipe: Mapping[str, object], make: Callable[[Path], Prepared]) -> Prepared:
    """The artifact that `recipe` identifies, made by `make(folder)` unless an earlier build made it.

    Args:
        recipe: Everything that decides the outcome: what it is made from, by which step and version, with which options.
    """
    key = content_key(recipe)
    made = False

    def make_and_record(folder: Path) -> None:
        nonlocal made
        made = True
        start = time.perf_counter()
        result = make(folder)
        write_json(folder / RECORD, replace(result, artifact=key, made_seconds=round(time.perf_counter() - start, 3)))

    folder = context.workspace.make_artifact(key, make_and_record)
    return replace(read_json(Prepared, folder / RECORD), reused=not made)
