"""Which data the build stage hands to a backend that quantizes by itself."""

from __future__ import annotations

import pytest

from core.base.precision import Precision
from core.base.progress import silent
from core.base.tensors import Signature, TensorSpec
from core.models.model import Format, Model
from core.request.build_request import BuildRequest
from core.stages import build
from core.stages.build import own_calibration, recipe
from core.stages.stage import StageContext
from core.storage.builds import StageName, result_file
from core.storage.workspace import Workspace

SIGNATURE = Signature(name="main", inputs=(TensorSpec(name="x", dtype="float32", shape=(1,)),), outputs=())
MODEL = Model(digest="m", name="m", format=Format.SAVEDMODEL, entry=".", signatures=(SIGNATURE,), size_bytes=1)


@pytest.mark.parametrize(("device", "shared"), [("cuda", False), ("cpu", True)])
def test_gpus_of_two_types_share_no_engine(tmp_path, monkeypatch, device, shared):
    request = BuildRequest(model="m", path="savedmodel.tf-trt", device=device)
    context = StageContext(
        workspace=Workspace(tmp_path / "workspace"), folder=tmp_path, request=request, model=MODEL, report=silent
    )
    recipes = []
    for gpu in ("NVIDIA H100 80GB HBM3", "NVIDIA A10"):
        monkeypatch.setattr(build, "gpu_name", lambda gpu=gpu: gpu)
        recipes.append(recipe(context))
    assert (recipes[0] == recipes[1]) is shared


@pytest.mark.parametrize(
    ("precision", "lowered", "data"),
    [
        (Precision.INT8, False, "digest"),
        (Precision.INT8, True, None),  # its Q/DQ nodes hold what the data told
        (Precision.FP16, False, None),
    ],
)
def test_calibration_goes_to_the_backend_that_quantizes(tmp_path, precision, lowered, data):
    request = BuildRequest(model="m", path="savedmodel.tf-trt", precision=precision, calibration="digest")
    context = StageContext(
        workspace=Workspace(tmp_path / "workspace"), folder=tmp_path, request=request, model=MODEL, report=silent
    )
    if lowered:
        result_file(tmp_path, StageName.PRECISION).write_text("{}")
    assert own_calibration(context) == data
