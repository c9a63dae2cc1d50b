"""The builds of a model and their board, worked out once for as long as nothing changes."""

from __future__ import annotations

import streamlit as st

from core.analysis.board import board
from core.analysis.comparison import ComparisonRow
from core.models.model import Model
from core.stages.outcome import Outcome
from core.storage.builds import Build, all_builds
from dashboard import services
from dashboard.components.layer_view import outcome, stamp


def builds_of(model: Model) -> list[Build]:
    """Newest first."""
    return [build for build in all_builds(services.workspace()) if build.request.model == model.digest]


def outcomes_of(keys: tuple[str, ...]) -> list[Outcome]:
    return [outcome(key) for key in keys]


def rows_of(keys: tuple[str, ...], baseline: str | None) -> list[ComparisonRow]:
    """The board of these builds; comparing medians takes a moment."""
    return _rows(keys, tuple(stamp(key) for key in keys), baseline)


@st.cache_data(max_entries=32, show_spinner="Comparing the builds")
def _rows(keys: tuple[str, ...], stamps: tuple[object, ...], baseline: str | None) -> list[ComparisonRow]:
    return board(outcomes_of(keys), baseline=baseline)
