"""Names of layers that each compilation of a model gives alike, each layer its own."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Container, Iterable, Iterator
from typing import Any

_NUMBERED = re.compile(r"\.\d+$")

# What an operation of a runtime model is told from the others by: its own name is not enough, as several may have it.
Key = tuple[str, str]


def fact(op: Any, name: str) -> str:
    """Of an operation's runtime information; empty where it tells none."""
    facts = op.get_rt_info()
    return str(facts[name].astype(str)) if name in facts else ""


def key_of(op: Any) -> Key:
    return op.get_friendly_name(), fact(op, "execOrder")


def operation_of(name: str, known: Container[str]) -> str | None:
    """The operation that a layer's name says it is of: where types become narrower, outputs' numbers are put behind (`sum.0`)."""
    while name not in known and (shorter := _NUMBERED.sub("", name)) != name:
        name = shorter
    return name if name in known else None


class LayerNames:
    """OpenVINO numbers what it adds on its own by a counter of the whole process ("MaxPool_4197"). Such a layer is called by its
    kind and its place instead. Where several layers have one name, the later ones get a number.

    Args:
        ops: The layers' operations, in the order in which they run.
        lasting: Names of the model's own operations.
    """

    def __init__(self, ops: Iterable[Any], lasting: Container[str]) -> None:
        self._by_key: dict[Key, str] = {}
        self._by_turn: dict[tuple[str, int], str] = {}
        turns: Counter[str] = Counter()
        taken: set[str] = set()
        for place, op in enumerate(ops):
            own = op.get_friendly_name()
            name = own if operation_of(own, lasting) else f"{fact(op, 'layerType')}_{place}"
            while name in taken:
                name = f"{name}#{place}"
            taken.add(name)
            self._by_key[key_of(op)] = self._by_turn[own, turns[own]] = name
            turns[own] += 1

    def of(self, op: Any) -> str:
        """A layer's name; of what is no layer, its own."""
        own, place = key_of(op)
        return self._by_key.get((own, place), own)

    def in_turn(self, own: Iterable[str]) -> Iterator[str | None]:
        """The layers' names for OpenVINO's own ones in the order in which they ran; None of what is no layer."""
        turns: Counter[str] = Counter()
        for name in own:
            yield self._by_turn.get((name, turns[name]))
            turns[name] += 1
