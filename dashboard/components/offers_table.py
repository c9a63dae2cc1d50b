"""Backends and conversions of this machine, asked anew at every look: version, devices, and the way out where one is missing."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd
import streamlit as st

from core.backends.base import all_backends
from core.base.availability import Availability, availability_of, forget_availability
from core.conversion.base import all_conversions
from dashboard.formatting import sentence


def show_backends_table() -> None:
    forget_availability()
    _show("Backend", {backend.title: availability_of(backend) for backend in all_backends().values()})


def show_conversions_table() -> None:
    _show("Conversion", {f"{step.source.label} → {step.target.label}": availability_of(step) for step in all_conversions()})


def _show(what: str, offers: Mapping[str, Availability]) -> None:
    """A table of what works, then a line with the way out for each that does not."""
    rows = [
        {
            what: title,
            "Works": "✓ yes" if offer.available else "✗ no",
            "Version": offer.version or "not installed",
            "Devices": offer.told_devices or "none here",
        }
        for title, offer in offers.items()
    ]
    st.table(pd.DataFrame(rows), hide_index=True, border="horizontal", alt=f"{what}s of this machine")
    for title, offer in offers.items():
        if offer.licence:
            st.caption(f"{title}: {sentence(offer.licence)}")
        if not offer.available:
            with st.expander(f"{title}: {sentence(offer.reason)}", icon=":material/do_not_disturb_on:"):
                st.markdown(f"What to do: {sentence(offer.hint)}" if offer.hint else "Nothing can be done about it here.")
