"""What INT8 needs behind depthwise convolutions on TensorRT: it computes them in INT8 only where their output is quantized too.

Elsewhere they fall back to FP16 or FP32 with conversions on both sides; docs/decisions/0027 has what was seen on an H100.
"""

from __future__ import annotations

from onnx import NodeProto

from core.precision.view import GraphView, attribute

# What TensorRT fuses into the convolution before it.
ACTIVATIONS = ("Relu", "Clip", "LeakyRelu", "PRelu", "Sigmoid", "Elu")
_POINTWISE = (*ACTIVATIONS, "HardSigmoid", "HardSwish", "BatchNormalization")
_AFFINE = ("Mul", "Div", "Add", "Sub")


def is_depthwise(node: NodeProto, view: GraphView) -> bool:
    """Whether a convolution has a filter of its own for each input channel."""
    return node.op_type == "Conv" and attribute(node, "group", 1) > 1 and view.shape(node.input[1])[1] == 1


def quantized_behind(convolution: NodeProto, view: GraphView) -> tuple[str, ...]:
    """The tensors behind a depthwise convolution that all their readers must read quantized.

    That is its output behind the activation, and where a gate scales that (squeeze-and-excite), the gate too, so that their
    product is computed in INT8 and nothing changes its type on the way. None where a sum reads it: of a sum's inputs one
    stays as it is.
    """
    made = _activated(str(convolution.output[0]), view)
    readers = view.consumers.get(made, [])
    if any(reader.op_type == "Add" for reader in readers):
        return ()
    products = [reader for reader in readers if reader.op_type == "Mul"]
    gates = (str(name) for product in products for name in product.input if name != made and name not in view.constants)
    return (made, *(gate for gate in dict.fromkeys(gates) if view.is_float(gate)))


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
    product = next((reader for reader in readers if reader.op_type == "Mul"), None)
    gate = next((reader for reader in readers if reader is not product), None)
    if product is None or len(readers) != 2 or tensor in view.outputs:
        return ""
    while gate is not None and gate is not product:
        gate = view.only_consumer(gate.output[0]) if _is_pointwise(gate, view) else None
    return str(product.output[0]) if gate is not None else ""


def _is_pointwise(node: NodeProto, view: GraphView) -> bool:
    return node.op_type in _POINTWISE or (node.op_type in _AFFINE and any(name in view.constants for name in node.input))
