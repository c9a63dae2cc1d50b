"""Symbols for dynamic axes: which of them are one length, and what each is called.

Formats that say only "unknown length" (TensorFlow, Keras, TFLite, some ONNX files) leave open which axes go together.
The rules are the ones exporters follow in practice; a wrong guess shows as a shape error at the first run.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from core.base.tensors import Axis, Signature, TensorSpec

BATCH = "batch"


@dataclass(frozen=True, slots=True, kw_only=True)
class RawTensor:
    """A tensor as its format tells it; an axis of None is dynamic and has no symbol yet, a shape of None has no rank."""

    name: str
    dtype: str
    shape: tuple[Axis | None, ...] | None


def with_symbols(name: str, inputs: Iterable[RawTensor], outputs: Iterable[RawTensor], *, share: bool = True) -> Signature:
    """A signature in which every dynamic axis has a symbol; symbols that are there are kept.

    A leading dynamic axis of every input is "batch", on the outputs too. With `share`, other dynamic axes at the same
    position of inputs whose shapes are alike get one symbol (`dim_1`). Any other axis is `<tensor>_<axis>`.
    """
    ins, outs = tuple(inputs), tuple(outputs)
    ranked = [tensor.shape for tensor in ins if tensor.shape]
    batched = bool(ranked) and all(shape[0] is None or shape[0] == BATCH for shape in ranked)
    has_batch = batched or any(BATCH in shape for shape in ranked)
    taken = {axis for tensor in (*ins, *outs) for axis in tensor.shape or () if isinstance(axis, str)} | {BATCH}
    shared = _shared_axes(ins, batched) if share else {}
    guessed = [BATCH] if batched and sum(shape[0] is None for shape in ranked) > 1 else []
    return Signature(
        name=name,
        inputs=tuple(_named(tensor, batched, shared, taken) for tensor in ins),
        outputs=tuple(_named(tensor, has_batch, {}, taken) for tensor in outs),
        guessed=tuple(dict.fromkeys((*guessed, *shared.values()))),
    )


def _shared_axes(inputs: Sequence[RawTensor], batched: bool) -> dict[tuple[str, int], str]:
    """Symbol of each (input, axis) that goes together with the same axis of another input of the same shape pattern."""
    alike: dict[tuple[Axis | None, ...], list[str]] = defaultdict(list)
    for tensor in inputs:
        alike[tensor.shape or ()].append(tensor.name)
    several = [(shape, names) for shape, names in alike.items() if len(names) > 1]
    found: dict[tuple[str, int], str] = {}
    for group, (shape, names) in enumerate(several):
        for index, axis in enumerate(shape):
            if axis is None and not (batched and index == 0):
                symbol = f"dim_{index}" if group == 0 else f"dim_{index}_{group + 1}"
                found.update({(name, index): symbol for name in names})
    return found


def _named(tensor: RawTensor, batched: bool, shared: dict[tuple[str, int], str], taken: set[str]) -> TensorSpec:
    if tensor.shape is None:
        return TensorSpec(name=tensor.name, dtype=tensor.dtype, shape=None)
    axes: list[Axis] = []
    for index, axis in enumerate(tensor.shape):
        if axis is not None:
            axes.append(axis)
        elif index == 0 and batched:
            axes.append(BATCH)
        else:
            axes.append(shared.get((tensor.name, index)) or own_symbol(tensor.name, index, taken))
    return TensorSpec(name=tensor.name, dtype=tensor.dtype, shape=tuple(axes))


def own_symbol(tensor: str, index: int, taken: set[str]) -> str:
    """What an axis is called that goes together with no other; it is added to those that are taken."""
    symbol = f"{re.sub(r'[^0-9A-Za-z_]+', '_', tensor).strip('_') or 'axis'}_{index}"
    while symbol in taken:
        symbol += "_"
    taken.add(symbol)
    return symbol
