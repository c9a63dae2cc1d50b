"""Compares one output over all input sets, in double precision and in pieces, so that huge outputs cost no second copy."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from core.base.dtypes import bits, dtype_name, is_float, is_text
from core.base.precision import Precision
from core.base.tensors import Array
from core.parity.judging import PLAIN, Judging, logit, resolution_of
from core.parity.result import OutputParity

_PIECE = 1 << 20
# An engine rounds elsewhere, up to as often again, and the largest of a few errors scatters by a factor of two: a network of four
# bfloat16 convolutions is 0.5 % from itself in float32, and 1.6 % from the same on another runtime.
NOISES = 5

Doubles = NDArray[np.float64]


class OutputComparison:
    """Running totals of one output; `add` each set, then ask for the `result`."""

    def __init__(self, name: str, judging: Judging = PLAIN, computes_in: str = "float32") -> None:
        """See `core.parity.compare.compare`."""
        self.name = name
        self._judging = judging
        self._computes_in = computes_in
        self.notes: list[str] = []
        self._mismatch = ""
        self._elements = 0
        self._max_abs: float | None = None
        self._reference_max = 0.0
        self._dots = np.zeros(3)  # reference . candidate, reference . reference, candidate . candidate
        self._non_finite = 0
        self._reference_non_finite = 0
        self._unequal: int | None = None
        self._compared = 0
        self._reference_nan = 0
        self._resolution = 0.0
        self._head_off = self._head_max = 0.0
        self._stepped = self._steps = self._levels = 0
        self._samples = 0
        self._agreeing = 0

    def add(self, reference: Array, candidate: Array | None) -> None:
        """Takes in one set's output; after a mismatch nothing more is compared."""
        if self._mismatch:
            return
        if candidate is None:
            self._mismatch = "The engine does not give this output."
            return
        reference, candidate = np.asarray(reference), np.asarray(candidate)
        if self._mismatch_of(reference, candidate):
            return
        self._elements += reference.size
        self._resolution = resolution_of(self._judging, dtype_name(reference.dtype), self._computes_in)
        if is_text(reference.dtype):
            self._add_text(reference, candidate)
        elif is_float(reference.dtype):
            self._add_floats(reference, candidate)
        else:
            self._add_integers(reference, candidate)

    def result(self, tolerance: float = 0.0) -> OutputParity:
        """The figures.

        Args:
            tolerance: Up to which an output of a source that does not repeat itself is still judged.
        """
        if self._mismatch:
            return OutputParity(
                name=self.name, max_abs=None, max_rel=None, cosine=None, non_finite=0, reference_non_finite=0, top1=None,
                mismatch=self._mismatch,
            )  # fmt: skip
        return OutputParity(
            name=self.name,
            max_abs=self._max_abs,
            max_rel=self._max_rel(),
            cosine=self._cosine(),
            non_finite=self._non_finite,
            reference_non_finite=self._reference_non_finite,
            top1=self._agreeing / self._samples if self._samples else None,
            elements=self._elements,
            unequal=self._unequal,
            compared=self._compared,
            reference_nan=self._reference_nan,
            resolution=self._resolution,
            head_rel=self._head_rel(),
            allowed=self._allowed(tolerance),
            stepped=self._stepped if self._judging.step is not None else None,
            steps=self._steps,
            levels=self._levels,
            unsteady=self._judging.unsteady if self._judging.unsteady > tolerance else 0.0,
        )

    def _mismatch_of(self, reference: Array, candidate: Array) -> bool:
        """Notes what differs in shape or type; True when that leaves nothing to compare."""
        here, there = dtype_name(candidate.dtype), dtype_name(reference.dtype)
        if reference.shape != candidate.shape:
            self._mismatch = f"Its shape is {list(candidate.shape)} here and {list(reference.shape)} in the source model."
        elif _family(reference.dtype) != _family(candidate.dtype):
            self._mismatch = f"Its type is {here} here and {there} in the source model."
        elif here != there and not self.notes:
            self.notes.append(f"Output {self.name} is {here} here and {there} in the source model; values are compared.")
        return bool(self._mismatch)

    def _add_floats(self, reference: Array, candidate: Array) -> None:
        if reference.size:
            self._max_abs = self._max_abs or 0.0
        if reference.ndim == 2 and reference.shape[1] >= 2 and reference.dtype.kind != "c":
            self._add_classes(reference, candidate)
        for expected, got in zip(_pieces(reference), _pieces(candidate), strict=True):
            self._add_piece(expected, got)

    def _add_piece(self, expected: Doubles, got: Doubles) -> None:
        finite_expected, finite_got = np.isfinite(expected), np.isfinite(got)
        self._non_finite += int(np.count_nonzero(finite_expected & ~finite_got))
        odd = ~finite_expected
        if count := int(np.count_nonzero(odd)):
            same = (expected[odd] == got[odd]) | (np.isnan(expected[odd]) & np.isnan(got[odd]))
            self._reference_non_finite += count
            self._reference_nan += int(np.count_nonzero(np.isnan(expected)))
            self._unequal = (self._unequal or 0) + int(np.count_nonzero(~same))
        both = finite_expected & finite_got
        if not both.all():
            expected, got = expected[both], got[both]
        self._compared += expected.size
        if expected.size:
            with np.errstate(over="ignore", under="ignore"):
                self._add_head(expected, got)
                self._max_abs = max(self._max_abs or 0.0, float(np.abs(expected - got).max()))
                self._reference_max = max(self._reference_max, float(np.abs(expected).max()))
                self._dots += [expected @ got, expected @ expected, got @ got]

    def _add_head(self, expected: Doubles, got: Doubles) -> None:
        """What a sigmoid or a grid behind the values makes of their differences."""
        if not self._judging.logistic and not self._judging.step:
            return
        off = np.abs(expected - got)
        if self._judging.logistic:
            before = logit(expected, self._resolution)
            told = off > self._resolution
            self._head_max = max(self._head_max, float(np.abs(before).max()))
            if told.any():
                change = np.abs(before[told] - logit(got[told], self._resolution))
                self._head_off = max(self._head_off, float(change.max()))
        if self._judging.step:
            self._add_steps(np.rint(off / self._judging.step))
            span = (float(expected.max()) - float(expected.min())) / self._judging.step
            self._levels = max(self._levels, min(255, math.ceil(span)))

    def _add_steps(self, steps: Doubles) -> None:
        self._stepped += int(np.count_nonzero(steps))
        self._steps = max(self._steps, int(min(steps.max(initial=0.0), 2**53)))

    def _add_classes(self, reference: Array, candidate: Array) -> None:
        """Top-1: the reference's largest class is the candidate's too, or ties with it. Reference rows with NaN have no vote."""
        expected, got = reference.astype(np.float64), candidate.astype(np.float64)
        keep = ~np.isnan(expected).any(axis=1)
        expected, got = expected[keep], got[keep]
        chosen = got[np.arange(len(got)), expected.argmax(axis=1)]
        self._samples += len(expected)
        self._agreeing += int(np.count_nonzero(chosen == got.max(axis=1)))

    def _add_integers(self, reference: Array, candidate: Array) -> None:
        differ = np.asarray(reference != candidate)
        count = int(np.count_nonzero(differ))
        self._compared += reference.size
        if self._judging.step is None:
            self._unequal = (self._unequal or 0) + count
        else:
            self._levels = 2 ** min(32, bits(dtype_name(reference.dtype))) - 1
            self._add_steps(np.abs(reference.astype(np.float64) - candidate.astype(np.float64)))
        if reference.size:
            self._max_abs = self._max_abs or 0.0
            self._reference_max = max(self._reference_max, float(np.abs(reference.astype(np.float64)).max()))
        if count:
            distance = np.abs(reference[differ].astype(np.float64) - candidate[differ].astype(np.float64)).max()
            self._max_abs = max(self._max_abs or 0.0, float(distance), 1.0)  # neighbours above 2^53 are the same double

    def _add_text(self, reference: Array, candidate: Array) -> None:
        self._compared += reference.size
        pairs = zip(reference.ravel(), candidate.ravel(), strict=True)
        self._unequal = (self._unequal or 0) + sum(_bytes(expected) != _bytes(got) for expected, got in pairs)

    def _max_rel(self) -> float | None:
        if self._max_abs is None:
            return None
        if self._max_abs == 0:
            return 0.0
        return self._max_abs / self._reference_max if self._reference_max else math.inf

    def _head_rel(self) -> float | None:
        if not self._judging.logistic or not self._compared:
            return None
        return self._head_off / self._head_max if self._head_max else (math.inf if self._head_off else 0.0)

    def _allowed(self, tolerance: float) -> float | None:
        """So many times the source's own noise; where that is not known, what passes for a build in that type."""
        if not self._judging.narrow:
            return None
        own = next((one.facts.tolerance for one in Precision if one.facts.dtype == self._judging.narrow), 0.0)
        bar = own if self._judging.noise is None else NOISES * self._judging.noise
        return bar if bar > tolerance else None

    def _cosine(self) -> float | None:
        product, here, there = (float(dot) for dot in self._dots)
        length = math.sqrt(here) * math.sqrt(there)
        return max(-1.0, min(1.0, product / length)) if length and math.isfinite(length) else None


def _family(dtype: np.dtype[np.generic]) -> str:
    """Types of one family are compared by value."""
    if is_text(dtype):
        return "text"
    if dtype.kind == "c":
        return "complex"
    return "float" if is_float(dtype) else "bool" if dtype.kind == "b" else "integer"


def _pieces(array: Array) -> Iterator[Doubles]:
    """The elements as doubles, a million at a time; a complex number is two of them."""
    flat = array.reshape(-1)
    for start in range(0, flat.size, _PIECE):
        piece = flat[start : start + _PIECE]
        yield piece.astype(np.complex128).view(np.float64) if array.dtype.kind == "c" else piece.astype(np.float64)


def _bytes(text: object) -> bytes:
    return text if isinstance(text, bytes) else str(text).encode("utf-8", "surrogateescape")
