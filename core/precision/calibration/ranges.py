"""Ranges: the values each tensor was seen to take, kept as a file and used again."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from pathlib import Path

import onnx

from core.base.errors import InvalidRequest
from core.base.serialization import read_json

UNCALIBRATED = "uncalibrated, do not deploy"


@dataclass(frozen=True, slots=True, kw_only=True)
class TensorRange:
    """Of one tensor over all samples.

    Attributes:
        magnitudes: Percentile of the absolute values ("99.999") to the magnitude there; the largest one is not in it.
    """

    low: float
    high: float
    magnitudes: dict[str, float] = field(default_factory=dict)

    @property
    def largest(self) -> float:
        return max(abs(self.low), abs(self.high))


@dataclass(frozen=True, slots=True, kw_only=True)
class Ranges:
    """What calibration found.

    Attributes:
        model: SHA-256 of the graph's structure, so that ranges are not used with another model.
        data: Where the samples came from.
        calibrated: False for random data.
    """

    model: str
    data: str
    samples: int
    calibrated: bool
    tensors: dict[str, TensorRange]

    def magnitude(self, tensor: str, percentile: float | None) -> float:
        """The magnitude that quantized values must reach: the largest one seen, or a percentile.

        Raises:
            InvalidRequest: The tensor or the percentile was not calibrated.
        """
        if tensor not in self.tensors:
            raise InvalidRequest(f"The ranges hold nothing for the tensor {tensor}.", hint="Calibrate again with this model.")
        found = self.tensors[tensor]
        if percentile is None:
            return found.largest
        if (key := f"{percentile:g}") not in found.magnitudes:
            known = ", ".join(found.magnitudes) or "none, only the largest values"
            raise InvalidRequest(f"The ranges hold no percentile {key}.", hint=f"They hold {known}; calibrate again for others.")
        return found.magnitudes[key]

    @property
    def bounds(self) -> dict[str, tuple[float, float]]:
        return {name: (found.low, found.high) for name, found in self.tensors.items()}


def load_ranges(path: Path, model: str | None = None) -> Ranges:
    """Reads ranges that `write_json` wrote; with a structure digest, only those that were taken for that model.

    Raises:
        InvalidRequest: They are another model's.
        StoreFailed: The file is unreadable.
    """
    found = read_json(Ranges, path)
    if model is not None and found.model != model:
        raise InvalidRequest(f"The ranges in {path.name} are another model's.", hint="Calibrate this model.")
    return found


def structure_digest(model: onnx.ModelProto) -> str:
    """SHA-256 of nodes and weights: equal models, equal digests, whatever they were saved by."""
    digest = hashlib.sha256()
    for node in model.graph.node:
        digest.update(node.SerializeToString(deterministic=True))
    for tensor in model.graph.initializer:
        digest.update(tensor.SerializeToString(deterministic=True))
    return digest.hexdigest()
