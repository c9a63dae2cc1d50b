"""The uploader: files go from the browser straight to our own route, in slices, and never through a page's memory."""

from __future__ import annotations

import streamlit as st

from dashboard.access import token
from dashboard.components.assets import asset
from dashboard.services import workspace
from dashboard.upload_room import room_text

_uploader = st.components.v2.component(
    "engine_room_uploader",
    html=asset("uploader.html"),
    css=asset("uploader.css"),
    js=asset("uploader_words.js", "uploader_sending.js", "uploader.js"),
)


def uploader(key: str = "uploader") -> str | None:
    """Draws it; the digest of the model in the one run after an upload was read, else None."""
    data = {"token": token(), "room": room_text(workspace())}
    digest: str | None = _uploader(key=key, data=data, on_digest_change=lambda: None).digest
    return digest
