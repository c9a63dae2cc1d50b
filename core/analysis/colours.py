"""What layers are coloured by, and the colours: 3 to 1 or more in contrast with white and with near black."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from enum import Enum

from core.analysis.layers import UNKNOWN, LayerRow
from core.base.precision import Precision
from core.graph.support import Verdict

GREY = "#7b8794"
ACCENT = "#1583a0"
CATEGORICAL = ("#3d7ab8", "#c8772a", "#2f9469", "#b3509e", "#8a6bc9", "#b08d1f", "#d1555f", "#3a9aa8")

# As layers compute in them, then as builds ask for them.
_BY_DTYPE = {
    "float32": "#3d7ab8",
    "tf32": "#3a9aa8",
    "float16": "#2f9469",
    "bfloat16": "#8a6bc9",
    "int8": "#c8772a",
    "uint8": "#b08d1f",
    "int32": "#5f6a76",
    "float8_e4m3fn": "#d1555f",
    "float8_e5m2": "#b3509e",
}
PRECISIONS = {precision: _BY_DTYPE.get(precision.facts.dtype, GREY) for precision in Precision}
# Shares of the time from which a step begins; 3 % and 10 % are the thresholds of the findings.
_STEPS = ((0.20, "20 % and more", "#96357a"), (0.10, "10 to 20 %", "#c8423c"), (0.03, "3 to 10 %", "#cf7a26"),
          (0.01, "1 to 3 %", "#ad8a1c"), (0.0, "below 1 %", GREY))  # fmt: skip
NOT_TIMED = "not measured"
OTHER = "others"


# Each with a mark, since nobody is to need the colour.
SUPPORT_MARKS = {Verdict.TAKEN: "✓", Verdict.REFUSED: "✗", Verdict.UNKNOWN: "?"}
_SUPPORT_COLOURS = {Verdict.TAKEN: "#2f9469", Verdict.REFUSED: "#d1555f", Verdict.UNKNOWN: "#ad8a1c"}
_NOT_ASKED = "not asked about"


class ColourBy(str, Enum):
    PRECISION = "precision"
    TIME = "share of time"
    KIND = "kind"


class Colouring:
    """A category for each layer and a colour for each category, the legend's order kept.

    Args:
        rows: Of the whole engine: kinds get their colour by how many layers are of them.
    """

    def __init__(self, rows: Sequence[LayerRow], by: ColourBy) -> None:
        self._of: Callable[[LayerRow], str]
        if by is ColourBy.TIME:
            self._of = _step
            colours = {title: colour for _, title, colour in _STEPS} | {NOT_TIMED: "#9aa5af"}
        elif by is ColourBy.KIND:
            common = [kind for kind, _ in Counter(row.kind for row in rows).most_common(len(CATEGORICAL))]
            colours = dict(zip(common, CATEGORICAL, strict=False)) | {OTHER: GREY}
            self._of = lambda row: row.kind if row.kind in colours else OTHER
        else:
            found = [key for key, _ in Counter(row.precision or UNKNOWN for row in rows).most_common()]
            colours = {key: _BY_DTYPE.get(key, GREY) for key in found}
            self._of = lambda row: row.precision or UNKNOWN
        used = {self._of(row) for row in rows}
        self.legend: dict[str, str] = {key: colour for key, colour in colours.items() if key in used}

    def category(self, row: LayerRow) -> str:
        return self._of(row)

    def colour(self, row: LayerRow) -> str:
        return self.legend[self._of(row)]


class SupportColouring:
    """Layers that are operations of a model, by whether a target takes them.

    Args:
        verdicts: By name; an operation that is not among them was not asked about.
    """

    def __init__(self, rows: Sequence[LayerRow], verdicts: Mapping[str, Verdict]) -> None:
        self._verdicts = verdicts
        used = {verdicts.get(row.name) for row in rows}
        self.legend: dict[str, str] = {
            f"{SUPPORT_MARKS[verdict]} {verdict.value}": _SUPPORT_COLOURS[verdict] for verdict in Verdict if verdict in used
        }
        if None in used:
            self.legend[_NOT_ASKED] = GREY

    def mark(self, row: LayerRow) -> str:
        verdict = self._verdicts.get(row.name)
        return SUPPORT_MARKS[verdict] if verdict else ""

    def colour(self, row: LayerRow) -> str:
        verdict = self._verdicts.get(row.name)
        return _SUPPORT_COLOURS[verdict] if verdict else GREY


def _step(row: LayerRow) -> str:
    share = row.share
    return NOT_TIMED if share is None else next(title for start, title, _ in _STEPS if share >= start)
