"""What each precision costs and gives: sample networks and trained ones, our passes and ModelOpt, on ONNX Runtime and OpenVINO.

    python -m bench.precision [digits resnet50 ...] [--rows rows.json] [--out docs/measurements/precision.md]

`bench.precision_networks` tells what each network is judged by: its own measure, or parity. `emulated` rounds every narrow
tensor, because ONNX Runtime computes FP16 in FP32 on a CPU. ModelOpt's rows need ENGINEROOM_MODELOPT_PYTHON. Every conversion and
every run is a process of its own; networks already in the file of rows are not measured again.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.overflow import overflow_rows
from bench.precision_networks import (
    CALIBRATION_SAMPLES,
    NETWORKS,
    calibration_of,
    compared_of,
    graph_of,
    measure_of,
    reference_of,
    score_of,
)
from core.base.precision import Precision
from core.benchmark.machine import describe_machine

ROOT = Path(__file__).parents[1]
VARIANTS = (
    ("light", Precision.FP32, "max"),
    ("light", Precision.FP16, "max"),
    ("light", Precision.BF16, "max"),
    ("light", Precision.INT8, "max"),
    ("light", Precision.INT8, "99.999"),
    ("light", Precision.FP8, "max"),
    ("modelopt", Precision.FP16, "max"),
    ("modelopt", Precision.BF16, "max"),
    ("modelopt", Precision.INT8, "max"),
    ("modelopt", Precision.INT8, "entropy"),
    ("modelopt", Precision.FP8, "max"),
)
Row = dict[str, Any]
Arrays = dict[str, NDArray[Any]]


def main() -> int:
    if len(sys.argv) > 1 and sys.argv[1] in CHILDREN:
        CHILDREN[sys.argv[1]](*sys.argv[2:])
        return 0
    parser = argparse.ArgumentParser(description="Benchmarks precisions.")
    parser.add_argument("networks", nargs="*", default=NETWORKS)
    parser.add_argument("--rows", type=Path, default=Path(tempfile.gettempdir()) / "precision-rows.json")
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    rows: list[Row] = json.loads(arguments.rows.read_text()) if arguments.rows.exists() else []
    done = {row["network"] for row in rows}
    for network in [name for name in arguments.networks if name not in done]:
        with tempfile.TemporaryDirectory(prefix=f"precision-{network}-") as folder:
            rows += network_rows(network, Path(folder))
        arguments.rows.write_text(json.dumps(rows, indent=1))
    text = report(rows, overflow_rows())
    print(text)
    if arguments.out:
        arguments.out.parent.mkdir(parents=True, exist_ok=True)
        arguments.out.write_text(text)
    return 0


# --- one network ------------------------------------------------------------------------------------------------------


def network_rows(network: str, folder: Path) -> list[Row]:
    graph_of(network)
    compared, calibration = compared_of(network, folder), calibration_of(network, folder)
    child("reference", network, str(compared), str(folder / "reference.npz"))
    rows = []
    for engine, precision, method in VARIANTS:
        if engine == "modelopt" and not os.environ.get("ENGINEROOM_MODELOPT_PYTHON"):
            continue
        base: Row = {"network": network, "engine": engine, "precision": precision.value, "method": method}
        for target, ran_on in targets(engine, precision):
            out = folder / f"{engine}-{precision.value}-{method}-{target}"
            out.mkdir()
            made = child("prepare", network, precision.value, engine, method, target, str(calibration), str(out))
            if "error" in made:
                rows.append({**base, "runtime": "-", **made})
                continue
            for runtime in ran_on:
                ran = child("run", runtime, precision.value, network, str(out), str(compared), str(folder / "reference.npz"))
                rows.append({**base, **made, "runtime": runtime, **ran})
                print(rows[-1], file=sys.stderr, flush=True)
    return rows


def targets(engine: str, precision: Precision) -> list[tuple[str, list[str]]]:
    """What to write graphs for, and what to run each on; our INT8 differs from runtime to runtime."""
    if (engine, precision) == ("light", Precision.INT8):
        return [("onnxruntime", ["onnxruntime"]), ("openvino", ["openvino"])]
    found = ["onnxruntime", "openvino"] if precision is not Precision.FP8 else ["onnxruntime"]
    if precision is Precision.BF16:
        found.remove("onnxruntime")
    emulated = ["emulated"] if engine == "light" and precision in (Precision.FP16, Precision.BF16) else []
    return [("onnxruntime", [*found, *emulated])]


def child(what: str, *words: str) -> Row:
    """What a child process tells on its last line, with its seconds and peak memory; its error when it fails."""
    command = [sys.executable, "-m", "bench.precision", what, *words]
    with tempfile.TemporaryFile("w+") as told, tempfile.TemporaryFile("w+") as log:
        started = time.perf_counter()
        process = subprocess.Popen(command, cwd=ROOT, stdout=told, stderr=log)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        seconds = time.perf_counter() - started
        told.seek(0)
        log.seek(0)
        lines = told.read().strip().splitlines()
        if process.returncode:
            complaints = [line for line in log.read().splitlines() if line.strip()]
            return {"error": complaints[-1][:200] if complaints else f"exit status {process.returncode}"}
    result: Row = json.loads(lines[-1]) if lines else {}
    if what == "prepare":
        result |= {"process_seconds": seconds, "peak_mb": usage.ru_maxrss / 1024}
    return result


# --- child processes --------------------------------------------------------------------------------------------------


def reference(network: str, compared: str, out: str) -> None:
    """The outputs of the network's own framework."""
    run = reference_of(network)
    found = [run(one) for one in samples_of(network, compared)]
    joined: dict[str, Any] = {name: np.concatenate([outputs[name] for outputs in found]) for name in found[0]}
    np.savez(out, **joined)


def prepare_graph(network: str, precision: str, engine: str, method: str, target: str, calibration: str, out: str) -> None:
    from core.precision.calibration.samples import SampleSource
    from core.precision.prepare import prepare
    from core.precision.settings import CalibrationMethod, PrecisionEngine, PrecisionSettings
    from core.precision.target import parse_target

    percentile = float(method) if method[0].isdigit() else None
    settings = PrecisionSettings(
        engine=PrecisionEngine(engine),
        percentile=percentile,
        method=CalibrationMethod(method) if engine == "modelopt" else CalibrationMethod.MAX,
    )
    result = prepare(
        graph_of(network),
        Path(out),
        Precision(precision),
        target=parse_target(target),
        data=SampleSource(path=Path(calibration)),
        settings=settings,
    )
    told = {
        "seconds": result.seconds,
        "size_mb": (Path(out) / result.entry).stat().st_size / 1e6,
        "kept": len(result.kept),
        "violations": len(result.violations),
    }
    print(json.dumps(told))


def run_graph(runtime: str, precision: str, network: str, folder: str, compared: str, truth: str) -> None:
    from core.parity.compare import compare

    opened: Callable[[Path, Precision, str], Callable[[Arrays], Arrays]] = {
        "onnxruntime": on_onnxruntime,
        "openvino": on_openvino,
        "emulated": emulated,
    }[runtime]
    run = opened(Path(folder), Precision(precision), network)
    inputs = samples_of(network, compared)
    got = [run(one) for one in inputs]
    with np.load(truth) as file:
        expected = {name: file[name] for name in file.files}
    joined = {name: np.concatenate([one[name] for one in got]).astype(np.float32) for name in expected}
    parity = compare([expected], [joined], 1.0)
    worst = next(output for output in parity.outputs if output.name == parity.worst)
    told: Row = {"max_rel": worst.max_rel, "cosine": worst.cosine, "agreement": worst.top1, "non_finite": worst.non_finite}
    told["score"] = score_of(network, joined, Path(compared))
    if runtime != "emulated":
        told["latency_ms"] = latency(lambda: run(inputs[0]))
    print(json.dumps(told))


def samples_of(network: str, path: str) -> list[Arrays]:
    with np.load(path) as file:
        arrays = {name: file[name] for name in file.files if name != "labels"}
    count = len(next(iter(arrays.values())))
    return [{name: array[i : i + 1] for name, array in arrays.items()} for i in range(count)]


def latency(run: Callable[[], object], seconds: float = 2.0) -> float:
    """Median milliseconds of single runs, after a warm-up of a fifth of the time."""
    times: list[float] = []
    start = time.perf_counter()
    while (spent := time.perf_counter() - start) < seconds * 1.2 or len(times) < 10:
        before = time.perf_counter()
        run()
        if spent > seconds * 0.2:
            times.append((time.perf_counter() - before) * 1e3)
    return float(np.median(times))


def on_onnxruntime(folder: Path, precision: Precision, _: str) -> Callable[[Arrays], Arrays]:
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.log_severity_level = 3
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    if precision is Precision.FP8:  # its optimizer breaks such graphs
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = ort.InferenceSession(str(folder / "model.onnx"), options, providers=["CPUExecutionProvider"])
    names = [value.name for value in session.get_outputs()]
    return lambda inputs: dict(zip(names, session.run(names, inputs), strict=True))


def on_openvino(folder: Path, precision: Precision, _: str) -> Callable[[Arrays], Arrays]:
    import openvino

    hint = "dynamic" if precision in (Precision.FP16, Precision.BF16) else "f32"  # as the graph is typed
    compiled = openvino.Core().compile_model(folder / "model.onnx", "CPU", {"INFERENCE_PRECISION_HINT": hint})
    request = compiled.create_infer_request()
    names = [output.get_any_name() for output in compiled.outputs]

    def run(inputs: Arrays) -> Arrays:
        found = request.infer(inputs)
        return {name: np.array(found[name]) for name in names}

    return run


def emulated(folder: Path, precision: Precision, network: str) -> Callable[[Arrays], Arrays]:
    from core.onnxio.file import read_onnx
    from core.precision.calibration.ranges import load_ranges
    from core.precision.load import load_for
    from core.precision.prepare import RANGES_FILE
    from core.precision.runner import Runner
    from core.precision.sensitivity import make_trial

    names = [value.name for value in read_onnx(graph_of(network)).graph.output]
    known = folder / RANGES_FILE  # by them the graph keeps in FP32 what leaves the precision's range
    ranges = load_ranges(known) if known.exists() else None
    trial = make_trial(load_for(graph_of(network), precision)[0], precision, ranges=ranges)
    runner = Runner(trial.model, names, exact=True)
    return lambda inputs: dict(zip(names, runner.run(inputs), strict=True))


CHILDREN: dict[str, Callable[..., None]] = {"reference": reference, "prepare": prepare_graph, "run": run_graph}


# --- the report -------------------------------------------------------------------------------------------------------


def report(rows: list[Row], overflow: list[str]) -> str:
    machine = describe_machine()
    lines = [
        "# What each precision costs and gives",
        "",
        f"Taken with `python -m bench.precision` on {', '.join(f'{name}: {value}' for name, value in machine.items())}.",
        "Latencies and seconds are only as steady as the machine was quiet: on a busy one rows differ by a factor of several;",
        "accuracy, sizes and memory do not. Conversion includes calibration on",
        f"{CALIBRATION_SAMPLES} samples; peak memory is the largest of its processes'.",
        f"Trained, and judged by their own measures, are {', '.join(name for name in NETWORKS if measure_of(name))}. The others",
        "have random weights with damped residual branches: compare engines by them, and expect better from a trained model.",
        "[What the tables say](../precision.md#what-the-tables-say).",
        "",
    ]
    for network in sorted({row["network"] for row in rows}, key=NETWORKS.index):
        measure = measure_of(network)
        lines += [
            f"## {network}",
            "",
            f"| precision | by | runtime | {measure or 'top-1 agreement'} | cosine | max. rel. error "
            "| ms | MB | convert s | peak MB |",
            "|---|---|---|---|---|---|---|---|---|---|",
            *(line(row, bool(measure)) for row in rows if row["network"] == network),
            "",
        ]
    return "\n".join([*lines, *overflow, ""])


def line(row: Row, true: bool) -> str:
    by = row["engine"] if row["method"] == "max" else f"{row['engine']}, {row['method']}"
    head = f"| {row['precision']} | {by} | {row['runtime']} |"
    if "error" in row:
        return f"{head} {row['error'].replace('|', '/')} | | | | | | |"
    share = row.get("score", row.get("top1")) if true else row.get("agreement")
    cells = [
        f"{share:.1%}" if share is not None else "–",
        f"{row['cosine']:.5f}" if row["cosine"] is not None else "–",
        f"{row['max_rel']:.2g}" if row["max_rel"] is not None else "–",
        f"{row['latency_ms']:.2f}" if row.get("latency_ms") else "–",
        f"{row['size_mb']:.1f}",
        f"{row['seconds']:.1f}",
        f"{row['peak_mb']:.0f}",
    ]
    return f"{head} {' | '.join(cells)} |"


if __name__ == "__main__":
    sys.exit(main())
