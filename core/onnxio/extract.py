"""Some nodes of an ONNX file as a small file of their own, to try or to hand to whoever can help."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import onnx
from onnx import external_data_helper

from core.base.dtypes import bits, onnx_dtype
from core.base.errors import InvalidRequest, NotFound
from core.base.units import listed, size
from core.onnxio.file import read_onnx
from core.onnxio.parts import Alone
from core.onnxio.types import tensor_types
from core.onnxio.walk import name_nodes

# Weights above this are inputs of the small file; so is all that other nodes make.
LARGEST_WEIGHT_BYTES = 1 << 20
LARGEST_FILE_BYTES = 64 << 20
_NAMED = 5


def extract(path: Path, names: Sequence[str]) -> onnx.ModelProto:
    """The nodes of these names with what they read: values of small weights, type and shape of all else.

    Raises:
        NotFound: The graph has no node of such a name.
        InvalidRequest: With what the nodes hold inside, the file would not be small.
        BrokenModel: The file cannot be read.
    """
    light = read_onnx(path, weights=False)
    name_nodes(light)
    whole = read_onnx(path, external=False)
    name_nodes(whole)
    wanted = set(names)
    chosen = [node for node in whole.graph.node if node.name in wanted]
    if missing := wanted - {node.name for node in chosen}:
        raise NotFound(
            f"The graph has no node called {listed(sorted(missing), _NAMED)}.",
            hint="`engineroom preflight --json` tells names. What is in a branch or a loop goes with the node that owns it.",
        )
    alone = Alone(whole, tensor_types(light), holds=lambda tensor: _bytes(tensor) <= LARGEST_WEIGHT_BYTES)
    made = alone.model_of(chosen)
    for tensor in made.graph.initializer:
        if external_data_helper.uses_external_data(tensor):
            external_data_helper.load_external_data_for_tensor(tensor, str(path.parent))
            tensor.data_location = onnx.TensorProto.DEFAULT
            del tensor.external_data[:]
    if made.ByteSize() > LARGEST_FILE_BYTES:
        raise InvalidRequest(
            f"These nodes hold {size(made.ByteSize())} inside, which is not small.", hint="Take the model itself, or fewer nodes."
        )
    left = [info.name for info in made.graph.input if any(info.name == tensor.name for tensor in whole.graph.initializer)]
    made.doc_string = f"Nodes of {path.name}." + (f" Inputs in place of large weights: {listed(left, _NAMED)}." if left else "")
    return made


def _bytes(tensor: onnx.TensorProto) -> int:
    if tensor.data_type == onnx.TensorProto.STRING:
        return int(tensor.ByteSize())
    return math.prod(map(int, tensor.dims)) * max(8, bits(onnx_dtype(tensor.data_type))) // 8
