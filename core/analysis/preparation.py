"""What each stage changed in the model before the engine was built from it."""

from __future__ import annotations

from dataclasses import dataclass

from core.stages.outcome import Outcome
from core.stages.stage import Prepared
from core.storage.builds import StageName


@dataclass(frozen=True, slots=True, kw_only=True)
class StageChange:
    """What one preparing stage changed.

    Attributes:
        ops: Op type, count before, count after; those that changed most first.
    """

    stage: StageName
    prepared: Prepared
    ops: tuple[tuple[str, int, int], ...]

    @property
    def title(self) -> str:
        return f"What the {self.stage.value} stage changed"


def stage_changes(outcome: Outcome) -> list[StageChange]:
    """Of the stages that tell details, in order."""
    found = []
    format, ops = outcome.model.format, outcome.model.ops
    for stage, prepared in outcome.preparations.items():
        if prepared.details:
            # Ops of two formats have no types in common.
            changed = _op_changes(ops, prepared.ops) if prepared.format is format else ()
            found.append(StageChange(stage=stage, prepared=prepared, ops=changed))
        format, ops = prepared.format, prepared.ops
    return found


def simplified_text(outcome: Outcome) -> str | None:
    """What simplifying changed, in a line; None where it did not run."""
    done = outcome.preparations.get(StageName.SIMPLIFY)
    if done is None:
        return None
    by = [f"by {name} {version}" for name, version in done.versions.items()]
    return "; ".join([*(f"{name} {value}" for name, value in done.details.items()), *by])


def _op_changes(before: dict[str, int], after: dict[str, int]) -> tuple[tuple[str, int, int], ...]:
    rows = [(op, before.get(op, 0), after.get(op, 0)) for op in {**before, **after}]
    return tuple(sorted(rows, key=lambda row: (-abs(row[2] - row[1]), -row[2], row[0])))
