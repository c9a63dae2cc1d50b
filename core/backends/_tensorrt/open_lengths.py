"""Lengths that a builder's list leaves open, worked out from the source graph at the profile's usual lengths.

The builder of an engine for batches 1 to 8 tells `[-1, 64, 256]`, and `[-1, 256]` for the same values laid in rows: one open
length is the batch, the other 64 times it. Which of them it is, the list does not tell. The source graph does: what a layer
writes is what its nodes write, whose shapes ONNX's own inference knows. Nothing is guessed: where the nodes of a layer leave more
than one answer, or none, the length stays open.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain, combinations

import onnx

from core.base.profile import ShapeProfile
from core.base.tensors import Signature
from core.graph.engine_graph import EngineGraph, Layer, LayerTensor
from core.onnxio.types import tensor_types

Shape = tuple[int, ...]
Lengths = tuple[int | None, ...]
Pair = tuple[Shape, Shape]  # at the usual lengths and at others
# What is added to a usual length for the second look, another for each axis, so that no product of lengths looks like another.
_STEPS = (7, 11, 13, 17, 19, 23, 29, 31)
# Rows of products are padded to fewer than this many columns more.
_MOST_COLUMNS = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenShapes:
    """Shapes of the source graph's tensors that depend on an open axis.

    Attributes:
        usual: By name, at the usual lengths of each profile.
        other: The same at other lengths, which tells what depends on them and how.
    """

    usual: tuple[Mapping[str, Shape], ...] = ()
    other: tuple[Mapping[str, Shape], ...] = ()


def open_shapes(model: onnx.ModelProto, signature: Signature, profiles: Sequence[ShapeProfile]) -> OpenShapes:
    """The shapes that a graph's tensors have under these profiles, as far as ONNX infers them.

    Args:
        model: It may lack its weights; its inputs' shapes are changed.
    """
    axes = signature.symbols
    if not axes or any(spec.shape is None for spec in signature.inputs):
        return OpenShapes()
    usual, other = [], []
    ranges = {axis: {end for one in profiles for end in (one.range(axis).min, one.range(axis).max)} for axis in axes}
    open_axes = [axis for axis in axes if len(ranges[axis]) > 1]  # the others are written into the network
    for profile in profiles:
        lengths = {axis: profile.length(axis) for axis in axes}
        steps = {axis: _STEPS[place % len(_STEPS)] for place, axis in enumerate(open_axes)}
        beside, beyond = (lengths | {axis: lengths[axis] + times * step for axis, step in steps.items()} for times in (1, 3))
        first, second, third = (_shapes(model, signature, one) for one in (lengths, beside, beyond))
        # What is added to a tensor of unknown lengths tells them, unless its own are 1: then other lengths tell more.
        for name in second.keys() & third.keys() - first.keys():
            if (shape := _brought_to(lengths, (second[name], beside), (third[name], beyond), open_axes)) is not None:
                first[name] = shape
        names = [name for name, shape in first.items() if name in second and second[name] != shape]
        usual.append({name: first[name] for name in names})
        other.append({name: second[name] for name in names})
    return OpenShapes(usual=tuple(usual), other=tuple(other))


def with_usual_lengths(graph: EngineGraph, shapes: OpenShapes) -> EngineGraph:
    """The engine with the shapes of tensors whose open lengths the source graph tells; the others stay open."""
    layers = list(graph.layers)
    for number, (usual, other) in enumerate(zip(shapes.usual, shapes.other, strict=True)):
        own = [index for index, layer in enumerate(layers) if (layer.profile or 0) == number]
        for index, layer in zip(own, _Resolving(graph, [layers[index] for index in own], usual, other).layers(), strict=True):
            layers[index] = layer
    return replace(graph, layers=tuple(layers))


def _brought_to(
    lengths: Mapping[str, int],
    one: tuple[Shape, Mapping[str, int]],
    two: tuple[Shape, Mapping[str, int]],
    axes: Sequence[str],
) -> Shape | None:
    """A shape at these lengths of the axes, known at two others; None where a length is no multiple of a product of axes."""
    shape = []
    for first, second in zip(one[0], two[0], strict=False):
        for chosen in chain.from_iterable(combinations(axes, count) for count in range(len(axes) + 1)):
            own, other, wanted = (math.prod(at[axis] for axis in chosen) for at in (one[1], two[1], lengths))
            if first % own == 0 and first // own * other == second:
                shape.append(first // own * wanted)
                break
        else:
            return None
    return tuple(shape) if len(one[0]) == len(two[0]) else None


def _shapes(model: onnx.ModelProto, signature: Signature, lengths: Mapping[str, int]) -> dict[str, Shape]:
    specs = {spec.name: spec for spec in signature.inputs}
    for info in model.graph.input:
        if spec := specs.get(info.name):
            shape = [lengths[axis] if isinstance(axis, str) else axis for axis in spec.shape or ()]
            info.type.CopyFrom(onnx.helper.make_tensor_type_proto(info.type.tensor_type.elem_type, shape))
    del model.graph.value_info[:]  # what an exporter noted is of other lengths
    for info in model.graph.output:
        info.type.tensor_type.ClearField("shape")
    known = ((name, _lengths(kind)) for name, kind in tensor_types(model).items())
    return {name: shape for name, shape in known if shape is not None}


def _lengths(kind: onnx.TypeProto) -> Shape | None:
    told = kind.tensor_type
    if kind.WhichOneof("value") != "tensor_type" or not told.HasField("shape"):
        return None
    dims = told.shape.dim
    return tuple(int(dim.dim_value) for dim in dims) if all(dim.HasField("dim_value") for dim in dims) else None


class _Resolving:
    """The layers of one profile.

    Attributes:
        shapes: Of the engine's tensors, by name and told lengths, as far as they are known.
        counts: How many elements they have, by name: the same tensor may be read in another shape.
    """

    def __init__(self, graph: EngineGraph, layers: list[Layer], usual: Mapping[str, Shape], other: Mapping[str, Shape]) -> None:
        self._layers, self._usual, self._other = layers, usual, other
        self._nodes = {node.name: node for node in graph.source_nodes}
        self.shapes: dict[tuple[str, Lengths], Shape] = {}
        self.counts: dict[str, int] = {}

    def layers(self) -> list[Layer]:
        for layer in self._layers:
            self._note(layer.outputs, self._names(layer, written=True))
        for layer in self._layers:
            self._note(layer.inputs, self._names(layer, written=False))
        return [
            replace(layer, inputs=tuple(map(self._told, layer.inputs)), outputs=tuple(map(self._told, layer.outputs)))
            for layer in self._layers
        ]

    def _names(self, layer: Layer, *, written: bool) -> list[str]:
        """The source graph's tensors that a layer's nodes write, or read from others."""
        nodes = [self._nodes[name] for name in layer.source_nodes if name in self._nodes]
        made = [name for node in nodes for name in node.outputs]
        return made if written else [name for node in nodes for name in node.inputs if name not in set(made)]

    def _note(self, tensors: Iterable[LayerTensor], names: Sequence[str]) -> None:
        """Takes down the shape of these tensors where all the names that fit tell the same."""
        for tensor in tensors:
            if tensor.lengths is None or tensor.name in self.counts:
                continue
            own = [tensor.name] if tensor.name in self._usual else names
            pairs = [(self._usual[one], self._other[one]) for one in own if one in self._usual]
            fits: set[Shape] = set()
            for fit in (_fit, _fit_padded, _fit_side_by_side):
                fits = fits or fit(tensor.lengths, pairs)
            if len(fits) == 1:
                shape = fits.pop()
                self.shapes[tensor.name, tensor.lengths] = shape
                self.counts[tensor.name] = math.prod(shape)

    def _told(self, tensor: LayerTensor) -> LayerTensor:
        if tensor.lengths is None or tensor.name not in self.counts:
            return tensor
        shape = self.shapes.get((tensor.name, tensor.lengths))
        if shape is None and (length := _only_open(tensor.lengths, self.counts[tensor.name])) is not None:
            shape = _filled(tensor.lengths, length)
        return replace(tensor, shape=shape)


def _fit(lengths: Lengths, pairs: Iterable[Pair]) -> set[Shape]:
    """The usual shapes that an engine's tensor can have, were it one of these of the source graph."""
    return {shape for usual, other in pairs for shape in (*_merged(lengths, usual, other), *_in_rows(lengths, usual, other))}


def _fit_padded(lengths: Lengths, pairs: Iterable[Pair]) -> set[Shape]:
    """The same where a layout has more channels, or a few more columns, than the source graph, the others full of zeros."""
    channels = lengths[1] if len(lengths) > 1 else None
    if channels is None:
        return set()
    found = set()
    for usual, other in pairs:
        if len(usual) == len(lengths) and 0 < channels - usual[1] < (_MOST_COLUMNS if len(usual) == 2 else channels):
            found |= _merged(lengths, (usual[0], channels, *usual[2:]), (other[0], channels, *other[2:]))
    return found


def _fit_side_by_side(lengths: Lengths, pairs: Iterable[Pair]) -> set[Shape]:
    """The same where several results of one shape lie beside each other, as Q, K and V of one product do."""
    found = set()
    for (usual, other), count in Counter(pairs).items():
        if count > 1 and usual:
            found |= _in_rows(lengths, (*usual[:-1], count * usual[-1]), (*other[:-1], count * other[-1]))
    return found


def _merged(lengths: Lengths, usual: Shape, other: Shape) -> set[Shape]:
    """The shapes that come of putting neighbouring axes together."""
    if not lengths:
        return {()} if not usual else set()
    found = set()
    for count in range(1, len(usual) - len(lengths) + 2):
        one, two = math.prod(usual[:count]), math.prod(other[:count])
        if lengths[0] is None or lengths[0] == one == two:
            found |= {(one, *rest) for rest in _merged(lengths[1:], usual[count:], other[count:])}
    return found


def _in_rows(lengths: Lengths, usual: Shape, other: Shape) -> set[Shape]:
    """The shape where the first axes have become the one open length, however the others are parted."""
    length, beside = _only_open(lengths, math.prod(usual)), _only_open(lengths, math.prod(other))
    firsts = [(math.prod(usual[:count]), math.prod(other[:count])) for count in range(1, len(usual) + 1)]
    return {_filled(lengths, length)} if length is not None and (length, beside) in firsts else set()


def _only_open(lengths: Lengths, count: int) -> int | None:
    """The one open length of a tensor with so many elements; None where several are open, or none would do."""
    fixed = math.prod(length for length in lengths if length is not None)
    return count // fixed if lengths.count(None) == 1 and fixed and count % fixed == 0 else None


def _filled(lengths: Lengths, length: int) -> Shape:
    return tuple(length if one is None else one for one in lengths)
