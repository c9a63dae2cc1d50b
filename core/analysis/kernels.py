"""What an engine's layers do, told from their kinds, their tensors' types and the names that builders give generated kernels.

TensorRT's compiler names a kernel by what it does, four letters an operation: `__myl_MulCastAddReluMulMinMaxRounCast_...` scales,
changes the type, adds, clips, scales again, limits, rounds and changes the type. That is documented nowhere, and was learned from
TensorRT-RTX 1.7.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable

from core.graph.engine_graph import EngineGraph, Layer, LayerTensor

FLOATS = ("float64", "float32", "bfloat16", "float16")
QUANTIZED = frozenset(
    {"int8", "uint8", "int4", "uint4", "float8_e4m3fn", "float8_e5m2", "float8_e4m3fnuz", "float8_e5m2fnuz", "float4_e2m1fn"}
)

_GENERATED = re.compile(r"__myl_([A-Z][A-Za-z]*?)(?:_|$)")
_OPERATION = re.compile(r"[A-Z][a-z0-9]*")
_LAYOUT = frozenset({"Move", "Tran", "Resh"})
_PARTS = frozenset({"Repl", "Conc", "Slic"})  # padding is written with them too
# What a convolution's or product's own kernel can do with its result before it writes it.
_EPILOGUE = _LAYOUT | _PARTS | {"Mul", "Cast", "Add", "Relu", "Min", "Max", "Roun", "Silu", "Sigm"}
_PRODUCTS = frozenset({"Corr", "Fc", "Gemm"})
_WEIGHTED_KIND = re.compile(r"correlation|conv(?!ert)|gemm|matmul|matrixmultiply|fullyconnected|innerproduct", re.IGNORECASE)
_CONVERTING_KINDS = frozenset(
    {"reformat", "myelinreformat", "quantizelinear", "dequantizelinear", "fakequantize", "quantize", "dequantize",
     "pointwise", "pointwisev2", "scale"}
)  # fmt: skip
_REFORMAT_KINDS = ("reorder", "reformat", "myelinreformat")
_RANK = dict.fromkeys(("Conv", "ConvTranspose", "Gemm", "MatMul"), 0) | dict.fromkeys(
    ("QuantizeLinear", "DequantizeLinear", "Cast", "Identity"), 2
)
_CAST_KINDS = frozenset({"cast", "convert"})
_ATTENTION_KINDS = frozenset({"attention", "multiheadattention", "scaleddotproductattention"})


def operations(layer: Layer) -> tuple[str, ...]:
    """What the name of a generated kernel says that it does, in order; empty for all others."""
    for name in (layer.kernel, layer.name):
        if name and (found := _GENERATED.match(name)):
            return tuple(_OPERATION.findall(found[1]))
    return ()


def is_weighted(layer: Layer) -> bool:
    """Whether a layer carries out a convolution or a product, fused attention among them."""
    return is_fused_attention(layer) or bool(_WEIGHTED_KIND.search(layer.kind)) or bool(_PRODUCTS & set(operations(layer)))


def is_fused_attention(layer: Layer) -> bool:
    return "_mha" in (layer.kernel or "") or layer.kind.lower() in _ATTENTION_KINDS


def brings_to_quantized(layer: Layer) -> bool:
    """Whether all that a layer does is to bring float tensors to a quantized type, with what a convolution could do besides."""
    return _is_epilogue(layer) and _has(layer.outputs, QUANTIZED) and _has(layer.inputs, FLOATS)


def brings_from_quantized(layer: Layer) -> bool:
    """The same from a quantized type to floats."""
    quantized_alone = _has(layer.inputs, QUANTIZED) and not _has(layer.inputs, FLOATS)
    return _is_epilogue(layer) and quantized_alone and _has(layer.outputs, FLOATS) and not _has(layer.outputs, QUANTIZED)


def mixes_floats(layer: Layer) -> bool:
    """Whether a layer reads or writes floats of several widths, and nothing quantized."""
    tensors = (*layer.inputs, *layer.outputs)
    return len({tensor.dtype for tensor in tensors if tensor.dtype in FLOATS}) > 1 and not _has(tensors, QUANTIZED)


def only_casts(layer: Layer) -> bool:
    """Whether all that a layer does is to change the width of floats, and perhaps the layout."""
    done = set(operations(layer))
    generated = "Cast" in done and done <= {"Cast", *_LAYOUT, *_PARTS}
    return (generated or layer.kind.lower() in _CAST_KINDS or is_reformat_kind(layer)) and mixes_floats(layer)


def only_moves(layer: Layer) -> bool:
    """Whether all that a layer does is to change the layout, with the type as it was."""
    done = set(operations(layer))
    types = {tensor.dtype for tensor in (*layer.inputs, *layer.outputs)}
    return len(types) == 1 and (is_reformat_kind(layer) or (bool(done) and done <= _LAYOUT))


def is_reformat_kind(layer: Layer) -> bool:
    return layer.kind.lower().startswith(_REFORMAT_KINDS)


def computes_quantized(layer: Layer) -> bool:
    """Whether a layer carries out a convolution or a product of quantized tensors."""
    return is_weighted(layer) and not is_fused_attention(layer) and bool(layer.inputs) and layer.inputs[0].dtype in QUANTIZED


def nodes_of(graph: EngineGraph, layers: Iterable[Layer]) -> tuple[str, ...]:
    """The source nodes in these layers, each once: products first, then what else computes, then what only changes types."""
    inside = {name for layer in layers for name in layer.source_nodes}
    found = [node for node in graph.source_nodes if node.name in inside]
    return tuple(node.name for node in sorted(found, key=lambda node: _RANK.get(node.op, 1)))


def _is_epilogue(layer: Layer) -> bool:
    done = set(operations(layer))
    return (done <= _EPILOGUE) if done else layer.kind.lower() in _CONVERTING_KINDS


def _has(tensors: Iterable[LayerTensor], types: Collection[str]) -> bool:
    return any(tensor.dtype in types for tensor in tensors)
