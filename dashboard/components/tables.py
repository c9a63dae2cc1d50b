"""What tables on pages share."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd
import streamlit as st

from core.base.units import UNKNOWN
from dashboard.formatting import plain

ROW_PIXELS = 35


def facts_table(title: str, facts: Mapping[str, str], names: str = "What") -> None:
    """Names and values below a title; nothing where there are none."""
    if facts:
        st.markdown(f"**{plain(title)}**")
        frame = pd.DataFrame({names: list(facts), "Value": [str(value) for value in facts.values()]})
        st.dataframe(frame, hide_index=True, placeholder=UNKNOWN, alt=title)


def table_height(rows: int, most: int) -> int:
    """Pixels of a table that shows so many rows without scrolling, if it may be so high."""
    return min(most, ROW_PIXELS * (rows + 1) + 3)
