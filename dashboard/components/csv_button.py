"""A table as a CSV download; every one of the dashboard goes through here."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import pandas as pd
import streamlit as st

from core.report.csv_text import csv_text


def csv_button(
    label: str, frame: Callable[[], pd.DataFrame], name: str, *, width: Literal["stretch", "content"] = "content"
) -> None:
    """Makes the file when it is asked for, not before.

    Args:
        name: Of the file, without its ending.
    """
    st.download_button(
        label,
        lambda: frame_as_csv(frame()),
        f"{name}.csv",
        "text/csv",
        icon=":material/table:",
        on_click="ignore",
        width=width,
    )


def frame_as_csv(frame: pd.DataFrame) -> str:
    """The table without its index."""
    cells = frame.astype(object).where(frame.notna(), None)
    return csv_text([str(name) for name in frame.columns], cells.itertuples(index=False, name=None))
