"""The rows of the GPU benchmark: which network by which path in which precision."""

from __future__ import annotations

from dataclasses import dataclass, field

from core.backends.base import OptionValue
from core.base.precision import Precision

NETWORKS = ("resnet50", "bert", "mobilenetv2", "efficientnetb0")
TENSORRT = (Precision.FP32, Precision.TF32, Precision.FP16, Precision.INT8)
TF_TRT = (Precision.FP32, Precision.FP16, Precision.INT8)


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One engine.

    Attributes:
        shape: The profile, as `engineroom build --shape` takes it.
        suffix: Tells rows apart that differ in shape or options.
    """

    network: str
    backend: str
    precision: Precision
    variant: str = ""
    shape: tuple[str, ...] = ("batch=1",)
    suffix: str = ""
    options: dict[str, OptionValue] = field(default_factory=dict)

    @property
    def id(self) -> str:
        return "-".join(filter(None, (self.network, self.backend, self.variant, self.precision.value, self.suffix)))

    @property
    def title(self) -> str:
        return " ".join(filter(None, (self.backend, self.variant, self.precision.value.upper(), self.suffix)))


def rows_of(network: str) -> tuple[Row, ...]:
    """TensorFlow's runtime and XLA, TF-TRT and TensorRT at batch 1; TF-TRT for ranges; for ResNet-50 also TensorRT for others."""
    shape = ("batch=1", "dim_1=128") if network == "bert" else ("batch=1",)
    rows = [
        Row(network=network, backend="tensorflow", variant=v, precision=Precision.FP32, shape=shape) for v in ("signature", "xla")
    ]
    rows += [Row(network=network, backend="tensorrt", precision=precision, shape=shape) for precision in TENSORRT]
    rows += [Row(network=network, backend="tf-trt", precision=precision, shape=shape) for precision in TF_TRT]
    lengths = ("batch=1:1:8", "dim_1=32:128:128") if network == "bert" else ("batch=1:1:8",)
    dynamic: dict[str, OptionValue] = {"dynamic_shapes": True}
    rows.append(
        Row(network=network, backend="tf-trt", precision=Precision.FP16, shape=lengths, suffix="dynamic", options=dynamic)
    )
    if network == "resnet50":
        rows += [
            Row(network=network, backend="tensorrt", precision=precision, shape=("batch=8",), suffix="batch8")
            for precision in (Precision.FP16, Precision.INT8)
        ]
        rows += [Row(network=network, backend="tensorrt", precision=Precision.FP16, shape=("batch=1:8:64",), suffix="batch1to64")]
    return tuple(rows)


def row_named(row_id: str) -> Row:
    return next(row for network in NETWORKS for row in rows_of(network) if row.id == row_id)
