"""What is worth knowing about an engine's layers: the hazard, and what one can do about it.

The thresholds are those of NVIDIA's TREx where it has one: a layer is dominant from 10 % of the time, and casts and shape work
matter from 3 %.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum

from core.analysis.layers import LayerRow, layer_rows, sum_times
from core.analysis.realized import compare_precisions
from core.base.precision import Precision
from core.graph.engine_graph import EngineGraph

DOMINANT_SHARE = 0.10
DOMINANT_AMONG = 10
OVERHEAD_SHARE = 0.03
OVERHEAD_LAYERS = 0.10
TINY_SHARE = 0.002
TINY_TOGETHER = 0.05
TINY_AMONG = 20
OPAQUE_NODES = 0.5
OPAQUE_AT_LEAST = 20
NAMED = 3


class FindingKind(str, Enum):
    DOMINANT = "dominant layers"
    REFORMATS = "reformats"
    CASTS = "casts"
    SHAPES = "shape work"
    TINY = "tiny layers"
    OPAQUE = "opaque block"
    PRECISION = "other precision"
    UNMAPPED = "unmapped nodes"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing worth knowing.

    Attributes:
        message: What was found, a sentence.
        hint: What one can do about it.
        layers: The layers it is about, for highlighting.
        share: Of the timed layers' time; None when it is not about time or no layer was timed.
    """

    kind: FindingKind
    message: str
    hint: str
    layers: tuple[str, ...] = ()
    share: float | None = None


def findings(graph: EngineGraph, requested: Precision | None = None) -> list[Finding]:
    """Everything worth knowing, what costs most time first.

    Args:
        requested: What the build asked for, to be held against what its layers compute in.
    """
    rows = layer_rows(graph)
    found = [*_dominant(rows), *_overheads(rows), *_tiny(rows), *_opaque(graph), *_unmapped(graph)]
    if requested:
        found += _other_precision(graph, requested)
    return sorted(found, key=lambda finding: finding.share or 0.0, reverse=True)


def _dominant(rows: Sequence[LayerRow]) -> Iterator[Finding]:
    heavy = sorted((r for r in rows if (r.share or 0) >= DOMINANT_SHARE), key=lambda r: r.share or 0, reverse=True)
    if not heavy or len(rows) <= DOMINANT_AMONG:
        return
    share = sum(row.share or 0 for row in heavy)
    takes = "One layer takes" if len(heavy) == 1 else f"{len(heavy)} layers take"
    yield Finding(
        kind=FindingKind.DOMINANT,
        message=f"{takes} {share:.0%} of the time: {_names(heavy)}.",
        hint="Start here: another precision, layout or shape of these pays most.",
        layers=tuple(row.name for row in heavy),
        share=share,
    )


def is_reformat(row: LayerRow) -> bool:
    return row.kind.lower().startswith(("reorder", "reformat"))


def is_cast(row: LayerRow) -> bool:
    return row.kind.lower() in ("cast", "convert", "quantizelinear", "dequantizelinear", "fakequantize")


def is_shape_work(row: LayerRow) -> bool:
    shapes = ("shape", "reshape", "shapeof", "squeeze", "unsqueeze", "flatten", "expanddims", "identity", "transpose", "shuffle")
    return row.kind.lower() in shapes


_OVERHEADS: tuple[tuple[FindingKind, Callable[[LayerRow], bool], str, str], ...] = (
    (
        FindingKind.REFORMATS, is_reformat, "only change the memory layout",
        "They stand where neighbours want other layouts: look at the layers beside them, and at transposes in the source.",
    ),
    (
        FindingKind.CASTS, is_cast, "only change the element type",
        "Layers of mixed precision meet here: keep neighbours in one type.",
    ),
    (
        FindingKind.SHAPES, is_shape_work, "only move or rename axes",
        "Fixed shapes let the runtime drop them: narrow the shape profile, or export with fewer transposes.",
    ),
)  # fmt: skip


def _overheads(rows: Sequence[LayerRow]) -> Iterator[Finding]:
    """Layers that compute nothing: told by their time, by their number where no layer was timed."""
    timed = any(row.share is not None for row in rows)
    for kind, matches, what, hint in _OVERHEADS:
        layers = [row for row in rows if matches(row)]
        share = sum_times(row.share for row in layers)
        if (share or 0) < OVERHEAD_SHARE if timed else len(layers) < OVERHEAD_LAYERS * len(rows) or not layers:
            continue
        time = f", {share:.0%} of the time" if share is not None else ""
        verb = f"{len(layers)} of {len(rows)} layers"
        yield Finding(
            kind=kind,
            message=f"{verb} {what}{time}.",
            hint=hint,
            layers=tuple(row.name for row in layers),
            share=share,
        )


def _tiny(rows: Sequence[LayerRow]) -> Iterator[Finding]:
    small = [row for row in rows if row.share is not None and row.share < TINY_SHARE]
    share = sum(row.share or 0 for row in small)
    if len(small) >= TINY_AMONG and 2 * len(small) >= len(rows) and share >= TINY_TOGETHER:
        yield Finding(
            kind=FindingKind.TINY,
            message=f"{len(small)} of {len(rows)} layers take less than {TINY_SHARE:.1%} each, together {share:.0%} of the time.",
            hint="Starting a layer costs more than its work: a larger batch, or a runtime that fuses more, spreads that cost.",
            layers=tuple(row.name for row in small),
            share=share,
        )


def _opaque(graph: EngineGraph) -> Iterator[Finding]:
    for layer in graph.layers:
        count = len(layer.source_nodes)
        if count >= OPAQUE_AT_LEAST and count >= OPAQUE_NODES * len(graph.source_nodes):
            yield Finding(
                kind=FindingKind.OPAQUE,
                message=f"{layer.name} carries out {count} of {len(graph.source_nodes)} nodes, and does not show how.",
                hint="Its inside cannot be timed: compare its total with another runtime's on the same nodes.",
                layers=(layer.name,),
            )


def _unmapped(graph: EngineGraph) -> Iterator[Finding]:
    if nodes := graph.unmapped:
        names = ", ".join(node.name for node in nodes[:NAMED]) + (" and others" if len(nodes) > NAMED else "")
        count = "1 node" if len(nodes) == 1 else f"{len(nodes)} nodes"
        yield Finding(
            kind=FindingKind.UNMAPPED,
            message=f"{count} of {len(graph.source_nodes)} could not be traced to a layer: {names}.",
            hint="They run, or were folded, somewhere that the runtime does not tell.",
        )


def _other_precision(graph: EngineGraph, requested: Precision) -> Iterator[Finding]:
    for pair in compare_precisions(graph, requested).disagreements:
        yield Finding(
            kind=FindingKind.PRECISION,
            message=pair.warning,
            hint="The runtime has no kernel of that type for them, or found another faster: look which layers they are.",
            layers=pair.layers,
            share=pair.share,
        )


def _names(rows: Sequence[LayerRow]) -> str:
    named = ", ".join(f"{row.name} ({row.share:.0%})" for row in rows[:NAMED])
    return named + (" and others" if len(rows) > NAMED else "")
