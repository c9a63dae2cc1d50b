"""How far an engine's outputs are from the source model's."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from core.analysis.deviation import trouble
from core.base.units import UNKNOWN
from core.parity.result import Accuracy, Parity
from core.stages.outcome import Outcome
from dashboard.formatting import plain, sentence


def parity_section(outcome: Outcome) -> None:
    parity = outcome.parity
    if parity is None:
        why = plain(outcome.unchecked).removesuffix(".")
        st.info(f"Parity was not checked: {why}. Nothing tells whether its outputs are right.")
        return
    if parity.on_par is None:
        st.warning(f"Uncompared: {plain(parity.uncompared)}.", icon=":material/help:")
    elif parity.passed:
        st.success(plain(f"On par with {parity.reference}, on {parity.inputs}."), icon=":material/check_circle:")
    else:
        st.error(plain(f"Not on par with {parity.reference}, on {parity.inputs}."), icon=":material/error:")
    st.caption(f"A relative error up to {parity.tolerance:g} passes in {outcome.build.request.precision.value}.")
    st.dataframe(
        parity_frame(parity),
        hide_index=True,
        placeholder=UNKNOWN,
        column_config={
            "Relative error": st.column_config.NumberColumn(format="%.1e", help="Largest difference over the largest magnitude"),
            "Absolute error": st.column_config.NumberColumn(format="%.1e"),
            "Cosine": st.column_config.NumberColumn(format="%.7f"),
            "Top-1 agrees": st.column_config.NumberColumn(format="percent"),
        },
        alt="Each output against the source model's",
    )
    _accuracy(parity)
    for note in parity.notes:
        st.caption(sentence(note))


def parity_frame(parity: Parity) -> pd.DataFrame:
    outputs = parity.outputs
    frame = pd.DataFrame(
        {
            "Output": [
                output.name + (" (worst)" if output is parity.worst_output and len(outputs) > 1 else "") for output in outputs
            ],
            "Relative error": pd.array([output.max_rel for output in outputs], dtype="Float64"),
            "Absolute error": pd.array([output.max_abs for output in outputs], dtype="Float64"),
            "Cosine": pd.array([output.cosine for output in outputs], dtype="Float64"),
            "Top-1 agrees": pd.array([output.top1 for output in outputs], dtype="Float64"),
            "Elements": [output.elements for output in outputs],
            "Trouble": [trouble(output) for output in outputs],
        }
    )
    return frame.dropna(axis="columns", how="all")


def _accuracy(parity: Parity) -> None:
    if parity.accuracy is None:
        return
    st.markdown("**Accuracy on your labels**")
    rows: list[tuple[str, Accuracy]] = [("this engine", parity.accuracy)]
    if parity.reference_accuracy:
        rows.append(("source model", parity.reference_accuracy))
    st.dataframe(
        pd.DataFrame(
            {
                "Whose": [name for name, _ in rows],
                "Top-1": [accuracy.top1 for _, accuracy in rows],
                "Top-5": pd.array([accuracy.top5 for _, accuracy in rows], dtype="Float64"),
                "Samples": [accuracy.samples for _, accuracy in rows],
            }
        ).dropna(axis="columns", how="all"),
        hide_index=True,
        placeholder=UNKNOWN,
        column_config={name: st.column_config.NumberColumn(format="percent") for name in ("Top-1", "Top-5")},
        alt="Accuracy of this engine and of the source model",
    )
