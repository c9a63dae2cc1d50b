"""What a runtime's version takes of a graph in reduced precision, and which precisions a device can run: pure functions."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from enum import Enum

from core.base.errors import InvalidRequest
from core.base.precision import Precision
from core.precision.settings import PrecisionEngine, PrecisionSettings

TENSORRT, ONNXRUNTIME, OPENVINO = "tensorrt", "onnxruntime", "openvino"
NEWEST_TENSORRT = (11, 0)

# The newest opset each TensorRT parses, from the version on: support matrices, and onnx-tensorrt's docs/operators.md.
_TENSORRT_OPSETS = (((8, 5), 17), ((10, 0), 20), ((10, 15), 24), ((11, 0), 25))
# Q and DQ between FP16 tensors came with it.
FP16_QDQ_OPSET = 19


class QuantizedOutputs(str, Enum):
    """Which convolutions a runtime computes in INT8 only between Q/DQ on both sides."""

    NONE = "none"
    DEPTHWISE = "depthwise"
    ALL = "all"


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A runtime and its version: what a graph is written for.

    Attributes:
        runtime: "tensorrt", "onnxruntime" or "openvino".
        version: Major and minor, for TensorRT.
        emulated: Only the placement of Q/DQ is the target's, with FP32 in between and in any opset, for runs on a CPU.
    """

    runtime: str
    version: tuple[int, int] = (0, 0)
    emulated: bool = False

    @property
    def name(self) -> str:
        return self.runtime if self.runtime != TENSORRT else f"{self.runtime}-{self.version[0]}.{self.version[1]}"

    @property
    def for_tensorrt(self) -> bool:
        """Whether TensorRT itself reads the graph."""
        return self.runtime == TENSORRT and not self.emulated

    @property
    def needs_gpu(self) -> bool:
        return self.runtime == TENSORRT

    @property
    def strides_spelled_out(self) -> bool:
        """Whether strided 1x1 convolutions in INT8 get their strides from a MaxPool; see `core.precision.strides`."""
        return self.runtime == OPENVINO

    @property
    def max_opset(self) -> int | None:
        """The newest opset it reads; None for a runtime on this machine, which says so itself when it is given the graph."""
        if not self.for_tensorrt:
            return None
        return next(opset for since, opset in reversed(_TENSORRT_OPSETS) if self.version >= since)

    def reads(self, opset: int) -> bool:
        return self.max_opset is None or opset <= self.max_opset

    @property
    def strongly_typed(self) -> bool:
        """Whether every tensor's type in the graph is what the engine computes in; else FP16 and INT8 flags allow it."""
        return self.for_tensorrt and self.version >= (10, 0)

    @property
    def stores_weights(self) -> bool:
        """Whether quantized weights may be stored quantized. TensorRT before 10 wants FP32 weights behind Q and DQ."""
        return not self.for_tensorrt

    @property
    def quantized_outputs(self) -> QuantizedOutputs:
        """Which convolutions need Q/DQ behind them too in INT8; with all of them, activations are UINT8."""
        return {ONNXRUNTIME: QuantizedOutputs.ALL, TENSORRT: QuantizedOutputs.DEPTHWISE}.get(self.runtime, QuantizedOutputs.NONE)

    @property
    def loses_scales(self) -> bool:
        """Whether a convolution without a bias may be got wrong, see `core.precision.lost_scales`."""
        return self.runtime == OPENVINO

    @property
    def takes_placements(self) -> bool:
        """Whether Q and DQ may go elsewhere than its rules say (`core.precision.settings.Placement`)."""
        return self.runtime == TENSORRT and self.version >= (10, 0)

    @property
    def rest(self) -> Precision:
        """What a quantized graph computes in between the quantized ops: FP16 where types are strong, else FP32.

        Before TensorRT 10, scales are read as FP32 and the FP16 flag does the same for an FP32 graph.
        """
        return Precision.FP16 if self.strongly_typed else Precision.FP32

    @property
    def weakly_typed(self) -> bool:
        """Whether the graph's types bind nothing, and the FP16 flag lets any layer be narrowed."""
        return self.for_tensorrt and not self.strongly_typed

    def builder_flags(self, precision: Precision) -> tuple[str, ...]:
        """The `BuilderFlag`s that weak typing needs besides the graph; none where types are strong."""
        return precision.facts.weak_flags if self.weakly_typed else ()


def parse_target(text: str) -> Target:
    """Reads `onnxruntime`, `openvino`, `tensorrt` (the newest) or `tensorrt-8.6`.

    Raises:
        InvalidRequest: It is none of those, or a TensorRT before 8.5.
    """
    runtime, _, version = text.partition("-")
    hint = "Name onnxruntime, openvino, tensorrt or a version of it such as tensorrt-8.6."
    if runtime in (ONNXRUNTIME, OPENVINO) and not version:
        return Target(runtime=runtime)
    if runtime != TENSORRT:
        raise InvalidRequest(f"No target is called {text!r}.", hint=hint)
    if not version:
        return Target(runtime=TENSORRT, version=NEWEST_TENSORRT)
    parts = version.split(".")
    if not all(part.isdigit() for part in parts[:2]):
        raise InvalidRequest(f"Could not read the version in {text!r}.", hint=hint)
    found = (int(parts[0]), int(parts[1]) if len(parts) > 1 else 0)
    if found < (8, 5):
        raise InvalidRequest(f"TensorRT {version} is older than 8.5, the first one supported.", hint="Use 8.5 or later.")
    return Target(runtime=TENSORRT, version=found)


def min_opset(precision: Precision, target: Target) -> int:
    """The opset a graph in that precision needs at least."""
    fp16_between = precision.quantizes and target.rest is Precision.FP16
    return max(precision.facts.opset, FP16_QDQ_OPSET) if fp16_between else precision.facts.opset


def check_target(precision: Precision, target: Target) -> None:
    """Refuses what no device could run with this version.

    Raises:
        InvalidRequest: The precision came later.
    """
    since = precision.facts.tensorrt
    if target.runtime == TENSORRT and target.version < since:
        raise InvalidRequest(
            f"{precision.value.upper()} came with TensorRT {since[0]}.{since[1]}; the target is {target.name}.",
            hint="Choose FP16 or INT8, or a newer TensorRT.",
        )


def check_placements(precision: Precision, target: Target, settings: PrecisionSettings) -> None:
    """Refuses placements where they would do nothing, or harm. Other precisions than INT8 and FP8 have none and ignore them.

    Raises:
        InvalidRequest: The target or the engine is another than they are for.
    """
    if not settings.placement or not precision.quantizes:
        return
    named = f"placement={','.join(one.value for one in settings.placement)}"
    if not target.takes_placements:
        raise InvalidRequest(
            f"{named} is for TensorRT 10 and later, whose rules it changes; the graph is for {target.name}.",
            hint="Leave placement out for this runtime.",
        )
    if settings.engine is not PrecisionEngine.LIGHT:
        raise InvalidRequest(
            f"{named} is for our own passes; {settings.engine.value} places Q and DQ itself.",
            hint=f"Use the engine `{PrecisionEngine.LIGHT.value}`, or leave placement out.",
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Device:
    """What decides about precisions.

    Attributes:
        kind: "cuda" or "cpu".
        compute_capability: Of a GPU.
        flags: Of a CPU, as /proc/cpuinfo names them.
    """

    kind: str
    compute_capability: tuple[int, int] | None = None
    flags: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Advice:
    """Whether a precision can be built for a device and target.

    Attributes:
        supported: It builds and runs.
        fast: It runs in that precision rather than in a wider one; None where only a measurement tells.
        reason: A sentence, always set.
    """

    precision: Precision
    supported: bool
    fast: bool | None
    reason: str


def advise(target: Target, device: Device) -> tuple[Advice, ...]:
    """Every precision with whether it is supported, and why or why not."""
    judge = _on_tensorrt if target.runtime == TENSORRT else _on_openvino if target.runtime == OPENVINO else _on_onnxruntime
    return tuple(judge(precision, target, device) for precision in Precision)


def _yes(precision: Precision, reason: str, *, fast: bool | None = True) -> Advice:
    return Advice(precision=precision, supported=True, fast=fast, reason=reason)


def _no(precision: Precision, reason: str) -> Advice:
    return Advice(precision=precision, supported=False, fast=False, reason=reason)


def _on_tensorrt(precision: Precision, target: Target, device: Device) -> Advice:
    if device.kind != "cuda" or device.compute_capability is None:
        return _no(precision, "TensorRT needs an NVIDIA GPU.")
    capability = device.compute_capability
    told = f"{capability[0]}.{capability[1]}"
    needed, since = precision.facts.capability, precision.facts.tensorrt
    if target.version < since:
        return _no(precision, f"{precision.value.upper()} came with TensorRT {since[0]}.{since[1]}; this is {target.name}.")
    if capability < needed:
        return _no(precision, f"{precision.value.upper()} needs compute capability {needed[0]}.{needed[1]}; this GPU has {told}.")
    if precision is Precision.BF16 and not target.reads(min_opset(precision, target)):
        return _yes(
            precision, f"Convolutions stay FP32: ONNX has BF16 ones from opset 22, {target.name} reads {target.max_opset}."
        )
    if precision is Precision.INT8 and capability < (7, 2):
        return _yes(precision, f"Compute capability {told} has no INT8 tensor cores; it may not pay.", fast=None)
    return _yes(precision, f"Compute capability {told} runs it natively.")


_ONLY_NVIDIA = "TF32 is a mode of NVIDIA's tensor cores."


def _has(precision: Precision, flags: Collection[str]) -> str:
    return next((flag for flag in precision.facts.cpu_flags if flag in flags), "")


_ON_ONNXRUNTIME = {
    Precision.FP32: _yes(Precision.FP32, "The reference."),
    Precision.TF32: _no(Precision.TF32, _ONLY_NVIDIA),
    Precision.FP16: _yes(
        Precision.FP16, "On the CPU it computes FP16 ops in FP32 with casts around them: half the size, no faster.", fast=False
    ),
    Precision.BF16: _no(Precision.BF16, "It has no BF16 convolutions or additions on the CPU."),
    Precision.FP8: _no(Precision.FP8, "It has no FP8 kernels on the CPU, and its optimizer breaks such graphs."),
}


def _on_onnxruntime(precision: Precision, _: Target, device: Device) -> Advice:
    if precision is not Precision.INT8:
        return _ON_ONNXRUNTIME[precision]
    if flag := _has(precision, device.flags):
        return _yes(precision, f"The CPU has {flag}.")
    return _yes(precision, "The CPU has no VNNI or AMX; INT8 may be slower than FP32.", fast=None)


def _on_openvino(precision: Precision, _: Target, device: Device) -> Advice:
    if precision is Precision.FP32:
        return _yes(precision, "The reference.")
    if precision is Precision.TF32:
        return _no(precision, _ONLY_NVIDIA)
    if precision is Precision.FP8:
        return _no(precision, "It has no FP8 kernels on the CPU.")
    if flag := _has(precision, device.flags):
        return _yes(precision, f"The CPU has {flag}.")
    lacking = f"The CPU has none of {', '.join(precision.facts.cpu_flags)}"
    return _yes(precision, f"{lacking}; it computes in FP32, and the file alone is smaller.", fast=False)
