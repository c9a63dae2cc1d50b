"""What INT8 needs behind depthwise convolutions on TensorRT: it computes them in INT8 only where their output is quantized too.

Elsewhere they fall back to FP16 or FP32 with conversions on both sides; docs/decisions/0027 has what was seen on an H100.
"""

from __future__ import annotations

from onnx import NodeProto

from core.precision.view import GraphView, attribute

# What TensorRT fuses into the convolution before it.
ACTIVATIONS = ("Relu", "Clip", "LeakyRelu", "PRelu", "Sigmoid", "Elu")
# What activations and gates are written with.
_POINTWISE = (
    *ACTIVATIONS, "BatchNormalization", "Celu", "Erf", "Gelu", "HardSigmoid", "HardSwish", "Mish", "Selu", "Softplus", "Swish",
    "Tanh",
)  # fmt: skip
_AFFINE = ("Mul", "Div", "Add", "Sub")

Readers = dict[str, list[tuple[str, int]]]


def is_depthwise(node: NodeProto, view: GraphView) -> bool:
    """Whether a convolution has a filter of its own for each input channel."""
    return node.op_type == "Conv" and attribute(node, "group", 1) > 1 and view.shape(node.input[1])[1] == 1


def quantized_behind(convolution: NodeProto, view: GraphView) -> Readers:
    """Tensors behind a depthwise convolution with the (node, input position) pairs that must read them quantized.

    These are all readers of its output, behind the activation. Where a gate scales that (squeeze-and-excite), the product reads
    the gate quantized too, so that it is computed in INT8 and nothing changes its type on the way. There are none where a sum
    reads the output, as of a sum's inputs one stays as it is, or where an activation is only one of the convolution's readers.
    """
    made = _activated(str(convolution.output[0]), view)
    readers = view.consumers.get(made, [])
    apart = made == convolution.output[0] and any(_is_pointwise(reader, view) for reader in readers)
    if apart or any(reader.op_type == "Add" for reader in readers):
        return {}
    found: Readers = {made: view.reads(made)}
    for product in (reader for reader in readers if reader.op_type == "Mul"):
        for position, gate in enumerate(product.input):
            if gate != made and _is_gate(str(gate), view):
                found.setdefault(str(gate), []).append((product.name, position))
    return found


def _is_gate(tensor: str, view: GraphView) -> bool:
    """Whether a tensor can be quantized for the one product that it scales: no constant, and fused with nothing else."""
    return tensor not in view.constants and view.is_float(tensor) and view.only_consumer(tensor) is not None


def _activated(tensor: str, view: GraphView) -> str:
    """A convolution's output behind its activation, a swish among them."""
    while True:
        reader = view.only_consumer(tensor)
        if reader is not None and _is_pointwise(reader, view):
            tensor = str(reader.output[0])
        elif product := _self_gated(tensor, view):
            tensor = product
        else:
            return tensor


def _self_gated(tensor: str, view: GraphView) -> str:
    """The product of a tensor with a function of itself, as swish and hard swish are written; "" where there is none."""
    readers = view.consumers.get(tensor, [])
    product = next((reader for reader in readers if reader.op_type == "Mul" and not _is_pointwise(reader, view)), None)
    gate = next((reader for reader in readers if reader is not product), None)
    if product is None or len(readers) != 2 or tensor in view.outputs:
        return ""
    while gate is not None and gate is not product:
        gate = view.only_consumer(gate.output[0]) if _is_pointwise(gate, view) else None
    return str(product.output[0]) if gate is not None else ""


def _is_pointwise(node: NodeProto, view: GraphView) -> bool:
    return node.op_type in _POINTWISE or (node.op_type in _AFFINE and any(name in view.constants for name in node.input))
