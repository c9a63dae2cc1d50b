"""Deletes a model after asking, and says what goes with it."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from core.base.errors import EngineRoomError
from core.base.units import plural, size
from core.models.model import Model
from core.storage.builds import Build
from dashboard import links, services
from dashboard.failures import show_error
from dashboard.formatting import plain

DONE = "deleted-model"  # session state: what to tell after the model's page is gone


@st.dialog("Delete this model?")
def ask_to_delete(model: Model, builds: Sequence[Build]) -> None:
    st.markdown(f"**{plain(model.name)}** · {model.format.label} · {size(model.size_bytes)}")
    if builds:
        verb = "goes" if len(builds) == 1 else "go"
        st.markdown(f"Its **{plural(len(builds), 'build')}** {verb} with it: engines, layers, measurements and reports.")
    st.markdown("Everybody who uses this dashboard loses it. It cannot be undone.")
    with st.container(horizontal=True, horizontal_alignment="right"):
        if st.button("Keep it"):
            st.rerun()
        confirmed = st.button("Delete it", type="primary", icon=":material/delete:")
    if confirmed:
        try:
            done = services.queue().delete_model(model.digest)
        except EngineRoomError as error:
            show_error(error)
            return
        services.forget_disk()
        st.session_state[DONE] = f"{plain(model.name)} is deleted; {size(done.freed_bytes)} are free again."
        links.go(links.MODEL)


def tell_deleted() -> None:
    if told := st.session_state.pop(DONE, None):
        st.toast(told, icon=":material/delete:")
