"""What a comparison with the source model found."""

from __future__ import annotations

from dataclasses import dataclass

NOT_DETERMINISTIC = "not deterministic, cannot be compared"


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
            None for an output of floats whose reference is finite everywhere, and for quantized integers, which `steps` judges.
        compared: Elements (of complex numbers both parts) that were finite on both sides; None in what older releases recorded.
        reference_nan: Of the reference's non-finite elements, those that are NaN.
        resolution: The absolute difference that is no error: its type's, or that of the sigmoid that makes it.
        head_rel: Where a sigmoid makes it, the relative error of what went into that; None for others.
        allowed: The relative error that passes, where that is not the comparison's.
        stepped: Of a quantized output, elements that differ; None for others.
        steps: Of a quantized output, by how many steps at most.
        levels: Of a quantized output, how many steps its range has.
        unsteady: How far two runs of the source model are from each other, as a relative error, where that is more than passes.
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
    compared: int | None = None
    reference_nan: int = 0
    resolution: float = 0.0
    head_rel: float | None = None
    allowed: float | None = None
    stepped: int | None = None
    steps: int = 0
    levels: int = 0
    unsteady: float = 0.0

    @property
    def is_empty(self) -> bool:
        """Whether it had no elements for any input, so that nothing of it was compared."""
        return not self.elements and not self.mismatch

    @property
    def is_vacuous(self) -> bool:
        """Whether the reference is NaN or infinite everywhere, and the engine too, so that nothing of it was compared."""
        alike = not self.mismatch and not self.non_finite and not self.unequal
        return alike and self.compared == 0 and bool(self.elements)

    @property
    def is_judged(self) -> bool:
        """Whether anything of it was compared, or could not be for the engine's sake."""
        return bool(self.mismatch) or not (self.is_empty or self.is_vacuous or self.unsteady)

    @property
    def uncompared(self) -> str:
        """Why nothing of it was compared, in a phrase; empty when something was."""
        if self.is_judged:
            return ""
        if self.unsteady:
            return NOT_DETERMINISTIC
        if self.is_empty:
            return "it was empty for these inputs"
        what = (
            "NaN" if self.reference_nan == self.reference_non_finite else "NaN or infinite" if self.reference_nan else "infinite"
        )
        return f"the reference is {what} on these inputs"

    def closer_than(self, goal: float) -> bool:
        """Whether its relative error is at most what somebody asked for, whatever else would excuse it."""
        return not (self.mismatch or self.non_finite or self.unequal) and (self.max_rel or 0.0) <= goal

    def within(self, tolerance: float) -> bool:
        """Whether it passes on its own."""
        if self.mismatch or self.non_finite or self.unequal:
            return False
        allowed = tolerance if self.allowed is None else max(tolerance, self.allowed)
        if self.stepped is not None and self.steps <= max(1.0, allowed * self.levels):
            return True
        error = self.max_rel if self.max_rel is not None else 0.0
        if error <= allowed or (self.max_abs or 0.0) <= self.resolution:
            return True
        return self.head_rel is not None and self.head_rel <= allowed


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
        passed: All outputs of which something was compared within `tolerance` of relative error (or within what is known of them
            besides), nothing non-finite that was finite, nothing unequal that must be equal.
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
        """Whether it passed; None where nothing was compared: all outputs empty (a detector's on noise), all NaN, or random."""
        return None if self.outputs and not any(output.is_judged for output in self.outputs) else self.passed

    @property
    def uncompared(self) -> str:
        """Why nothing was compared, in a phrase; empty when something was."""
        if self.on_par is not None:
            return ""
        if all(output.is_empty for output in self.outputs):
            return "all outputs were empty for these inputs"
        return " and ".join(dict.fromkeys(output.uncompared for output in self.outputs if not output.is_empty))

    @property
    def worst_output(self) -> OutputParity | None:
        """The output farthest off, one that fails before one that passes; None of a model without outputs."""
        worst = next((output for output in self.outputs if output.name == self.worst), None)
        if worst is None or self.passed or not worst.within(self.tolerance):
            return worst
        failing = (output for output in self.outputs if output.is_judged and not output.within(self.tolerance))
        return next(failing, worst)

    @property
    def verdict(self) -> str:
        return {True: "on par", False: "not on par", None: "uncompared"}[self.on_par]
