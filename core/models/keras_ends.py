"""What a loaded Keras model takes and gives, however it nests its tensors: a name for each, and a flat call.

Keras feeds and returns lists, dicts, and those in each other; a signature has one row of inputs and one of outputs, in the order
of `keras.tree.flatten`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from core.base.errors import InvalidRequest
from core.base.lean import import_keras
from core.base.tensors import Signature


@dataclass(frozen=True, slots=True, kw_only=True)
class Ends:
    """Keras's symbolic tensors by name, in the flat order."""

    inputs: dict[str, Any]
    outputs: dict[str, Any]


def ends_of(model: Any) -> Ends:
    """The tensors of a loaded model.

    What lies in a dict has its key's name, with its place behind it in a list below the key; keys that come twice have all keys
    on the way. What lies in lists alone has the name of its `Input`, or of the layer that makes it.
    """
    made_by = getattr(model, "output_names", None) or [model.layers[-1].name]
    taken, given = _structures(model)
    return Ends(inputs=_named(taken, [tensor.name.partition(":")[0] for tensor in model.inputs]), outputs=_named(given, made_by))


def flat_call(model: Any, signature: Signature) -> Callable[..., list[Any]]:
    """The model's call for inference: takes the signature's inputs in their order, gives its outputs in theirs.

    Raises:
        InvalidRequest: The model has other inputs and outputs than the signature.
    """
    keras, ends, (taken, _) = import_keras(), ends_of(model), _structures(model)
    fed = _order(list(ends.inputs), [spec.name for spec in signature.inputs], "inputs")
    wanted = [spec.name for spec in signature.outputs]
    given = _order(wanted, list(ends.outputs), "outputs")

    def call(*tensors: Any) -> list[Any]:
        nested = keras.tree.pack_sequence_as(taken, [tensors[index] for index in fed])
        results = keras.tree.flatten(model(nested, training=False))
        return [results[index] for index in given]

    return call


def _structures(model: Any) -> tuple[Any, Any]:
    """Its inputs and outputs, nested as it takes and gives them; a Sequential model has one of each."""
    if isinstance(model, import_keras().Sequential):
        return model.inputs[0], model.outputs[0]
    return model.input, model.output


def _order(names: Sequence[str], places: Sequence[str], what: str) -> list[int]:
    """For each name its place; in the given order where the names are others, as older releases called them."""
    if len(names) != len(places):
        raise InvalidRequest(
            f"The Keras model and its signature have different numbers of {what}.",
            hint="The model has changed since it was added. Add it again.",
        )
    return [places.index(name) for name in names] if set(names) == set(places) else list(range(len(names)))


def _named(structure: Any, plain: Sequence[str]) -> dict[str, Any]:
    leaves = import_keras().tree.flatten_with_path(structure)
    paths, tensors = [path for path, _ in leaves], [tensor for _, tensor in leaves]
    return dict(zip(names_of(paths, plain), tensors, strict=True))


def names_of(paths: Sequence[Sequence[Any]], plain: Sequence[str]) -> list[str]:
    """Names of tensors by the keys and places that lead to each; `plain` are those of tensors that no key leads to."""
    short = [_short(path) or name for path, name in zip(paths, plain, strict=True)]
    count = Counter(short)
    twice = [count[name] > 1 and bool(_short(path)) for path, name in zip(paths, short, strict=True)]
    return _unique(["_".join(map(str, path)) if long else name for path, name, long in zip(paths, short, twice, strict=True)])


def _short(path: Sequence[Any]) -> str:
    """The last key on the way to a tensor, with the places behind it."""
    keys = [index for index, part in enumerate(path) if isinstance(part, str)]
    return "_".join(str(part) for part in path[keys[-1] :]) if keys else ""


def _unique(names: Sequence[str]) -> list[str]:
    """A layer called twice gives two outputs of one name; the later ones get a number."""
    found: list[str] = []
    for name in names:
        number, free = 1, name
        while free in found:
            free, number = f"{name}_{number}", number + 1
        found.append(free)
    return found
