"""What a build may be told besides path and precision: shapes, data, runtime options, measuring."""

from __future__ import annotations

from collections.abc import Iterable

import streamlit as st

from core.backends.base import Option, OptionValue, backend_named
from core.benchmark.measurement import Protocol
from core.models.model import Signature
from core.models.profile import AxisRange, ShapeProfile, default_range
from core.precision.settings import LIGHT, MODELOPT, PrecisionSettings

MAX_PERCENTILE = 100.0


def choose_profile(signature: Signature, key: str) -> ShapeProfile:
    """A range for each dynamic axis; what is measured is `opt`.

    Raises:
        InvalidRequest: The lengths do not rise.
    """
    if not signature.symbols:
        st.caption("All axes of this signature are fixed.")
        return ShapeProfile()
    axes = {}
    st.caption("Engines accept lengths from the smallest to the largest, and are tuned for and measured at the usual one.")
    for symbol in signature.symbols:
        default = default_range(symbol)
        name, low, usual, high = st.columns([2, 1, 1, 1], vertical_alignment="bottom")
        name.markdown(f"`{symbol}`")
        axes[symbol] = AxisRange(
            min=int(low.number_input(f"{symbol}: smallest", 1, value=default.min, key=f"{key}-{symbol}-min")),
            opt=int(usual.number_input(f"{symbol}: usual", 1, value=default.opt, key=f"{key}-{symbol}-opt")),
            max=int(high.number_input(f"{symbol}: largest", 1, value=default.max, key=f"{key}-{symbol}-max")),
        )
    return ShapeProfile(axes=axes)


def choose_lowering(key: str) -> PrecisionSettings:
    """How reduced precisions are put into the graph."""
    left, right = st.columns(2)
    engine = left.selectbox(
        "Made by",
        [LIGHT, MODELOPT],
        help="light: our own passes. modelopt: NVIDIA's, in its own environment.",
        key=f"{key}-engine",
    )
    keep = right.text_input("Ops kept in FP32", placeholder="Softmax, LayerNormalization", key=f"{key}-keep")
    percentile = left.number_input(
        "Percentile for INT8 and FP8",
        90.0,
        100.0,
        100.0,
        format="%.3f",
        help="Of the activations' magnitudes that are represented; 100 is the largest seen, 99.999 a good second choice.",
        key=f"{key}-percentile",
    )
    max_rel = right.number_input(
        "Largest relative error, 0 for any",
        0.0,
        1.0,
        0.0,
        format="%.4f",
        help="The worst layers stay in FP32 until no output is farther off.",
        key=f"{key}-max-rel",
    )
    return PrecisionSettings(
        engine=engine,
        keep_ops=tuple(op.strip() for op in keep.split(",") if op.strip()),
        percentile=percentile if percentile < MAX_PERCENTILE else None,
        max_rel=max_rel or None,
    )


def choose_options(backends: Iterable[str], key: str) -> dict[str, dict[str, OptionValue]]:
    """The knobs of each backend, by the backend's name."""
    chosen: dict[str, dict[str, OptionValue]] = {}
    for name in dict.fromkeys(backends):
        backend = backend_named(name)
        if backend.options:
            with st.expander(f"{backend.title}: {len(backend.options)} options"):
                chosen[name] = {option.name: _knob(option, f"{key}-{name}") for option in backend.options}
    return chosen


def _knob(option: Option, key: str) -> OptionValue:
    label, key = option.name.replace("_", " ").capitalize(), f"{key}-{option.name}"
    if option.choices:
        return st.selectbox(label, option.choices, index=option.choices.index(option.default), help=option.help, key=key)
    if isinstance(option.default, bool):
        return st.checkbox(label, value=option.default, help=option.help, key=key)
    if isinstance(option.default, int | float):
        return st.number_input(label, value=option.default, help=option.help, key=key)
    return st.text_input(label, value=str(option.default), help=option.help, key=key)


def choose_protocol(key: str) -> tuple[Protocol, int | None]:
    """How latency is taken, and the runtime's threads (None for all cores)."""
    left, right = st.columns(2)
    default = Protocol()
    seconds = left.number_input("Measure for at least, seconds", 0.5, 60.0, default.min_seconds, 0.5, key=f"{key}-seconds")
    threads = right.number_input("Threads, 0 for all cores", 0, 1024, 0, key=f"{key}-threads")
    return Protocol(min_seconds=float(seconds)), int(threads) or None
