"""What was found, a line a model in a file, so that a run that was stopped goes on."""

from __future__ import annotations

import json
from pathlib import Path

from bench.strangers.attempt import Came, Outcome
from bench.strangers.report import Row

Key = tuple[str, str, str]


def key_of(row: Row) -> Key:
    return row.backend, row.group, row.model


def kept(path: Path) -> dict[Key, Row]:
    """What earlier runs found, by backend, group and model; of what was tried again, the last."""
    rows = {}
    for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else ():
        told = json.loads(line)
        outcome = Outcome(came=Came(told.pop("came")), where=told.pop("where"), reason=told.pop("reason"))
        row = Row(**told, outcome=outcome)
        rows[key_of(row)] = row
    return rows


def settled(before: dict[Key, Row], again: list[str]) -> dict[Key, Row]:
    """Without those that have one of these words in what came of them: they are tried again."""
    return {
        key: row
        for key, row in before.items()
        if not any(word in f"{row.outcome.came.value} {row.outcome.reason}" for word in again)
    }


def as_line(row: Row) -> str:
    outcome = row.outcome
    told = {"model": row.model, "group": row.group, "backend": row.backend}
    return json.dumps({**told, "came": outcome.came.value, "where": outcome.where, "reason": outcome.reason})
