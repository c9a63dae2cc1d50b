"""How a precision is put in: chosen on a page or a command line, kept in a build's request, read by every pass."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum
from fnmatch import fnmatchcase

from pydantic import ValidationError

from core.base.errors import InvalidRequest
from core.base.serialization import from_data


class PrecisionEngine(str, Enum):
    """Who puts the precision in: our own passes, or NVIDIA's ModelOpt in its own environment."""

    LIGHT = "light"
    MODELOPT = "modelopt"


class CalibrationMethod(str, Enum):
    """How ModelOpt finds the magnitude that quantized values reach to."""

    MAX = "max"
    ENTROPY = "entropy"


class Placement(str, Enum):
    """Other places for Q and DQ than NVIDIA's rules give, for builders that fuse less around INT8 than those rules expect.

    What each one changes in real engines is in docs/measurements/placements.md.
    """

    SCALES_BEHIND = "scales_behind"
    FLOAT_DEPTHWISE = "float_depthwise"
    HEAVY_ONLY = "heavy_only"

    @property
    def summary(self) -> str:
        return _PLACEMENTS[self]


_PLACEMENTS = {
    Placement.SCALES_BEHIND: "the scales of a convolution's channels multiply behind it; its quantized weights stay the same",
    Placement.FLOAT_DEPTHWISE: "depthwise convolutions are not quantized",
    Placement.HEAVY_ONLY: "only what has more weights than activations is quantized",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageOptions:
    """How a picture becomes a model's input: resized, multiplied by `scale`, less `mean`, over `std`.

    Attributes:
        size: Height and width; None for the input's own.
        layout: "nhwc" or "nchw"; None to tell from where the input has 1, 3 or 4 channels.
        scale: 1/255 gives values from 0 to 1.
    """

    size: tuple[int, int] | None = None
    layout: str | None = None
    scale: float = 1 / 255
    mean: tuple[float, ...] = (0.0,)
    std: tuple[float, ...] = (1.0,)


@dataclass(frozen=True, slots=True, kw_only=True)
class PrecisionSettings:
    """What may be said besides the precision itself.

    Attributes:
        keep_ops: Op types that stay FP32.
        keep_nodes: Names or patterns of nodes that stay FP32.
        keep_io_types: Leave inputs and outputs in FP32 (FP16 and BF16).
        percentile: Of the activations' magnitudes that INT8 and FP8 reach to; None for the largest seen.
        method: ModelOpt's calibration.
        samples: Of the calibration data, at most.
        images: How calibration pictures are prepared.
        max_rel: Keep the worst layers in FP32 until no output is farther off than this; None to keep none.
        top1_drop: The same for the top-1 accuracy that may be lost on labelled calibration data, 0.01 for one point.
        layer_errors: Compare every layer with FP32 on a few samples, and the accuracy where the calibration data have labels.
        target: What the graph is written for ("tensorrt-8.6"); None for the path's backend as it is installed.
        placement: Where Q and DQ go other than by the target's rules, for INT8 and FP8 on TensorRT 10 and later; in the enum's
            order, each once.
    """

    engine: PrecisionEngine = PrecisionEngine.LIGHT
    keep_ops: tuple[str, ...] = ()
    keep_nodes: tuple[str, ...] = ()
    keep_io_types: bool = True
    percentile: float | None = None
    method: CalibrationMethod = CalibrationMethod.MAX
    samples: int = 500
    images: ImageOptions = field(default_factory=ImageOptions)
    max_rel: float | None = None
    top1_drop: float | None = None
    layer_errors: bool = False
    target: str | None = None
    placement: tuple[Placement, ...] = ()

    @property
    def has_goal(self) -> bool:
        """Whether an accuracy is to be reached, by keeping layers in FP32."""
        return self.max_rel is not None or self.top1_drop is not None

    @property
    def studies(self) -> bool:
        """Whether layers are compared with FP32's."""
        return self.layer_errors or self.has_goal

    @property
    def for_calibration(self) -> PrecisionSettings:
        """What is left of them where only ranges are taken."""
        return PrecisionSettings(
            engine=self.engine, percentile=self.percentile, method=self.method, samples=self.samples, images=self.images
        )

    def why_kept(self, op: str, node: str) -> str:
        """Why a node is to stay in FP32, "" for one that need not."""
        if op in self.keep_ops:
            return f"{op} is kept by type"
        if any(pattern == node or fnmatchcase(node, pattern) for pattern in self.keep_nodes):
            return "kept by name"
        return ""

    def keeping(self, nodes: Iterable[str]) -> PrecisionSettings:
        """The same with these nodes kept in FP32 too."""
        return replace(self, keep_nodes=(*self.keep_nodes, *nodes))

    def placing(self, placements: Iterable[Placement]) -> PrecisionSettings:
        """The same with these placements alone."""
        wanted = set(placements)
        return replace(self, placement=tuple(one for one in Placement if one in wanted))


DEFAULTS = PrecisionSettings()
_LISTS = ("keep_ops", "keep_nodes", "placement", "images.size", "images.mean", "images.std")


def parse_settings(texts: Sequence[str]) -> PrecisionSettings:
    """Reads `percentile=99.999`, `keep_ops=Softmax,LayerNormalization`, `images.size=224,224`, one entry a setting.

    Raises:
        InvalidRequest: There is no such setting, or the value is of another type.
    """
    names = [f.name for f in dataclasses.fields(PrecisionSettings) if f.name != "images"]
    names += [f"images.{f.name}" for f in dataclasses.fields(ImageOptions)]
    given: dict[str, object] = {}
    images: dict[str, object] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or name not in names:
            raise InvalidRequest(f"Could not read the precision setting {text!r}.", hint=f"There are: {', '.join(names)}.")
        listed = name in _LISTS
        (images if name.startswith("images.") else given)[name.removeprefix("images.")] = value.split(",") if listed else value
    try:
        read = from_data(PrecisionSettings, {**given, "images": images})
        return read.placing(read.placement)
    except ValidationError as error:
        first = error.errors()[0]
        raise InvalidRequest(
            f"{'.'.join(map(str, first['loc']))} cannot be {first['input']!r}.", hint=f"{first['msg']}."
        ) from None


def settings_as_texts(settings: PrecisionSettings) -> list[str]:
    """What `parse_settings` reads back; only what differs from the defaults."""
    texts = []
    for prefix, value in (("", settings), ("images.", settings.images)):
        for field_ in dataclasses.fields(value):
            given, default = getattr(value, field_.name), getattr(type(value)(), field_.name)
            if field_.name != "images" and given != default:
                texts.append(f"{prefix}{field_.name}={_text(given)}")
    return texts


def _text(value: object) -> str:
    if isinstance(value, Enum):
        return str(value.value)
    return ",".join(map(_text, value)) if isinstance(value, tuple) else str(value)
