"""Shape profiles: the lengths that dynamic axes may take."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum

from core.base.errors import InvalidRequest
from core.base.tensors import Signature, TensorSpec


class Point(str, Enum):
    MIN = "min"
    OPT = "opt"
    MAX = "max"


@dataclass(frozen=True, slots=True, kw_only=True)
class AxisRange:
    """Lengths of one dynamic axis; engines are tuned for and measured at `opt`."""

    min: int
    opt: int
    max: int

    def __post_init__(self) -> None:
        if not 1 <= self.min <= self.opt <= self.max:
            raise InvalidRequest(
                f"A shape range must rise from at least 1: {self.min}:{self.opt}:{self.max} does not.",
                hint="Give min:opt:max, such as 1:8:32.",
            )

    def __str__(self) -> str:
        """As `parse_profile` reads it: `1:8:32`, or `8` where there is but one length."""
        return str(self.opt) if self.min == self.max else f"{self.min}:{self.opt}:{self.max}"

    def at(self, point: Point) -> int:
        return {Point.MIN: self.min, Point.OPT: self.opt, Point.MAX: self.max}[point]


# What an axis gets when nobody says: one sample, and a short text or sequence.
DEFAULT_BATCH = AxisRange(min=1, opt=1, max=8)
DEFAULT_LENGTH = AxisRange(min=1, opt=64, max=256)


def default_range(symbol: str) -> AxisRange:
    return DEFAULT_BATCH if symbol in ("batch", "N", "batch_size") else DEFAULT_LENGTH


def usual_range(signature: Signature, symbol: str) -> AxisRange:
    """The default, or around the length that the graph itself takes where it does not take that."""
    length = signature.lengths.get(symbol)
    return AxisRange(min=length, opt=length, max=4 * length) if length else default_range(symbol)


@dataclass(frozen=True, slots=True, kw_only=True)
class ShapeProfile:
    """A range for each dynamic axis by its symbol; symbols not named take their default."""

    axes: dict[str, AxisRange] = field(default_factory=dict)

    def range(self, symbol: str) -> AxisRange:
        """Of an axis, its default where the profile does not name it."""
        return self.axes.get(symbol) or default_range(symbol)

    def length(self, symbol: str, point: Point = Point.OPT) -> int:
        return self.range(symbol).at(point)

    def shape(self, spec: TensorSpec, point: Point = Point.OPT) -> tuple[int, ...]:
        """The concrete shape of an input.

        Raises:
            InvalidRequest: The input's rank is unknown.
        """
        if spec.shape is None:
            raise InvalidRequest(
                f"Input {spec.name} has no known rank.", hint="Give your own inputs (--inputs FILE.npz): their shapes are taken."
            )
        return tuple(self.length(axis, point) if isinstance(axis, str) else axis for axis in spec.shape)

    def guessed(self, signature: Signature) -> dict[str, int]:
        """Lengths of open axes that nobody gave and no batch explains: what random inputs then have."""
        usual = {symbol: usual_range(signature, symbol) for symbol in signature.symbols}
        asked = {symbol: self.axes.get(symbol, one) for symbol, one in usual.items()}
        return {symbol: one.opt for symbol, one in usual.items() if one != DEFAULT_BATCH and asked[symbol] == one}

    def guess_note(self, signature: Signature) -> str:
        """A sentence on the guessed lengths and how to give others; empty where none is guessed."""
        if not (found := self.guessed(signature)):
            return ""
        told = ", ".join(f"{symbol} {length}" for symbol, length in found.items())
        first = next(iter(found))
        own = [symbol for symbol in found if symbol in signature.lengths]
        why = f" The graph does not take {DEFAULT_LENGTH.opt}, the first guess, for {', '.join(own)}." if own else ""
        return (
            f"The model leaves these lengths open, and what they are here is a guess: {told}.{why} Others are given as shapes "
            f"(--shape {first}=N), or by your own inputs."
        )

    def complete(self, signature: Signature, apart: Sequence[str] = ()) -> ShapeProfile:
        """The same profile with every symbol of the signature spelled out, so that equal requests have equal keys.

        Args:
            apart: Symbols that would stand for single axes of those that go together, to be told of.

        Raises:
            InvalidRequest: The profile names an axis that the signature does not have.
        """
        symbols = signature.symbols
        if unknown := [symbol for symbol in self.axes if symbol not in symbols]:
            have = f"It has: {', '.join(symbols)}." if symbols else "All its axes are fixed."
            have += f" Axes that are of other lengths than these go by {', '.join(apart)}." if apart else ""
            raise InvalidRequest(f"Signature {signature.name} has no dynamic axis {', '.join(unknown)}.", hint=have)
        return ShapeProfile(axes={symbol: self.axes.get(symbol) or usual_range(signature, symbol) for symbol in symbols})


def parse_profiles(text: str) -> tuple[ShapeProfile, ...]:
    """Reads several profiles, separated by semicolons: `batch=1;batch=8:8:32,length=64`.

    Raises:
        InvalidRequest: An entry is not of that form.
    """
    return tuple(parse_profile([entry.strip() for entry in one.split(",")]) for one in text.split(";") if one.strip())


def parse_profile(texts: list[str]) -> ShapeProfile:
    """Reads `batch=8` or `batch=1:8:32`, one entry an axis.

    Raises:
        InvalidRequest: An entry is not of that form.
    """
    axes: dict[str, AxisRange] = {}
    for text in texts:
        symbol, _, lengths = text.partition("=")
        parts = lengths.split(":")
        if not symbol or len(parts) not in (1, 3) or not all(part.isdigit() for part in parts):
            raise InvalidRequest(f"Could not read the shape {text!r}.", hint="Write batch=8 or batch=1:8:32.")
        low, opt, high = (int(part) for part in (parts * 3 if len(parts) == 1 else parts))
        axes[symbol] = AxisRange(min=low, opt=opt, max=high)
    return ShapeProfile(axes=axes)
