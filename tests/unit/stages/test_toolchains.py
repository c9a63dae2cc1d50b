from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from core.base.availability import Availability
from core.base.errors import InvalidRequest, Unavailable
from core.base.precision import Precision
from core.base.tensors import Signature
from core.models.model import Format, Model
from core.precision.settings import PrecisionEngine, PrecisionSettings
from core.request.build_request import BuildRequest
from core.stages.stage import Needs
from core.stages.toolchains import (
    Toolchain,
    lack_of,
    link_core,
    needs_of,
    parse_toolchain,
    probe,
    python_path,
    toolchain_for,
)
from core.storage.builds import StageName

HERE = Availability(available=True)
NOT_HERE = Availability(available=False, reason="not installed")


def chain(name: str, *, backends: dict[str, Availability], conversions: dict[str, Availability] | None = None) -> Toolchain:
    return Toolchain(name=name, python=f"/{name}/python", version="3.11.0", backends=backends, conversions=conversions or {})


def test_the_first_toolchain_that_has_everything_is_taken() -> None:
    own = chain("default", backends={"onnxruntime": HERE, "tf-trt": NOT_HERE}, conversions={"c": HERE})
    other = chain("tftrt", backends={"tf-trt": HERE})
    assert toolchain_for(Needs(backends=("tf-trt",)), [own, other]) is other
    assert toolchain_for(Needs(backends=("onnxruntime",), conversions=("c",)), [own, other]) is own
    assert toolchain_for(Needs(), [own, other]) is own
    assert toolchain_for(Needs(backends=("nowhere",)), [own, other]) is own


def test_a_toolchain_without_the_tools_is_not_taken() -> None:
    bare = replace(chain("default", backends={}), tools={"onnxslim": NOT_HERE})
    full = replace(chain("full", backends={}), tools={"onnxslim": HERE})
    old = chain("old", backends={})
    needs = Needs(tools=("onnxslim",))
    assert toolchain_for(needs, [bare, full]) is full
    assert lack_of(needs, [bare, full]) is None
    assert lack_of(needs, [bare]) is NOT_HERE
    assert lack_of(needs, [old]) is None  # it does not tell
    assert lack_of(Needs(), [bare]) is None


@pytest.mark.parametrize(
    ("precision", "settings", "tools"),
    [
        (Precision.INT8, PrecisionSettings(), {"ml-dtypes", "onnxruntime"}),
        (Precision.FP16, PrecisionSettings(), {"ml-dtypes", "onnxruntime"}),
        (Precision.BF16, PrecisionSettings(), {"ml-dtypes"}),
        (Precision.BF16, PrecisionSettings(max_rel=0.1), {"ml-dtypes", "onnxruntime"}),
        (Precision.FP8, PrecisionSettings(engine=PrecisionEngine.MODELOPT), {"ml-dtypes", "onnxruntime", "modelopt"}),
    ],
)
def test_what_a_precision_needs(precision: Precision, settings: PrecisionSettings, tools: set[str]) -> None:
    model = Model(
        digest="d",
        name="m",
        format=Format.ONNX,
        entry="model.onnx",
        signatures=(Signature(name="main", inputs=(), outputs=()),),
        size_bytes=1,
    )
    request = BuildRequest(model="d", path="onnx.tensorrt", precision=precision, lowering=settings)
    needs = needs_of(request, model)
    assert set(needs[StageName.PRECISION].tools) == tools
    assert needs[StageName.SIMPLIFY].tools == ("onnxslim",)


def test_toolchains_are_read(tmp_path: Path) -> None:
    assert parse_toolchain(f"tftrt={sys.executable}") == ("tftrt", sys.executable)
    for text in ("tftrt", "=x", "tftrt=", f"tftrt={tmp_path}", "tftrt=/nowhere/python"):
        with pytest.raises(InvalidRequest):
            parse_toolchain(text)


def test_an_interpreter_tells_what_works_in_it(tmp_path: Path) -> None:
    found = probe("own", sys.executable, link_core(tmp_path))
    assert found.name == "own"
    assert found.backends["onnxruntime"].available
    assert found.tools["onnxslim"].available
    assert "modelopt" in found.tools
    assert json.dumps(found.version)


def test_an_interpreter_without_our_needs_is_told(tmp_path: Path) -> None:
    bare = tmp_path / "python"
    bare.write_text(f'#!/bin/sh\nexec {sys.executable} -IS "$@"\n')
    bare.chmod(0o755)
    with pytest.raises(Unavailable, match=r"Toolchain bare cannot run stages: .*No module named"):
        probe("bare", str(bare), link_core(tmp_path / "core"))


def test_another_interpreter_sees_core_and_nothing_beside_it(tmp_path: Path) -> None:
    folder = link_core(tmp_path)
    link_core(tmp_path)
    assert [path.name for path in folder.iterdir()] == ["core"]
    assert python_path("/other/python", folder) == {"PYTHONPATH": str(folder)}
    assert python_path(sys.executable, folder) == {}
