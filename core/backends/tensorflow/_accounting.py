"""Where every source node went when TensorFlow's graph optimiser (Grappler) was done.

Grappler keeps the name of the last node of what it fuses, so slicing the source graph back from an executed node to the
nodes that feed it gives what was fused into it. A node that keeps its operation carries out itself alone: what
vanished before it was removed, not fused.

What Grappler writes anew it calls after the node that it began from (core/grappler/optimizers/arithmetic_optimizer.cc in
TensorFlow): a tree of sums becomes one or several `AddOpsRewrite_<the last sum>`, a factor that sums share goes into
`HoistCommonFactor_`, and elementwise operations that move past a Concat or a Split become `_<one of them>_split` or `_concat`,
or a `_UnaryOpsComposition` that lists them. Those nodes are looked for first, so that nobody else's slice takes what they have.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from core.graph.engine_graph import Fate, LooseNode, SourceNode
from core.graph.tensorflow_source import Naming, ancestors, plain_name

_PASS_THROUGH = ("Identity", "IdentityN", "StopGradient", "PreventGradient", "Snapshot", "EnsureShape", "CheckNumerics")
_MADE_BY_GRAPPLER = re.compile(r"^(?:ConstantFolding|ConstantFoldingCtrl|Func)/")
_REWRITTEN = re.compile(r"^(?P<scope>.*/)?ArithmeticOptimizer/(?P<what>[^/_]+)?_(?P<rest>.+)$")
_MOVED = re.compile(r"^(.+)_(?:split|concat)(/unary_ops_composition)?$")
_SUMS = frozenset({"Add", "AddV2", "AddN"})
# What a rewrite puts together, by the name that it gives.
_ABSORBS = {"AddOpsRewrite": _SUMS, "HoistCommonFactor": _SUMS | {"Mul"}}
SHAPE_OPS = ("Shape", "ShapeN", "Size", "Rank")
_FOLDED = "Its inputs are constants: computed once, before the first run."


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecutedNode:
    """A node of the graph that runs.

    Attributes:
        inputs: Names of executed nodes.
        composed: Of a node that stands for several operations, those.
    """

    name: str
    op: str
    inputs: tuple[str, ...] = ()
    composed: tuple[str, ...] = ()


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
    made = [node for node in executed if _REWRITTEN.match(node.name)]
    rewritten = {node.name: ledger.rewritten_in(node) for node in made}
    carried = {node.name: rewritten.get(node.name) or ledger.carried_by(node) for node in executed}
    for name, moved in ledger.moved_to(made).items():
        carried[name] = (*carried[name], *(one for one in moved if one not in carried[name]))
    return Account(carried=carried, loose=tuple(ledger.loose(carried)))


def base_op(op: str) -> str:
    """The operation behind oneDNN's and Grappler's names for it: `_MklNativeConv2D` is a `Conv2D`."""
    return re.sub(r"^_(Mkl)?(Native)?", "", op)


def _in_scope(name: str, made: ExecutedNode) -> bool:
    """Whether a source node is of the scope in which Grappler wrote a node."""
    told = _REWRITTEN.match(plain_name(made.name))
    return told is not None and name.rpartition("/")[0] == (told["scope"] or "").rstrip("/")


@dataclass(slots=True, kw_only=True)
class _Ledger:
    source: Mapping[str, SourceNode]
    own: Mapping[str, ExecutedNode]  # by plain name
    naming: Naming
    weights_are_constants: bool
    fates: dict[str, tuple[Fate, str]] = field(default_factory=dict)
    constant: dict[str, bool] = field(default_factory=dict)
    absorbed: set[str] = field(default_factory=set)  # by what Grappler wrote anew

    def rewritten_in(self, node: ExecutedNode) -> tuple[str, ...]:
        """The sums and factors that a node which Grappler wrote anew puts together, in source order."""
        told = _REWRITTEN.match(node.name)
        takes = _ABSORBS.get((told["what"] or "") if told else "")
        root = next((self.source[name] for name in self._by_its_name(plain_name(node.name)) if name in self.source), None)
        if not takes or root is None or root.name in self.own:
            return ()
        found = {root.name}
        pending = list(root.inputs)
        while pending:
            step = self.source.get(pending.pop())
            if step and step.op in takes and step.name not in found and step.name not in self.own:
                found.add(step.name)
                pending.extend(step.inputs)
        self.absorbed |= found
        for name in found:
            self._without(self.source[root.name], self._sliced(self.source[name], node))
        return tuple(name for name in self.source if name in found)

    def moved_to(self, made: Sequence[ExecutedNode]) -> dict[str, list[str]]:
        """Operations that run elsewhere than they stood, by the node of their scope that Grappler wrote, if that is one."""
        found: dict[str, list[str]] = {}
        for name, node in self.source.items():
            if name in self.own or name in self.absorbed or self.fates.get(name, (None,))[0] is not Fate.ELIMINATED:
                continue
            homes = [one for one in made if node.op in (one.composed or (base_op(one.op),)) and _in_scope(name, one)]
            homes = [one for one in homes if base_op(one.op) == node.op] or homes
            if len(homes) == 1:
                found.setdefault(homes[0].name, []).append(name)
                del self.fates[name]
        return found

    def carried_by(self, node: ExecutedNode) -> tuple[str, ...]:
        name = plain_name(node.name)
        own = self.source.get(name)
        if own is None:
            return self._by_its_name(name)
        fused = self._sliced(own, node)
        if base_op(node.op) == base_op(own.op):
            self._without(own, fused)
            fused = []
        return tuple(name for name in self.source if name in {own.name, *fused}) if fused else (own.name,)

    def _without(self, own: SourceNode, lost: Iterable[str]) -> None:
        for name in lost:
            why = f"Grappler rewrote it away; {self.naming(own.name)} runs without it."
            self.fates.setdefault(name, (Fate.ELIMINATED, why))

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
        if told := _REWRITTEN.match(name):
            return self._rewritten_from(told)
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

    def _rewritten_from(self, told: re.Match[str]) -> tuple[str, ...]:
        """The node that a rewrite began from: its name follows, in full where operations were moved, else within the scope."""
        if moved := _MOVED.match(told["rest"]):
            return (moved[1],) if moved[1] in self.source and not moved[2] else ()
        words, scope = told["rest"].split("_"), told["scope"] or ""
        ends = (scope + "_".join(words[start:]) for start in range(len(words)))
        return next(((name,) for name in ends if name in self.source), ())

    def _sliced(self, own: SourceNode, node: ExecutedNode) -> list[str]:
        """Source nodes between this one and its executed inputs."""
        found: dict[str, None] = {}
        pending = list(own.inputs)
        while pending:
            name = pending.pop()
            step = self.source.get(name)
            if step is None or name in found or name in self.own or name in self.absorbed:
                continue
            if self._is_constant(name):
                self.fates.setdefault(name, (Fate.FOLDED, self._folding_reason(step)))
            elif twin := self._twin(step, node):
                self._merge(step, self.source[twin])
            elif step.op in _PASS_THROUGH:
                self.fates.setdefault(name, (Fate.ELIMINATED, f"{step.op} does nothing at run time."))
                pending.extend(step.inputs)
            else:
                found[name] = None
                pending.extend(step.inputs)
        return list(found)

    def _merge(self, step: SourceNode, twin: SourceNode) -> None:
        """Tells of a node, and of those before it that do not run, that others do the same."""
        pairs = [(step, twin)]
        while pairs:
            one, other = pairs.pop()
            if one.name in self.own or one.name == other.name or self._is_constant(one.name):
                continue
            self.fates.setdefault(
                one.name, (Fate.ELIMINATED, f"The same as {self.naming(other.name)}, which runs once for both.")
            )
            inputs = zip(one.inputs, other.inputs, strict=True)
            pairs += [(self.source[a], self.source[b]) for a, b in inputs if a in self.source and b in self.source]

    def _twin(self, step: SourceNode, node: ExecutedNode) -> str | None:
        """An executed input of the node that computes what `step` does, when the step itself was merged into it."""
        for name in node.inputs:
            other = self.source.get(plain_name(name))
            if other and other.name in self.own and other.name != step.name and self._same(step, other):
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
