"""What a GPU host can show besides the table: the doctor, whole builds, the backends' own tests, the smaller programs here."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

from bench.gpu.behaviour import SECTIONS
from sample_models.make_models import sample

_CLI = (sys.executable, "-m", "core.cli")
_TESTS = (sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-v", "--durations=15", "tests/contract")
_OURS = "tests/integration/backends"


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """A command whose output is the evidence.

    Attributes:
        seconds: What it was seen to take at most; it is not begun with less time left.
    """

    name: str
    command: tuple[str, ...]
    seconds: float


def checks(out: Path, tactic_sources: str = "") -> tuple[Check, ...]:
    """All of them.

    Args:
        out: Where the benchmark prepared the networks.
        tactic_sources: TensorRT's option, for the builds here. The tests read it from ENGINEROOM_TACTIC_SOURCES.
    """
    digits, data = str(sample("digits")), str(sample("digits_test"))
    int8 = ("--precision", "int8", "--calibration", data)
    option = ("-o", f"tactic_sources={tactic_sources}") if tactic_sources else ()
    through_onnx = (*_CLI, "build", digits, "--path", "savedmodel.onnx.tensorrt", *int8, *option)
    in_tensorflow = (*_CLI, "build", digits, "--path", "savedmodel.tf-trt", *int8)
    tensorrt = (*_TESTS, f"{_OURS}/tensorrt", "-k", "tensorrt and not tf_trt")
    tf_trt = (*_TESTS, f"{_OURS}/test_tf_trt.py", "-k", "tf_trt or tf-trt")
    tactics = (f"--tactic-sources={tactic_sources}",) if tactic_sources else ()
    depthwise = (sys.executable, "-m", "bench.gpu.depthwise", str(out / "inputs" / "efficientnetb0"), *tactics)
    return (
        Check(name="doctor", command=(*_CLI, "doctor"), seconds=30),
        Check(name="engineroom-build", command=through_onnx, seconds=90),
        Check(name="engineroom-build-tf-trt", command=in_tensorflow, seconds=120),
        Check(name="pytest", command=tensorrt, seconds=150),
        Check(name="pytest-tf-trt", command=tf_trt, seconds=240),
        Check(name="weak-typing", command=(sys.executable, "-m", "bench.gpu.weak_typing", *tactics), seconds=60),
        *(
            Check(name=name, command=(sys.executable, "-m", "bench.gpu.behaviour", name, *tactics), seconds=60)
            for name in SECTIONS
        ),
        Check(name="depthwise", command=depthwise, seconds=900),
    )
