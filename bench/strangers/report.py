"""What came of all of them, as tables: by backend, and the refusals by reason."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from bench.strangers.attempt import Came, Outcome

_NAMES = re.compile(r"test_\w+|'[^']*'|\"[^\"]*\"|`[^`]*`|\b\w*\.onnx\b|(?<=Node:)\w+|(?<=name=)\w+|(?<=node )[\w/.]+")
_NUMBERS = re.compile(r"-?\d+(\.\d+)?")
_LISTED = 3  # models named for a reason
_LETTERS = 160


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One model on one backend."""

    model: str
    group: str
    backend: str
    outcome: Outcome


def text(rows: Sequence[Row], few: int) -> str:
    """All of it; refusals of fewer models than so many for one reason are only counted."""
    lines = [*totals(rows), ""]
    for backend in dict.fromkeys(row.backend for row in rows):
        own = [row for row in rows if row.backend == backend]
        lines += _told(own, Came.FAULT, f"Faults on {backend}")
        lines += _grouped(own, Came.FAR, f"Not on par on {backend}, and told so, by how far", few=1)
        lines += _grouped(own, Came.UNCOMPARED, f"Uncompared on {backend}, by reason", few=1)
        lines += _grouped(own, Came.REFUSED, f"Refusals of {backend}, by reason", few)
    return "\n".join(lines)


def totals(rows: Iterable[Row]) -> list[str]:
    """How many came to what, a row a backend and group."""
    counts: dict[tuple[str, str], Counter[Came]] = defaultdict(Counter)
    for row in rows:
        counts[row.backend, row.group][row.outcome.came] += 1
    head = ["backend", "models", "tried", *(came.value for came in Came)]
    lines = [f"| {' | '.join(head)} |", f"|{'---|' * len(head)}"]
    for (backend, group), found in counts.items():
        cells = [backend, group, str(found.total()), *(str(found[came]) for came in Came)]
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def _told(rows: Iterable[Row], came: Came, title: str) -> list[str]:
    found = [row for row in rows if row.outcome.came is came]
    if not found:
        return []
    told = (f"- {row.model}, {row.outcome.where}: {cell(row.outcome.reason)}" for row in found)
    return [f"### {title}", "", *told, ""]


def _grouped(rows: Iterable[Row], came: Came, title: str, few: int) -> list[str]:
    groups: Mapping[tuple[str, str], list[Row]] = defaultdict(list)
    for row in rows:
        if row.outcome.came is came:
            groups[row.outcome.where, reason_of(row.outcome.reason)].append(row)
    if not groups:
        return []
    lines = [f"### {title}", "", "| models | at | reason, names and numbers left out | such as |", "|---|---|---|---|"]
    for (where, reason), found in sorted(groups.items(), key=lambda entry: -len(entry[1])):
        if len(found) < few:
            continue
        names = ", ".join(row.model.removeprefix("test_") for row in found[:_LISTED])
        lines.append(f"| {len(found)} | {where} | {cell(reason)} | {names} |")
    rare = [len(found) for found in groups.values() if len(found) < few]
    if rare:
        lines.append(f"| {sum(rare)} | | {len(rare)} other reasons, of fewer than {few} models each | |")
    return [*lines, ""]


def reason_of(message: str) -> str:
    """A refusal's reason without what is this one model's own."""
    return " ".join(_NUMBERS.sub("N", _NAMES.sub("…", message)).split())[:_LETTERS]


def cell(words: str) -> str:
    """As a table takes it."""
    return words.replace("|", "\\|").replace("\n", " ")[: 2 * _LETTERS]
