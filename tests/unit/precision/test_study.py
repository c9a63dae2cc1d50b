"""What the precision stage of a build does once, and what comes out of it."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from core.base.precision import Precision
from core.base.progress import silent
from core.models.model import Format, Model
from core.models.onnx_graph import graph_signature
from core.onnxio.file import save_onnx
from core.onnxio.simplify import ENTRY, simplify
from core.precision import load, lower
from core.precision.calibration.samples import SampleSource
from core.precision.prepare import RANGES_FILE, prepare
from core.precision.settings import PrecisionSettings
from core.precision.study import KEPT_FOR_GOAL
from core.precision.target import parse_target
from core.request.build_request import BuildRequest
from core.stages.precision import run
from core.stages.stage import Prepared, StageContext
from core.storage.userdata import store_data
from core.storage.workspace import Workspace

Build = Callable[[PrecisionSettings], tuple[Prepared, Path]]


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How often graphs are simplified, and models calibrated."""
    counted: Counter[str] = Counter()

    def count(module: Any, name: str) -> None:
        own = getattr(module, name)

        def called(*given: Any, **named: Any) -> Any:
            counted[name] += 1
            return own(*given, **named)

        monkeypatch.setattr(module, name, called)

    count(load, "simplify")
    count(lower, "collect_ranges")
    return counted


@pytest.fixture
def samples(tmp_path: Path) -> Path:
    """Unscaled values, for which there is a warning; one of them makes a step of 127 more than all other values."""
    image = np.random.default_rng(0).normal(size=(6, 3, 8, 8)).astype(np.float32)
    image[0, 0, 0, 0] = 300.0
    np.savez(tmp_path / "data.npz", image=image)
    return tmp_path / "data.npz"


@pytest.fixture
def build(residual: onnx.ModelProto, samples: Path, tmp_path: Path) -> Build:
    """Runs the stage on a graph that is simplified, as a build's is, and gives the result and its folder."""
    save_onnx(residual, tmp_path / "source.onnx")
    workspace = Workspace(tmp_path / "workspace")
    content = workspace.model_folder("d" * 64) / "content"
    content.mkdir(parents=True)
    simplify(tmp_path / "source.onnx", content)
    shutil.copyfile(content / ENTRY, tmp_path / "simplified.onnx")
    calibration = store_data(workspace, samples)
    signature = graph_signature(residual)
    model = Model(digest="d" * 64, name="net", format=Format.ONNX, entry=ENTRY, signatures=(signature,), size_bytes=1)

    def built(settings: PrecisionSettings) -> tuple[Prepared, Path]:
        request = BuildRequest(
            model=model.digest,
            path="onnx.onnxruntime",
            precision=Precision.INT8,
            lowering=settings,
            calibration=calibration,
            signature=signature.name,
        )
        folder = workspace.build_folder(request.key)
        folder.mkdir(parents=True)
        context = StageContext(workspace=workspace, folder=folder, request=request, model=model, report=silent)
        made = run(context)
        where = workspace.artifact(made.artifact or "")
        assert where is not None
        return made, where

    return built


def test_a_build_with_a_remedy_calibrates_once_and_does_not_simplify_again(
    build: Build, calls: Counter[str], samples: Path, tmp_path: Path
) -> None:
    free, _ = build(PrecisionSettings(layer_errors=True))
    assert calls == {"collect_ranges": 1}
    assert free.precision is not None
    assert free.precision.cost is not None
    calls.clear()
    made, folder = build(PrecisionSettings(max_rel=0.02))
    assert calls == {}  # on the ranges of the first
    record = made.precision
    assert record is not None
    assert record.remedy is not None
    assert record.remedy.keep
    assert record.kept.items() >= dict.fromkeys(record.remedy.keep, KEPT_FOR_GOAL).items()
    assert (record.inputs, record.notes, record.data) == (free.precision.inputs, free.precision.notes, free.precision.data)
    assert any("useless" in note for note in made.notes)
    # The same as from a new calibration.
    (tmp_path / "anew").mkdir()
    anew = prepare(
        tmp_path / "simplified.onnx",
        tmp_path / "anew",
        Precision.INT8,
        target=parse_target("onnxruntime"),
        data=SampleSource(path=samples),
        settings=PrecisionSettings(keep_nodes=record.remedy.keep),
    )
    assert calls == {"collect_ranges": 1, "simplify": 1}
    assert anew.converted == record.converted
    for name in (ENTRY, RANGES_FILE):
        assert (folder / name).read_bytes() == (tmp_path / "anew" / name).read_bytes()


def test_builds_that_differ_in_what_stays_wide_share_their_ranges(build: Build, calls: Counter[str]) -> None:
    """As a mend's trial does; its record tells of the data as the first does."""
    first, _ = build(PrecisionSettings())
    other, _ = build(PrecisionSettings(keep_ops=("Gemm", "MatMul"), keep_io_types=False))
    assert calls == {"collect_ranges": 1}
    assert first.precision is not None
    assert other.precision is not None
    told = [(one.inputs, one.notes, one.data, one.stamp) for one in (first.precision, other.precision)]
    assert told[0] == told[1]
    assert told[0][1]
    build(PrecisionSettings(percentile=99.9))
    build(PrecisionSettings(samples=2))
    assert calls == {"collect_ranges": 3}


def test_a_bare_file_is_simplified_once(residual: onnx.ModelProto, samples: Path, calls: Counter[str], tmp_path: Path) -> None:
    save_onnx(residual, tmp_path / "source.onnx")
    (tmp_path / "out").mkdir()
    target = parse_target("onnxruntime")
    made = prepare(tmp_path / "source.onnx", tmp_path / "out", Precision.INT8, target=target, data=SampleSource(path=samples))
    assert calls == {"collect_ranges": 1, "simplify": 1}
    assert made.converted
