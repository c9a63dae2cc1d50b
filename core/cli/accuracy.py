"""How a precision's cost in accuracy is shown: layer by layer, and the search for what to keep in FP32."""

from __future__ import annotations

from collections.abc import Sequence

from core.base.units import listed, number, percent, scientific
from core.cli.output import print_table
from core.precision.record import AccuracyCost, LayerError, PrecisionRecord, Round

NAMED = 4


def print_layer_errors(layers: Sequence[LayerError]) -> None:
    rows = [[layer.node, layer.op, scientific(layer.error), scientific(layer.added)] for layer in layers]
    print_table("The layers that lose most", ["node", "op", "error", "its own"], rows, numbers=["error", "its own"])


def first_bad_text(layer: LayerError | None) -> str:
    return f"{layer.node} ({layer.op}), off by {percent(layer.error)}" if layer else "none"


def print_rounds(rounds: Sequence[Round]) -> None:
    rows = [
        [
            one.kept,
            scientific(one.max_rel),
            one.non_finite,
            percent(one.top1, 4),
            number(one.latency_ms),
            "yes" if one.met else "no",
        ]
        for one in rounds
    ]
    columns = ["kept in FP32", "relative error", "not finite", "top-1", "ms", "good enough"]
    print_table("Trials", columns, rows, numbers=columns[:-1])


def precision_fields(record: PrecisionRecord) -> list[tuple[str, object]]:
    """What a build's precision stage did, as names and values."""
    remedy = record.remedy
    fields: list[tuple[str, object]] = [
        (record.sampled, record.data),
        (record.left, f"{len(record.kept)}: {listed(list(record.kept), NAMED)}" if record.kept else None),
        ("for accuracy", f"{len(remedy.keep)} of them: {listed(remedy.keep, NAMED)}" if remedy and remedy.keep else None),
    ]
    return fields + (_cost_fields(record.cost) if record.cost else [])


def print_precision(record: PrecisionRecord) -> None:
    """The tables of what was asked for besides: layers' errors and trials."""
    if record.cost:
        print_layer_errors(record.cost.worst)
    if record.remedy:
        print_rounds(record.remedy.rounds)


def _cost_fields(cost: AccuracyCost) -> list[tuple[str, object]]:
    fields: list[tuple[str, object]] = [("first bad layer", first_bad_text(cost.first_bad))]
    if cost.accuracy and cost.reference_accuracy:
        found, true = cost.accuracy, cost.reference_accuracy
        fields.append(
            ("by the labels", f"top-1 {percent(found.top1, 4)} of {found.samples:,} samples, {percent(true.top1, 4)} in fp32")
        )
    return fields
