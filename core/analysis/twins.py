"""The same path in wider floats: what a quantized or FP16 engine's layers and bytes are to be held against."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from core.analysis.candidate import conditions
from core.analysis.standing import Standing, standing
from core.base.precision import Precision
from core.base.units import plural, size
from core.stages.outcome import Outcome
from core.storage.builds import Build, State


def wider_twins(outcome: Outcome, builds: Iterable[Build], load: Callable[[str], Outcome]) -> list[tuple[Precision, Standing]]:
    """How the first build of the path in each wider float stands, under the same conditions; those that told layers.

    A build in which nodes were kept wider, by wish or for an accuracy's sake, is no measure of that float.

    Args:
        load: What a build has found, by its key: only twins are read.
    """
    request = outcome.build.request
    found: dict[Precision, Standing] = {}
    for build in builds:
        precision = build.request.precision
        alike = build.state is State.DONE and _keeps_nothing(build) and conditions(build.request) == conditions(request)
        if not alike or precision in found or not _is_wider(precision, request.precision):
            continue
        if (graph := load(build.key).graph) is not None:
            found[precision] = standing(graph)
    return sorted(found.items(), key=lambda pair: pair[0].facts.bits)


def twins_text(own: Standing, twins: Sequence[tuple[Precision, Standing]]) -> str:
    """`FP16 on this path: 75 layers, 59.1 MB between them and 51.2 MB of constants.`, a sentence for each; empty without any."""
    return " ".join(
        f"{precision.value.upper()} on this path: {plural(other.layers, 'layer')}, {other.moved.text} between them"
        + (f" and {size(other.weight_bytes)} of constants" if other.weight_bytes is not None else "")
        + f" ({_share(own, other)})."
        for precision, other in twins
    )


def _share(own: Standing, other: Standing) -> str:
    if own.everything is None or not other.everything:
        return "bytes not told"
    ratio = own.everything / other.everything
    return f"this engine moves {ratio:.0%} of that" if ratio < 1 else f"this engine moves {ratio:.2f} times that"


def _keeps_nothing(build: Build) -> bool:
    lowering = build.request.lowering
    return not (lowering.keep_ops or lowering.keep_nodes or lowering.has_goal)


def _is_wider(one: Precision, than: Precision) -> bool:
    return not one.quantizes and one.facts.bits > than.facts.bits
