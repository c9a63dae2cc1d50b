"""What stands for "the source model in its own framework"."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from core.backends.base import OptionValue
from core.models.model import Format


@dataclass(frozen=True, slots=True, kw_only=True)
class ReferenceKind:
    """A backend's variant that runs a format as it is, and the options that keep it from changing anything.

    Attributes:
        title: For people: "TensorFlow, the signature as loaded".
    """

    backend: str
    variant: str
    title: str
    options: Mapping[str, OptionValue] = field(default_factory=dict)


_TENSORFLOW = ReferenceKind(backend="tensorflow", variant="signature", title="TensorFlow, the signature as loaded")

REFERENCES: dict[Format, ReferenceKind] = {
    Format.SAVEDMODEL: _TENSORFLOW,
    Format.KERAS: _TENSORFLOW,
    Format.GRAPHDEF: _TENSORFLOW,
    Format.ONNX: ReferenceKind(
        backend="onnxruntime", variant="", title="ONNX Runtime, graph not optimized", options={"graph_optimization": "disabled"}
    ),
    Format.TFLITE: ReferenceKind(backend="litert", variant="", title="LiteRT"),
}


def reference_for(model_format: Format) -> ReferenceKind:
    return REFERENCES[model_format]


def ends_on(path: str, end: str) -> bool:
    """Whether a path's id ends so, or goes on in the same runtime: on one of `own_framework`'s ends."""
    return f".{end}." in f"{path}."


def own_framework(model_format: Format) -> tuple[str, ...]:
    """How the ids of paths end on which a format runs in the framework it comes from, the reference's own end first."""
    kind = REFERENCES[model_format]
    return (f"{kind.backend}.{kind.variant}", kind.backend) if kind.variant else (kind.backend,)
