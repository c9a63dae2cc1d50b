"""TensorFlow itself: imported quietly, pinned to a device and a number of threads, its errors in our words."""

from __future__ import annotations

import logging
import os
import warnings
from contextlib import AbstractContextManager
from ctypes.util import find_library
from pathlib import Path
from typing import Any

from core.backends import _errors
from core.base.availability import Availability, from_packages, installed_version, installed_versions
from core.base.errors import BuildFailed, RunFailed, Unavailable
from core.base.lean import import_tensorflow

log = logging.getLogger(__name__)


def availability() -> Availability:
    """Where TensorFlow is installed, with "cuda" where the package, the driver and cuDNN are all there."""
    devices = ("cpu", "cuda") if _has_cuda() else ("cpu",)
    return from_packages("TensorFlow", "tensorflow-cpu", "tensorflow", devices=devices)


def versions() -> dict[str, str]:
    """Of the packages that have a say in what TensorFlow runs."""
    return installed_versions("tensorflow", "keras", "numpy")


def start(device: str, threads: int | None) -> Any:
    """The `tensorflow` module, set up for one device ("cpu" or "cuda") and so many threads (None: all cores).

    TensorFlow fixes both at its first operation; a second engine in the same process keeps what the first one set.

    Raises:
        Unavailable: TensorFlow is not installed, or sees no GPU where one is asked for.
    """
    tf = _imported()
    for pool in (tf.config.threading.set_intra_op_parallelism_threads, tf.config.threading.set_inter_op_parallelism_threads):
        _before_first_use(pool, threads or 0)
    gpus = tf.config.list_physical_devices("GPU")
    if device == "cpu":
        _before_first_use(tf.config.set_visible_devices, [], "GPU")
    elif not gpus:
        raise Unavailable(
            "TensorFlow sees no GPU here.", hint="Install tensorflow[and-cuda] and NVIDIA's driver, or build for cpu."
        )
    else:
        for gpu in gpus:
            _before_first_use(tf.config.experimental.set_memory_growth, gpu, True)
        tf.config.experimental.enable_tensor_float_32_execution(False)
    return tf


def settings(tf: Any, device: str) -> dict[str, str]:
    """What this process runs with, for the record of a measurement."""
    intra, inter = (
        str(count or "all cores")
        for count in (
            tf.config.threading.get_intra_op_parallelism_threads(),
            tf.config.threading.get_inter_op_parallelism_threads(),
        )
    )
    return {"intra_op_threads": intra, "inter_op_threads": inter, "device": device}


def device_name(device: str) -> str:
    return "/CPU:0" if device == "cpu" else "/GPU:0"


def told_as(kind: type[BuildFailed] | type[RunFailed], doing: str) -> AbstractContextManager[None]:
    """Turns whatever TensorFlow raises into `kind`, with its first line in the message and the rest as detail."""
    return _errors.told_as(kind, f"{doing} failed", hint=_hint, sentence=_sentence)


def _sentence(error: Exception) -> str:
    """Keras tells how to load Python code of a file anyway, which is no way here."""
    if "`Lambda` layer" in _errors.whole(error):
        return "it has a Lambda layer, which is Python code in the file"
    return _errors.first_line(error)


def _hint(error: Exception) -> str:
    text = _errors.whole(error)
    if type(error).__name__ == "ResourceExhaustedError" or isinstance(error, MemoryError):
        return "It ran out of memory: give smaller inputs, or a larger host."
    if any(sign in text for sign in ("cannot be deserialized", "Unknown layer", "Could not locate", "`Lambda` layer")):
        return "The model needs Python code, which is not run here: export it as a SavedModel where its code is (model.export)."
    return ""


def _imported() -> Any:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # errors still show
    os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tf = import_tensorflow()
    except ImportError as error:
        raise Unavailable(f"TensorFlow cannot be imported: {error}", hint="pip install tensorflow-cpu") from error
    tf.get_logger().setLevel(logging.ERROR)
    return tf


def _before_first_use(set_up: Any, *values: Any) -> None:
    try:
        set_up(*values)
    except RuntimeError:
        log.debug("%s: TensorFlow is already running and keeps its setting", set_up.__name__)


def _has_cuda() -> bool:
    cudnn = installed_version("nvidia-cudnn-cu13", "nvidia-cudnn-cu12", "nvidia-cudnn-cu11") or find_library("cudnn")
    return bool(installed_version("tensorflow") and cudnn and Path("/proc/driver/nvidia/version").exists())
