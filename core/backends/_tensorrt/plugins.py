"""Plugins: NVIDIA's own and the user's libraries."""

from __future__ import annotations

import ctypes
import os
from typing import Any

from core.backends._tensorrt.versions import Features
from core.base.errors import Unavailable


def load_plugins(trt: Any, logger: Any, paths: str, version: Features) -> None:
    """Registers NVIDIA's plugins and those of the libraries named by the option.

    Args:
        paths: Separated by `os.pathsep`.

    Raises:
        Unavailable: A library could not be loaded.
    """
    trt.init_libnvinfer_plugins(logger, "")
    for path in filter(None, paths.split(os.pathsep)):
        try:
            # The registry answers None for a library that is loaded already and for one that cannot be, and says nothing more.
            if not (version.plugin_libraries and trt.get_plugin_registry().load_library(path)):
                ctypes.CDLL(path, mode=ctypes.RTLD_GLOBAL)
        except OSError as error:
            raise Unavailable(
                f"The plugin library {path} could not be loaded.",
                hint="It must be built for this TensorRT, and lie at this path on the machine that runs.",
                detail=str(error),
            ) from error
