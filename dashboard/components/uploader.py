"""The uploader: files go from the browser straight to our own route, in slices, and never through a page's memory."""

from __future__ import annotations

import streamlit as st

from dashboard.access import token
from dashboard.components.assets import asset

_uploader = st.components.v2.component(
    "engine_room_uploader",
    html=asset("uploader.html"),
    css=asset("uploader.css"),
    js=asset("uploader_words.js", "uploader_sending.js", "uploader.js"),
)


def uploader(key: str = "uploader") -> str | None:
    """Draws it; the digest of the model in the one run after an upload was read, else None."""
    digest: str | None = _uploader(key=key, data={"token": token()}, on_digest_change=lambda: None).digest
    return digest
