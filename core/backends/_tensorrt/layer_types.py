"""Layers that stay in FP32 where types are weak: before version 10, the FP16 flag lets the builder narrow any layer."""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Any

from core.graph.source import SourceGraph


def hold_in_fp32(trt: Any, network: Any, config: Any, source: SourceGraph, nodes: Collection[str]) -> int:
    """Makes the layers of these source nodes compute and give FP32, or the build fail.

    Returns:
        How many layers that were.
    """
    if not nodes:
        return 0
    known = {node.name for node in source.nodes}
    floats = (trt.float32, trt.float16)
    held = 0
    for layer in (network.get_layer(index) for index in range(network.num_layers)):
        # The parser names the first layer of a node after it, further ones `NAME_0`, `NAME_1`.
        owner = layer.name if layer.name in known else re.sub(r"_\d+$", "", layer.name)
        outputs = [index for index in range(layer.num_outputs) if layer.get_output(index).dtype in floats]
        if owner not in nodes or not outputs:
            continue
        layer.precision = trt.float32
        for index in outputs:
            layer.set_output_type(index, trt.float32)
        held += 1
    if held:
        config.set_flag(trt.BuilderFlag.OBEY_PRECISION_CONSTRAINTS)
    return held


def hold_all_in_fp32(trt: Any, config: Any) -> None:
    """Lets no layer be narrowed but the quantized ones: 8.5 was seen to refuse single ones held in FP32 beside those."""
    config.clear_flag(trt.BuilderFlag.OBEY_PRECISION_CONSTRAINTS)
    config.clear_flag(trt.BuilderFlag.FP16)
