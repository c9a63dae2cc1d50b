"""One build's part of a report."""

from __future__ import annotations

from collections.abc import Sequence

from core.analysis.colours import ColourBy, Colouring
from core.analysis.contradiction import contradiction_in, trusted_graph
from core.analysis.deviation import trouble
from core.analysis.finding import Finding
from core.analysis.findings import findings_of
from core.analysis.layers import LayerRow, layer_rows, precisions_text
from core.analysis.preparation import StageChange, stage_changes
from core.analysis.realized import compare_precisions
from core.analysis.standing import standing
from core.analysis.summary import build_figures, devices_text, failures
from core.base.units import lengths, listed, milliseconds, number, percent, plural, scientific
from core.graph.engine_graph import EngineGraph
from core.parity.result import Parity
from core.report.charts import layers_chart, samples_chart
from core.report.elements import facts, figures, folded, notes, section, table, tag, text
from core.report.engine import memory_section, streams_section
from core.request.commands import command_for
from core.stages.outcome import Outcome
from core.storage.workspace import default_workspace

MOST_LAYERS = 1_000
MOST_NODES = 12
OPS = ("op", "before", "after")
LAYERS = ("#", "layer", "kind", "precision", "ms", "share", "source nodes", "kernel")


def build_body(outcome: Outcome) -> str:
    parts = [_stamp(outcome), figures(build_figures(outcome)), notes(failures(outcome.build))]
    findings = findings_of(outcome)
    parts += [_finding(one) for one in findings if one.bad]
    if outcome.graph and outcome.graph.layers:
        parts.append(_layers(outcome, outcome.graph, [one for one in findings if not one.bad]))
        parts += [streams_section(outcome.graph), memory_section(outcome.graph, outcome.build.request)]
    if outcome.measurement:
        parts.append(_measurement(outcome))
    if outcome.parity:
        parts.append(_parity(outcome.parity))
    return "".join([*parts, _made(outcome)])


def _stamp(outcome: Outcome) -> str:
    """That nobody is to deploy it, where that is so."""
    stamp = outcome.stamp.removesuffix(".")
    return tag("p", text(f"{stamp[0].upper()}{stamp[1:]}."), class_="stamp") if stamp else ""


def _layers(outcome: Outcome, graph: EngineGraph, findings: Sequence[Finding]) -> str:
    rows, trusted, asked = layer_rows(graph), trusted_graph(outcome) or graph, outcome.build.request.precision
    found = tag("p", text(standing(graph).text)) + "".join(_finding(one) for one in findings)
    summary = compare_precisions(trusted, asked).summary
    told = f"{asked.value} was asked for{f'; {summary}' if summary else ''}. What layers compute in, by time where it is known: "
    realized = tag("p", text(f"{told}{precisions_text(layer_rows(trusted))}."))
    contradiction = contradiction_in(outcome)
    doubt = notes([f"{contradiction.text} {contradiction.meaning}"]) if contradiction else ""
    chart = tag("figure", layers_chart(rows, Colouring(rows, ColourBy.PRECISION)))
    shown = rows if len(rows) <= MOST_LAYERS else sorted(rows, key=lambda row: row.time_ms or 0.0, reverse=True)[:MOST_LAYERS]
    caption = f"{len(shown):,} of {len(rows):,} layers" + (", those that take most time" if len(shown) < len(rows) else "")
    listed = table(LAYERS, [_layer(row) for row in shown], caption=caption, numbers=("#", "ms", "share"))
    loose = [(node.name, node.op, node.fate.value, node.reason) for node in graph.loose_nodes[:MOST_LAYERS]]
    lost = folded(
        f"Source nodes in no layer: {len(graph.loose_nodes):,}",
        table(("node", "op", "fate", "why"), loose, caption="In no layer"),
    )
    return section("Fused layers", doubt, chart, realized, found, listed, lost if loose else "", notes(graph.notes))


def _finding(one: Finding) -> str:
    lines = [tag("h3", text(one.kind.value.capitalize())), tag("p", text(one.message)), tag("p", text(one.hint), class_="quiet")]
    if mend := one.mend:
        lines.append(tag("p", text(f"To try: {mend.title}, ") + tag("code", text(mend.command)) + text(f". {mend.cost}")))
    if one.nodes:
        lines.append(folded(f"From {plural(len(one.nodes), 'source node')}", tag("p", text(listed(one.nodes, MOST_LAYERS)))))
    return tag("div", "".join(lines), class_="finding good" if one.good else "finding bad" if one.bad else "finding")


def _layer(row: LayerRow) -> tuple[object, ...]:
    nodes = ", ".join(row.source_nodes[:MOST_NODES])
    more = f" and {len(row.source_nodes) - MOST_NODES} more" if len(row.source_nodes) > MOST_NODES else ""
    share = percent(row.share)
    return row.position, row.name, row.kind, row.precision, number(row.time_ms), share, nodes + more or None, row.kernel


def _measurement(outcome: Outcome) -> str:
    measured = outcome.measurement
    if measured is None:
        return ""
    chart = tag("figure", samples_chart(measured)) if measured.samples_ms else ""
    protocol = {
        "protocol": "host to host, one inference at a time",
        "warm-up": f"{measured.warmup_runs} runs, {milliseconds(measured.warmup_ms)}",
        "samples": f"{measured.latency.samples:,}",
        "throughput": measured.throughput_text,
        "shapes": ", ".join(f"{name} {lengths(shape)}" for name, shape in measured.shapes.items()),
    }
    return section(
        "Measurement",
        notes(measured.warnings),
        chart,
        facts(protocol),
        folded("Settings and machine", facts(measured.settings), facts(measured.machine)),
    )


def _parity(parity: Parity) -> str:
    columns = ("output", "relative error", "absolute error", "cosine", "top-1 agrees", "trouble")
    rows = [
        (
            output.name,
            scientific(output.max_rel),
            scientific(output.max_abs),
            None if output.cosine is None else f"{output.cosine:.7f}",
            percent(output.top1),
            trouble(output),
        )
        for output in parity.outputs
    ]
    passes = f"a relative error up to {parity.tolerance:g} passes."
    told = f"{parity.verdict.capitalize()} with {parity.reference}, on {parity.inputs}; {passes}"
    accuracy = {"top-1 accuracy on your labels": percent(parity.accuracy.top1, 4)} if parity.accuracy else {}
    if parity.reference_accuracy:
        accuracy["the source model's"] = percent(parity.reference_accuracy.top1, 4)
    listed = table(columns, rows, caption="Each output", numbers=columns[1:5])
    return section("Parity", tag("p", text(told)), listed, facts(accuracy) if accuracy else "", notes(parity.notes))


def _made(outcome: Outcome) -> str:
    build = outcome.build
    stages = [(record.stage.value, record.state.value, number(record.seconds, 3)) for record in build.all_stages]
    return section(
        "How it was built",
        facts({"device": devices_text(build), **({"built on": build.built_on.text} if build.built_on else {})}),
        tag("pre", text(command_for(build.request, default_workspace().data_path))),
        table(("stage", "state", "seconds"), stages, caption="Stages", numbers=("seconds",)),
        *(_changed(change) for change in stage_changes(outcome)),
        folded("Versions and options", facts(outcome.versions), facts(dict(build.request.options))),
        notes(outcome.notes),
    )


def _changed(change: StageChange) -> str:
    ops = table(OPS, change.ops, caption=f"Ops before and after {change.stage.value}", numbers=OPS[1:]) if change.ops else ""
    return folded(change.title, facts(change.prepared.details), ops)
