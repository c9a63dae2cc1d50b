"""The variables that a boxed process sees: those that runtimes read, and none that could hold a secret."""

from __future__ import annotations

from collections.abc import Mapping

_NAMES = {
    *("PATH", "LANG", "LANGUAGE", "TZ", "LD_LIBRARY_PATH", "LD_PRELOAD", "VIRTUAL_ENV"),
    *("ENGINEROOM_SANDBOX", "ENGINEROOM_MODELOPT_PYTHON", "ENGINEROOM_TACTIC_SOURCES"),
}
_FAMILIES = (
    *("LC_", "PYTHON", "MALLOC_", "TCMALLOC_"),
    *("CUDA_", "CUDNN_", "NVIDIA_", "TENSORRT_", "TF_", "XLA_", "KERAS_", "ORT_", "ONNX_", "OV_", "OPENVINO_"),
    *("OMP_", "GOMP_", "KMP_", "MKL_", "OPENBLAS_", "NUMEXPR_"),
)
_SECRET = ("SECRET", "TOKEN", "PASSWORD", "PASSWD", "CREDENTIAL", "KEY")


def allowed(environment: Mapping[str, str]) -> dict[str, str]:
    """What passes of a process's own variables."""
    return {
        name: value
        for name, value in environment.items()
        if name in _NAMES or (name.startswith(_FAMILIES) and not any(word in name for word in _SECRET))
    }
