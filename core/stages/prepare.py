"""What the preparing stages share: make a model once, and hand it on."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

from core.base.serialization import read_json, write_json
from core.stages.stage import Prepared, Recipe, StageContext

RECORD = "prepared.json"


def make_prepared(
    context: StageContext,
    base: Prepared,
    recipe: Mapping[str, object],
    versions: Mapping[str, str | None],
    make: Callable[[Path], Prepared],
) -> Prepared:
    """What `recipe` makes of `base`, made by `make(folder)` unless an earlier build made it.

    Args:
        recipe: What decides the outcome besides `base`: the step and its options.
        versions: Of the packages that make it.
    """

    def make_and_record(folder: Path, key: str) -> None:
        start = time.perf_counter()
        result = make(folder)
        seconds = round(base.made_seconds + time.perf_counter() - start, 3)
        write_json(folder / RECORD, replace(result, artifact=key, made_seconds=seconds, notes=(*base.notes, *result.notes)))

    whole = Recipe.of(base.artifact or context.model.digest, {**recipe, "signature": base.signature}, versions)
    artifact = context.make_artifact(whole, make_and_record)
    return replace(read_json(Prepared, artifact.folder / RECORD), reused=artifact.reused)
