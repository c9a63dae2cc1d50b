"""Where every source node went when TensorFlow's graph optimiser (Grappler) was done.

Grappler keeps the name of the last node of what it fuses, so slicing the source graph back from an executed node to the
nodes that feed it gives what was fused into it. A node that keeps its operation carries out itself alone: what
vanished before it was removed, not fused.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from core.graph.engine_graph import Fate, LooseNode, SourceNode
from core.graph.tensorflow_source import Naming, ancestors, plain_name

_PASS_THROUGH = ("Identity", "IdentityN", "StopGradient", "PreventGradient", "Snapshot", "EnsureShape", "CheckNumerics")
_MADE_BY_GRAPPLER = re.compile(r"^(?:ConstantFolding|ConstantFoldingCtrl|Func)/")
SHAPE_OPS = ("Shape", "ShapeN", "Size", "Rank")
_FOLDED = "Its inputs are constants: computed once, before the first run."


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecutedNode:
    """A node of the graph that runs; `inputs` are names of executed nodes."""

    name: str
    op: str
    inputs: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """Source nodes of each executed node, by its name, and the source nodes in none."""

    carried: dict[str, tuple[str, ...]]
    loose: tuple[LooseNode, ...]


def account(
    source: Sequence[SourceNode], executed: Sequence[ExecutedNode], naming: Naming, *, weights_are_constants: bool
) -> Account:
    """Finds a place for every source node.

    Args:
        naming: Names for people, in the reasons given.
        weights_are_constants: Whether variables were frozen, so that what only they reach is computed beforehand.
    """
    ledger = _Ledger(
        source={node.name: node for node in source},
        own={plain_name(node.name): node for node in executed},
        naming=naming,
        weights_are_constants=weights_are_constants,
    )
    carried = {node.name: ledger.carried_by(node) for node in executed}
    return Account(carried=carried, loose=tuple(ledger.loose(carried)))


def base_op(op: str) -> str:
    """The operation behind oneDNN's and Grappler's names for it: `_MklNativeConv2D` is a `Conv2D`."""
    return re.sub(r"^_(Mkl)?(Native)?", "", op)


@dataclass(slots=True, kw_only=True)
class _Ledger:
    source: Mapping[str, SourceNode]
    own: Mapping[str, ExecutedNode]  # by plain name
    naming: Naming
    weights_are_constants: bool
    fates: dict[str, tuple[Fate, str]] = field(default_factory=dict)
    constant: dict[str, bool] = field(default_factory=dict)

    def carried_by(self, node: ExecutedNode) -> tuple[str, ...]:
        name = plain_name(node.name)
        own = self.source.get(name)
        if own is None:
            return self._by_its_name(name)
        fused = self._sliced(own, node)
        if base_op(node.op) == base_op(own.op):
            for lost in fused:
                self.fates.setdefault(
                    lost, (Fate.ELIMINATED, f"Grappler rewrote it away; {self.naming(own.name)} runs without it.")
                )
            fused = []
        return tuple(name for name in self.source if name in {own.name, *fused}) if fused else (own.name,)

    def loose(self, carried: Mapping[str, tuple[str, ...]]) -> Iterable[LooseNode]:
        placed = {name for names in carried.values() for name in names}
        needed = ancestors(self.source, placed)
        for name, node in self.source.items():
            if name in placed:
                continue
            fate, reason = self.fates.get(name) or self._fate_of_unreached(node, needed=name in needed)
            yield LooseNode(name=name, op=node.op, fate=fate, reason=reason)

    def _by_its_name(self, name: str) -> tuple[str, ...]:
        """Source nodes of a node that TensorFlow made: what lowers a loop or a branch, or what Grappler named after one."""
        scope, _, last = _MADE_BY_GRAPPLER.sub("", name).rpartition("/")
        scopes = scope.split("/")
        for length in range(len(scopes), 0, -1):
            prefix = "/".join(scopes[:length])
            if prefix in self.source:
                return (prefix,)
            words = last.split("_")
            for start in range(len(words)):
                if (named := f"{prefix}/{'_'.join(words[start:])}") in self.source:
                    return (named,)
        return ()

    def _sliced(self, own: SourceNode, node: ExecutedNode) -> list[str]:
        """Source nodes between this one and its executed inputs."""
        found: dict[str, None] = {}
        pending = list(own.inputs)
        while pending:
            name = pending.pop()
            step = self.source.get(name)
            if step is None or name in found or name in self.own:
                continue
            if self._is_constant(name):
                self.fates.setdefault(name, (Fate.FOLDED, self._folding_reason(step)))
            elif twin := self._twin(step, node):
                self.fates.setdefault(name, (Fate.ELIMINATED, f"The same as {self.naming(twin)}, which runs once for both."))
            elif step.op in _PASS_THROUGH:
                self.fates.setdefault(name, (Fate.ELIMINATED, f"{step.op} does nothing at run time."))
                pending.extend(step.inputs)
            else:
                found[name] = None
                pending.extend(step.inputs)
        return list(found)

    def _twin(self, step: SourceNode, node: ExecutedNode) -> str | None:
        """An executed input of the node that computes what `step` does, when the step itself was merged into it."""
        for name in node.inputs:
            other = self.source.get(plain_name(name))
            if other and self._same(step, other):
                return other.name
        return None

    def _same(self, one: SourceNode, other: SourceNode) -> bool:
        if one.name == other.name:
            return True
        if one.op != other.op or len(one.inputs) != len(other.inputs) or not one.inputs:
            return False
        pairs = zip(one.inputs, other.inputs, strict=True)
        return all(
            a == b or (a in self.source and b in self.source and self._same(self.source[a], self.source[b])) for a, b in pairs
        )

    def _is_constant(self, name: str) -> bool:
        """Whether a node that does not run needs nothing that only a run can tell."""
        if name in self.constant:
            return self.constant[name]
        pending = [name]
        while pending:
            top = pending[-1]
            node = self.source.get(top)
            if node is None or top in self.own:
                self.constant[top] = False
            elif node.op in SHAPE_OPS or (node.op == "ReadVariableOp" and self.weights_are_constants):
                self.constant[top] = True
            else:
                waiting = [made for made in node.inputs if made not in self.constant and made not in pending]
                if waiting:
                    pending.extend(waiting)
                    continue
                self.constant[top] = all(self.constant.get(made, False) for made in node.inputs)
            pending.pop()
        return self.constant[name]

    def _folding_reason(self, node: SourceNode) -> str:
        if node.op == "ReadVariableOp":
            return "The weights became constants."
        return "The shape is known beforehand." if node.op in SHAPE_OPS else _FOLDED

    def _fate_of_unreached(self, node: SourceNode, *, needed: bool) -> tuple[Fate, str]:
        if self._is_constant(node.name):
            return Fate.FOLDED, self._folding_reason(node)
        if node.op in _PASS_THROUGH:
            return Fate.ELIMINATED, f"{node.op} does nothing at run time."
        if not needed:
            return Fate.ELIMINATED, "Nothing that runs needs its result."
        return Fate.UNMAPPED, "No executed node carries its name."
