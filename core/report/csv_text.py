"""Tables as CSV: the one place that makes it, since spreadsheets take text for formulas."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence

# What begins a formula, or hides the letter that does: https://owasp.org/www-community/attacks/CSV_Injection
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
_HIDING = " \u00a0\u200b\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2060\ufeff"


def csv_text(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Comma-separated (RFC 4180), a line each, with a line of names at the head.

    Numbers stay numbers; None is an empty cell. Text that a spreadsheet would take for a formula gets an apostrophe before it.
    """
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\r\n")  # which has both letters quoted
    writer.writerow([_cell(name) for name in columns])
    writer.writerows([_cell(value) for value in row] for row in rows)
    return out.getvalue()


def _cell(value: object) -> object:
    if isinstance(value, str):
        safe = value.encode("utf-8", "backslashreplace").decode().replace("\0", "\\0")
        return f"'{safe}" if safe.lstrip(_HIDING).startswith(_FORMULA) else safe
    return value
