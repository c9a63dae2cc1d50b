from __future__ import annotations

from pathlib import Path

from core.request.catalogue import page

DOCUMENT = Path(__file__).parents[3] / "docs" / "backends.md"


def test_the_page_says_what_the_code_offers() -> None:
    assert DOCUMENT.read_text(encoding="utf-8") == page(), "run: python -m core.request.catalogue > docs/backends.md"
