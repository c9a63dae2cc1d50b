"""How reduced precisions are put into the graph, as the Build page asks it.

`choose_lowering(key)` is to be called inside the page's expander "Precision" and takes the place of the function of that name in
`build_options`: it knows every setting that a build has.
"""

from __future__ import annotations

import streamlit as st

from core.precision.settings import DEFAULTS, CalibrationMethod, Placement, PrecisionEngine, PrecisionSettings

MAX_PERCENTILE = 100.0
ENGINES, METHODS = tuple(PrecisionEngine), tuple(CalibrationMethod)


def choose_lowering(key: str) -> PrecisionSettings:
    """The settings that this visitor chose."""
    left, right = st.columns(2)
    engine = left.selectbox(
        "Made by",
        ENGINES,
        format_func=lambda one: one.value,
        help="light: our own passes. modelopt: NVIDIA's, in its own environment.",
        key=f"{key}-engine",
    )
    if engine is PrecisionEngine.MODELOPT:
        method = right.selectbox(
            "Its calibration",
            METHODS,
            format_func=lambda one: one.value,
            help="For INT8 and FP8.",
            key=f"{key}-method",
        )
        percentile = MAX_PERCENTILE
    else:
        method = DEFAULTS.method
        percentile = right.number_input(
            "Percentile for INT8 and FP8",
            90.0,
            MAX_PERCENTILE,
            MAX_PERCENTILE,
            format="%.3f",
            help="Of the activations' magnitudes that are represented; 100 is the largest seen, 99.999 a good second choice.",
            key=f"{key}-percentile",
        )
    ops = left.text_input("Ops kept in FP32", placeholder="Softmax, LayerNormalization", key=f"{key}-keep")
    nodes = right.text_input("Nodes kept in FP32", placeholder="head/*, classifier", key=f"{key}-keep-nodes")
    placement = (
        st.multiselect(
            "Placement of Q and DQ for INT8 and FP8, TensorRT 10 and later",
            tuple(Placement),
            format_func=lambda one: one.value,
            placeholder="By TensorRT's rules",
            help="\n".join(f"- {one.value}: {one.summary}." for one in Placement),
            key=f"{key}-placement",
        )
        if engine is PrecisionEngine.LIGHT
        else ()
    )
    left, right = st.columns(2)
    max_rel = left.number_input(
        "Largest relative error, 0 for any",
        0.0,
        1.0,
        0.0,
        format="%.4f",
        help="The worst layers stay in FP32 until no output is farther off.",
        key=f"{key}-max-rel",
    )
    top1_drop = right.number_input(
        "Points of top-1 that may be lost, 0 for any",
        0.0,
        100.0,
        0.0,
        format="%.2f",
        help="The worst layers stay in FP32 until no more is lost; the calibration data need `labels` or folders of classes.",
        key=f"{key}-top1-drop",
    )
    layer_errors = st.checkbox(
        "Tell where accuracy goes",
        help="Compares every layer with FP32 on a few samples, and the accuracy where the calibration data have labels.",
        key=f"{key}-layer-errors",
    )
    settings = PrecisionSettings(
        engine=engine,
        method=method,
        keep_ops=_listed(ops),
        keep_nodes=_listed(nodes),
        percentile=percentile if percentile < MAX_PERCENTILE else None,
        max_rel=max_rel or None,
        top1_drop=top1_drop / 100 or None,
        layer_errors=layer_errors,
    )
    return settings.placing(placement)


def _listed(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())
