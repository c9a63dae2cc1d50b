"""What TensorRT 8.5 on an H100 fused against what TensorRT-RTX fuses with no GPU, by source node.

python -m bench.rtx.fusions [resnet50 mobilenetv2]

The sample networks in INT8. One side is the recorded answer of 8.5.3.1's inspector (tests/golden/tensorrt), the other is built
now. Each row is a set of source nodes that both carry out within layers of their own (core/analysis/diff.py), rows of the same
ops and counts of layers put together; Q, DQ, casts and constants are left out of the names.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections import Counter
from pathlib import Path

from bench.networks import onnx_of
from bench.rtx.networks import PATH
from core.analysis.diff import EngineDiff, diff_engines
from core.backends._tensorrt.inspector import read_inspector
from core.backends._tensorrt.mapping import engine_graph
from core.base.precision import Precision
from core.graph.engine_graph import EngineGraph, SourceNode
from core.graph.source import SourceGraph
from core.intake.add_model import add_model
from core.request.build_request import BuildRequest, checked
from core.stages.outcome import load_outcome
from core.stages.pipeline import run_build
from core.storage.workspace import Workspace

RECORDED = Path(__file__).parents[2] / "tests/golden/tensorrt/tensorrt-8.5.3.1-h100"
_BESIDE = ("QuantizeLinear", "DequantizeLinear", "Cast", "Constant", "Identity")


def recorded(network: str) -> EngineGraph:
    """TensorRT 8.5.3.1's engine of the sample network in INT8."""
    told = json.loads((RECORDED / f"sample-{network}-int8.nodes.json").read_text(encoding="utf-8"))
    nodes = tuple(SourceNode(name=n, op=op, inputs=tuple(i), outputs=tuple(o)) for n, op, i, o in told["nodes"])
    source = SourceGraph(nodes=nodes, constants=tuple(told["constants"]), outputs=tuple(told["outputs"]))
    answer = (RECORDED / f"sample-{network}-int8.inspector.json").read_text(encoding="utf-8")
    return engine_graph(read_inspector(answer), source)


def built(network: str, folder: Path) -> EngineGraph:
    """TensorRT-RTX's engine of the same, built now."""
    workspace = Workspace(folder)
    model = add_model(onnx_of(network), workspace)
    request = checked(BuildRequest(model=model.digest, path=PATH, precision=Precision.INT8), model)
    build = run_build(workspace, request, on_change=lambda *_: None)
    graph = load_outcome(workspace, build.key).graph
    if graph is None:
        raise SystemExit(f"{network} was not built: {build.error}")
    return graph


def table(network: str, a: EngineGraph, b: EngineGraph, diff: EngineDiff) -> str:
    ops = {node.name: node.op for graph in (a, b) for node in graph.source_nodes}
    groups: Counter[tuple[str, int, int]] = Counter()
    for row in diff.rows:
        names = [op for name in row.source_nodes if (op := ops.get(name, "?")) not in _BESIDE]
        groups[_title(names) or ("Q, DQ and casts" if row.source_nodes else "no node"), len(row.a_layers), len(row.b_layers)] += 1
    lines = [
        f"## {network}: {len(a.layers)} layers against {len(b.layers)}, {diff.shared_nodes} source nodes in both graphs",
        "",
        "| source nodes | how often | layers in TensorRT 8.5 | layers in TensorRT-RTX |",
        "|---|---|---|---|",
        *(f"| {title} | {times} | {left} | {right} |" for (title, left, right), times in groups.most_common()),
    ]
    return "\n".join(lines)


def _title(ops: list[str]) -> str:
    return ", ".join(f"{times} {op}" if times > 1 else op for op, times in Counter(ops).items())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("networks", nargs="*", default=["resnet50", "mobilenetv2"])
    for network in parser.parse_args().networks:
        with tempfile.TemporaryDirectory() as folder:
            a, b = recorded(network), built(network, Path(folder))
            print(table(network, a, b, diff_engines(a, b)))
            print()


if __name__ == "__main__":
    main()
