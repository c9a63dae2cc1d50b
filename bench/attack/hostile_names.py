"""A model whose every name is made to be taken for something else than a name."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

# Nothing is there: whoever asks for it has taken a name for an address.
ELSEWHERE = "http://127.0.0.1:9"
NAMES = (
    f"![shown]({ELSEWHERE}/markdown.png)",
    f'<img src="{ELSEWHERE}/html.png" onerror="window.hostile = 1">',
    "<script>window.hostile = 2</script>",
    f"[press]({ELSEWHERE}/link)",
    "[press](javascript:window.hostile=3)",
    f"{ELSEWHERE}/bare www.example.com a@example.com",
    "**bold** ~~gone~~ `code` :red[red] $x^2$ :smile: &lt; # h",
    "\u202egnp.elbissop\u202c",
    "first\nsecond\r\n\r\n# third\n- fourth",
    '=HYPERLINK("http://127.0.0.1:9/csv")',
    "</script><svg onload=window.hostile=4>",
    "{{7*7}} %{x} <extra></extra> <b>bold</b>",
)


def hostile_model(path: Path, *, unknown_op: bool = False) -> Path:
    """Runs in ONNX Runtime, unless an op is asked for that nothing knows."""
    weights = numpy_helper.from_array(np.eye(4, dtype=np.float32), f"weights {NAMES[0]}")
    nodes, last = [], f"in {NAMES[0]}"
    for number, name in enumerate(NAMES):
        op = ("MatMul", "Relu", "Softmax")[number % 3]
        inputs = [last, weights.name] if op == "MatMul" else [last]
        last = f"out {number} {name}"
        nodes.append(helper.make_node(op, inputs, [last], name=f"{number} {name}"))
    if unknown_op:
        before, last = last, "out"
        nodes.append(helper.make_node(f"Op{NAMES[0]}{NAMES[1]}", [before], [last], name=NAMES[0], domain=f"domain {NAMES[0]}"))
    shape: list[str | int | None] = [f"n{NAMES[6]}", 4]
    graph = helper.make_graph(
        nodes,
        NAMES[1],
        [helper.make_tensor_value_info(f"in {NAMES[0]}", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info(last, TensorProto.FLOAT, shape)],
        [weights],
        doc_string=NAMES[0],
    )
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid(f"domain {NAMES[0]}", 1)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=9, producer_name=f"{NAMES[0]}{NAMES[1]}{NAMES[5]}")
    onnx.save(model, path)
    return path
