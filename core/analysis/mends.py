"""Which findings may be mended by a setting of ours, for the build that they were made in.

Offered is what was seen to reduce kernels or bytes in engines that a builder of that kind made (docs/measurements/placements.md),
where this build's own layers show what it works on. What it costs in time or accuracy is not known here, and said so.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from fnmatch import fnmatchcase

from core.analysis.finding import Finding, FindingKind, Mend
from core.analysis.kernels import computes_quantized
from core.analysis.overheads.padded import padded_convolutions
from core.analysis.traffic import Traffic
from core.base.errors import InvalidRequest
from core.base.precision import Precision
from core.base.units import listed, plural
from core.graph.engine_graph import EngineGraph, Layer
from core.precision.record import PrecisionRecord
from core.precision.settings import Placement, PrecisionSettings, settings_as_texts
from core.precision.target import check_placements, parse_target
from core.stages.outcome import Outcome

_NAMED = 3
_TIME = "Whether that is faster only a measurement on the device tells."


def with_mend(finding: Finding, outcome: Outcome) -> Finding:
    """The finding with what may mend it, where there is something that is ours and the build has not got it yet."""
    find = _MENDS.get(finding.kind)
    if find is None or outcome.graph is None:
        return finding
    if finding.kind is FindingKind.MIXED and (why := _why_wide(finding, outcome)):
        finding = replace(finding, hint=why)
    return replace(finding, mend=find(finding, outcome.graph, outcome))


def _why_wide(finding: Finding, outcome: Outcome) -> str:
    """Why nodes there stay in wider floats, as the precision stage noted it; "" where it noted nothing of them."""
    record = _record(outcome)
    reasons = Counter(record.kept[name] for name in finding.nodes if record.kept.get(name)) if record else Counter()
    if not reasons:
        return ""
    told = "; ".join(f"{plural(count, 'node')}, {reason}" for reason, count in reasons.most_common(_NAMED))
    return f"Some of these nodes stay wider: {told}."


def _scales_behind(finding: Finding, graph: EngineGraph, outcome: Outcome) -> Mend | None:
    """For convolutions that write FP32 although what is around them is FP16: their channels' scales are applied behind them."""
    inside = set(finding.layers)
    written = {tensor.dtype for layer in graph.layers if layer.name in inside for tensor in layer.outputs}
    ops = {node.name: node.op for node in graph.source_nodes}
    convolutions = any(ops.get(name) == "Conv" for name in finding.nodes)
    if "float32" not in written or not convolutions:
        return None
    return _placing(
        outcome,
        Placement.SCALES_BEHIND,
        title="Multiply by the channels' scales behind each convolution, which then has one scale and writes FP16",
        cost=f"The quantized weights stay the same. {_TIME}",
    )


def _float_depthwise(finding: Finding, graph: EngineGraph, outcome: Outcome) -> Mend | None:
    count = len(list(padded_convolutions(graph, Traffic(graph))))
    if Placement.HEAVY_ONLY in outcome.build.request.lowering.placement:
        return None
    return _placing(
        outcome,
        Placement.FLOAT_DEPTHWISE,
        title="Leave depthwise convolutions in FP16",
        cost=f"{plural(count, 'convolution')} of {len(_quantized(graph))} then compute in FP16 instead. {_TIME}",
    )


def _heavy_only(finding: Finding, graph: EngineGraph, outcome: Outcome) -> Mend | None:
    quantized, traffic = _quantized(graph), Traffic(graph)
    light = [layer for layer in quantized if _is_light(layer, traffic)]
    if not light or len(light) == len(quantized):
        return None
    return _placing(
        outcome,
        Placement.HEAVY_ONLY,
        title="Quantize only layers with more weights than activations",
        cost=f"{len(light)} of {plural(len(quantized), 'layer')} in {outcome.build.request.precision.value} "
        f"{'has' if len(light) == 1 else 'have'} more "
        f"activations than weights, and then compute in FP16 instead. {_TIME}",
    )


def _as_wished(finding: Finding, graph: EngineGraph, outcome: Outcome) -> Mend | None:
    """For casts around nodes that the build was asked to keep wider: what it is without that wish."""
    request, record = outcome.build.request, _record(outcome)
    lowering = request.lowering
    if record is None or lowering.has_goal or not parse_target(record.target).takes_placements:
        return None
    ops = {node.name: node.op for node in graph.source_nodes}
    touched = [name for name in finding.nodes if lowering.why_kept(ops[name], name)]
    kept_ops = tuple(op for op in lowering.keep_ops if op not in {ops[name] for name in touched})
    kept_nodes = tuple(one for one in lowering.keep_nodes if not any(_names(one, name) for name in touched))
    if (kept_ops, kept_nodes) == (lowering.keep_ops, lowering.keep_nodes):
        return None
    left = sorted({*lowering.keep_ops, *lowering.keep_nodes} - {*kept_ops, *kept_nodes})
    changed = replace(lowering, keep_ops=kept_ops, keep_nodes=kept_nodes)
    return Mend(
        title=f"Do not keep {listed(left, _NAMED)} in FP32",
        cost=f"{plural(len(touched), 'node')} then compute in {request.precision.value}, which may cost accuracy.",
        flags=_flags(changed),
        request=replace(request, lowering=changed),
    )


def _in_fp16(finding: Finding, graph: EngineGraph, outcome: Outcome) -> Mend | None:
    """For attention in pieces of an engine in FP32: TensorRT's builders fuse it in narrower floats."""
    request = outcome.build.request
    inside = set(finding.layers)
    computed = {layer.precision for layer in graph.layers if layer.name in inside} & {"float32", "tf32", "float16", "bfloat16"}
    wide = request.precision in (Precision.FP32, Precision.TF32) and computed <= {"float32", "tf32"}
    if not wide or not request.backend.startswith("tensorrt"):
        return None
    return Mend(
        title="Build it in FP16, in which the builder fuses attention",
        cost="That rounds every tensor to FP16, which may cost accuracy.",
        flags=("--precision fp16",),
        request=replace(request, precision=Precision.FP16),
    )


_MENDS: dict[FindingKind, Callable[[Finding, EngineGraph, Outcome], Mend | None]] = {
    FindingKind.FLOAT_BETWEEN: _scales_behind,
    FindingKind.PADDED: _float_depthwise,
    FindingKind.QUANTIZING: _heavy_only,
    FindingKind.MIXED: _as_wished,
    FindingKind.ATTENTION_APART: _in_fp16,
}


def _placing(outcome: Outcome, placement: Placement, *, title: str, cost: str) -> Mend | None:
    """A mend that adds one placement; None where the build has it, or its target does not take it."""
    request, record = outcome.build.request, _record(outcome)
    if record is None or placement in request.lowering.placement:
        return None
    changed = request.lowering.placing((*request.lowering.placement, placement))
    try:
        check_placements(request.precision, parse_target(record.target), changed)
    except InvalidRequest:
        return None
    return Mend(title=title, cost=cost, flags=_flags(changed), request=replace(request, lowering=changed))


def _flags(lowering: PrecisionSettings) -> tuple[str, ...]:
    """What differs from the defaults, as the command line takes it; all of it, as a command has each setting once."""
    return tuple(f"--lower {text}" for text in settings_as_texts(lowering))


def _record(outcome: Outcome) -> PrecisionRecord | None:
    return outcome.prepared.precision if outcome.prepared else None


def _names(pattern: str, node: str) -> bool:
    """As `PrecisionSettings.why_kept` matches."""
    return pattern == node or fnmatchcase(node, pattern)


def _quantized(graph: EngineGraph) -> list[Layer]:
    return [layer for layer in graph.layers if computes_quantized(layer)]


def _is_light(layer: Layer, traffic: Traffic) -> bool:
    """Whether a layer reads and writes more elements than it has weights; False where it does not tell."""
    elements = [traffic.elements(tensor) for tensor in (*layer.inputs[:1], *layer.outputs[:1])]
    if layer.weight_bytes is None or None in elements:
        return False
    return sum(count or 0 for count in elements) > layer.weight_bytes  # a byte each, and a few for scales
