"""A field for one .npz file, which goes straight to our own route and never through a page's memory."""

from __future__ import annotations

import streamlit as st

from dashboard.access import token
from dashboard.components.assets import asset
from dashboard.services import workspace
from dashboard.upload_room import room_text

_component = st.components.v2.component(
    "engine_room_data_uploader",
    html=asset("data_uploader.html"),
    css=asset("data_uploader.css"),
    js=asset("uploader_words.js", "uploader_sending.js", "data_uploader.js"),
)


def data_uploader(label: str, help: str, key: str) -> str | None:
    """Digest of the data that the user brought; None without any."""
    kept = st.session_state[key].get("data") if key in st.session_state else None
    help = f"{help} {room}" if (room := room_text(workspace())) else help
    data = {"label": label, "help": help, "key": key, "token": token(), "kept": kept}
    found = _component(key=key, data=data, default={"data": None}, on_data_change=lambda: None).data
    return str(found["digest"]) if found else None
