"""What a finding is."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from core.analysis.traffic import Moved
from core.request.build_request import BuildRequest


class FindingKind(str, Enum):
    WRONG = "not on par"
    PROFILE = "layer times contradict the latency"
    DOMINANT = "dominant layers"
    REFORMATS = "reformats"
    CASTS = "casts"
    SHAPES = "shape work"
    TINY = "tiny layers"
    OPAQUE = "opaque block"
    PRECISION = "other precision"
    UNMAPPED = "unmapped nodes"
    QUANTIZING = "quantizing kernels"
    FLOAT_BETWEEN = "float between quantized layers"
    PADDED = "padded channels"
    MIXED = "casts between precisions"
    ATTENTION_APART = "attention in pieces"
    ATTENTION_FUSED = "fused attention"


@dataclass(frozen=True, slots=True, kw_only=True)
class Mend:
    """A change of ours that may mend what was found.

    Attributes:
        title: What it does, as an order.
        cost: What it costs, or what only a measurement tells: sentences.
        flags: What to give the build's command for it, with whatever it had of the same kind: `--lower placement=heavy_only`.
            Empty where the build is one without any.
        request: The build with that change alone.
    """

    title: str
    cost: str
    flags: tuple[str, ...]
    request: BuildRequest

    @property
    def command(self) -> str:
        """The flags as they are typed, or that there are none."""
        return " ".join(self.flags) or "no --lower"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing worth knowing.

    Attributes:
        message: What was found, a sentence.
        hint: What one can do about it, or why it is so.
        layers: The layers it is about, for highlighting.
        share: Of the timed layers' time; None when it is not about time or no layer was timed.
        nodes: The source nodes in those layers, those that compute most first.
        moved: What those layers read and write; None where it is not about bytes.
        good: Nothing to mend.
        bad: The engine is not to be used as it is.
        mend: None where nothing that is ours would help.
    """

    kind: FindingKind
    message: str
    hint: str
    layers: tuple[str, ...] = ()
    share: float | None = None
    nodes: tuple[str, ...] = ()
    moved: Moved | None = None
    good: bool = False
    bad: bool = False
    mend: Mend | None = None
