"""The ResNet-50 sample converted to ONNX in a process of its own, as a stage runs it: once a run, for all who look at it."""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from sample_models.make_models import sample

# Prints the process's peak memory and what it converted to; conversion first, for that is what is measured.
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Converted:
    """What was left in the folder: `model`, and in `run` TensorFlow's own `probabilities` of `images`.

    Attributes:
        peak_bytes: Of the process that converted.
        ops: How many nodes of each type it has.
    """

    model: Path
    run: Path
    peak_bytes: int
    ops: dict[str, int]


def convert_once(folder: Path) -> Converted:
    """In a folder that all processes of a run share; of two that ask one converts and the other waits."""
    out, told = folder / "resnet50", folder / "resnet50.json"
    with (folder / "resnet50.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not told.exists():
            out.mkdir()
            command = [sys.executable, "-c", SCRIPT, str(sample("resnet50")), str(out)]
            environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "2"}
            done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=250, check=False)
            assert done.returncode == 0, done.stderr[-3000:]
            told.write_text(done.stdout.splitlines()[-1])
    found = json.loads(told.read_text())
    return Converted(model=out / "model.onnx", run=out / "run.npz", peak_bytes=found["peak"], ops=found["ops"])
