"""What the precision stage tells of itself."""

from __future__ import annotations

from core.base.precision import Precision
from core.precision.record import PrecisionRecord
from core.stages.precision import _details


def test_the_placement_is_named_after_the_target_that_wants_it() -> None:
    record = PrecisionRecord(target="onnxruntime-1.27", engine="light", precision=Precision.INT8, converted=("conv",))
    told = _details(record)
    assert told["placement"] == "as onnxruntime-1.27 wants it"
    assert told["converted"] == "1 node"
