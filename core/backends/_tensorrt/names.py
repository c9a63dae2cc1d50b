"""What a TensorRT layer's name tells: the ONNX nodes it was fused from, and the ends of an opaque block."""

from __future__ import annotations

import re
from collections.abc import Container, Iterator, Sequence
from dataclasses import dataclass

_COPY = re.compile(r"^Reformatting CopyNode for (Input|Output) Tensor \d+ to ")
_PROFILE = re.compile(r"\s*\[profile \d+\]$")
_TAG = re.compile(r" \[profile (\d+)\]")
_KERNEL = re.compile(r"_myl(\d+)_\d+$")
_FOREIGN = re.compile(r"\{ForeignNode\[(.*?)\]\}(?= \+ |$)", re.DOTALL)
_POINTWISE = re.compile(r"^PWN\((.*)\)$", re.DOTALL)
_NUMBERED = re.compile(r"(_clone)?_\d+$")
_HELPERS = re.compile(
    r"^(?:copied_)?(?:reshape|transpose|squeeze|unsqueeze|shuffle)(?:_node)?_(?:before|after)_|^(?:Q|DQ)_?(?:before|after)_"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class NameParts:
    """Attributes:
    nodes: ONNX nodes that the name spells out.
    blocks: First and last name of each `{ForeignNode[first...last]}`, as spelled.
    is_copy: The name says that the layer only brings a tensor into another layout or shape.
    """

    nodes: tuple[str, ...] = ()
    blocks: tuple[tuple[str, str], ...] = ()
    is_copy: bool = False


def name_parts(name: str, known: Container[str]) -> NameParts:
    """Splits a layer's name.

    Args:
        name: As the inspector tells it.
        known: The names of the ONNX nodes; whatever else the name holds (weights, TensorRT's own layers) is left out.
    """
    if _COPY.match(name):
        return NameParts(is_copy=True)
    name = _PROFILE.sub("", name)
    if name in known:
        return NameParts(nodes=(name,))
    if _HELPERS.match(name) and " + " not in name:
        return NameParts(is_copy=True)
    blocks = []
    for block in _FOREIGN.findall(name):
        first, _, last = block.partition("...")
        blocks.append((first, last or first))
    rest = _FOREIGN.sub("", name)
    pieces = [*_pieces(rest), *(piece for ends in blocks for end in ends for piece in _pieces(end))]
    nodes = (known_name(piece, known) for piece in pieces)
    return NameParts(nodes=tuple(dict.fromkeys(node for node in nodes if node)), blocks=tuple(blocks))


def profiles_in(names: Sequence[str]) -> list[int | None]:
    """The optimization profile of each layer: None for all where no name tells one.

    Layers of the first profile have no tag, nor have the kernels that Myelin names itself: those belong where other kernels of
    their block do. Where no kernel of a block is tagged, the block's number is the profile, if it is so in all that are.
    """
    tags = [int(found[1]) if (found := _TAG.search(name)) else None for name in names]
    if not any(tags):
        return [None] * len(names)
    blocks = [int(found[1]) if (found := _KERNEL.search(name)) else None for name in names]
    of_block = {block: tag for block, tag in zip(blocks, tags, strict=True) if block is not None and tag is not None}
    numbered = all(block == tag for block, tag in of_block.items())

    def profile(tag: int | None, block: int | None) -> int:
        if tag is not None or block is None:
            return tag or 0
        return of_block.get(block, block if numbered and of_block else 0)

    return [profile(tag, block) for tag, block in zip(tags, blocks, strict=True)]


def known_name(piece: str, known: Container[str]) -> str | None:
    """The ONNX node that one piece of a layer's name stands for; numbers and helper words that TensorRT added are tried off."""
    for start in (piece, _HELPERS.sub("", piece)):
        candidate, before = start, ""
        while candidate != before:
            if candidate in known:
                return candidate
            candidate, before = _NUMBERED.sub("", candidate), candidate
    return None


def _pieces(text: str) -> Iterator[str]:
    for piece in re.split(r" \+ | \|\| ", text.strip()):
        bare = piece.strip()
        while wrapped := _POINTWISE.match(bare):
            bare = wrapped.group(1)
        if bare:
            yield bare
        if ", " in bare:
            for inner in bare.split(", "):
                yield from _pieces(inner)
