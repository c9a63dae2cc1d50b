"""The tables of the GPU benchmark, from the results of its steps: pure reading and formatting."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from bench.gpu.rows import NETWORKS, Row, rows_of


def write_tables(out: Path) -> str:
    """Writes OUT/tables.md from what is there, and returns it."""
    results = {path.stem: json.loads(path.read_text()) for path in sorted((out / "results").glob("*.json"))}
    parts = [_title(out)]
    for network in NETWORKS:
        rows = [row for row in rows_of(network) if f"measure-{row.id}" in results or f"build-{row.id}" in results]
        if rows:
            parts.append(_network(network, rows, results))
    refused = {name: why for result in results.values() for name, why in result.get("refused", {}).items()}
    if refused:
        parts.append("Refused:\n\n" + "\n".join(f"- {name.upper()}: {why}" for name, why in refused.items()))
    text = "\n\n".join(parts) + "\n"
    (out / "tables.md").write_text(text)
    return text


def _title(out: Path) -> str:
    told = json.loads((out / "environment.json").read_text())
    gpu = told["gpu"].splitlines()[-1] if told["gpu"] else "no GPU"
    packages = told["packages"]
    commands = ", ".join(f"`{command}`" for command in told["commands"])
    named = ", ".join(f"{name} {packages[name]}" for name in ("tensorflow", "tensorrt", "tf2onnx", "onnx") if name in packages)
    return (
        f"# GPU benchmark\n\n{gpu}; {told['processor']}, {told['cores']} cores; {named}.\n"
        f"Commands: {commands}. Builds ran as many at a time as `--builders` says, measurements alone.\n\n"
        "Host to host: NumPy arrays in, NumPy arrays out, one inference at a time, median with its 95 % interval. GPU compute: "
        "CUDA events around the kernels, transfers out. Build: first without kernel timings, then with those of the first build. "
        "Speed-up: over TensorFlow's runtime. Parity: largest error over the reference's largest magnitude, cosine, top-1 "
        "agreement, on 4 inputs against TensorFlow on the CPU."
    )


def _network(network: str, rows: Sequence[Row], results: dict[str, Any]) -> str:
    base = results.get(f"measure-{network}-tensorflow-signature-fp32", {}).get("measurement")
    latency = [_latency_row(row, results, base["latency"]["median_ms"] if base else None) for row in rows]
    head: tuple[str, ...] = (
        "path",
        "host to host ms",
        "p99",
        "by CUDA graph",
        "GPU compute ms",
        "by graph",
        "speed-up",
        "MB",
        "build s",
        "parity",
    )
    text = f"## {network}\n\n{_table(head, latency)}"
    inside = [_layers_row(row, results) for row in rows if "layers" in results.get(f"measure-{row.id}", {})]
    if inside:
        head = (
            "path",
            "layers",
            "fused",
            "nodes",
            "in layers",
            "folded",
            "eliminated",
            "unmapped",
            "precisions",
            "weighted ops in them",
            "moving data",
        )
        text += f"\n\nWhere the nodes went:\n\n{_table(head, inside)}"
    bare = [_bare_row(row, results) for row in rows if "overhead" in results.get(f"measure-{row.id}", {})]
    if bare:
        head = ("path", "session ms", "bare loop ms", "ratio", "graph: session ms", "bare loop ms", "ratio", "enqueue ms", "knee")
        text += f"\n\nAgainst a bare loop on the same engine, taking turns:\n\n{_table(head, bare)}"
    warned = [
        f"- {row.title}: {warning}"
        for row in rows
        for warning in results.get(f"measure-{row.id}", {}).get("gpu", {}).get("warnings", ())
    ]
    failed = [
        f"- {kind} {row.title}: {results[f'{kind}-{row.id}']['error']['message']}"
        for row in rows
        for kind in ("build", "measure")
        if "error" in results.get(f"{kind}-{row.id}", {})
    ]
    text += "\n\nWarnings:\n\n" + "\n".join(warned) if warned else ""
    return text + ("\n\nFailed:\n\n" + "\n".join(failed) if failed else "")


def _latency_row(row: Row, results: dict[str, Any], base_ms: float | None) -> list[str]:
    built, found = results.get(f"build-{row.id}", {}), results.get(f"measure-{row.id}", {})
    plain, graph = found.get("measurement"), found.get("measurement_graph")
    runs = {(run["transfers"], run["graph"]): run["compute"]["median_ms"] for run in found.get("gpu", {}).get("runs", ())}
    seconds = [built.get("build_seconds"), built.get("cached_seconds")]
    same_batch = found.get("batch") == 1 and not row.suffix
    best = plain["latency"]["median_ms"] if plain else None
    return [
        row.title,
        _interval(plain),
        _number(plain["latency"]["p99_ms"] if plain else None),
        _number(graph["latency"]["median_ms"] if graph else None),
        _number(runs.get((False, False))),
        _number(runs.get((False, True))),
        f"{base_ms / best:.1f}" if base_ms and best and same_batch else "",
        _number(built["size_bytes"] / 1e6 if "size_bytes" in built else None, 1),
        " / ".join(f"{value:.0f}" for value in seconds if value is not None),
        _parity(found.get("parity")),
    ]


def _layers_row(row: Row, results: dict[str, Any]) -> list[str]:
    told = results[f"measure-{row.id}"]["layers"]
    precisions = ", ".join(f"{count} {name}" for name, count in told["precisions"].items() if name != "None")
    share = told["reformat_share"]
    return [
        row.title,
        *(str(told[key]) for key in ("layers", "fused", "source_nodes", "in_layers")),
        *(str(told["loose"][key]) for key in ("folded", "eliminated", "unmapped")),
        precisions,
        "; ".join(_counted(op, counts) for op, counts in told.get("weighted", {}).items()),
        "" if share is None else f"{share:.0%}",
    ]


def _counted(op: str, counts: dict[str, int]) -> str:
    return ", ".join(f"{count} of {sum(counts.values())} {op} {name}" for name, count in counts.items())


def _bare_row(row: Row, results: dict[str, Any]) -> list[str]:
    found = results[f"measure-{row.id}"]
    cells = [row.title]
    for kind in ("plain", "graph"):
        told = found["overhead"].get(kind)
        cells += [_number(told[key]) if told else "" for key in ("session_ms", "bare_ms", "ratio")]
    enqueue = next((run["enqueue_ms"] for run in found["gpu"]["runs"] if not run["transfers"] and not run["graph"]), None)
    knee = found["gpu"]["knee"]
    return [*cells, _number(enqueue), "" if knee is None else f"batch {knee}"]


def _interval(measurement: Any) -> str:
    if not measurement:
        return ""
    latency = measurement["latency"]
    return f"{latency['median_ms']:.3f} ({latency['low_ms']:.3f} to {latency['high_ms']:.3f})"


def _parity(parity: Any) -> str:
    if not parity:
        return ""
    worst = next(output for output in parity["outputs"] if output["name"] == parity["worst"])
    if worst["max_rel"] is None:
        return str(worst["mismatch"])
    cosine = "" if worst["cosine"] is None else f", cos {worst['cosine']:.5f}"
    top1 = "" if worst["top1"] is None else f", top-1 {worst['top1']:.0%}"
    return f"{worst['max_rel']:.1e}{cosine}{top1}"


def _number(value: float | None, digits: int = 3) -> str:
    return "" if value is None else f"{value:.{digits}f}"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
