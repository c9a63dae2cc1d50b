"""What the preparing stages changed, over builds as the stages leave them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from bench.stored_builds import SIGNATURE, store_build, store_model
from core.analysis.preparation import simplified_text, stage_changes
from core.base.precision import Precision
from core.base.serialization import write_json
from core.models.model import Format
from core.request.build_request import BuildRequest
from core.stages.outcome import Outcome, load_outcome
from core.stages.stage import Prepared
from core.storage.builds import StageName, result_file
from core.storage.workspace import Workspace

CONVERTED = Prepared(
    artifact="c", entry="model.onnx", format=Format.ONNX, signature=SIGNATURE, ops={"Conv": 4, "Shape": 3, "Identity": 1}
)
SIMPLIFIED = replace(
    CONVERTED,
    artifact="s",
    ops={"Conv": 4},
    versions={"onnxslim": "0.1.98"},
    details={"nodes": "8 before, 4 after", "folded": "3 with constant inputs"},
    notes=("Told by simplify.",),
)
LOWERED = replace(
    CONVERTED,
    artifact="p",
    ops={"Conv": 4, "Cast": 2},
    details={"target": "onnxruntime"},
    notes=("Told by simplify.", "Told too."),
)
CHAIN = {StageName.PRECISION: LOWERED, StageName.SIMPLIFY: SIMPLIFIED, StageName.CONVERT: CONVERTED}


@pytest.fixture
def outcome(tmp_path: Path) -> Outcome:
    workspace = Workspace(tmp_path)
    request = BuildRequest(model=store_model(workspace, "net").digest, path="onnx.onnxruntime", precision=Precision.FP16)
    key = store_build(workspace, request, median_ms=1.0)
    for stage, prepared in CHAIN.items():
        write_json(result_file(workspace.build_folder(key), stage), prepared)
    return load_outcome(workspace, key)


def test_every_stage_is_kept_in_order_and_the_latest_is_what_was_built_from(outcome: Outcome) -> None:
    assert list(outcome.preparations) == [StageName.CONVERT, StageName.SIMPLIFY, StageName.PRECISION]
    assert outcome.prepared == LOWERED
    assert outcome.versions == {"onnxslim": "0.1.98", "tensorrt": "8.5.3.1"}
    assert outcome.notes == ("Told by simplify.", "Told too.")


def test_each_change_is_held_against_the_stage_before(outcome: Outcome) -> None:
    simplify, precision = stage_changes(outcome)
    assert simplify.title == "What the simplify stage changed"
    assert simplify.ops == (("Shape", 3, 0), ("Identity", 1, 0), ("Conv", 4, 4))
    assert precision.ops == (("Cast", 0, 2), ("Conv", 4, 4))
    assert simplified_text(outcome) == "nodes 8 before, 4 after; folded 3 with constant inputs; by onnxslim 0.1.98"


def test_ops_of_two_formats_are_not_held_against_each_other(outcome: Outcome) -> None:
    tflite = replace(SIMPLIFIED, format=Format.TFLITE)
    (change,) = stage_changes(replace(outcome, preparations={StageName.CONVERT: CONVERTED, StageName.SIMPLIFY: tflite}))
    assert change.ops == ()


def test_without_preparation_there_is_nothing_to_tell(outcome: Outcome) -> None:
    assert outcome.built is not None
    bare = replace(outcome, prepared=None, preparations={})
    assert (stage_changes(bare), simplified_text(bare), bare.notes, bare.stamp) == ([], None, (), "")


def test_the_stamp_is_the_graphs_or_the_engines(outcome: Outcome) -> None:
    assert outcome.built is not None
    noted = replace(outcome.built, engine=replace(outcome.built.engine, notes=("Fast.", "Uncalibrated: random. Do not deploy.")))
    assert replace(outcome, prepared=None, built=noted).stamp == "Uncalibrated: random. Do not deploy."
    assert (
        replace(outcome, prepared=replace(LOWERED, notes=("uncalibrated, do not deploy",))).stamp == "uncalibrated, do not deploy"
    )
