"""The uploader: files go from the browser straight to our own route, in slices, and never through a page's memory."""

from __future__ import annotations

from pathlib import Path

import streamlit as st

from dashboard.access import token

_HERE = Path(__file__).parent


def _text(name: str) -> str:
    return (_HERE / name).read_text(encoding="utf-8")


_uploader = st.components.v2.component(
    "engine_room_uploader",
    html=_text("uploader.html"),
    css=_text("uploader.css"),
    js=_text("uploader_words.js") + _text("uploader_sending.js") + _text("uploader.js"),
)


def uploader(key: str = "uploader") -> str | None:
    """Draws it; the digest of the model in the one run after an upload was read, else None."""
    digest: str | None = _uploader(key=key, data={"token": token()}, on_digest_change=lambda: None).digest
    return digest
