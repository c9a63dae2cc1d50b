"""What the preparing stages share: make an artifact once, and hand it on."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

from core.base.serialization import content_key, read_json, write_json
from core.stages.stage import Prepared, StageContext

RECORD = "prepared.json"


def make_prepared(
    context: StageContext, base: Prepared, recipe: Mapping[str, object], make: Callable[[Path], Prepared]
) -> Prepared:
    """The artifact that `recipe` makes of `base`, made by `make(folder)` unless an earlier build made it.

    Args:
        recipe: What decides the outcome besides `base`: the step, its version, its options.
    """
    key = content_key({**recipe, "from": base.artifact or context.model.digest, "signature": base.signature})
    made = False

    def make_and_record(folder: Path) -> None:
        nonlocal made
        made = True
        start = time.perf_counter()
        result = make(folder)
        seconds = round(base.made_seconds + time.perf_counter() - start, 3)
        write_json(folder / RECORD, replace(result, artifact=key, made_seconds=seconds, notes=(*base.notes, *result.notes)))

    folder = context.make_artifact(key, make_and_record)
    return replace(read_json(Prepared, folder / RECORD), reused=not made)
