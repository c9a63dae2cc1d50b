"""A real network from end to end, in a process of its own as a stage runs it."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime
import pytest

from tests.resnet50 import Converted


@pytest.mark.slow
def test_resnet50_stays_below_three_and_a_half_gigabytes(resnet50: Converted) -> None:
    assert resnet50.peak_bytes < 3.5e9
    # Batch normalization is in the convolutions.
    assert resnet50.ops["Conv"] == 53
    assert "BatchNormalization" not in resnet50.ops
    assert sum(resnet50.ops.values()) < 140
    model = onnx.load(resnet50.model)
    assert all("/" in node.name for node in model.graph.node if node.op_type in ("Conv", "MatMul"))

    with np.load(resnet50.run) as run:
        session = onnxruntime.InferenceSession(resnet50.model, providers=["CPUExecutionProvider"])
        (probabilities,) = session.run(["probabilities"], {"image": run["images"]})
        expected = run["probabilities"]
    assert len(set(expected.argmax(1))) > 1  # else parity on random weights would mean little
    np.testing.assert_array_equal(probabilities.argmax(1), expected.argmax(1))
    assert np.abs(probabilities - expected).max() < 1e-3 * expected.max()
