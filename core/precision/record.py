"""What putting a precision in did to a model, as a build keeps it and pages show it."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import Annotated, Any

from pydantic import BeforeValidator

from core.base.precision import Precision
from core.parity.result import Accuracy

ENTRY = "model.onnx"


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


class Rule(str, Enum):
    """What Q/DQ nodes must hold to; the value is a sentence for people."""

    SIGNED = "quantized types are signed"
    ZERO_POINT = "zero points are 0"
    CONSTANT_SCALE = "scales are positive constants"
    FUSION = "no Q/DQ inside Conv-BatchNorm-activation"
    ADD = "at most one input of an Add is quantized"
    SHORTCUT = "the shortcut of a residual Add is quantized, not the convolution's output"
    BIAS = "biases are not quantized"
    CHANNEL_AXIS = "weights have one scale an output channel"
    ACTIVATION_SCALE = "activations have one scale"
    BOTH_OPERANDS = "both operands of a weighted op are quantized, or neither"
    STORED_WEIGHTS = "weights are FP32 behind Q and DQ"


@dataclass(frozen=True, slots=True, kw_only=True)
class Violation:
    """One place that breaks a rule; older releases recorded the message alone."""

    message: str
    rule: Rule | None = None
    node: str = ""


def _older(violations: Any) -> Any:
    return [{"message": one} if isinstance(one, str) else one for one in violations]


@dataclass(frozen=True, slots=True, kw_only=True)
class InputSummary:
    """An input's values over all samples; `first_low` and `first_high` are behind the model's own scaling, where it has one."""

    name: str
    low: float
    high: float
    mean: float
    first_low: float
    first_high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class PrecisionRecord:
    """What was done to a model, and what that costs.

    Attributes:
        target: What the graph was written for.
        engine: Who put the precision in, ModelOpt with its version.
        precision: None in what older releases recorded.
        entry: The graph, below the folder that it was written into.
        opset: Of the graph.
        requested: The type that the graph asks each node to compute in, by name; empty where it was taken as it is.
        converted: Names of the nodes that now compute in the precision.
        kept: Nodes that could have been converted and were not, each with why.
        violations: Of the placement of Q and DQ that the target wants.
        stamp: Set when no real data were used: a sentence that goes wherever the model goes.
        data: Where the calibration samples came from, "" without any.
        inputs: The calibration data's summary.
        ranges: The file of ranges below the folder, for use with other builds of this model.
        builder_flags: What TensorRT needs to be told besides.
        notes: Sentences for people.
        seconds: Reading, calibrating and writing; None when not measured.
        cost: Where accuracy goes; None when it was not asked for.
        remedy: None when there was no goal.
    """

    target: str
    engine: str
    precision: Precision | None = None
    entry: str = ENTRY
    opset: int | None = None
    requested: dict[str, str] = field(default_factory=dict)
    converted: tuple[str, ...] = ()
    kept: dict[str, str] = field(default_factory=dict)
    violations: Annotated[tuple[Violation, ...], BeforeValidator(_older)] = ()
    stamp: str = ""
    data: str = ""
    inputs: tuple[InputSummary, ...] = ()
    ranges: str | None = None
    builder_flags: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    seconds: float | None = None
    cost: AccuracyCost | None = None
    remedy: RemedyRecord | None = None

    @property
    def sampled(self) -> str:
        """What `data` were for, as its label: FP16 takes no ranges from them, it is held against them."""
        return "calibrated on" if self.precision and self.precision.quantizes else "range checked on"

    @property
    def left(self) -> str:
        """What became of the nodes in `kept`: around quantized ones, TensorRT 10 and later compute in FP16."""
        if self.precision is not None and self.precision.quantizes:
            return f"left out of {self.precision.value}"
        return "kept in fp32"
