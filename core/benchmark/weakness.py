"""What makes a figure weak, in a word or two each: the one place that knows which sentence of a measurement means what.

Measurements keep sentences. Those that make a latency weak begin with one of the constants here, a count of samples before it
apart, in measurements that were stored before as well; others, as that a peak could not be reset, say nothing against a latency.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from enum import Enum


class Weakness(str, Enum):
    NOISY = "noisy"
    DRIFTING = "drifting"
    FEW = "few samples"
    SHARED = "shared cores"
    THROTTLED = "throttled"
    CLOCK_FELL = "clock fell"
    GPU_HELD = "GPU clock held back"
    GPU_MOVED = "GPU clock moved"
    UNSTEADY = "unsteady on the GPU"


NOISY = "Noisy: "
DRIFTING = "Drifting: "
FEW_FITTED = " runs fitted into "
NO_INTERVAL = " runs back no 95 % interval"
OTHERS = "Other programs used "
STOLEN = "The virtual machine's host took "
THROTTLED = "The processor was throttled "
CLOCK_FELL = "The clock fell from "
GPU_HELD = "The GPU's clock was held back: "
GPU_MOVED = "The GPU's clock moved between "
UNSTEADY = "Unsteady "

_TOLD_BY = {
    NOISY: Weakness.NOISY,
    DRIFTING: Weakness.DRIFTING,
    FEW_FITTED: Weakness.FEW,
    NO_INTERVAL: Weakness.FEW,
    OTHERS: Weakness.SHARED,
    STOLEN: Weakness.SHARED,
    THROTTLED: Weakness.THROTTLED,
    CLOCK_FELL: Weakness.CLOCK_FELL,
    GPU_HELD: Weakness.GPU_HELD,
    GPU_MOVED: Weakness.GPU_MOVED,
    UNSTEADY: Weakness.UNSTEADY,
}


def weaknesses_in(sentences: Iterable[str]) -> tuple[Weakness, ...]:
    """What these sentences say against the figure, each once, in the order of `Weakness`."""
    told = [sentence.removeprefix("Only ").lstrip("0123456789") for sentence in sentences]
    found = {weakness for begun, weakness in _TOLD_BY.items() if any(sentence.startswith(begun) for sentence in told)}
    return tuple(weakness for weakness in Weakness if weakness in found)


def words(weaknesses: Sequence[Weakness]) -> str:
    """For a badge or a cell: "noisy, shared cores"; empty where nothing makes the figure weak."""
    return ", ".join(weakness.value for weakness in weaknesses)
