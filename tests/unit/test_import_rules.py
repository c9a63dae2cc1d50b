"""What import-linter and ruff cannot tell of the direction of imports; the layers are in pyproject.toml."""

from __future__ import annotations

import json
import pkgutil
import re
import subprocess
import sys
from pathlib import Path

import grimp

import core
import core.backends
from core.backends.base import all_backends

HEAVY = {"ai_edge_litert", "keras", "modelopt", "onnxruntime", "openvino", "tensorflow", "tensorrt", "tf2onnx", "torch"}
ROOT = Path(core.__file__).parents[1]


def all_modules(package: str) -> list[str]:
    found = pkgutil.walk_packages([str(ROOT / package)], prefix=f"{package}.")
    return [info.name for info in found if not info.name.endswith("__main__")]


def test_importing_all_of_core_pulls_in_no_heavy_library_and_no_streamlit() -> None:
    script = """import importlib, json, sys
for name in json.loads(sys.argv[1]):
    importlib.import_module(name)
print(json.dumps(list(sys.modules)))"""
    modules = all_modules("core")
    assert "core.backends.base" in modules
    done = subprocess.run(
        [sys.executable, "-c", script, json.dumps(modules)], capture_output=True, text=True, check=True, cwd=ROOT
    )
    loaded = {name.split(".")[0] for name in json.loads(done.stdout)}
    assert loaded.isdisjoint(HEAVY | {"streamlit"})


def test_a_backend_never_imports_another() -> None:
    """In a test, because a new backend is found and must not have to be listed."""
    graph = grimp.build_graph("core")
    names = {info.name for info in pkgutil.iter_modules(core.backends.__path__)} - {"base"}
    backends = {f"core.backends.{name}" for name in names if not name.startswith("_")}
    assert len(backends) == len(all_backends())
    assert backends <= graph.modules
    for backend in backends:
        for other in backends - {backend}:
            assert not graph.find_shortest_chains(importer=backend, imported=other), f"{backend} imports {other}"


def test_only_one_module_imports_tensorflow_and_keras_whole() -> None:
    """The others ask it, for it leaves out what they would take along."""
    whole = re.compile(r"^ +import (tensorflow|keras)\b", re.MULTILINE)
    found = [path.relative_to(ROOT).as_posix() for path in (ROOT / "core").rglob("*.py") if whole.search(path.read_text())]
    assert found == ["core/base/lean.py"]


def test_tests_stand_on_benches_and_no_bench_on_tests() -> None:
    """Nor does the product stand on either."""
    graph = grimp.build_graph("core", "dashboard", "pages", "bench", "tests")
    for package in ("core", "dashboard", "pages", "bench"):
        assert graph.find_children(package)
        for other in {"bench", "tests"} - {package}:
            found = graph.find_shortest_chains(importer=package, imported=other, as_packages=True)
            assert not found, f"{package} imports {other}: {found}"
    assert graph.find_shortest_chains(importer="tests", imported="bench", as_packages=True)
