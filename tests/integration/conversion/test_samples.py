"""A real network from end to end, in a process of its own as a stage runs it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest

from sample_models.make_models import sample

# Prints the process's peak memory and TensorFlow's own answers; conversion first, for that is what is measured.
SCRIPT = """
import json, resource, sys
from pathlib import Path
from core.conversion.onnx_from_savedmodel import CONVERSION
from core.models.model import Format, Source
from core.models.savedmodel import read_savedmodel
from core.base.progress import silent

path, out = map(Path, sys.argv[1:])
signature = read_savedmodel(path).signatures[0]
converted = CONVERSION.convert(Source(path=path, format=Format.SAVEDMODEL, signature=signature), out, silent)
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024

import numpy as np
from core.base.lean import import_tensorflow

tf = import_tensorflow()
function = tf.saved_model.load(str(path)).signatures["serving_default"]
images = np.random.default_rng(0).uniform(-1, 1, (3, 224, 224, 3)).astype(np.float32)
np.savez(out / "run.npz", images=images, probabilities=function(image=tf.constant(images))["probabilities"].numpy())
print(json.dumps({"peak": peak, "ops": converted.ops}))
"""


@pytest.mark.slow
def test_resnet50_stays_below_three_and_a_half_gigabytes(tmp_path: Path) -> None:
    command = [sys.executable, "-c", SCRIPT, str(sample("resnet50")), str(tmp_path)]
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "2"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=250, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    told = json.loads(done.stdout.splitlines()[-1])
    assert told["peak"] < 3.5e9
    # Batch normalization is in the convolutions.
    assert told["ops"]["Conv"] == 53
    assert "BatchNormalization" not in told["ops"]
    assert sum(told["ops"].values()) < 140
    model = onnx.load(tmp_path / "model.onnx")
    assert all("/" in node.name for node in model.graph.node if node.op_type in ("Conv", "MatMul"))

    with np.load(tmp_path / "run.npz") as run:
        session = onnxruntime.InferenceSession(tmp_path / "model.onnx", providers=["CPUExecutionProvider"])
        (probabilities,) = session.run(["probabilities"], {"image": run["images"]})
        expected = run["probabilities"]
    assert len(set(expected.argmax(1))) > 1  # else parity on random weights would mean little
    np.testing.assert_array_equal(probabilities.argmax(1), expected.argmax(1))
    assert np.abs(probabilities - expected).max() < 1e-3 * expected.max()
