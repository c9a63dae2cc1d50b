"""What every test of TensorRT on a real GPU starts from."""

import numpy as np
import pytest
from onnx import TensorProto, helper

from tests.integration.backends.tensorrt.engines import save


@pytest.fixture
def convolutions(tmp_path):
    """Two convolutions with a residual Add, dynamic in the batch."""
    rng = np.random.default_rng(0)
    weights = {
        "w1": rng.normal(0, 0.2, (16, 3, 3, 3)).astype(np.float32),
        "w2": rng.normal(0, 0.1, (16, 16, 3, 3)).astype(np.float32),
        "twice": np.full(1, 2, np.float32),
        "once": np.ones(1, np.float32),
    }
    nodes = [
        helper.make_node("Conv", ["x", "w1"], ["a"], name="conv1", pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["a"], ["b"], name="relu1"),
        helper.make_node("Conv", ["b", "w2"], ["c"], name="conv2", pads=[1, 1, 1, 1]),
        helper.make_node("Add", ["c", "b"], ["d"], name="add"),
        helper.make_node("Relu", ["d"], ["e"], name="relu2"),
        helper.make_node("Mul", ["once", "twice"], ["factor"], name="fold"),
        helper.make_node("Mul", ["e", "factor"], ["y"], name="scale"),
    ]
    shape = ["batch", 3, 32, 32]
    return save(
        tmp_path / "convolutions.onnx",
        nodes,
        weights,
        [("x", TensorProto.FLOAT, shape)],
        [("y", TensorProto.FLOAT, ["batch", 16, 32, 32])],
    )


@pytest.fixture(autouse=True)
def _own_workspace(tmp_path, monkeypatch):
    monkeypatch.setenv("ENGINEROOM_WORKSPACE", str(tmp_path / "workspace"))
