"""XLA: the whole function compiled for one set of shapes, and the layers of what came out."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from core.backends._errors import whole
from core.backends.tensorflow._accounting import SHAPE_OPS
from core.backends.tensorflow._executed import short_source
from core.backends.tensorflow._hlo import Instruction, Module, parse_hlo
from core.backends.tensorflow._loading import Flat, input_specs
from core.base.dtypes import worded_dtype
from core.base.errors import BuildFailed
from core.base.tensors import Signature
from core.graph.engine_graph import EngineGraph, Fate, Layer, LayerTensor, LooseNode, SourceNode
from core.graph.tensorflow_source import Naming, ancestors

# What moves no data: views, and the ends of the program.
_NO_WORK = ("parameter", "constant", "tuple", "get-tuple-element", "bitcast", "after-all", "opt-barrier")
_VIEWS = (
    "Identity",
    "IdentityN",
    "StopGradient",
    "PreventGradient",
    "Snapshot",
    "EnsureShape",
    "Reshape",
    "Squeeze",
    "ExpandDims",
)


def compiled(tf: Any, function: Flat, signature: Signature) -> Any:
    """The function, to be compiled by XLA at its first call with each set of shapes."""
    return tf.function(function, input_signature=input_specs(tf, signature), autograph=False, jit_compile=True)


def compile_now(function: Any, tensors: Sequence[Any]) -> None:
    """Compiles for these shapes by running once.

    Raises:
        BuildFailed: XLA does not know an op; the message names it.
    """
    try:
        function(*tensors)
    except Exception as error:
        text = whole(error)
        if unknown := _unknown_ops(text):
            raise BuildFailed(
                f"XLA cannot compile {', '.join(unknown)}.",
                hint="Take the signature or frozen variant, or leave these ops out of the model.",
                detail=text,
            ) from error
        raise


def optimised_hlo(function: Any, tensors: Sequence[Any]) -> Module:
    return parse_hlo(function.experimental_get_compiler_ir(*tensors)(stage="optimized_hlo"))


def engine_graph(source: Sequence[SourceNode], module: Module, naming: Naming, *, device: str) -> EngineGraph:
    """One layer for each instruction of the program that does work, with the source nodes its metadata names."""
    finder = _Finder(source)
    made = _made_by(module.entry)
    carried = {instruction.name: finder.carried_by(instruction, module) for instruction in module.entry}
    working = [instruction for instruction in module.entry if instruction.opcode not in _NO_WORK]
    _absorb(source, [carried[instruction.name] for instruction in working])
    placed = {name for instruction in working for name in carried[instruction.name]}
    views = {name for names in carried.values() for name in names} - placed
    order = {node.name: position for position, node in enumerate(source)}
    return EngineGraph(
        layers=tuple(
            _layer(instruction, made, [naming(name) for name in sorted(carried[instruction.name], key=order.__getitem__)])
            for instruction in working
        ),
        source_nodes=tuple(short_source(source, naming)),
        loose_nodes=tuple(_loose(source, placed, views, naming)),
        notes=(f"XLA's optimised program on {device}, compiled for the profile's opt shapes.",),
    )


def _absorb(source: Sequence[SourceNode], layers: Sequence[set[str]]) -> None:
    """Adds nodes that XLA merged into their one reader: a padding or a transposition becomes part of a convolution or a
    product and leaves no name, so a nameless node whose readers all run in one instruction is counted there.
    """
    readers: dict[str, list[str]] = {}
    homes: dict[str, set[int]] = {}
    for node in source:
        for name in node.inputs:
            readers.setdefault(name, []).append(node.name)
    for index, names in enumerate(layers):
        for name in names:
            homes.setdefault(name, set()).add(index)
    for node in reversed(source):
        if node.name in homes or node.name not in readers or node.op in (*_VIEWS, *SHAPE_OPS, "ReadVariableOp"):
            continue
        common = set.intersection(*(homes.get(reader, set()) for reader in readers[node.name]))
        if common and any(name in homes for name in node.inputs):
            layers[min(common)].add(node.name)
            homes[node.name] = common


def _layer(instruction: Instruction, made: Mapping[str, LayerTensor], names: list[str]) -> Layer:
    outputs = _outputs(instruction)
    return Layer(
        name=instruction.name,
        kind=instruction.opcode,
        kernel=instruction.attribute("custom_call_target") or instruction.attribute("kind"),
        precision=outputs[0].dtype if outputs else None,
        inputs=tuple(made[name] for name in instruction.operands if name in made),
        outputs=outputs,
        source_nodes=tuple(names),
        attributes={"attributes": instruction.attributes.partition(", metadata=")[0]} if instruction.attributes else {},
    )


def _outputs(instruction: Instruction) -> tuple[LayerTensor, ...]:
    several = len(instruction.shapes) > 1
    return tuple(
        LayerTensor(
            name=f"{instruction.name}:{index}" if several else instruction.name,
            dtype=worded_dtype(shape.element) or shape.element,
            shape=shape.lengths,
            format=f"{{{shape.layout}}}" if shape.layout else None,
        )
        for index, shape in enumerate(instruction.shapes)
    )


def _made_by(entry: Iterable[Instruction]) -> dict[str, LayerTensor]:
    """The tensor behind each instruction's name; views show the tensor they look at."""
    made: dict[str, LayerTensor] = {}
    parts: dict[str, tuple[LayerTensor, ...]] = {}
    for instruction in entry:
        outputs = _outputs(instruction)
        source = instruction.operands[0] if instruction.operands else ""
        if instruction.opcode == "get-tuple-element" and source in parts:
            index = int(instruction.attribute("index") or 0)
            outputs = (parts[source][index],) if index < len(parts[source]) else outputs
        elif instruction.opcode == "bitcast" and source in made:
            outputs = (made[source],)
        elif instruction.opcode == "tuple":
            outputs = tuple(made[name] for name in instruction.operands if name in made)
        parts[instruction.name] = outputs
        if outputs:
            made[instruction.name] = outputs[0]
    return made


class _Finder:
    """Source nodes by the names that XLA's metadata gives: full, or from the function they were in."""

    def __init__(self, source: Sequence[SourceNode]) -> None:
        self._ends: dict[str, list[str]] = {}
        for node in source:
            parts = node.name.split("/")
            for start in range(len(parts)):
                self._ends.setdefault("/".join(parts[start:]), []).append(node.name)
        self._names = {node.name for node in source}

    def carried_by(self, instruction: Instruction, module: Module, scope: str = "") -> set[str]:
        """Of the instruction and of every computation it calls."""
        own = [found for name in instruction.op_names for found in self._named(name, scope)]
        inside = max((name for name in own), key=len, default=scope)
        found = set(own)
        for computation in instruction.called:
            for step in module.computations.get(computation, ()):
                if step.opcode != "parameter":
                    found |= self.carried_by(step, module, inside)
        return found

    def _named(self, name: str, scope: str) -> list[str]:
        if name in self._names:
            return [name]
        found = self._ends.get(name, [])
        within = [full for full in found if scope and full.startswith(f"{scope}/")]
        if within:
            return within
        return found if len(found) == 1 else []


def _loose(source: Sequence[SourceNode], placed: set[str], views: set[str], naming: Naming) -> Iterable[LooseNode]:
    constant: set[str] = set()
    needed = ancestors({node.name: node for node in source}, placed)
    for node in source:
        if node.name in placed:
            continue
        if node.op in SHAPE_OPS or (node.op != "ReadVariableOp" and all(name in constant for name in node.inputs)):
            constant.add(node.name)
            fate, reason = Fate.FOLDED, "It depends on shapes and constants alone, known when XLA compiles."
        elif node.op == "ReadVariableOp":
            fate, reason = Fate.ELIMINATED, "The weights are arguments of the compiled program."
        elif node.op in _VIEWS or node.name in views:
            fate, reason = Fate.ELIMINATED, "A view or an identity: no work at run time."
        elif node.name not in needed:
            fate, reason = Fate.ELIMINATED, "Nothing that runs needs its result."
        else:
            fate, reason = Fate.UNMAPPED, "XLA's metadata names it in no instruction."
        yield LooseNode(name=naming(node.name), op=node.op, fate=fate, reason=reason)


def _unknown_ops(text: str) -> list[str]:
    """Ops of "Detected unsupported operations ... on XLA_CPU_JIT: StringUpper (No registered ...)"."""
    listed = re.search(r"unsupported operations.*? on \w+:(.*)", text, re.DOTALL)
    if not listed:
        return []
    ops = dict.fromkeys(re.findall(r"(\w+) \(No registered", listed[1]))
    if "_Arg" in ops and "DT_STRING" in listed[1]:
        ops = {"text inputs": None, **{op: None for op in ops if op != "_Arg"}}
    return list(ops)
