"""What the workspace holds on disk, and giving space back after asking."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from core.base.errors import EngineRoomError
from core.base.units import UNKNOWN, percent, plural, size
from core.storage.housekeeping import collect
from core.storage.quota import quotas
from dashboard import services
from dashboard.failures import show_error
from dashboard.uploads import sweep

DONE = "collected"  # session state: what a clean-up freed


def show_disk() -> None:
    """Bytes by what they are for, how much the disk has left, and the way to clean up."""
    found = services.disk()
    used = found.usage
    parts = {
        "Models": (used.models, "as uploaded"),
        "Artifacts": (used.artifacts, f"engines and converted models; {size(used.unused)} of it serve no build"),
        "Builds": (used.builds, "layers, measurements, logs"),
        "Users' data": (used.data, "inputs and calibration data"),
        "Uploads": (found.uploads, "not finished yet"),
        "Partial work": (used.partial, "of steps that run now, or were cut off"),
    }
    total = used.total + found.uploads
    held, free = st.columns(2)
    held.metric("Held by Engine Room", size(total), border=True)
    free.metric("Free on the disk", size(used.free), border=True)
    if (most := quotas().workspace) is not None:
        st.caption(f"This workspace may hold {size(most)}; uploads that would make it more are refused.")
    if used.free < 0.05 * (used.free + total):
        st.warning("The disk is nearly full: uploads and builds may fail.", icon=":material/warning:")
    rows = [
        {"What": what, "Size": size(count), "Share": percent(count / total if total else None), "What it holds": note}
        for what, (count, note) in parts.items()
    ]
    st.dataframe(pd.DataFrame(rows), hide_index=True, placeholder=UNKNOWN, alt="Disk space by what it is for")
    if st.button("Clean up", icon=":material/cleaning_services:", help="Shows first what would go."):
        _ask()
    if told := st.session_state.pop(DONE, None):
        st.toast(told, icon=":material/cleaning_services:")


@st.dialog("Clean up the workspace?")
def _ask() -> None:
    used = services.disk().usage
    st.markdown(
        f"This deletes **{size(used.removable)}** of artifacts that no build uses (those of the last hour stay), partial "
        "work whose process is gone, and uploads to which nothing has come for a day. Models, builds and users' data stay."
    )
    quota = st.number_input(
        "Then delete the oldest builds until everything fits into so many GB",
        min_value=0.0,
        value=None,
        placeholder="keep all builds",
    )
    with st.container(horizontal=True, horizontal_alignment="right"):
        if st.button("Leave it"):
            st.rerun()
        confirmed = st.button("Clean up", type="primary", key="clean-up-now")
    if not confirmed:
        return
    try:
        done = collect(services.workspace(), quota_bytes=None if quota is None else int(quota * 1e9))
        sweep(services.workspace())
    except EngineRoomError as error:
        show_error(error)
        return
    services.forget_disk()
    st.session_state[DONE] = f"{size(done.freed_bytes)} freed, {plural(len(done.deleted), 'thing')} deleted."
    st.rerun()
