"""Reads the text of XLA's optimised HLO: the instructions of each computation.

The syntax is XLA's own printer's (xla/hlo/ir/hlo_instruction.cc): `%name = type[shape]{layout} opcode(operands), attributes`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

_COMPUTATION = re.compile(r"^(ENTRY )?%?([\w.\-]+) (?:\(.*\) -> .*)?\{$")
_INSTRUCTION = re.compile(r"^\s+(?:ROOT )?%?([\w.\-]+) = (.*)$")
_OPCODE = re.compile(r"^\s*([\w\-]+)\(")
_CALLED = re.compile(r"(?:calls|to_apply|body|condition|true_computation|false_computation)=%?([\w.\-]+)")
_BRANCHES = re.compile(r"(?:branch_computations|called_computations)=\{([^}]*)\}")
_OP_NAME = re.compile(r'op_name="((?:[^"\\]|\\.)*)"')
_ARRAY = re.compile(r"([a-z]\w*)\[([\d,<=\s]*)\](?:\{([^}]*)\})?")
_NAME = re.compile(r"%?([\w.\-]+)\s*$")


@dataclass(frozen=True, slots=True, kw_only=True)
class ArrayShape:
    """An array that an instruction makes; `layout` lists its axes from the fastest varying on."""

    element: str
    lengths: tuple[int, ...]
    layout: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Instruction:
    """One line of HLO; `shapes` has several entries where it makes a tuple."""

    name: str
    opcode: str
    shapes: tuple[ArrayShape, ...]
    operands: tuple[str, ...]
    attributes: str

    @property
    def called(self) -> tuple[str, ...]:
        """Names of the computations that it calls."""
        branches = [name.strip().lstrip("%") for group in _BRANCHES.findall(self.attributes) for name in group.split(",")]
        return (*_CALLED.findall(self.attributes), *branches)

    @property
    def op_names(self) -> tuple[str, ...]:
        """The nodes that its metadata says it came from."""
        found = _OP_NAME.search(self.attributes)
        return tuple(name for name in found[1].split(";") if name) if found else ()

    def attribute(self, name: str) -> str | None:
        found = re.search(rf'\b{name}="?([^",\s]+)"?', self.attributes)
        return found[1] if found else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Module:
    entry: tuple[Instruction, ...]
    computations: Mapping[str, tuple[Instruction, ...]]


def parse_hlo(text: str) -> Module:
    """Reads a module's text; a text without an entry computation gives an empty entry."""
    computations: dict[str, list[Instruction]] = {}
    entry, current = "", ""
    for line in text.splitlines():
        if (found := _COMPUTATION.match(line)) and not line.startswith("HloModule"):
            current = found[2]
            computations[current] = []
            entry = current if found[1] else entry
        elif current and (found := _INSTRUCTION.match(line)) and (instruction := _instruction(found[1], found[2])):
            computations[current].append(instruction)
    whole = {name: tuple(instructions) for name, instructions in computations.items()}
    return Module(entry=whole.get(entry, ()), computations=whole)


def _instruction(name: str, text: str) -> Instruction | None:
    end = _closing(text, 0) if text.startswith("(") else text.find(" ") - 1
    opcode = _OPCODE.match(text[end + 1 :])
    if opcode is None:
        return None
    opening = end + opcode.end()
    closing = _closing(text, opening)
    operands = (_NAME.search(part) for part in _split(text[opening + 1 : closing]))
    return Instruction(
        name=name,
        opcode=opcode[1],
        shapes=tuple(_array(*found) for found in _ARRAY.findall(re.sub(r"/\*.*?\*/", "", text[: end + 1]))),
        operands=tuple(found[1] for found in operands if found) if opcode[1] not in ("constant", "parameter") else (),
        attributes=text[closing + 1 :].lstrip(", "),
    )


def _array(element: str, lengths: str, layout: str) -> ArrayShape:
    numbers = tuple(int(part.strip().lstrip("<=")) for part in lengths.split(",") if part.strip())
    return ArrayShape(element=element, lengths=numbers, layout=layout)


def _closing(text: str, opening: int) -> int:
    """Position of the parenthesis that closes the one at `opening`."""
    depth = 0
    for position in range(opening, len(text)):
        depth += {"(": 1, ")": -1}.get(text[position], 0)
        if depth == 0:
            return position
    return len(text)


def _split(text: str) -> list[str]:
    """Operands, cut at commas outside brackets."""
    parts, depth = [""], 0
    for character in re.sub(r"/\*.*?\*/", "", text):
        depth += {"(": 1, "[": 1, "{": 1, ")": -1, "]": -1, "}": -1}.get(character, 0)
        if character == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += character
    return parts
