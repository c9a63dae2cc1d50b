"""Whether a narrower precision paid, from two measurements."""

from __future__ import annotations

from dataclasses import dataclass

from core.benchmark.measurement import Latency
from core.precision.kinds import Precision

# A smaller gain is not worth an accuracy to watch.
WORTH = 1.05


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What a precision brought against FP32 on the same runtime and device.

    Attributes:
        speedup: FP32's median latency over this one's.
        certain: The medians' intervals do not overlap.
        paid: It is certain, and more than a trifle.
        text: A sentence.
    """

    speedup: float
    certain: bool
    paid: bool
    text: str


def judge(precision: Precision, fp32: Latency, measured: Latency, *, fp32_bytes: int, bytes_now: int) -> Verdict:
    """Compares two engines of one model; both measured by the same protocol."""
    speedup = fp32.median_ms / measured.median_ms
    certain = measured.high_ms < fp32.low_ms or measured.low_ms > fp32.high_ms
    paid = certain and speedup >= WORTH
    name = precision.value.upper()
    figures = f"{measured.median_ms:.3g} ms against {fp32.median_ms:.3g} ms in FP32"
    if paid:
        text = f"{name} paid: {speedup:.2g} times as fast, {figures}."
    elif certain and speedup < 1:
        text = f"{name} did not pay: it is slower, {figures}."
    elif certain:
        text = f"{name} hardly paid: {figures}."
    else:
        text = f"{name} did not pay in speed: {figures}, within the uncertainty of the measurement."
    if not paid and bytes_now < 0.9 * fp32_bytes:
        text += f" It is smaller, {bytes_now / 1e6:.1f} MB against {fp32_bytes / 1e6:.1f} MB."
    return Verdict(speedup=speedup, certain=certain, paid=paid, text=text)
