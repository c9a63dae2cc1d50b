"""A path that cannot take the asked signature says so before anything is built."""

from dataclasses import replace
from pathlib import Path

import pytest

from core.analysis.targets import path_choices
from core.base.errors import InvalidRequest
from core.intake.add_model import add_model
from core.request.build_request import BuildRequest, checked
from core.request.paths import path_named
from core.storage.workspace import Workspace
from sample_models.make_models import sample

STRAIGHT, THROUGH_ONNX = "savedmodel.openvino", "savedmodel.onnx.openvino"


def test_openvino_reads_one_signature_straight_from_a_savedmodel(tmp_path: Path) -> None:
    model = add_model(sample("two_signatures"), Workspace(tmp_path))
    model = replace(model, signatures=(replace(model.signatures[0], name="serving_default"), *model.signatures))
    for signature in model.signatures:
        takes = signature.name == "serving_default"
        choices = {choice.path.id: choice for choice in path_choices(model, "cpu", [], signature.name)}
        assert choices[STRAIGHT].possible is takes
        assert choices[THROUGH_ONNX].possible
        request = BuildRequest(model=model.digest, path=STRAIGHT, signature=signature.name)
        if takes:
            assert path_named(model, STRAIGHT, signature.name).available
            assert checked(request, model).signature == signature.name
            continue
        assert signature.name in choices[STRAIGHT].reason
        with pytest.raises(InvalidRequest, match="reads only the signature") as caught:
            checked(request, model)
        assert "ONNX" in caught.value.hint
