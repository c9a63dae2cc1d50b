"""What CONTRIBUTING says of adding something, applied to a copy of the tree and used there."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.documented import ROOT, additions, copy_of_the_tree
from tests.forking import fork_server, forking

PAGE = """
import streamlit as st
from streamlit.testing.v1 import AppTest
type(st.context).cookies = {}  # AppTest's visitors have a mock
shown = AppTest.from_file("dashboard/main.py", default_timeout=120).switch_page("../pages/kinds.py").run()
assert not shown.exception, shown.exception
print([title.value for title in shown.title], len(shown.get("plotly_chart")))
"""


class Copy:
    """A copy of the tree with one kind of addition; its commands are forks if it is given what ends their server."""

    def __init__(self, root: Path, *kinds: str, forks: ExitStack | None) -> None:
        self.root = copy_of_the_tree(root)
        for kind in kinds:
            for addition in additions()[kind]:
                addition.apply(self.root)
        self.forks = forks
        self.environment = {**os.environ, "PYTHONPATH": str(root), "ENGINEROOM_WORKSPACE": str(root / "workspace")}

    def python(self, *arguments: str) -> str:
        if self.forks:
            server = self.forks.enter_context(fork_server(self.root))
            self.forks.enter_context(forking(server, self.root))
            self.forks = None
        command = [sys.executable, *arguments]
        done = subprocess.run(command, cwd=self.root, env=self.environment, capture_output=True, text=True, check=False)
        assert done.returncode in (0, 11, 13), done.stderr[-4000:]  # built: not on par, or nothing tells
        return done.stdout

    def build(self, *options: str) -> dict[str, Any]:
        """What `engineroom build` tells of the digits' ONNX file."""
        model = str(ROOT / "sample_models" / "digits.onnx")
        told = self.python("-m", "core.cli", "build", model, "--seconds", "0.1", "--json", *options)
        found: dict[str, Any] = json.loads(told)
        return found


@pytest.fixture
def copy(tmp_path: Path) -> Iterator[Callable[..., Copy]]:
    with ExitStack() as stack:
        yield lambda *kinds, forked=True: Copy(tmp_path / "tree", *kinds, forks=stack if forked else None)


def test_the_guide_names_one_of_each() -> None:
    assert list(additions()) == ["backend", "precision", "stage", "chart", "page"]


def test_a_backend_is_found_and_builds(copy: Callable[..., Copy]) -> None:
    found = copy("backend", forked=False).build("--path", "onnx.reference")
    assert found["build"]["state"] == "done"
    assert found["built"]["engine"]["backend"] == "reference"
    assert all(record["error"] is None for record in found["build"]["stages"])


def test_a_backend_keeps_the_contract(copy: Callable[..., Copy]) -> None:
    """As the guide says to try it."""
    here = copy("backend", forked=False)
    for folder in ("tests", "bench"):
        shutil.copytree(ROOT / folder, here.root / folder, ignore=shutil.ignore_patterns("__pycache__"))
    for file in ("CONTRIBUTING.md", "pyproject.toml"):
        shutil.copyfile(ROOT / file, here.root / file)
    told = here.python("-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/contract", "-k", "reference")
    assert re.search(r"^2\d passed, 1 skipped", told, re.MULTILINE), told


def test_a_backend_that_runs_elsewhere_builds_here_and_says_so(copy: Callable[..., Copy]) -> None:
    here = copy("backend")
    path = here.root / "core/backends/reference.py"
    told = 'Availability(available=True, version="1", builds_on=("cpu",), runs_on=("cuda",), runs_where="a GPU")'
    code = path.read_text()
    assert 'from_packages("ONNX", "onnx")\n' in code
    path.write_text(code.replace('from_packages("ONNX", "onnx")\n', f"{told}\n"))
    found = here.build("--path", "onnx.reference")
    assert found["build"]["state"] == "done"
    assert found["build"]["not_run"] == "not run here: it runs on a GPU"
    assert [record["stage"] for record in found["build"]["stages"]] == ["convert", "build", "inspect", "reference"]
    assert found["graph"]["layers"]
    assert found["parity"] is found["measurement"] is None
    rows = json.loads(here.python("-m", "core.cli", "compare", found["model"]["digest"], "--path", "onnx.reference", "--json"))
    assert [row["verdict"] for row in rows] == ["not run here: it runs on a GPU"]
    key = found["build"]["key"]
    here.python("-m", "core.cli", "report", key, "-o", "report.html")
    assert "not run here: it runs on a GPU" in (here.root / "report.html").read_text()


def test_a_precision_is_put_into_the_graph(copy: Callable[..., Copy]) -> None:
    found = copy("precision").build("--path", "onnx.onnxruntime", "--precision", "int16")
    assert found["build"]["state"] == "done"
    assert set(found["prepared"]["precision"]["requested"].values()) >= {"int16"}
    assert found["parity"]["outputs"][0]["cosine"] > 0.99


def test_a_stage_runs_in_its_place(copy: Callable[..., Copy]) -> None:
    here = copy("stage")
    found = here.build("--path", "onnx.onnxruntime")
    stages = [record["stage"] for record in found["build"]["stages"]]
    assert stages[stages.index("checksum") - 1 :][:3] == ["build", "checksum", "inspect"]
    left = here.root / "workspace/builds" / found["build"]["key"] / "checksum.json"
    assert len(json.loads(left.read_text())["sha256"]) == 64


def test_a_page_shows_a_chart(copy: Callable[..., Copy]) -> None:
    here = copy("chart", "page")
    here.build("--path", "onnx.onnxruntime")
    assert here.python("-c", PAGE).splitlines()[-1] == "['Kinds'] 1"
