"""What a preflight comes to: a line a target, and for each refused node what to do about it."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from core.base.units import plural
from core.graph.support import NodeSupport, Verdict
from core.preflight.answer import Answer, Preflight, Target
from core.request.paths import path_title


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """Nodes that a target does not take, for one reason.

    Attributes:
        advice: What may help, as sentences; none where nothing is known to.
    """

    op: str
    verdict: Verdict
    reason: str
    nodes: tuple[NodeSupport, ...]
    advice: tuple[str, ...]

    @property
    def cuts_text(self) -> str:
        """Whether they part supported regions: `stands between regions 1 and 2`; empty when none does."""
        cuts = [node for node in self.nodes if node.stands_between]
        if len(self.nodes) == 1:
            return f"stands between {between_text(cuts[0])}" if cuts else ""
        number = "all" if len(cuts) == len(self.nodes) else str(len(cuts))
        return f"{number} of them stand between supported regions" if cuts else ""


def verdict_text(target: Target) -> str:
    """One line: `takes all 43 nodes`."""
    if target.answer is None:
        return f"no answer: {target.failure.message if target.failure else 'it was not asked'}"
    support = target.answer.support
    total = len(support.nodes)
    if not total:
        return "takes it: the graph has no node"
    if support.complete:
        return f"takes all {plural(total, 'node')}" if total > 1 else "takes its one node"
    refused, unknown = len(support.of(Verdict.REFUSED)), len(support.of(Verdict.UNKNOWN))
    said = [f"refuses {refused} of {plural(total, 'node')}"] if refused else []
    said += [f"{unknown} not told"] if unknown else []
    return ", ".join(said)


def regions_text(answer: Answer) -> str:
    """What the supported nodes come to, as engines: `2 regions, parted by 1 node`."""
    support = answer.support
    if not support.regions:
        return "no region"
    parted = f", parted by {plural(len(support.cuts), 'node')}" if support.cuts else ""
    return f"{plural(support.regions, 'region')}{parted}"


def problems(preflight: Preflight, target: Target) -> list[Problem]:
    """What a target does not take, the same op and reason together, refusals first."""
    if target.answer is None:
        return []
    takers = _takers(preflight, target)
    groups: dict[tuple[str, str, Verdict, tuple[str, ...]], list[NodeSupport]] = {}
    for node in target.answer.support.not_taken:
        groups.setdefault((node.op, node.reason, node.verdict, _advice(takers, node)), []).append(node)
    found = [
        Problem(op=op, reason=reason, verdict=verdict, advice=advice, nodes=tuple(nodes))
        for (op, reason, verdict, advice), nodes in groups.items()
    ]
    return sorted(found, key=lambda problem: problem.verdict is not Verdict.REFUSED)


def between_text(node: NodeSupport) -> str:
    """`regions 1 and 2`; empty for a node that stands between none."""
    if not node.stands_between:
        return ""
    numbers = sorted({*node.before, *node.after})
    return f"regions {', '.join(map(str, numbers[:-1]))} and {numbers[-1]}"


def _advice(takers: Sequence[tuple[Target, Collection[str]]], node: NodeSupport) -> tuple[str, ...]:
    """The backend's own hint, and the targets that do take the node."""
    found = [node.hint] if node.hint else []
    taking = [target for target, names in takers if node.name in names] if node.verdict is Verdict.REFUSED else []
    if whole := [target for target in taking if target.takes_all]:
        found.append(f"{_titles(whole)} {'takes' if len(whole) == 1 else 'take'} the whole model: {_paths(whole)}.")
    elif taking:
        found.append(f"{_titles(taking)} {'takes' if len(taking) == 1 else 'take'} this node, though not the whole model.")
    return tuple(found)


def _takers(preflight: Preflight, target: Target) -> list[tuple[Target, Collection[str]]]:
    """Other targets that were asked about the same graph, with the names of the nodes that each takes."""
    graph = target.answer.graph.artifact if target.answer else None
    return [
        (other, {node.name for node in other.answer.support.of(Verdict.TAKEN)})
        for other in preflight.targets
        if other is not target and other.answer and other.answer.graph.artifact == graph
    ]


def _titles(targets: Sequence[Target]) -> str:
    titles = [target.title for target in targets]
    return titles[0] if len(titles) == 1 else f"{', '.join(titles[:-1])} and {titles[-1]}"


def _paths(targets: Sequence[Target]) -> str:
    return ", ".join(f"{path_title(target.path)} ({target.path})" for target in targets)
