"""One step of the GPU benchmark, in a process of its own: `python -m bench.gpu.step KIND NAME --out OUT`."""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import time
import traceback
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from bench.gpu.prepare import SAMPLES, onnx_of, prepare_network, signature_of
from bench.gpu.rows import Row, row_named
from core.backends.base import BuildConfig, Engine, backend_named
from core.base.errors import EngineRoomError, Failure
from core.base.profile import parse_profile
from core.base.progress import silent
from core.base.serialization import read_json, to_data, write_json
from core.benchmark.loop import measure
from core.benchmark.measurement import Protocol
from core.graph.engine_graph import EngineGraph
from core.models.model import Format, Source
from core.parity.batches import batch_length
from core.parity.compare import compare
from core.precision.quantize_plan import WEIGHTED_OPS

LAYER_RUNS = 30


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kind", choices=("prepare", "build", "measure"))
    parser.add_argument("name", help="A network for prepare, else a row.")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--savedmodels", type=Path)
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--tactic-sources", default="")
    arguments = parser.parse_args()
    out: Path = arguments.out
    try:
        if arguments.kind == "prepare":
            result = prepare_network(arguments.name, out / "inputs" / arguments.name, arguments.savedmodels)
        elif arguments.kind == "build":
            result = build(row_named(arguments.name), out, arguments.savedmodels, arguments.tactic_sources)
        else:
            result = measured(row_named(arguments.name), out, arguments.seconds)
    except EngineRoomError as error:
        result = {"error": to_data(Failure.of(error))}
    except Exception as error:
        result = {"error": {"kind": type(error).__name__, "message": str(error), "hint": "", "detail": traceback.format_exc()}}
    target = out / "results" / f"{arguments.kind}-{arguments.name}.json"
    target.parent.mkdir(parents=True, exist_ok=True)
    target.with_suffix(".partial").write_text(json.dumps(result, indent=1) + "\n")
    target.with_suffix(".partial").replace(target)
    if "error" in result:
        print(json.dumps(result["error"], indent=1), file=sys.stderr)
    return int("error" in result)


def build(row: Row, out: Path, savedmodels: Path | None, tactic_sources: str = "") -> dict[str, Any]:
    """Builds a row's engine; a TensorRT engine twice, without kernel timings and with those of the first time."""
    backend = backend_named(row.backend)
    model, signature = signature_of(row.network, savedmodels)
    inputs = out / "inputs" / row.network
    source = Source(path=model, format=Format.SAVEDMODEL, signature=signature, calibration=inputs / "calibration.npz")
    options = dict(row.options)
    if row.backend == "tensorrt":
        options |= {"tactic_sources": tactic_sources} if tactic_sources else {}
        source = Source(path=onnx_of(inputs, row.precision), format=Format.ONNX, signature=signature)
    config = BuildConfig(
        variant=row.variant,
        precision=row.precision,
        profile=parse_profile(list(row.shape)).complete(signature),
        options=options,
        device="cuda",
    )
    folder = out / "engines" / row.id
    seconds = []
    for _ in range(2 if row.backend == "tensorrt" else 1):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        started = time.perf_counter()
        engine = backend.build(source, config, folder, silent)
        seconds.append(round(time.perf_counter() - started, 2))
    write_json(folder / "engine.json", engine)
    facts = json.loads((folder / "build.json").read_text()) if (folder / "build.json").exists() else {}
    if (folder / "build.log").exists():
        (out / "logs").mkdir(exist_ok=True)
        shutil.copy(folder / "build.log", out / "logs" / f"{row.id}.build.log")
    return {
        "build_seconds": seconds[0],
        "cached_seconds": seconds[1] if len(seconds) > 1 else None,
        "size_bytes": engine.size_bytes,
        "versions": engine.versions,
        "notes": list(engine.notes),
        "facts": facts,
    }


def measured(row: Row, out: Path, seconds: float) -> dict[str, Any]:
    """Parity, layers and every latency of a row's engine."""
    backend = backend_named(row.backend)
    folder = out / "engines" / row.id
    engine = replace(read_json(Engine, folder / "engine.json"), folder=folder)
    inputs = out / "inputs" / row.network
    feeds, expected = (dict(np.load(inputs / name)) for name in ("inputs.npz", "reference.npz"))
    profile = engine.config.profile
    batch = batch_length(engine.signature, profile)
    protocol = Protocol(warmup_seconds=0.5, min_seconds=seconds, min_samples=100)
    first = {name: np.resize(array, (batch, *array.shape[1:])) for name, array in feeds.items()}
    result: dict[str, Any] = {"batch": batch}

    with backend.open(engine) as session:
        outputs = [session.run(_sample(feeds, index, batch)) for index in range(SAMPLES)]
    told = [{name: array[i : i + 1] for name, array in expected.items()} for i in range(SAMPLES)]
    got = [{name: array[:1] for name, array in output.items()} for output in outputs]
    result["parity"] = to_data(compare(told, got, row.precision.facts.tolerance, reference_title="TensorFlow on the CPU"))

    result["measurement"] = _short(measure(lambda: backend.open(engine), first, protocol, silent, batch=batch))
    if row.backend in ("tensorrt", "tf-trt"):
        graph = backend.describe(engine)
        times = backend.layer_times(engine, first, LAYER_RUNS)
        graph = graph.with_times(times)
        (out / "graphs").mkdir(exist_ok=True)
        write_json(out / "graphs" / f"{row.id}.json", graph)
        result["layers"] = accounting(graph)
    if row.backend == "tensorrt":
        result["layers"]["weighted"] = weighted(graph)
        result |= _tensorrt(engine, first, protocol, batch)
        (out / "inspector").mkdir(exist_ok=True)
        shutil.copy(folder / "inspector.json", out / "inspector" / f"{row.id}.inspector.json")
        (out / "inspector" / f"{row.id}.profile.json").write_text(json.dumps(times, indent=0) + "\n")
    if row.backend == "tf-trt":
        (out / "inspector").mkdir(exist_ok=True)
        shutil.copy(folder / "not_converted.csv", out / "inspector" / f"{row.id}.not_converted.csv")
    return result


def _tensorrt(engine: Engine, feed: dict[str, Any], protocol: Protocol, batch: int) -> dict[str, Any]:
    from bench.gpu.overhead import compare as against_bare_loop
    from core.backends.tensorrt import BACKEND

    by_graph = replace(engine, config=replace(engine.config, options={**engine.config.options, "cuda_graph": True}))
    found: dict[str, Any] = {
        "measurement_graph": _short(measure(lambda: BACKEND.open(by_graph), feed, protocol, silent, batch=batch)),
        "overhead": {},
    }
    for name, variant in (("plain", engine), ("graph", by_graph)):
        with BACKEND.open(variant) as session:
            found["overhead"][name] = against_bare_loop(session, feed, protocol.min_seconds)
    shorter = replace(protocol, warmup_seconds=0.2, min_seconds=protocol.min_seconds / 2)
    found["gpu"] = to_data(BACKEND.gpu_times(engine, feed, shorter, silent))
    return found


def accounting(graph: EngineGraph) -> dict[str, Any]:
    """Where the source nodes went, and what the layers are."""
    times = [layer.time_ms or 0.0 for layer in graph.layers]
    total = sum(times)
    moving = sum(layer.time_ms or 0.0 for layer in graph.layers if layer.kind in ("Reformat", "MyelinReformat", "NoOp"))
    precisions: dict[str, int] = {}
    for layer in graph.layers:
        precisions[str(layer.precision)] = precisions.get(str(layer.precision), 0) + 1
    return {
        "layers": len(graph.layers),
        "fused": len(graph.fused_layers),
        "kinds": graph.kinds,
        "precisions": precisions,
        "source_nodes": len(graph.source_nodes),
        "in_layers": len({name for layer in graph.layers for name in layer.source_nodes}),
        "loose": {
            fate: sum(node.fate.value == fate for node in graph.loose_nodes) for fate in ("folded", "eliminated", "unmapped")
        },
        "layer_ms": round(total, 4),
        "reformat_share": round(moving / total, 4) if total else None,
        "notes": list(graph.notes),
    }


def weighted(graph: EngineGraph) -> dict[str, dict[str, int]]:
    """By op type, how many convolutions and matrix products of the source ran in each precision, as far as the layers tell."""
    computed = {name: layer.precision or "untold" for layer in graph.layers for name in layer.source_nodes}
    found: dict[str, Counter[str]] = {}
    for node in graph.source_nodes:
        if node.op in WEIGHTED_OPS:
            found.setdefault(node.op, Counter())[computed.get(node.name, "untold")] += 1
    return {op: dict(counts) for op, counts in found.items()}


def _sample(feeds: dict[str, Any], index: int, batch: int) -> dict[str, Any]:
    return {name: np.resize(array[index : index + 1], (batch, *array.shape[1:])) for name, array in feeds.items()}


def _short(measurement: Any) -> Any:
    return to_data(replace(measurement, samples_ms=()))


if __name__ == "__main__":
    sys.exit(main())
