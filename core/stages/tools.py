"""The packages that stages work with besides backends and conversions."""

from __future__ import annotations

from core.base.availability import Availability, from_packages
from core.precision import modelopt_environment
from core.precision.settings import PrecisionEngine

ONNXSLIM, ONNXRUNTIME, ML_DTYPES = "onnxslim", "onnxruntime", "ml-dtypes"
MODELOPT = PrecisionEngine.MODELOPT.value


def tools() -> dict[str, Availability]:
    """Each tool by its name, as this interpreter has it."""
    return {
        ONNXSLIM: from_packages("onnxslim", "onnxslim"),
        ONNXRUNTIME: from_packages("ONNX Runtime", "onnxruntime", "onnxruntime-gpu"),
        ML_DTYPES: from_packages("ml-dtypes", "ml-dtypes"),
        MODELOPT: modelopt_environment.availability(),
    }
