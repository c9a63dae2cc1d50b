"""What putting a precision in did to a model, as a build keeps it and pages show it."""

from __future__ import annotations

from dataclasses import dataclass, field

from core.parity.result import Accuracy


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerError:
    """One node's output against FP32's.

    Attributes:
        error: L2 norm of the difference over L2 norm of the reference; infinite when something is not finite any more.
        added: The error that is the node's own, as errors of rounding add up in squares: what is left of `error` after
            that of its worst input.
    """

    node: str
    op: str
    tensor: str
    error: float
    added: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """One trial of the search for a remedy.

    Attributes:
        kept: How many nodes were kept in FP32 for the goal's sake.
        latency_ms: Median on ONNX Runtime; None where the CPU does not compute in the precision, so that it would say nothing.
    """

    kept: int
    max_rel: float | None
    non_finite: int
    top1: float | None
    latency_ms: float | None
    met: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class AccuracyCost:
    """What the precision loses, layer by layer; of the graph with nothing kept for a goal's sake.

    Attributes:
        compared_on: Where the samples came from.
        emulated: Whether every narrow tensor was rounded because the runtime would hide the loss.
        first_bad: The first layer whose output is off by more than a tenth, None when none is.
        worst: The ten that add the most error, worst first.
        accuracy: On the calibration data's labels; FP32's beside it. None without labels.
    """

    compared_on: str
    emulated: bool
    first_bad: LayerError | None
    worst: tuple[LayerError, ...]
    accuracy: Accuracy | None = None
    reference_accuracy: Accuracy | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RemedyRecord:
    """What stayed in FP32 for an accuracy's sake.

    Attributes:
        keep: Names of the nodes.
        rounds: Every trial in order; the first one keeps nothing.
        cost: A sentence on what keeping them costs in speed.
    """

    keep: tuple[str, ...]
    rounds: tuple[Round, ...]
    cost: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PrecisionRecord:
    """What the stage did.

    Attributes:
        requested: The type that the graph asks each node to compute in, by name.
        kept: Nodes that could have been converted and were not, each with why.
        violations: Of the placement of Q and DQ that the target wants, as sentences.
        stamp: Set when no real data were used: a sentence that goes wherever the model goes.
        data: Where the calibration samples came from, "" without any.
        cost: Where accuracy goes; None when it was not asked for.
        remedy: None when there was no goal.
    """

    target: str
    engine: str
    requested: dict[str, str] = field(default_factory=dict)
    kept: dict[str, str] = field(default_factory=dict)
    violations: tuple[str, ...] = ()
    stamp: str = ""
    data: str = ""
    cost: AccuracyCost | None = None
    remedy: RemedyRecord | None = None
