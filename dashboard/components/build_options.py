"""What a build may be told besides path and precision: shapes, data, runtime options, measuring."""

from __future__ import annotations

from collections.abc import Iterable

import streamlit as st

from core.backends.base import Option, OptionValue, backend_named
from core.base.profile import AxisRange, ShapeProfile, usual_range
from core.base.tensors import Signature
from core.base.units import plural
from core.benchmark.measurement import Protocol
from dashboard.formatting import plain


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
    if guesses := ShapeProfile().guessed(signature):
        told = plain(", ".join(guesses))
        st.caption(f"The model does not tell how long these are, and the lengths below are guesses: {told}.")
    for symbol in signature.symbols:
        default = usual_range(signature, symbol)
        name, low, usual, high = st.columns([2, 1, 1, 1], vertical_alignment="bottom")
        name.markdown(plain(symbol))
        axes[symbol] = AxisRange(
            min=int(low.number_input(f"{plain(symbol)}: smallest", 1, value=default.min, key=f"{key}-{symbol}-min")),
            opt=int(usual.number_input(f"{plain(symbol)}: usual", 1, value=default.opt, key=f"{key}-{symbol}-opt")),
            max=int(high.number_input(f"{plain(symbol)}: largest", 1, value=default.max, key=f"{key}-{symbol}-max")),
        )
    return ShapeProfile(axes=axes)


def choose_options(backends: Iterable[str], key: str) -> dict[str, dict[str, OptionValue]]:
    """The knobs of each backend, by the backend's name."""
    chosen: dict[str, dict[str, OptionValue]] = {}
    for name in dict.fromkeys(backends):
        backend = backend_named(name)
        if backend.options:
            with st.expander(f"{backend.title}: {plural(len(backend.options), 'option')}"):
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
