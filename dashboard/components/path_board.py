"""The board of paths and precisions: what to build, and why some of it is not possible."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from core.analysis.targets import PathChoice
from core.base.precision import Precision
from core.base.units import plural
from dashboard.formatting import plain, sentence

BOARD = "path-board"  # theme.STYLE says how it looks on a narrow screen


def choose_paths(choices: Sequence[PathChoice], key: str) -> list[tuple[PathChoice, Precision]]:
    """One row a possible path, one box a precision; the boxes that are checked, in the order shown."""
    possible = [choice for choice in choices if choice.possible]
    shown = [precision for precision in Precision if any(precision in choice.precisions for choice in possible)]
    start = _suggested(possible)
    widths = [4, *([1] * len(shown))]
    chosen = []
    with st.container(key=BOARD):
        with st.container(key=f"{BOARD}-head"):
            head = st.columns(widths, vertical_alignment="bottom")
            head[0].markdown("**Conversion path**")
            for column, precision in zip(head[1:], shown, strict=True):
                column.markdown(f"**{precision.value.upper()}**", help=precision.facts.summary)
        for choice in possible:
            row = st.columns(widths, vertical_alignment="center")
            remarks = ["the source model itself"] if choice.is_reference else []
            remarks += [f"builds here, runs on {plain(choice.runs_elsewhere)}"] if choice.runs_elsewhere else []
            told = " · ".join([choice.path.title, *(f"*{remark}*" for remark in remarks)])
            row[0].markdown(told, help=plain(f"{choice.not_run[0].upper()}{choice.not_run[1:]}.") if choice.not_run else None)
            for column, precision in zip(row[1:], shown, strict=True):
                if _box(column, choice, precision, key, checked=precision is Precision.FP32 and choice in start):
                    chosen.append((choice, precision))
    _explain_impossible([choice for choice in choices if not choice.possible])
    return chosen


def _box(column: st.delta_generator.DeltaGenerator, choice: PathChoice, precision: Precision, key: str, *, checked: bool) -> bool:
    if precision not in choice.precisions:
        able = ", ".join(p.value for p in choice.precisions)
        box = column.container(key=f"{BOARD}-cannot-{choice.path.id}-{precision.value}")
        box.markdown("–", help=f"This path does not build {precision.value}; it builds {able}.")
        return False
    label = f"{choice.path.title} in {precision.value}"
    return column.checkbox(label, checked, key=f"{key}-{choice.path.id}-{precision.value}", label_visibility="collapsed")


def _suggested(possible: Sequence[PathChoice]) -> list[PathChoice]:
    """The baseline and one fast path: a first build that says something."""
    baseline = [choice for choice in possible if choice.is_reference][:1]
    fast = [choice for choice in possible if choice not in baseline and choice.path.backend in ("tensorrt", "onnxruntime")]
    return [*baseline, *fast[:1]]


def _explain_impossible(choices: Sequence[PathChoice]) -> None:
    if not choices:
        return
    count = plural(len(choices), "path is", "paths are")
    with st.expander(f"{count} not possible with these workers"):
        for choice in choices:
            st.markdown(f"**{choice.path.title}** — {sentence(choice.reason)}")
