"""OpenVINO's runtime model as layers, and its models as source graphs."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from core.backends.openvino._names import Key, LayerNames, fact, key_of, operation_of
from core.backends.openvino._reading import dtype_of, imported
from core.backends.openvino._sessions import OpenVinoSession
from core.base.tensors import Tensors
from core.graph.engine_graph import Layer, LayerTensor, SourceNode
from core.graph.fates import PASSING_OPS, Nature, at_work
from core.graph.source import SourceGraph

_WARM_UP_RUNS = 3
# Nodes of a runtime model that execute nothing.
_NOT_LAYERS = frozenset({"Input", "Output", "Const"})
# Layers that may end in a bias or an activation of which OpenVINO does not tell.
APPENDABLE_KINDS = frozenset({"Convolution", "Deconvolution", "FullyConnected", "MatMul"})
NOT_NODES = frozenset({"Parameter", "Result", "Constant"})
# Runtime information that `Layer` has a field for, or that says nothing without a profile.
_KNOWN_FACTS = frozenset(
    {
        "execOrder", "execTimeMcs", "layerType", "originalLayersNames", "outputLayouts", "outputPrecisions", "primitiveType",
        "runtimePrecision",
    }
)  # fmt: skip
# Layers that bring tensors to another type, layout or place, and are of no source node unless they say so.
_MOVING_KINDS = frozenset({"Convert", "Reorder", "MemoryInput", "MemoryOutput"})
_FEW_BITS = frozenset({"i4", "i8", "u4", "u8"})
_NO_PRECISION = frozenset(
    {"Convert", "ConvertLike", "If", "Loop", "TensorIterator", "Transpose", "Reshape", "Squeeze", "Unsqueeze", "Concat"}
)
_RANDOM_OPS = frozenset({"RandomUniform", "Multinomial"})

Shape = tuple[int, ...]


def is_quantized(model: Any) -> bool:
    """Whether some operation quantizes, or some weight is stored in 8 bits or fewer."""
    for op in model.get_ops():
        kind = op.get_type_name()
        if kind == "FakeQuantize" or (kind == "Constant" and op.get_element_type().get_type_name() in _FEW_BITS):
            return True
    return False


class RuntimeGraph:
    """The layers of a compiled model, in execution order.

    Args:
        compiled: The compiled model.
        model: What it was compiled from; its operations carry the names of the source's tensors.
    """

    def __init__(self, compiled: Any, model: Any) -> None:
        ops = compiled.get_runtime_model().get_ordered_ops()
        self._fixed = _known_ahead(ops)
        self._ops = sorted(
            (op for op in ops if fact(op, "layerType") not in _NOT_LAYERS and key_of(op) not in self._fixed),
            key=lambda op: int(fact(op, "execOrder")),
        )
        self._model, self._lasting = model, {op.get_friendly_name() for op in model.get_ordered_ops()}
        self.names = LayerNames(self._ops, self._lasting)
        self._numbers: dict[str, int] = {}  # how many numbers the layers of each operation have behind its name, at least
        for told in (told for op in ops for told in fact(op, "originalLayersNames").split(",")):
            if own := operation_of(told, self._lasting):
                self._numbers[own] = min(_numbers(told, own), self._numbers.get(own, _numbers(told, own)))
        self._constants = [op for op in ops if key_of(op) in self._fixed]

    @property
    def is_dynamic(self) -> bool:
        return any(port.get_partial_shape().is_dynamic for op in self._ops for port in op.outputs())

    def layers(self, kernels: Mapping[str, str], shapes: Mapping[str, Shape]) -> list[Layer]:
        """The layers.

        Args:
            kernels: By layer name, from a profiled run: layers of dynamic shape choose theirs late.
            shapes: By tensor name, for tensors whose shape is open here.
        """
        return [self._layer(op, kernels, shapes) for op in self._ops]

    def shapes(self) -> dict[str, Shape]:
        """Shapes of the layers' outputs by tensor name, where they are fixed."""
        tensors = (self._tensor(port, {}) for op in self._ops for port in op.outputs())
        return {tensor.name: tensor.shape for tensor in tensors if tensor.shape is not None}

    def claims(self, source: SourceGraph) -> dict[str, set[str]]:
        """Source nodes that each layer says it was made from, by layer name."""
        nodes = nodes_by_operation(self._model, source)
        return {self.names.of(op): {node for origin in self._origins(op) for node in nodes.get(origin, ())} for op in self._ops}

    def apart(self) -> list[str]:
        """Layers that are of no source node unless they say so: those that move, and conversions put behind an operation."""
        return [
            self.names.of(op)
            for op in self._ops
            if fact(op, "layerType") in _MOVING_KINDS or (fact(op, "originalLayersNames") and not self._origins(op))
        ]

    def held(self, source: SourceGraph) -> list[str]:
        """Source tensors of which the compiled model holds the values; with all shapes known, what depends on those too."""
        nodes = nodes_by_operation(self._model, source)
        made = {node for op in self._constants for origin in self._origins(op) for node in nodes.get(origin, ())}
        if not self.is_dynamic:
            made |= Nature(source).shape_only
        return [tensor for node in source.nodes if node.name in made for tensor in node.outputs]

    def _origins(self, op: Any) -> list[str]:
        """The names of operations that a layer was made from.

        Where types become narrower, an operation has its output's number behind its name, and so have the conversions that are
        put behind it, once more: those with the fewest numbers are the operation's.
        """
        found = []
        for told in fact(op, "originalLayersNames").split(","):
            own = operation_of(told, self._lasting)
            if own is None or _numbers(told, own) == self._numbers[own]:
                found.append(own or told)
        return found

    def _layer(self, op: Any, kernels: Mapping[str, str], shapes: Mapping[str, Shape]) -> Layer:
        name = self.names.of(op)
        kernel = kernels.get(name) or fact(op, "primitiveType")
        precision = dtype_of(fact(op, "runtimePrecision"))
        inputs = (port.get_source_output() for port in op.inputs())
        return Layer(
            name=name,
            kind=fact(op, "layerType"),
            kernel=None if kernel.startswith(("unknown", "undef")) else kernel,
            precision=None if precision in ("", "undef", "dynamic") else precision,
            inputs=tuple(self._tensor(port, shapes) for port in inputs if key_of(port.get_node()) not in self._fixed),
            outputs=tuple(self._tensor(port, shapes) for port in op.outputs()),
            attributes=dict(_other_facts(op)),
        )

    def _tensor(self, port: Any, shapes: Mapping[str, Shape]) -> LayerTensor:
        node, index = port.get_node(), port.get_index()
        name = self.names.of(node) if node.get_output_size() == 1 else f"{self.names.of(node)}:{index}"
        layouts = fact(node, "outputLayouts").split(",")
        return LayerTensor(
            name=name,
            dtype=dtype_of(port.get_element_type()),
            shape=_shape(port.get_partial_shape(), shapes.get(name)),
            format=(layouts[index] if index < len(layouts) else None) or None,
        )


def _numbers(told: str, own: str) -> int:
    return told.removeprefix(own).count(".")


def _known_ahead(ops: Iterable[Any]) -> set[Key]:
    """Constants, and what depends on them alone: done when the model is loaded."""
    found: set[Key] = set()
    for op in ops:
        makers = [key_of(port.get_source_output().get_node()) for port in op.inputs()]
        if fact(op, "layerType") == "Const" or (makers and found.issuperset(makers)):
            found.add(key_of(op))
    return found


def _shape(known: Any, elsewhere: Shape | None) -> Shape | None:
    """The shape, or for an open one that which the tensor has elsewhere, as far as the two agree."""
    if known.is_static:
        return tuple(int(axis) for axis in known.to_shape())
    agrees = elsewhere is not None and known.compatible(imported().PartialShape(list(elsewhere)))
    return elsewhere if agrees else None


def nodes_of_model(model: Any) -> SourceGraph:
    """The operations of a model that OpenVINO read from a format of which it keeps no node names."""
    ops = [op for op in model.get_ordered_ops() if op.get_type_name() not in NOT_NODES]
    constants = [op for op in model.get_ordered_ops() if op.get_type_name() == "Constant"]
    return SourceGraph(
        nodes=tuple(
            SourceNode(
                name=op.get_friendly_name(),
                op=op.get_type_name(),
                inputs=tuple(_tensor_name(port.get_source_output()) for port in op.inputs()),
                outputs=tuple(_tensor_name(port) for port in op.outputs()),
                own=_own_type(op),
            )
            for op in ops
        ),
        constants=tuple(_tensor_name(op.output(0)) for op in constants),
        outputs=tuple(_tensor_name(result.input(0).get_source_output()) for result in model.get_results()),
        random=tuple(op.get_friendly_name() for op in ops if op.get_type_name() in _RANDOM_OPS),
        notes=("The source nodes are operations as OpenVINO read them from the model, in its own words.",),
    )


def _own_type(op: Any) -> str:
    """The float type that an operation makes; "" for others, for what runs graphs of its own and what computes nothing."""
    if op.get_type_name() in _NO_PRECISION or not op.get_output_size():
        return ""
    kind = dtype_of(op.output(0).get_element_type())
    return kind if "float" in kind else ""


def mean_times(session: OpenVinoSession, graph: RuntimeGraph, inputs: Tensors, runs: int) -> dict[str, float]:
    """Mean milliseconds a run of each layer that was executed."""
    total: dict[str, float] = defaultdict(float)
    for run in range(_WARM_UP_RUNS + runs):
        session.run(inputs)
        if run >= _WARM_UP_RUNS:
            profiled = session.profiled_layers()
            for name, one in zip(graph.names.in_turn(layer.name for layer in profiled), profiled, strict=True):
                if name and one.time_ms is not None:
                    total[name] += one.time_ms
    return {name: milliseconds / runs for name, milliseconds in total.items()}


def nodes_by_operation(model: Any, source: SourceGraph) -> dict[str, set[str]]:
    """Names of the source nodes that each operation carries out, by the operation's name.

    That is the node whose tensor it writes, or the one of its name. Where a node became several operations, the first
    ones have neither; they belong to the node that their results go to.
    """
    producer = {tensor: node for node in source.nodes for tensor in node.outputs}
    found = {node.name: {node.name} for node in source.nodes if node.op not in PASSING_OPS}
    reads: dict[str, set[str]] = defaultdict(set)
    for op in reversed(model.get_ordered_ops()):
        own = op.get_friendly_name()
        written = [producer[name] for port in op.outputs() for name in port.get_names() if name in producer]
        if working := {node.name for node in (at_work(node, producer) for node in written) if node.op not in PASSING_OPS}:
            found[own] = working
        elif op.get_type_name() not in NOT_NODES and len(reads[own]) == 1:
            found.setdefault(own, reads[own])
        for port in op.inputs():
            reads[port.get_source_output().get_node().get_friendly_name()] |= found.get(own, set())
    return found


def _tensor_name(port: Any) -> str:
    node = port.get_node()
    return str(node.get_friendly_name() if node.get_output_size() == 1 else f"{node.get_friendly_name()}:{port.get_index()}")


def _other_facts(op: Any) -> Iterator[tuple[str, str]]:
    for name in op.get_rt_info():
        if name not in _KNOWN_FACTS and (told := fact(op, name)):
            yield name, told
