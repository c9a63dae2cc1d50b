"""The direction of imports, as a fresh process sees it."""

from __future__ import annotations

import ast
import json
import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest

import core

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


def imports_of(path: Path) -> set[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    plain = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    return plain | {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.module}


def files_of(folder: str) -> list[Path]:
    return sorted((ROOT / folder).rglob("*.py"))


@pytest.mark.parametrize("path", files_of("core"), ids=lambda path: str(path.relative_to(ROOT)))
def test_core_knows_nothing_of_the_dashboard(path: Path) -> None:
    assert not [name for name in imports_of(path) if name.split(".")[0] in ("dashboard", "pages", "streamlit")]


@pytest.mark.parametrize("path", files_of("core/backends"), ids=lambda path: str(path.relative_to(ROOT)))
def test_a_backend_never_imports_another_nor_the_jobs(path: Path) -> None:
    own = ".".join(path.relative_to(ROOT).with_suffix("").parts[:3])
    shared = ("core.backends.base", "core.backends._", own)
    watched = ("core.backends.", "core.jobs", "core.cli")
    foreign = [name for name in imports_of(path) if name.startswith(watched) and not name.startswith(shared)]
    assert not foreign
