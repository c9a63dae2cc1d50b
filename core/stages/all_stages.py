"""Every stage, found by its name: a stage is a file of the name that `StageName` has for it."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from core.stages.stage import Stage
from core.storage.builds import StageName


def stage_named(name: StageName) -> Stage[Any]:
    stage: Stage[Any] = importlib.import_module(f"core.stages.{name.value}").STAGE
    return stage


@lru_cache(maxsize=1)
def all_stages() -> Mapping[StageName, Stage[Any]]:
    """Every stage in order, by name; fails loudly on a name without a file, or a file without a `STAGE`."""
    return {name: stage_named(name) for name in StageName}
