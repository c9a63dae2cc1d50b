"""What a signature leaves open, from the arrays that are given and the axes that are asked for.

Formats tell of an axis only that its length is open. That two such axes are one length is a guess (`Signature.guessed`), and
given arrays can show it wrong: a graph network's nodes and edges are no batch. Ranks that a file does not tell are the arrays'.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from core.base.profile import DEFAULT_LENGTH, AxisRange, ShapeProfile
from core.base.tensors import Signature, TensorSpec
from core.models.axes import BATCH, own_symbol
from core.parity.batches import batch_symbol

Shape = tuple[int, ...]


def with_asked_axes(signature: Signature, profile: ShapeProfile) -> Signature:
    """The signature with those axes told apart that the profile names by their own symbols, such as `nodes_0`."""
    taken = set(signature.symbols)
    apart = {symbol: own for symbol, own in own_symbols(signature).items() if any(name in profile.axes for name in own.values())}
    asked = {place: name for own in apart.values() for place, name in own.items() if name in profile.axes and name not in taken}
    return _apart(signature, asked)


def with_given_shapes(signature: Signature, profile: ShapeProfile, shapes: Mapping[str, Shape]) -> tuple[Signature, ShapeProfile]:
    """The signature and the lengths of its axes as the given arrays show them.

    Args:
        shapes: Of the arrays, by input.
    """
    unknown = [spec for spec in signature.inputs if spec.shape is None]
    ranked = tuple(replace(spec, shape=shapes.get(spec.name)) if spec in unknown else spec for spec in signature.inputs)
    signature = replace(signature, inputs=ranked)
    apart: dict[tuple[str, int], str] = {}
    lengths: dict[str, AxisRange] = {}
    for symbol, own in own_symbols(signature).items():
        found = {place: length for place in own if (length := _length(shapes, *place, signature)) is not None}
        lengths_found = set(found.values())
        if symbol == BATCH:  # one piece stands for all, and several must be equally many
            lengths_found = {-(-length // profile.length(symbol)) for length in lengths_found} - {1}
        if len(lengths_found) > 1:
            apart |= own
            lengths |= {own[place]: AxisRange(min=length, opt=length, max=length) for place, length in found.items() if length}
    split = _apart(signature, apart)
    axes = {**lengths, **profile.axes, **_measured(split, profile, shapes)}
    return split, ShapeProfile(axes={symbol: axes[symbol] for symbol in split.symbols if symbol in axes})


def _measured(signature: Signature, profile: ShapeProfile, shapes: Mapping[str, Shape]) -> dict[str, AxisRange]:
    """Ranges of the axes whose length nobody asked for, around what the arrays have."""
    found: dict[str, AxisRange] = {}
    guessed = profile.guessed(signature)
    for spec in signature.inputs:
        given = shapes.get(spec.name, ())
        if spec.shape is None or len(given) != len(spec.shape):
            continue
        for axis, length in zip(spec.shape, given, strict=True):
            if isinstance(axis, str) and axis in guessed and axis != batch_symbol(signature) and length:
                found[axis] = AxisRange(min=1, opt=length, max=max(length, DEFAULT_LENGTH.max))
    return found


def own_symbols(signature: Signature) -> dict[str, dict[tuple[str, int], str]]:
    """Of each guessed symbol, what each of its axes (input and position) would be called alone."""
    found: dict[str, dict[tuple[str, int], str]] = {}
    taken = set(signature.symbols)
    for spec in signature.inputs:
        for index, axis in enumerate(spec.shape or ()):
            if isinstance(axis, str) and axis in signature.guessed:
                found.setdefault(axis, {})[(spec.name, index)] = own_symbol(spec.name, index, taken)
    return {symbol: own for symbol, own in found.items() if len(own) > 1}


def _length(shapes: Mapping[str, Shape], name: str, index: int, signature: Signature) -> int | None:
    given = shapes.get(name)
    rank = next(len(spec.shape or ()) for spec in signature.inputs if spec.name == name)
    return given[index] if given is not None and len(given) == rank else None


def _apart(signature: Signature, apart: Mapping[tuple[str, int], str]) -> Signature:
    """With the axes at these places under symbols of their own; what the outputs shared with them is open."""
    if not apart:
        return signature
    before = {place: spec.shape[place[1]] for spec in signature.inputs if spec.shape for place in apart if place[0] == spec.name}
    inputs = tuple(_renamed(spec, apart) for spec in signature.inputs)
    lost = {str(symbol) for symbol in before.values()}
    taken = {*signature.symbols, *apart.values()}
    outputs = tuple(
        replace(spec, shape=tuple(own_symbol(spec.name, i, taken) if axis in lost else axis for i, axis in enumerate(spec.shape)))
        if spec.shape
        else spec
        for spec in signature.outputs
    )
    return replace(signature, inputs=inputs, outputs=outputs)


def _renamed(spec: TensorSpec, apart: Mapping[tuple[str, int], str]) -> TensorSpec:
    if spec.shape is None:
        return spec
    return replace(spec, shape=tuple(apart.get((spec.name, index), axis) for index, axis in enumerate(spec.shape)))
