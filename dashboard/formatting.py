"""Text that Markdown and Streamlit's own marks leave as it is; no Streamlit here."""

from __future__ import annotations

import re


def plain(text: str) -> str:
    """Escapes what would be markup: names come from users' files."""
    return re.sub(r"[\\`*\[\]<>#|$~:]|(?<![^\W_])_|_(?![^\W_])", r"\\\g<0>", text)
