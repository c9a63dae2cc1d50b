"""Which nodes of a graph a runtime takes, as it told before any build."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum


class Verdict(str, Enum):
    TAKEN = "supported"
    REFUSED = "not supported"
    UNKNOWN = "not told"  # the runtime could not be asked as far as this node


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeSupport:
    """What a runtime says of one node.

    Attributes:
        reason: In the runtime's words; empty for a node that it takes as it is.
        hint: What to do.
        region: Number of the region of supported nodes that it belongs to, from 1; None for others and for constants.
        added: Simplifying made it: it is none of the model's own.
        before, after: Regions that lead to this node, which is in none, and those that it leads to.
    """

    name: str
    op: str
    verdict: Verdict = Verdict.TAKEN
    reason: str = ""
    hint: str = ""
    region: int | None = None
    added: bool = False
    before: tuple[int, ...] = ()
    after: tuple[int, ...] = ()

    @property
    def stands_between(self) -> bool:
        """Whether it parts supported regions: they cannot be one engine because of it."""
        return bool(self.before and self.after)


@dataclass(frozen=True, slots=True, kw_only=True)
class Support:
    """What a runtime takes of a graph.

    Attributes:
        nodes: Of the main graph, in its order; what a branch or a body holds counts as part of the node that owns it.
        way: How it was asked, and what the answer means, as sentences.
        versions: Of the packages that answered.
    """

    nodes: tuple[NodeSupport, ...]
    way: str
    versions: dict[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def of(self, verdict: Verdict) -> tuple[NodeSupport, ...]:
        return tuple(node for node in self.nodes if node.verdict is verdict)

    @property
    def not_taken(self) -> tuple[NodeSupport, ...]:
        """The nodes that are refused, or of which nothing is told."""
        return tuple(node for node in self.nodes if node.verdict is not Verdict.TAKEN)

    @property
    def complete(self) -> bool:
        """Whether every node is known to be taken."""
        return not self.not_taken

    @property
    def regions(self) -> int:
        """How many parts the supported nodes fall into, each of which could be one engine."""
        return len({node.region for node in self.nodes} - {None})

    @property
    def cuts(self) -> tuple[NodeSupport, ...]:
        """The nodes that stand between supported regions."""
        return tuple(node for node in self.nodes if node.stands_between)

    def counts(self) -> dict[Verdict, int]:
        return {verdict: len(self.of(verdict)) for verdict in Verdict}
