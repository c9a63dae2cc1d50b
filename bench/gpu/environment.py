"""What the GPU host is: GPU, driver, versions, processor."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from importlib.metadata import distributions
from pathlib import Path
from typing import Any

from core.backends.base import all_backends
from core.base.serialization import to_data
from core.benchmark.machine import processor

_PACKAGES = (
    "tensorflow",
    "tensorrt",
    "tf2onnx",
    "onnx",
    "onnxruntime",
    "onnxslim",
    "numpy",
    "cuda-bindings",
    "keras",
    "ml-dtypes",
)
_ASKED = "name,driver_version,memory.total,pstate,clocks.sm,clocks.max.sm,temperature.gpu,power.limit,compute_cap"


def record_environment(path: Path) -> None:
    """Writes what the host is to `path`; the commands of runs before, which this one goes on with, stay."""
    before = json.loads(path.read_text()).get("commands", []) if path.exists() else []
    told = environment()
    told["commands"] = list(dict.fromkeys([*before, told.pop("command")]))
    path.write_text(json.dumps(told, indent=1) + "\n")


def environment() -> dict[str, Any]:
    """Facts for the record; `nvidia-smi`'s answer among them where it is there."""
    installed = {name: found.version for found in distributions() if (name := found.metadata["Name"]) is not None}
    wanted = {name: version for name, version in installed.items() if name.lower().startswith(("nvidia-", *_PACKAGES))}
    return {
        "command": " ".join(["python", "-m", "bench.gpu.run", *sys.argv[1:]]),
        "python": platform.python_version(),
        "system": platform.platform(),
        "processor": processor(),
        "cores": os.cpu_count(),
        "gpu": _ask(["nvidia-smi", f"--query-gpu={_ASKED}", "--format=csv"]),
        "packages": dict(sorted(wanted.items())),
        "backends": {name: to_data(backend.availability()) for name, backend in all_backends().items()},
    }


def _ask(command: list[str]) -> str:
    try:
        return subprocess.run(command, capture_output=True, text=True, check=False, timeout=30).stdout.strip()
    except OSError:
        return ""
