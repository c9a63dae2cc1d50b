"""One model's mapping in one engine, counted; and many of them put together."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.mapping.rules import Misplaced, misplaced, without_node
from bench.mapping.values import misplaced_by_value, regions
from bench.onnx_models import given_inputs
from core.backends.base import BuildConfig, Engine, backend_named
from core.base.errors import EngineRoomError
from core.base.precision import Precision
from core.base.progress import silent
from core.base.serialization import to_data
from core.base.tensors import Array
from core.graph.engine_graph import EngineGraph, Fate
from core.graph.source import SourceGraph, nodes_of_onnx
from core.intake.formats import format_of
from core.models.keras_model import read_keras
from core.models.model import Format, Source
from core.models.onnx_graph import graph_signature
from core.models.onnx_model import read_onnx_model
from core.models.savedmodel import read_savedmodel
from core.models.tflite import read_tflite
from core.onnxio.file import read_onnx, save_onnx
from core.parity.inputs import random_inputs
from core.precision.calibration.samples import SampleSource, open_data
from core.precision.load import load_for
from core.precision.lower import calibrate, lower
from core.precision.settings import DEFAULTS
from core.precision.target import parse_target

_READERS = {
    Format.ONNX: read_onnx_model,
    Format.KERAS: read_keras,
    Format.SAVEDMODEL: read_savedmodel,
    Format.TFLITE: read_tflite,
}
WRONG_LISTED = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """A model, and the engine to make of it: `openvino`, or `tensorflow.xla` for a variant."""

    model: str
    engine: str
    precision: str = "fp32"


def scored(ask: Ask) -> dict[str, Any]:
    """Counts of one mapping, and the nodes that are wrong or nowhere; `refused` where there is no engine."""
    backend, _, variant = ask.engine.partition(".")
    with tempfile.TemporaryDirectory(prefix="mapping-") as place:
        folder = Path(place)
        try:
            source = _source(Path(ask.model), backend, Precision(ask.precision), folder)
            config = BuildConfig(variant=variant, precision=Precision(ask.precision))
            (folder / "engine").mkdir()
            engine = backend_named(backend).build(source, config, folder / "engine", silent)
            graph = backend_named(backend).describe(engine)
        except EngineRoomError as error:
            return {"refused": error.message}
        except Exception as error:  # counted as what it is
            return {"broke": f"{type(error).__name__}: {str(error)[:300]}"}
        return _counts(graph, *_wrong(graph, source, engine, Path(ask.model)))


def _source(path: Path, backend: str, precision: Precision, folder: Path) -> Source:
    kind = Format.SAVEDMODEL if path.is_dir() else format_of(path)
    reading = _READERS[kind](path)
    if kind is Format.ONNX and precision is not Precision.FP32:
        target = backend_named(backend).target(None)
        model, _ = load_for(path, precision)
        ranges = None
        if precision is Precision.INT8:
            data = open_data(SampleSource(), graph_signature(model), DEFAULTS)
            ranges = calibrate(model, precision, parse_target(str(target)), data, silent)
        lowered, _ = lower(model, precision, parse_target(str(target)), DEFAULTS, ranges=ranges)
        path = folder / "lowered.onnx"
        save_onnx(lowered, path)
        reading = read_onnx_model(path)
    return Source(path=path, format=kind, signature=reading.signatures[0])


def _wrong(graph: EngineGraph, source: Source, engine: Engine, model: Path) -> tuple[list[Misplaced], bool]:
    """What is misplaced, and whether values had a say."""
    if source.format is not Format.ONNX:
        nodes = SourceGraph(nodes=graph.source_nodes)
        return misplaced(graph, nodes), False
    given = read_onnx(source.path, weights=False)
    nodes = nodes_of_onnx(given)
    if engine.backend != "onnxruntime":
        return misplaced(graph, nodes, _elements(source.path)), False
    found = misplaced(graph, nodes)  # sizes are those of a trial run on zeros, and values tell more
    try:
        places = regions(source.path, engine.folder / "model/model.onnx", nodes, _inputs(source, model))
    except Exception:  # the runtime could not run one of both so
        return found, False
    by_value = misplaced_by_value(graph, places)
    return list({(one.node, one.layer): one for one in [*found, *by_value]}.values()), True


def _inputs(source: Source, model: Path) -> dict[str, Array]:
    given = given_inputs(model) if model.suffix == ".onnx" else None
    drawn = random_inputs(source.signature, BuildConfig().profile)[0]
    return {name: given[name].astype(value.dtype) for name, value in drawn.items()} if given else drawn


def _elements(path: Path) -> dict[str, int]:
    """Numbers of elements of the tensors of fixed shape."""
    import math

    import onnx

    graph = onnx.shape_inference.infer_shapes(onnx.load(path)).graph
    found = {}
    for value in (*graph.value_info, *graph.output, *graph.input):
        shape = value.type.tensor_type.shape if value.type.HasField("tensor_type") else None
        if shape is not None and value.type.tensor_type.HasField("shape") and all(dim.HasField("dim_value") for dim in shape.dim):
            found[value.name] = math.prod(dim.dim_value for dim in shape.dim)
    return found


def _counts(graph: EngineGraph, wrong: list[Misplaced], by_value: bool) -> dict[str, Any]:
    fates = Counter(node.fate for node in graph.loose_nodes)
    idle = without_node(graph)
    return {
        "nodes": len(graph.source_nodes),
        "layers": len(graph.layers),
        "folded": fates[Fate.FOLDED],
        "eliminated": fates[Fate.ELIMINATED],
        "unmapped": fates[Fate.UNMAPPED],
        "wrong": len({one.node for one in wrong}),
        "idle": len(idle),
        "by_value": by_value,
        "wrong_nodes": [to_data(one) for one in wrong[:WRONG_LISTED]],
        "unmapped_nodes": [f"{node.op} {node.name}" for node in graph.unmapped[:WRONG_LISTED]],
        "idle_layers": [f"{layer.kind} {layer.name}" for layer in idle[:WRONG_LISTED]],
    }


def table(found: Iterable[tuple[Ask, dict[str, Any]]]) -> str:
    """A row an engine and precision."""
    by_engine: dict[str, list[dict[str, Any]]] = {}
    for ask, counts in found:
        by_engine.setdefault(f"{ask.engine} {ask.precision}", []).append(counts)
    lines = [
        "| engine | models | refused | broke | nodes | placed | folded | eliminated | unmapped | placed wrongly | layers "
        "| layers that stand for no node | checked by values |",
        "|---|---|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for engine, of_it in by_engine.items():
        built = [one for one in of_it if "nodes" in one]
        total = {key: sum(one[key] for one in built) for key in _SUMMED}
        placed = total["nodes"] - total["folded"] - total["eliminated"] - total["unmapped"]
        cells = [
            len(of_it),
            sum("refused" in one for one in of_it),
            sum("broke" in one for one in of_it),
            total["nodes"],
            placed,
            total["folded"],
            total["eliminated"],
            total["unmapped"],
            total["wrong"],
            total["layers"],
            total["idle"],
            total["by_value"],
        ]
        lines.append(f"| {engine} | {' | '.join(f'{cell:,}' for cell in cells)} |")
    return "\n".join(lines)


_SUMMED = ("nodes", "layers", "folded", "eliminated", "unmapped", "wrong", "idle", "by_value")
