"""What the simplify stage leaves for people to read."""

from __future__ import annotations

from pathlib import Path

import pytest

from core.base.progress import silent
from core.base.tensors import Signature
from core.models.model import Format, Model
from core.onnxio.simplify import Simplified
from core.request.build_request import BuildRequest
from core.stages import simplify
from core.stages.stage import MOST_NAMES, StageContext
from core.storage.workspace import Workspace


def test_names_are_kept_up_to_a_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    signature = Signature(name="main", inputs=(), outputs=())
    model = Model(digest="m", name="m", format=Format.ONNX, entry="model.onnx", signatures=(signature,), size_bytes=1)
    folded = tuple(f"n{number}" for number in range(MOST_NAMES + 1))
    done = Simplified(entry="model.onnx", nodes_before=900, nodes_after=399, ops_after={}, folded=folded, version="0.1.98")
    monkeypatch.setattr(simplify, "simplify", lambda *_: done)
    request = BuildRequest(model="m", path="onnx.onnxruntime")
    context = StageContext(workspace=Workspace(tmp_path / "w"), folder=tmp_path, request=request, model=model, report=silent)
    prepared = simplify.run(context)
    assert prepared.details["folded"] == f"{MOST_NAMES + 1} with constant inputs"
    assert prepared.changed == {"folded": folded[:MOST_NAMES]}
