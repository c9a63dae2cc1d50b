"""What a model is, as far as every other part needs to know."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path

from core.base.errors import InvalidRequest
from core.base.names import check_below
from core.base.tensors import Signature, Tensors


class Format(str, Enum):
    """A model's format; the values are the words used in path names."""

    SAVEDMODEL = "savedmodel"
    ONNX = "onnx"
    KERAS = "keras"
    GRAPHDEF = "graphdef"
    TFLITE = "tflite"

    @property
    def label(self) -> str:
        return {"savedmodel": "SavedModel", "onnx": "ONNX", "keras": "Keras", "graphdef": "GraphDef", "tflite": "TFLite"}[
            self.value
        ]


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """A stored model: what was uploaded and what it says of itself.

    Attributes:
        digest: Of the content's file names and bytes; the same model twice is the same digest.
        name: For people: the name of the uploaded file or folder.
        entry: Path of the model's main file or folder below the stored content ("." for a SavedModel folder).
        producer: Tool and version that wrote it, where the file tells.
        opset: ONNX's default-domain opset.
        signatures: At least one; the first is the default.
        parameters: Elements of the weights that the default signature reaches, each counted once.
        size_bytes: On disk, as uploaded.
        frozen_bytes: Of those weights alone: what a fair size comparison starts from.
        ops: Count of each op type.
        notes: Sentences worth showing: what was found odd.
    """

    digest: str
    name: str
    format: Format
    entry: str
    signatures: tuple[Signature, ...]
    size_bytes: int
    producer: str | None = None
    opset: int | None = None
    parameters: int | None = None
    frozen_bytes: int | None = None
    ops: dict[str, int] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        check_below(self.entry)

    def signature(self, name: str | None = None) -> Signature:
        """The signature of that name, the default one for None.

        Raises:
            InvalidRequest: The model has no such signature.
        """
        if name is None:
            return self.signatures[0]
        for candidate in self.signatures:
            if candidate.name == name:
                return candidate
        known = ", ".join(s.name for s in self.signatures)
        raise InvalidRequest(f"{self.name} has no signature {name!r}.", hint=f"It has: {known}.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """What a conversion or a backend works from.

    Attributes:
        path: The model's main file, or its folder for a SavedModel.
        signature: The one callable to carry over; its names are kept through every conversion.
        calibration: The user's calibration data, for backends that quantize by themselves.
        name: As people know the model; empty where nobody says.
        trial: One set of inputs in the signature's names, for a trial run; None where nobody says.
        is_made: A step made it of the user's model: in another format, or in another precision.
    """

    path: Path
    format: Format
    signature: Signature
    calibration: Path | None = None
    name: str = ""
    is_made: bool = False
    trial: Tensors | None = None

    @property
    def title(self) -> str:
        """For messages: "net.onnx", or "the ONNX model made of net.keras"."""
        name = self.name or self.path.name
        if not self.is_made:
            return name
        return f"the {self.format.label}{'' if self.format is Format.SAVEDMODEL else ' model'} made of {name}"
