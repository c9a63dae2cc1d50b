"""What TensorRT-RTX makes of the sample networks with no GPU, in every precision.

python -m bench.rtx.networks [digits mobilenetv2 resnet50 efficientnetb0 bert] [--precisions fp32 fp16 ...] [--json FILE]

Each row is a build through the pipeline, from the network's ONNX file: what the build page would queue. "Accounted for" are the
source nodes that are in a layer, or told why they are in none.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from bench.networks import onnx_of
from core.base.precision import Precision
from core.base.units import size
from core.graph.engine_graph import EngineGraph
from core.intake.add_model import add_model
from core.request.build_request import BuildRequest, checked
from core.stages.outcome import load_outcome
from core.stages.pipeline import run_build
from core.storage.builds import State
from core.storage.workspace import Workspace

NETWORKS = ("resnet50", "mobilenetv2", "efficientnetb0", "bert")
PATH = "onnx.tensorrt_rtx"


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One network in one precision; `error` says why there is no engine, and then the figures are None."""

    network: str
    precision: str
    error: str = ""
    build_seconds: float | None = None
    engine_bytes: int | None = None
    layers: int | None = None
    nodes: int | None = None
    accounted: int | None = None
    unread_lines: bool | None = None
    activation_bytes: int | None = None
    weights_bytes: int | None = None
    streams: int | None = None


def rows(networks: Sequence[str], precisions: Sequence[Precision], folder: Path) -> Iterator[Row]:
    workspace = Workspace(folder)
    for network in networks:
        model = add_model(onnx_of(network), workspace)
        for precision in precisions:
            request = checked(BuildRequest(model=model.digest, path=PATH, precision=precision), model)
            build = run_build(workspace, request, on_change=lambda *_: None)
            outcome = load_outcome(workspace, build.key)
            if build.state is not State.DONE or outcome.built is None or outcome.graph is None:
                yield Row(network=network, precision=precision.value, error=build.error.message if build.error else "no layers")
                continue
            graph, memory = outcome.graph, outcome.graph.memory
            yield Row(
                network=network,
                precision=precision.value,
                build_seconds=outcome.built.build_seconds,
                engine_bytes=outcome.built.engine.size_bytes,
                layers=len(graph.layers),
                nodes=len(graph.source_nodes),
                accounted=accounted(graph),
                unread_lines=any("could not be read" in note for note in graph.notes),
                activation_bytes=memory.activation_bytes if memory else None,
                weights_bytes=memory.weights_bytes if memory else None,
                streams=len({layer.stream for layer in graph.layers}),
            )


def accounted(graph: EngineGraph) -> int:
    """Source nodes that are in a layer, or in none for a reason."""
    return len(graph.source_nodes) - len(graph.unmapped)


def table(found: Sequence[Row]) -> str:
    lines = [
        "| network | precision | build s | engine | layers | streams | nodes accounted for | activations | weights |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for row in found:
        if row.error:
            lines.append(f"| {row.network} | {row.precision} | {row.error} ||||||||")
            continue
        cells = [
            row.network,
            row.precision,
            f"{row.build_seconds:.1f}",
            size(row.engine_bytes),
            str(row.layers),
            str(row.streams),
        ]
        cells += [f"{row.accounted} of {row.nodes}", size(row.activation_bytes), size(row.weights_bytes)]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("networks", nargs="*", default=NETWORKS)
    parser.add_argument("--precisions", nargs="+", type=Precision, default=list(Precision))
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = list(rows(given.networks, given.precisions, Path(folder)))
    if given.json:
        given.json.write_text(json.dumps([asdict(row) for row in found], indent=1))
    print(table(found))
    return int(any(row.error or row.accounted != row.nodes or row.unread_lines for row in found))


if __name__ == "__main__":
    sys.exit(main())
