"""Whether TensorRT can work here, from what is installed alone; importing it would load gigabytes of libraries."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from core.backends._nvidia import driver_hint, has_gpu, is_jetson
from core.backends.tensorrt._versions import features, parse_version
from core.base.availability import Availability, installed_version
from core.base.errors import Unavailable

# Not tensorrt-lean nor tensorrt-dispatch, which run engines alone, under names of their own.
PACKAGES = ("tensorrt", "tensorrt-cu13", "tensorrt-cu12", "tensorrt-cu11")

INSTALL_PIP = (
    "pip install 'engine-room[tensorrt]' (TensorRT 9 and later gets its libraries from NVIDIA's own package index; "
    "8.5 and 8.6 lie on the public one, for CPython 3.10 at the newest)"
)
INSTALL_CONTAINER = "or start NVIDIA's TensorRT container (nvidia/tensorrt) with --gpus all"
INSTALL_JETSON = (
    "TensorRT comes with JetPack: sudo apt install nvidia-jetpack, then make the environment with --system-site-packages "
    "and pip install cuda-bindings"
)


def availability(root: Path = Path("/")) -> Availability:
    """TensorRT's availability; `root` is where the system's files are looked for."""
    version = installed_version(*PACKAGES)
    if not version and not find_spec("tensorrt"):
        return _lacks("TensorRT is not installed.", install_hint(root))
    if version:
        try:
            features(parse_version(version))
        except Unavailable as error:
            return _lacks(error.message, error.hint, version)
    if not has_gpu(root):
        return _lacks("This machine has no NVIDIA GPU, or its driver is not loaded.", driver_hint(root), version)
    if not (installed_version("cuda-bindings", "cuda-python") or find_spec("cuda")):
        return _lacks("cuda-bindings is not installed, which runs the engines.", "pip install cuda-bindings", version)
    return Availability(available=True, version=version, builds_on=("cuda",), runs_on=("cuda",))


def install_hint(root: Path = Path("/")) -> str:
    """How to install TensorRT on this kind of machine."""
    if is_jetson(root):
        return f"{INSTALL_JETSON}."
    return f"{INSTALL_PIP}, {INSTALL_CONTAINER}."


def _lacks(reason: str, hint: str, version: str | None = None) -> Availability:
    return Availability(available=False, version=version, reason=reason, hint=hint)
