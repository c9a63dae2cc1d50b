"""What builds found and their board, worked out once for as long as nothing changes."""

from __future__ import annotations

import streamlit as st

from core.analysis.board import board
from core.analysis.comparison_row import ComparisonRow
from core.stages.outcome import Outcome
from dashboard import services
from dashboard.components.layer_view import outcome, stamp


def outcomes_of(keys: tuple[str, ...]) -> list[Outcome]:
    return [outcome(key) for key in keys]


def rows_of(keys: tuple[str, ...], baseline: str | None) -> list[ComparisonRow]:
    """The board of these builds; comparing medians takes a moment."""
    return _rows(keys, (services.duels_stamp(), *(stamp(key) for key in keys)), baseline)


@st.cache_data(max_entries=32, show_spinner="Comparing the builds")
def _rows(keys: tuple[str, ...], stamps: tuple[object, ...], baseline: str | None) -> list[ComparisonRow]:
    return board(outcomes_of(keys), duels=services.duels(), baseline=baseline)
