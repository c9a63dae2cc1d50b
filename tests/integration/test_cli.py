"""The `engineroom` program as a script uses it: JSON out, exit codes, sentences on standard error."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.integration.tiny import write_tiny_onnx

ROOT = Path(__file__).parents[2]
QUICK = ("--seconds", "0.1")

pytestmark = pytest.mark.usefixtures("forked")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cli")
    write_tiny_onnx(folder / "tiny.onnx")
    return folder


def engineroom(home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "ENGINEROOM_WORKSPACE": str(home / "workspace")}
    command = [sys.executable, "-m", "core.cli", *arguments]
    return subprocess.run(command, capture_output=True, text=True, env=environment, cwd=ROOT, check=False)


def answer(home: Path, *arguments: str) -> Any:
    done = engineroom(home, *arguments, "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def build(home: Path) -> dict[str, Any]:
    found: dict[str, Any] = answer(home, "build", str(home / "tiny.onnx"), "--path", "onnx.onnxruntime", *QUICK)
    return found


@pytest.mark.usefixtures("real_processes")
def test_inspect(home: Path) -> None:
    found = answer(home, "inspect", str(home / "tiny.onnx"))
    assert (found["format"], found["opset"], found["parameters"]) == ("onnx", 17, 4 * 27 + 20)
    assert found["signatures"][0]["inputs"] == [{"name": "image", "dtype": "float32", "shape": ["batch", 3, 8, 8]}]
    assert [model["digest"] for model in answer(home, "models")] == [found["digest"]]
    shown = engineroom(home, "inspect", found["digest"][:8])
    assert "[batch, 3, 8, 8]" in shown.stdout


def test_paths_tell_what_they_lack(home: Path) -> None:
    paths = {path["id"]: path for path in answer(home, "paths", str(home / "tiny.onnx"))}
    assert paths["onnx.onnxruntime"]["available"]
    assert not paths["onnx.tensorrt"]["available"]
    assert paths["onnx.tensorrt"]["lacks"]


def test_build_shows_what_was_found(home: Path, build: dict[str, Any]) -> None:
    assert build["build"]["state"] == "done"
    assert build["parity"]["passed"]
    shown = engineroom(home, "build", str(home / "tiny.onnx"), "--path", "onnx.onnxruntime", *QUICK)
    assert shown.returncode == 0
    assert "95 % interval" in shown.stdout
    assert "on par with ONNX Runtime" in shown.stdout


def test_what_simplifying_changed_is_told_in_any_precision(home: Path) -> None:
    lowered = (str(home / "tiny.onnx"), "--path", "onnx.onnxruntime", "--precision", "fp16", *QUICK)
    shown = engineroom(home, "build", *lowered)
    assert shown.returncode == 0, shown.stderr
    line = next(line for line in shown.stdout.splitlines() if line.strip().startswith("simplified"))
    assert "nodes 6 before" in line
    assert "by onnxslim" in line
    assert shown.stdout.count("Runs on CPUExecutionProvider.") == 1
    found = answer(home, "build", *lowered)
    assert list(found["preparations"]) == ["convert", "simplify", "precision"]
    assert found["prepared"] == found["preparations"]["precision"]


def test_layers_and_builds(home: Path, build: dict[str, Any]) -> None:
    key = build["build"]["key"]
    graph = answer(home, "layers", key[:10])
    assert [node["name"] for node in graph["source_nodes"]] == ["conv", "relu", "pool", "flat", "dense", "softmax"]
    assert key in [found["key"] for found in answer(home, "builds")]
    assert "conv" in engineroom(home, "layers", key[:10]).stdout


def test_bench_measures_again(home: Path, build: dict[str, Any]) -> None:
    key = build["build"]["key"]
    runs = answer(home, "bench", key, "--repeats", "3")
    assert len(runs) == 3
    assert all(run["latency"]["median_ms"] > 0 for run in runs)
    stored = read_measurement(home, key)
    assert stored["latency"]["median_ms"] == sorted(run["latency"]["median_ms"] for run in runs)[1]
    shown = engineroom(home, "bench", key, "--repeats", "1").stdout
    assert "This run is the build's measurement now, in place of the one that it had." in shown


def read_measurement(home: Path, key: str) -> Any:
    (file,) = home.glob(f"**/builds/{key}/measure.json")
    return json.loads(file.read_text(encoding="utf-8"))


def test_compare_gives_every_path_a_verdict(home: Path) -> None:
    done = engineroom(home, "compare", str(home / "tiny.onnx"), *QUICK, "--json")
    rows = {row["path"]: row for row in json.loads(done.stdout)}
    assert done.returncode == (13 if any(row["parity_passed"] is None for row in rows.values()) else 0), done.stderr
    assert {"onnx.onnxruntime", "onnx.openvino"} <= set(rows)
    assert rows["onnx.onnxruntime"]["standing"] == "baseline"
    assert all(row["verdict"] and (row["parity_passed"] or row["unmeasured"]) for row in rows.values())
    assert {path for path, row in rows.items() if row["unmeasured"]} <= {"onnx.tensorrt_rtx"}
    shown = engineroom(home, "compare", str(home / "tiny.onnx"), *QUICK)
    assert "verdict" in shown.stdout
    assert "onnx.tensorrt:" not in shown.stdout


def test_labels_give_the_accuracy(home: Path) -> None:
    data = home / "labelled.npz"
    rng = np.random.default_rng(0)
    np.savez(data, image=rng.random((6, 3, 8, 8), dtype=np.float32), labels=np.arange(6) % 5)
    found = answer(home, "build", str(home / "tiny.onnx"), "-p", "onnx.openvino", "--inputs", str(data), *QUICK)
    assert found["parity"]["accuracy"]["samples"] == 6
    assert found["parity"]["accuracy"]["top1"] == found["parity"]["reference_accuracy"]["top1"]


def test_doctor(home: Path) -> None:
    found = answer(home, "doctor")
    assert found["backends"]["onnxruntime"]["available"]
    assert not found["backends"]["tensorrt"]["available"]
    assert "pip install" in found["backends"]["tensorrt"]["hint"]


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (["inspect", "nothing-here"], 3, "no file, folder or stored model"),
        (["build", "tiny.onnx", "-p", "onnx.litert"], 2, "no path 'onnx.litert'"),
        (["build", "tiny.onnx", "-p", "onnx.tensorrt"], 4, "does not work here"),
        (["build", "tiny.onnx", "-p", "onnx.openvino", "--shape", "time=4"], 2, "no dynamic axis time"),
        (["build", "tiny.onnx", "-p", "onnx.openvino", "--shape", "batch=8:1:2"], 2, "must rise"),
        (["build", "tiny.onnx", "-p", "onnx.openvino", "-o", "speed=1"], 2, "no option 'speed'"),
        (["build", "tiny.onnx", "-p", "onnx.openvino", "--signature", "other"], 2, "no signature 'other'"),
        (["build", "tiny.onnx", "-p", "onnx.openvino", "--precision", "tf32"], 2, "does not build tf32"),
        (["layers", "abcdef"], 3, "No build is stored"),
    ],
)
def test_errors_are_a_sentence_a_hint_and_an_exit_code(home: Path, arguments: list[str], code: int, told: str) -> None:
    given = [str(home / "tiny.onnx") if argument == "tiny.onnx" else argument for argument in arguments]
    done = engineroom(home, *given)
    assert done.returncode == code, done.stderr
    assert told in done.stderr
    assert "→" in done.stderr
    assert "Traceback" not in done.stderr
    as_json = json.loads(engineroom(home, *given, "--json").stdout)
    assert told in as_json["error"]["message"]


def test_a_broken_file_is_told(home: Path) -> None:
    (home / "broken.onnx").write_bytes(b"\x08\x07garbage")
    done = engineroom(home, "inspect", str(home / "broken.onnx"))
    assert done.returncode == 3
    assert "Traceback" not in done.stderr
