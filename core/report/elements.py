"""HTML and SVG as text: everything that comes from a model or a runtime is escaped."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from pathlib import Path

from core.analysis.summary import Figure

STYLE = (Path(__file__).parent / "style.css").read_text(encoding="utf-8")


def tag(name: str, content: str = "", **attributes: object) -> str:
    """An element around markup; `class_` is `class`, other underscores become hyphens, None leaves an attribute out."""
    told = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{escape(str(value))}"' for key, value in attributes.items() if value is not None
    )
    return f"<{name}{told}>{content}</{name}>"


def text(value: object) -> str:
    return escape(str(value))


def facts(items: Mapping[str, object]) -> str:
    """Names and values; those without a value are left out."""
    rows = (tag("dt", text(name)) + tag("dd", text(value)) for name, value in items.items() if value not in (None, ""))
    return tag("dl", "".join(rows))


def figures(items: Iterable[Figure]) -> str:
    """Headline figures, each above what it is to be held against."""
    cells = (
        tag(
            "div",
            tag("h3", text(item.label))
            + tag("p", text(item.value), class_="value", title=item.basis or None)
            + (tag("p", text(item.weak), class_="weak", title=" ".join(item.because)) if item.weak else "")
            + tag("p", text("\n".join(item.against)), class_="below"),
        )
        for item in items
    )
    return tag("div", "".join(cells), class_="figures")


def table(columns: Sequence[str], rows: Iterable[Sequence[object]], *, caption: str, numbers: Sequence[str] = ()) -> str:
    """None is a dash; columns named in `numbers` align right."""
    kinds = ["number" if column in numbers else None for column in columns]
    head = "".join(tag("th", text(column), scope="col", class_=kind) for column, kind in zip(columns, kinds, strict=True))
    body = "".join(
        tag("tr", "".join(tag("td", "–" if cell is None else text(cell), class_=k) for cell, k in zip(row, kinds, strict=True)))
        for row in rows
    )
    inner = tag("caption", text(caption)) + tag("thead", tag("tr", head)) + tag("tbody", body)
    return tag("div", tag("table", inner), class_="scroll", tabindex=0, role="region", aria_label=caption)


def section(title: str, *parts: str) -> str:
    return tag("section", tag("h2", text(title)) + "".join(parts))


def folded(title: str, *parts: str) -> str:
    return tag("details", tag("summary", text(title)) + "".join(parts))


def notes(sentences: Iterable[str]) -> str:
    items = "".join(tag("li", text(sentence)) for sentence in dict.fromkeys(sentences))
    return tag("ul", items, class_="notes") if items else ""


def document(title: str, body: str) -> str:
    """A whole page: its style inside, nothing to fetch."""
    head = (
        '<meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">'
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'; img-src data:\">"
        f"<title>{text(title)}</title><style>{STYLE}</style>"
    )
    return f'<!doctype html>\n<html lang="en"><head>{head}</head><body><main>{body}</main></body></html>\n'
