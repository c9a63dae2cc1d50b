"""What is worth knowing about an engine's layers: the hazard, and what one can do about it.

The thresholds are those of NVIDIA's TREx where it has one: a layer is dominant from 10 % of the time, and casts and shape work
matter from 3 %.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import replace

from core.analysis.contradiction import contradiction_in, trusted_graph
from core.analysis.deviation import why_wrong
from core.analysis.finding import Finding, FindingKind
from core.analysis.kernels import nodes_of
from core.analysis.layers import LayerRow, layer_rows, sum_times
from core.analysis.mends import with_mend
from core.analysis.overheads import attention, float_between, mixed, padded, quantizing, reformats
from core.analysis.realized import compare_precisions
from core.analysis.traffic import Traffic
from core.base.precision import Precision
from core.graph.engine_graph import EngineGraph
from core.stages.outcome import Outcome

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

_OVERHEADS = (quantizing.find, float_between.find, padded.find, mixed.find, reformats.find, attention.find)


def findings_of(outcome: Outcome) -> list[Finding]:
    """That its outputs are wrong, then everything worth knowing of its layers, with the mends that are ours.

    Where the layers' times contradict the latency, that is said, and findings are those of an engine whose layers were not timed.
    """
    found = [*_wrong(outcome), *_contradicted(outcome)]
    graph = trusted_graph(outcome)
    if graph is None:
        return found
    return found + [with_mend(one, outcome) for one in findings(graph, outcome.build.request.precision)]


def _contradicted(outcome: Outcome) -> Iterator[Finding]:
    if contradiction := contradiction_in(outcome):
        yield Finding(kind=FindingKind.PROFILE, message=contradiction.text, hint=contradiction.meaning)


def _wrong(outcome: Outcome) -> Iterator[Finding]:
    parity = outcome.parity
    if parity and parity.on_par is False:
        why = why_wrong(parity)
        yield Finding(
            kind=FindingKind.WRONG,
            message=f"It does not give what the source model gives: {why.removesuffix('.')}.",
            hint=f"Compared with {parity.reference}, on {parity.inputs}. Do not deploy it before that is settled, however fast.",
            bad=True,
        )


def findings(graph: EngineGraph, requested: Precision | None = None) -> list[Finding]:
    """Everything worth knowing: what costs most time first, then what moves most bytes; what is good comes last.

    Args:
        requested: What the build asked for, to be held against what its layers compute in.
    """
    rows = layer_rows(graph)
    overheads = list(_overheads(graph, rows))
    told = {name for finding in overheads for name in finding.layers}
    found = [*_dominant(rows), *overheads, *_of_kinds(graph, rows, told), *_tiny(rows), *_opaque(graph), *_unmapped(graph)]
    if requested:
        found += _other_precision(graph, requested)
    return sorted(found, key=_weight, reverse=True)


def _weight(finding: Finding) -> tuple[bool, float, int]:
    return not finding.good, finding.share or 0.0, finding.moved.bytes if finding.moved else 0


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


def _overheads(graph: EngineGraph, rows: Sequence[LayerRow]) -> Iterator[Finding]:
    """What layers of little work cost, told by their time; where nothing was timed, by their number or by what they move."""
    traffic = Traffic(graph)
    for find in _OVERHEADS:
        for finding in find(graph, traffic):
            share = _share(finding.layers, rows)
            moved = finding.moved.bytes if finding.moved else 0
            if finding.good or _matters(len(finding.layers), share, rows, moved / (traffic.total.bytes or 1)):
                yield replace(finding, share=share, message=_with_time(finding.message, share))


def _share(layers: Iterable[str], rows: Sequence[LayerRow]) -> float | None:
    inside = set(layers)
    return sum_times(row.share for row in rows if row.name in inside)


def _matters(count: int, share: float | None, rows: Sequence[LayerRow], of_bytes: float = 0.0) -> bool:
    if any(row.share is not None for row in rows):
        return (share or 0) >= OVERHEAD_SHARE
    return count >= max(1, OVERHEAD_LAYERS * len(rows)) or of_bytes >= OVERHEAD_SHARE


def _with_time(message: str, share: float | None) -> str:
    return f"{message.removesuffix('.')}, {share:.0%} of the time." if share is not None else message


def is_cast(row: LayerRow) -> bool:
    return row.kind.lower() in ("cast", "convert", "quantizelinear", "dequantizelinear", "fakequantize")


def is_shape_work(row: LayerRow) -> bool:
    shapes = ("shape", "reshape", "shapeof", "squeeze", "unsqueeze", "flatten", "expanddims", "identity", "transpose", "shuffle")
    return row.kind.lower() in shapes


_KINDS: tuple[tuple[FindingKind, Callable[[LayerRow], bool], str, str], ...] = (
    (
        FindingKind.CASTS, is_cast, "only change the element type",
        "Layers of mixed precision meet here: keep neighbours in one type.",
    ),
    (
        FindingKind.SHAPES, is_shape_work, "only move or rename axes",
        "Fixed shapes let the runtime drop them: narrow the shape profile, or export with fewer transposes.",
    ),
)  # fmt: skip


def _of_kinds(graph: EngineGraph, rows: Sequence[LayerRow], told: Collection[str]) -> Iterator[Finding]:
    """The same of layers whose kind alone says that they compute nothing, where nothing else was told of them."""
    for kind, matches, what, hint in _KINDS:
        layers = tuple(row.name for row in rows if matches(row) and row.name not in told)
        share = _share(layers, rows)
        if layers and _matters(len(layers), share, rows):
            inside = set(layers)
            yield Finding(
                kind=kind,
                message=_with_time(f"{len(layers)} of {len(rows)} layers {what}.", share),
                hint=hint,
                layers=layers,
                share=share,
                nodes=nodes_of(graph, (layer for layer in graph.layers if layer.name in inside)),
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
