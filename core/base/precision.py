"""The precisions a build can ask for, each with one record of what is so about it everywhere.

Adding one is a member here and what implements it: a grid or a type follows from its dtype, a runtime lists it in its backend.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What tests, tables and passes ask of a precision.

    Attributes:
        summary: What it is, for people.
        dtype: What layers and tensors that compute in it are of, by NumPy's (or ml_dtypes') name; TF32 has none there.
        bits: Of a value, as far as they are computed with.
        tolerance: The relative error that passes when nobody asks for another: the largest absolute difference over the
            reference's largest magnitude.

            A sum of n rounded terms is off by about sqrt(n) units of rounding (Higham and Mary, A New Approach to
            Probabilistic Rounding Error Analysis, 2019), and a network's longest chain of roundings that do not cancel is some
            hundreds long. So each tolerance of a narrow type is 20 units, rounded up: sqrt(400). The narrowest cannot hold even
            that and get what still tells a working network from a broken one; there, cosine, top-1 agreement and accuracy on
            labelled data are the better judges.
        in_graph: It is put into the ONNX graph; the others take the graph as it is.
        quantizes: It takes Q/DQ nodes, and so calibrated ranges.
        leaves_range: Values of an FP32 model can leave its range, so it is good to know them.
        opset: The ONNX opset that has it.
        capability: The compute capability of NVIDIA's GPUs from which on they run it, from the support matrices.
        tensorrt: The TensorRT from which on it is there, from the same.
        weak_flags: The `BuilderFlag`s that allow it where TensorRT's types are weak. A quantized graph
            is FP32 between its Q/DQ nodes there, and FP16 lets TensorRT narrow that.
        cpu_flags: Instruction sets that compute in it, as Linux names them.
    """

    summary: str
    dtype: str
    bits: int
    tolerance: float
    in_graph: bool = True
    quantizes: bool = False
    leaves_range: bool = True
    opset: int = 1
    capability: tuple[int, int] = (0, 0)
    tensorrt: tuple[int, int] = (0, 0)
    weak_flags: tuple[str, ...] = ()
    cpu_flags: tuple[str, ...] = ()


class Precision(str, Enum):
    """A precision: its name as people give it, and its facts."""

    _value_: str
    facts: Facts

    FP32 = (
        "fp32",
        Facts(
            summary="32-bit floats: the reference.",
            dtype="float32",
            bits=32,
            tolerance=1e-3,  # 20 units are 1e-6; other orders of summation and Winograd convolutions need far more than that
            in_graph=False,
            leaves_range=False,
        ),
    )
    TF32 = (
        "tf32",
        Facts(
            summary="32-bit floats multiplied with 10 bits of mantissa on NVIDIA's tensor cores.",
            dtype="tf32",
            bits=19,
            tolerance=1e-2,  # unit 2^-11
            in_graph=False,
            leaves_range=False,
            capability=(8, 0),
            tensorrt=(8, 5),
        ),
    )
    FP16 = (
        "fp16",
        Facts(
            summary="16-bit floats: half the size; values above 65,504 overflow.",
            dtype="float16",
            bits=16,
            tolerance=1e-2,  # unit 2^-11
            opset=13,
            weak_flags=("FP16",),
            cpu_flags=("avx512_fp16", "amx_fp16"),
        ),
    )
    BF16 = (
        "bf16",
        Facts(
            summary="16-bit floats with the range of 32-bit ones, and less precision.",
            dtype="bfloat16",
            bits=16,
            tolerance=1e-1,  # unit 2^-8
            leaves_range=False,
            opset=22,
            capability=(8, 0),
            tensorrt=(9, 0),
            cpu_flags=("avx512_bf16", "amx_bf16"),
        ),
    )
    INT8 = (
        "int8",
        Facts(
            summary="8-bit integers, calibrated on your data: a quarter of the size.",
            dtype="int8",
            bits=8,
            tolerance=1e-1,  # half a step of 127 levels is 2^-8 of a tensor's range
            quantizes=True,
            opset=13,
            weak_flags=("INT8", "FP16"),
            cpu_flags=("avx512_vnni", "avx_vnni", "amx_int8"),
        ),
    )
    FP8 = (
        "fp8",
        Facts(
            summary="8-bit floats, for GPUs of compute capability 8.9 and later.",
            dtype="float8_e4m3fn",
            bits=8,
            tolerance=2.5e-1,  # unit 2^-4 of E4M3
            quantizes=True,
            opset=19,
            capability=(8, 9),
            tensorrt=(10, 0),
        ),
    )

    # The facts are no argument by name, as type checkers would ask for them in `Precision("fp16")` too.
    def __new__(cls, value: str, *facts: Facts) -> Precision:
        member = str.__new__(cls, value)
        member._value_ = value
        (member.facts,) = facts
        return member

    @property
    def in_graph(self) -> bool:
        return self.facts.in_graph

    @property
    def quantizes(self) -> bool:
        return self.facts.quantizes
