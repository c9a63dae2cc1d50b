"""What a comparison with the source model found."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputParity:
    """One output against the reference's, over all input sets.

    Attributes:
        max_abs: Largest absolute difference over finite elements.
        max_rel: `max_abs` over the reference's largest magnitude.
        cosine: Of the flattened outputs; None when either is all zeros.
        non_finite: NaN and infinite elements here that are finite in the reference.
        top1: Share of samples whose largest class agrees; None when the output is no classifier's.
        mismatch: A sentence when shape or dtype differ and nothing could be compared.
        elements: How many were compared.
        unequal: Elements that differ, for what must be equal: integers, booleans, text, and NaN or infinities of the reference.
            None for an output of floats whose reference is finite everywhere.
    """

    name: str
    max_abs: float | None
    max_rel: float | None
    cosine: float | None
    non_finite: int
    reference_non_finite: int
    top1: float | None
    mismatch: str = ""
    elements: int = 0
    unequal: int | None = None

    @property
    def is_empty(self) -> bool:
        """Whether it had no elements for any input, so that nothing of it was compared."""
        return not self.elements and not self.mismatch

    def within(self, tolerance: float) -> bool:
        """Whether it passes on its own."""
        error = self.max_rel if self.max_rel is not None else 0.0
        return not self.mismatch and not self.non_finite and not self.unequal and error <= tolerance


@dataclass(frozen=True, slots=True, kw_only=True)
class Accuracy:
    """Shares of samples whose true class is the first, or among the first five.

    Attributes:
        top5: None when there are no more than five classes.
    """

    output: str
    samples: int
    top1: float
    top5: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Parity:
    """An engine against the source model.

    Attributes:
        worst: The output farthest off.
        inputs: Where the inputs came from ("random, seed 0, 4 sets" or the user's file).
        passed: All outputs within `tolerance` of relative error, nothing non-finite that was finite, nothing unequal that must be
            equal.
        accuracy: On the user's labels, when the inputs came with some; the source model's beside it.
    """

    outputs: tuple[OutputParity, ...]
    worst: str
    passed: bool
    tolerance: float
    inputs: str
    reference: str
    notes: tuple[str, ...] = ()
    accuracy: Accuracy | None = None
    reference_accuracy: Accuracy | None = None

    @property
    def on_par(self) -> bool | None:
        """Whether it passed; None where all outputs were empty, as a detector's are on pictures of nothing."""
        return None if self.outputs and all(output.is_empty for output in self.outputs) else self.passed

    @property
    def worst_output(self) -> OutputParity | None:
        """The output farthest off, one that fails before one that passes; None of a model without outputs."""
        worst = next((output for output in self.outputs if output.name == self.worst), None)
        if worst is None or self.passed or not worst.within(self.tolerance):
            return worst
        return next((output for output in self.outputs if not output.within(self.tolerance)), worst)

    @property
    def verdict(self) -> str:
        return {True: "on par", False: "not on par", None: "uncompared"}[self.on_par]
