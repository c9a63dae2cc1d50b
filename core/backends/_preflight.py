"""Asks a runtime about a graph until it has told every node.

A runtime stops at the first nodes that it refuses, and says nothing of those behind. So what was refused is cut out, what it
made becomes an input of its type, and the rest is asked about again, until it is taken whole.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import onnx

from core.base.children.nodes import at_node
from core.base.progress import Progress, Report
from core.base.units import listed, plural
from core.graph.regions import with_regions
from core.graph.source import nodes_of_onnx
from core.graph.support import NodeSupport, Verdict
from core.onnxio.aliases import Aliases, alias_nodes
from core.onnxio.file import read_onnx
from core.onnxio.parts import Alone, Types, cut_out, reads
from core.onnxio.types import tensor_types
from core.onnxio.walk import graphs_inside, op_name

MOST_ROUNDS = 60


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a runtime refused a graph.

    Attributes:
        node: The name that the node has there; None where the runtime names none.
        reason: In its words, that name in them.
        hint: What to do.
        is_final: It is about the op or a type as such, and would be told of the node wherever it stood.
        is_of_op: It is about the op, of whatever type.
    """

    node: str | None
    reason: str
    hint: str = ""
    is_final: bool = False
    is_of_op: bool = False


class Judge(Protocol):
    """Asks the runtime about a whole model; nothing is returned when it takes it."""

    def __call__(self, model: onnx.ModelProto, types: Types, aliases: Aliases) -> Sequence[Refusal]: ...


def told_by(
    path: Path, title: str, judge: Judge, report: Report, doubts: Judge | None = None
) -> tuple[tuple[NodeSupport, ...], tuple[str, ...]]:
    """What a runtime says of every node of an ONNX file, with the regions of those that it takes; and notes.

    Args:
        doubts: Asked once about what is left when the runtime takes it: of a node that it doubts nothing is told, unless that
            is final.

    Raises:
        BrokenModel: The file cannot be read.
    """
    report(Progress(message="Reading the graph"))
    light = read_onnx(path, weights=False)
    source = nodes_of_onnx(light)
    asking = _Asking(read_onnx(path, external=False), dict(tensor_types(light)), title, judge)
    told = asking.run(report, doubts)
    return with_regions([told[node.name] for node in source.nodes], source), asking.notes


@dataclass
class _Asking:
    """What is known so far.

    Attributes:
        model: What has not been refused, under aliases; it shrinks.
        found: Verdict, reason and hint by alias.
        behind: Tensors that are inputs now, or depend on one.
        assumed: Ops and names of nodes that make what a rank was assumed of.
        untyped: Nodes that could not be asked about, as a type that they read is told by nothing.
    """

    model: onnx.ModelProto
    types: dict[str, onnx.TypeProto]
    title: str
    judge: Judge
    found: dict[str, tuple[Verdict, str, str]] = field(default_factory=dict)
    behind: set[str] = field(default_factory=set)
    assumed: list[str] = field(default_factory=list)
    untyped: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        nodes_of_onnx(self.model)  # names them, as it did its light twin
        inner = [
            [(op_name(inside), inside.name) for graph in graphs_inside(node) for inside in graph.node]
            for node in self.model.graph.node
        ]
        self.aliases = alias_nodes(self.model)
        self.nodes = {node.name: _kept(node) for node in self.model.graph.node}
        self._inner = {
            f"{alias}_in{place}": told for alias, held in zip(self.nodes, inner, strict=True) for place, told in enumerate(held)
        }

    def run(self, report: Report, doubts: Judge | None) -> dict[str, NodeSupport]:
        """What is told of each node, by its own name."""
        for asked in range(MOST_ROUNDS):
            left = self._left()
            if not left:
                break
            message = f"Asking {self.title} about {plural(len(left), 'node')}"
            report(Progress(message=message, fraction=1 - len(left) / len(self.nodes)))
            refusals = self.judge(self.model, self.types, self.aliases)
            if not refusals:
                self._doubt(doubts)
                break
            named = {refusal.node: refusal for refusal in refusals if refusal.node in left} or self._one_by_one(left, refusals)
            if not named:
                said = "; ".join(dict.fromkeys(self._worded(refusal.reason) for refusal in refusals))
                self._unknown(left, f"{self.title} refuses the graph and names no node: {said}", refusals[0].hint)
                break
            self._refuse(named | self._alike(left, named), first=asked == 0)
        else:
            self._unknown(self._left(), f"{self.title} refused other nodes {MOST_ROUNDS} times, and was not asked again.")
        self._ask_of_ops()
        return {self.aliases.names[alias]: self._told(alias) for alias in self.nodes}

    @property
    def notes(self) -> tuple[str, ...]:
        if not self.assumed:
            return ()
        makers = listed(list(dict.fromkeys(self.assumed)), 3)
        return (f"Nothing tells the shape of what these make, so it was asked about with the rank of what they read: {makers}.",)

    def _ask_of_ops(self) -> None:
        """Some ops are refused of whatever type: of nodes that read an unknown one, that much can be told."""
        by_op: dict[str, Refusal | None] = {}
        for alias in self.untyped:
            node = self.nodes[alias]
            op = op_name(node)
            if op not in by_op:
                assumed = {name: onnx.helper.make_tensor_type_proto(onnx.TensorProto.FLOAT, None) for name in reads(node)}
                alone = Alone(self.model, {**assumed, **self.types}).model_of([node])
                found = [refusal for refusal in self.judge(alone, self.types, self.aliases) if refusal.is_of_op]
                by_op[op] = found[0] if found else None
            if refusal := by_op[op]:
                own = self._worded(refusal.reason.replace(refusal.node or alias, alias))
                self.found[alias] = (Verdict.REFUSED, own, refusal.hint)

    def _doubt(self, doubts: Judge | None) -> None:
        for doubt in doubts(self.model, self.types, self.aliases) if doubts else ():
            if doubt.node:
                verdict = Verdict.REFUSED if doubt.is_final else Verdict.UNKNOWN
                self.found[doubt.node] = (verdict, self._worded(doubt.reason), doubt.hint)

    def _left(self) -> list[str]:
        return [node.name for node in self.model.graph.node]

    def _told(self, alias: str) -> NodeSupport:
        verdict, reason, hint = self.found.get(alias, (Verdict.TAKEN, "", ""))
        node = self.nodes[alias]
        return NodeSupport(name=self.aliases.names[alias], op=op_name(node), verdict=verdict, reason=reason, hint=hint)

    def _one_by_one(self, left: Iterable[str], refusals: Sequence[Refusal]) -> dict[str, Refusal]:
        """The nodes that are refused as models of their own for one of these reasons."""
        reasons = {self._blank(refusal.reason) for refusal in refusals}
        return self._asked_alone(left, lambda refusal: self._blank(refusal.reason) in reasons)

    def _alike(self, left: Iterable[str], named: Mapping[str, Refusal]) -> dict[str, Refusal]:
        """Other nodes of the same ops that are refused as such, each asked about alone: a graph may have hundreds."""
        final = {
            (op_name(self.nodes[alias]), self._blank(refusal.reason)) for alias, refusal in named.items() if refusal.is_final
        }
        ops = {op for op, _ in final}
        others = [alias for alias in left if alias not in named and op_name(self.nodes[alias]) in ops]
        found = self._asked_alone(others, lambda refusal: refusal.is_final)
        return {alias: one for alias, one in found.items() if (op_name(self.nodes[alias]), self._blank(one.reason)) in final}

    def _asked_alone(self, chosen: Iterable[str], counts: Callable[[Refusal], bool]) -> dict[str, Refusal]:
        alone = Alone(self.model, self.types)
        present = {node.name: node for node in self.model.graph.node}
        fed = {info.name for info in self.model.graph.input}
        found = {}
        for alias in chosen:
            node = present[alias]
            if node.op_type == "Constant" or not all(name in self.types or name in fed for name in reads(node)):
                continue
            at_node(op_name(node), self.aliases.names[alias])
            for refusal in self.judge(alone.model_of([node]), self.types, self.aliases):
                if refusal.node in (alias, None) and counts(refusal):
                    found[alias] = Refusal(alias, refusal.reason, refusal.hint, is_final=True)
                    break
        return found

    def _refuse(self, named: Mapping[str, Refusal], *, first: bool) -> None:
        """Notes what is refused, and goes on without it."""
        for alias, refusal in named.items():
            reason = self._worded(refusal.reason)
            behind = not first and any(name in self.behind for name in reads(self.nodes[alias]))
            if refusal.is_final or not behind:
                self.found[alias] = (Verdict.REFUSED, reason, refusal.hint)
            else:
                told = f"It stands behind a refused node; with what that makes as an input, {self.title} says: {reason}"
                self.found[alias] = (Verdict.UNKNOWN, told, refusal.hint)
        self._drop(set(named))

    def _drop(self, gone: set[str]) -> None:
        """Takes nodes out of the model, and with them those that read a tensor of theirs whose type nothing tells."""
        makers = {name: alias for alias in gone for name in self.nodes[alias].output if name}
        for node in self.model.graph.node:
            open_ends = [name for name in reads(node) if name in makers and name not in self.types]
            if node.name not in gone and open_ends:
                maker = makers[open_ends[0]]
                what = f"{op_name(self.nodes[maker])} {self.aliases.names[maker]}"
                self._unknown(
                    [node.name], f"It reads {open_ends[0]} of {what}, of a type that nothing tells: it could not be asked about."
                )
                gone.add(node.name)
                self.untyped.append(node.name)
                makers.update(dict.fromkeys(filter(None, node.output), node.name))
            if node.name in gone or any(name in self.behind for name in reads(node)):
                self.behind.update(node.output)
        self._assume_ranks(gone)
        cut_out(self.model, gone, self.types)

    def _assume_ranks(self, gone: Collection[str]) -> None:
        """Gives what refused nodes make, where nothing tells its rank, that of what they read: OpenVINO wants one."""
        read_with: dict[str, list[str]] = {}
        for node in self.model.graph.node:
            if node.name not in gone:
                for name in node.input:
                    read_with.setdefault(name, []).extend(node.input)
        last = None
        for alias, node in self.nodes.items():
            if alias not in gone:
                continue
            for name in node.output:
                if name not in read_with or name not in self.types or self._rank(name) is not None:
                    continue
                ranks = (self._rank(near) for near in (*node.input, *read_with[name]))
                last = next((rank for rank in ranks if rank is not None), last)
                kind = self.types[name]
                if last is not None and kind.WhichOneof("value") == "tensor_type":
                    self.types[name] = onnx.helper.make_tensor_type_proto(kind.tensor_type.elem_type, [None] * last)
                    self.assumed.append(f"{op_name(node)} {self.aliases.names[alias]}")

    def _rank(self, name: str) -> int | None:
        kind = self.types.get(name)
        known = kind is not None and kind.tensor_type.HasField("shape")
        return len(kind.tensor_type.shape.dim) if kind is not None and known else None

    def _unknown(self, chosen: Collection[str], reason: str, hint: str = "") -> None:
        for alias in chosen:
            self.found[alias] = (Verdict.UNKNOWN, reason, hint)

    def _worded(self, text: str) -> str:
        """With the nodes' own names in it."""

        def told(found: re.Match[str]) -> str:
            op, name = self._inner.get(found.group(), ("", found.group()))
            return f"{op} {name}".strip() + " inside it"

        return self.aliases.restore(re.sub(rf"{self.aliases.prefix}\d+_in\d+", told, text))

    def _blank(self, text: str) -> str:
        """Without the nodes' names, to be compared."""
        return re.sub(rf"{self.aliases.prefix}\d+(_in\d+)?", "", text)


def _kept(node: onnx.NodeProto) -> onnx.NodeProto:
    """A copy, for when the node is cut out; a constant's without its value."""
    if node.op_type == "Constant":
        return onnx.NodeProto(name=node.name, op_type=node.op_type, domain=node.domain, output=node.output)
    copy = onnx.NodeProto()
    copy.CopyFrom(node)
    return copy
