"""The precisions a build can ask for."""

from __future__ import annotations

from enum import Enum


class Precision(str, Enum):
    FP32 = "fp32"
    TF32 = "tf32"
    FP16 = "fp16"
    BF16 = "bf16"
    INT8 = "int8"
    FP8 = "fp8"

    @property
    def in_graph(self) -> bool:
        """Whether it is put into the ONNX graph; the others take the graph as it is."""
        return self not in (Precision.FP32, Precision.TF32)

    @property
    def quantizes(self) -> bool:
        """Whether it takes Q/DQ nodes, and so calibrated ranges."""
        return self in (Precision.INT8, Precision.FP8)
