"""Compares one output over all input sets, in double precision and in pieces, so that huge outputs cost no second copy."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from core.base.dtypes import dtype_name, is_float, is_text
from core.base.tensors import Array
from core.parity.result import OutputParity

_PIECE = 1 << 20

Doubles = NDArray[np.float64]


class OutputComparison:
    """Running totals of one output; `add` each set, then ask for the `result`."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.notes: list[str] = []
        self._mismatch = ""
        self._elements = 0
        self._max_abs: float | None = None
        self._reference_max = 0.0
        self._dots = np.zeros(3)  # reference . candidate, reference . reference, candidate . candidate
        self._non_finite = 0
        self._reference_non_finite = 0
        self._unequal: int | None = None
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
        if is_text(reference.dtype):
            self._add_text(reference, candidate)
        elif is_float(reference.dtype):
            self._add_floats(reference, candidate)
        else:
            self._add_integers(reference, candidate)

    def result(self) -> OutputParity:
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
            self._unequal = (self._unequal or 0) + int(np.count_nonzero(~same))
        both = finite_expected & finite_got
        if not both.all():
            expected, got = expected[both], got[both]
        if expected.size:
            with np.errstate(over="ignore", under="ignore"):
                self._max_abs = max(self._max_abs or 0.0, float(np.abs(expected - got).max()))
                self._reference_max = max(self._reference_max, float(np.abs(expected).max()))
                self._dots += [expected @ got, expected @ expected, got @ got]

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
        self._unequal = (self._unequal or 0) + count
        if reference.size:
            self._max_abs = self._max_abs or 0.0
            self._reference_max = max(self._reference_max, float(np.abs(reference.astype(np.float64)).max()))
        if count:
            distance = np.abs(reference[differ].astype(np.float64) - candidate[differ].astype(np.float64)).max()
            self._max_abs = max(self._max_abs or 0.0, float(distance), 1.0)  # neighbours above 2^53 are the same double

    def _add_text(self, reference: Array, candidate: Array) -> None:
        pairs = zip(reference.ravel(), candidate.ravel(), strict=True)
        self._unequal = (self._unequal or 0) + sum(_bytes(expected) != _bytes(got) for expected, got in pairs)

    def _max_rel(self) -> float | None:
        if self._max_abs is None:
            return None
        if self._max_abs == 0:
            return 0.0
        return self._max_abs / self._reference_max if self._reference_max else math.inf

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
