"""Whether TF-TRT can work here: it needs an old TensorFlow, its TensorRT and a GPU, in an environment of their own."""

from __future__ import annotations

import re
from pathlib import Path

from core.backends._nvidia import driver_hint, has_gpu
from core.base.availability import Availability, installed_version

# Removed from TensorFlow 2.18: https://github.com/tensorflow/tensorflow/releases/tag/v2.18.0
REMOVED_IN = (2, 18)
TOOLCHAIN = (
    "Give a worker on a GPU host a toolchain of its own: CPython 3.10 with pip install 'tensorflow[and-cuda]==2.14.1' "
    "(docs/tensorrt.md tells the steps)."
)


def availability(root: Path = Path("/")) -> Availability:
    """TF-TRT's availability; `root` is where the system's files are looked for."""
    tensorflow = installed_version("tensorflow", "tensorflow-cpu")
    if tensorflow is None:
        return Availability(available=False, reason="TensorFlow is not installed.", hint=TOOLCHAIN)
    found = re.match(r"(\d+)\.(\d+)", tensorflow)
    if found and (int(found.group(1)), int(found.group(2))) >= REMOVED_IN:
        reason = f"TF-TRT was removed from TensorFlow 2.18; {tensorflow} is installed here."
        return Availability(available=False, version=tensorflow, reason=reason, hint=TOOLCHAIN)
    if installed_version("tensorrt", "tensorrt-libs") is None:
        return Availability(
            available=False, version=tensorflow, reason="TensorRT is not installed beside TensorFlow.", hint=TOOLCHAIN
        )
    if not has_gpu(root):
        reason = "TF-TRT converts on a GPU, and this machine shows none."
        return Availability(available=False, version=tensorflow, reason=reason, hint=driver_hint(root))
    return Availability(available=True, version=tensorflow, builds_on=("cuda",), runs_on=("cuda",))
