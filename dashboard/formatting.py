"""Text that Markdown, Streamlit's own marks and Plotly leave as it is; no Streamlit here.

Names come from users' files, and so do most sentences of runtimes. Whatever shows them takes one of these: `plain` for a text
that is to stand as it is, `sentence` for a sentence of ours that may name such things and has commands in backticks, `drawn` for
what Plotly draws.
"""

from __future__ import annotations

import html
import re

from core.base.visible import one_line, visible

__all__ = ["badge", "drawn", "plain", "sentence", "visible"]

# Backslash escapes work for all ASCII punctuation. An underscore within a word is none of Markdown's business.
_MARKUP = re.compile(r"[\\`*\[\]<>#|$~&^{}!]|:(?=[\w+:-])|(?<![^\W_])_|_(?![^\W_])")
_AT_START = re.compile(r"^(?:[-+](?=\s|$|-)|=|[0-9]+(?=[.)](?:\s|$)))")
# An address becomes a link even where it is escaped, unless something stands in it that nobody sees.
_ADDRESS = re.compile(r"(?i)(https?|ftp|mailto|xmpp|tel)(?=:)|\bwww(?=\.)|(?<=[\w.+-])(?=@)")
_JOINER = "\u2060"


def plain(text: str) -> str:
    """Escapes what would be markup, and shows what would not be seen."""
    escaped = _MARKUP.sub(r"\\\g<0>", _ADDRESS.sub(rf"\g<0>{_JOINER}", visible(text)))
    return _AT_START.sub(lambda found: f"\\{found[0]}" if not found[0].isdigit() else f"{found[0]}\\", escaped)


def sentence(text: str) -> str:
    """As `plain`, but what stands between backticks stays code."""
    parts = one_line(text).split("`")
    if len(parts) % 2 == 0:  # a backtick without another
        return plain(text)
    told = [_code(part) if index % 2 else _between(part) for index, part in enumerate(parts)]
    return "".join(told).strip(_JOINER)


def _code(text: str) -> str:
    return f"`{visible(text)}`" if text.strip() else r"\`\`"


def _between(text: str) -> str:
    """Escaped, with the spaces that part it from the code beside it; two pieces of code never touch."""
    return f"{' ' if text.startswith(' ') else ''}{plain(text)}{' ' if text.endswith(' ') and text.strip() else ''}" or _JOINER


def drawn(text: str) -> str:
    """For Plotly, which reads a few of HTML's tags."""
    return html.escape(visible(text), quote=False)


def badge(text: str) -> str:
    """As `plain`, for a badge, which escapes brackets itself."""
    return plain(text).replace("\\[", "[").replace("\\]", "]")
