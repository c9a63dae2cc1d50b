"""Head-to-heads of a model's engines: the button that settles what is open, the job that is at it, what the last ones told."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd
import streamlit as st

from core.analysis.comparison_row import ComparisonRow
from core.analysis.comparison_summary import contenders
from core.analysis.duels import DuelRow, duel_conditions, duel_rows, duel_text
from core.base.errors import EngineRoomError
from core.base.units import digest, listed, plural
from core.jobs.job import Answer, Job, JobKind, JobState
from core.request.commands import duel_command_for
from core.storage.builds import State
from core.storage.duels import Duel
from dashboard import services
from dashboard.components.csv_button import csv_button
from dashboard.components.job_follow import show_going
from dashboard.failures import show_error
from dashboard.formatting import plain

REFRESH_SECONDS = 1.0
SHOWN = 3


def settle_section(model: str, rows: Sequence[ComparisonRow]) -> None:
    """What is open between these builds, and what head-to-heads of them have told.

    Args:
        model: Digest of their model.
        rows: Of the board, the baseline among them.
    """
    try:
        jobs = services.queue().jobs()
    except EngineRoomError as error:
        show_error(error)
        return
    mine = [job for job in jobs if job.duel and job.duel.model == model]
    titles = {row.key: row.name for row in rows}
    for job in mine:
        if not job.state.finished:
            with st.container(border=True):
                st.fragment(_follow, run_every=REFRESH_SECONDS)(job.id)
    open_yet = contenders(rows)
    going = [set(job.builds) for job in mine if not job.state.finished]
    if open_yet and not any(set(open_yet) <= keys for keys in going):
        with st.container(border=True):
            _offer(open_yet, titles)
    if mine and mine[0].state is JobState.FAILED and mine[0].error:
        show_error(mine[0].error.to_error())
    baseline = next((row.key for row in rows if row.candidate and row.speedup is None and row.latency), None)
    held = [duel for duel in services.duels() if duel.model == model and len(set(duel.keys) & titles.keys()) > 1]
    for number, duel in enumerate([duel for duel in held if duel.state is not State.RUNNING][:SHOWN]):
        _show(duel, baseline, titles, expanded=number == 0 and len(rows) == 2)


def duel_button(keys: Sequence[str], label: str, *, force: bool = False, key: str = "") -> None:
    """Queues a head-to-head when it is clicked, and says what became of it."""
    if not st.button(label, icon=":material/sports_mma:", key=key or f"duel-{'-'.join(digest(one) for one in keys)}"):
        return
    try:
        answer = services.queue().duel(keys, force=force)
    except EngineRoomError as error:
        show_error(error)
        return
    if answer.note:
        st.warning(plain(answer.note), icon=":material/warning:")
    elif answer.answer is Answer.STORED:
        st.toast("These were held head to head already; it is below.", icon=":material/check_circle:")
    else:
        st.rerun()


def _offer(keys: Sequence[str], titles: Mapping[str, str]) -> None:
    text, button = st.columns([5, 1], vertical_alignment="center")
    names = listed([titles[key] for key in keys if key in titles], 4)
    with text:
        st.markdown(
            f":material/balance: **Not settled which is faster:** {plain(names)}. In a head-to-head they take turns, "
            "with fresh processes several times, until the interval is narrow."
        )
        st.code(duel_command_for(keys), language=None, wrap_lines=True)
    with button:
        duel_button(keys, "Settle it", key="settle")


def _follow(job_id: str) -> None:
    """The job that is at it; the page loads anew when it ends."""
    job = services.queue().job(job_id)
    if job.state.finished:
        st.rerun()
    show_going(job, f"Head to head: {plain(duel_title(job))}", "duel")


def duel_title(job: Job) -> str:
    """The engines of a head-to-head."""
    return listed([one.title for one in job.duel.contestants], 4) if job.kind is JobKind.DUEL and job.duel else ""


def _show(duel: Duel, baseline: str | None, titles: Mapping[str, str], *, expanded: bool) -> None:
    rows = duel_rows(duel, baseline, titles)
    with st.expander(plain(f"Head to head of {plural(len(rows), 'engine')}: {duel_text(duel)}"), expanded=expanded):
        frame = duel_frame(rows)
        st.dataframe(
            frame,
            hide_index=True,
            placeholder="–",
            column_config={name: st.column_config.NumberColumn(format="%.4f") for name in frame if name.endswith("ms")},
            alt="The engines of a head-to-head, the fastest first",
        )
        for told in duel_conditions(duel):
            st.caption(plain(told))
        with st.container(horizontal=True, vertical_alignment="center"):
            alive = [key for key in duel.keys if key in titles]
            again = "Hold it again" if duel.state is State.DONE else "Go on with it"
            if len(alive) == len(duel.keys):
                duel_button(duel.keys, again, force=duel.state is State.DONE, key=f"again-{duel.key}")
            csv_button("CSV", lambda: frame, f"head-to-head-{digest(duel.key)}")
        st.code(duel_command_for(duel.keys), language=None, wrap_lines=True)


def duel_frame(rows: Sequence[DuelRow]) -> pd.DataFrame:
    """What the table shows and the CSV file holds."""
    return pd.DataFrame(
        {
            "Engine": [row.title for row in rows],
            "Median, ms": pd.array([row.median_ms for row in rows], dtype="Float64"),
            "Fastest start, ms": pd.array([row.low_ms for row in rows], dtype="Float64"),
            "Slowest start, ms": pd.array([row.high_ms for row in rows], dtype="Float64"),
            "Times as fast": pd.array([row.ratio.ratio if row.ratio else None for row in rows], dtype="Float64"),
            "Verdict": [row.verdict for row in rows],
            "Build": [digest(row.key) for row in rows],
        }
    )
