"""Whether TensorRT can work here, from what is installed alone; importing it would load gigabytes of libraries."""

from __future__ import annotations

import platform
from importlib.util import find_spec
from pathlib import Path

from core.availability import Availability, installed_version

PACKAGES = ("tensorrt", "tensorrt-cu13", "tensorrt-cu12", "tensorrt-cu11", "tensorrt_cu12", "tensorrt-lean")
_GPU_SIGNS = ("/proc/driver/nvidia/gpus", "/dev/nvidia0", "/dev/dxg", "/dev/nvhost-gpu", "/dev/nvgpu")
_JETSON = "/etc/nv_tegra_release"

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
    if not has_gpu(root):
        return _lacks("This machine has no NVIDIA GPU, or its driver is not loaded.", _driver_hint(root), version)
    if not (installed_version("cuda-bindings", "cuda-python") or find_spec("cuda")):
        return _lacks("cuda-bindings is not installed, which runs the engines.", "pip install cuda-bindings", version)
    return Availability(available=True, version=version, devices=("cuda",))


def has_gpu(root: Path = Path("/")) -> bool:
    """Whether the system shows an NVIDIA GPU: a PCI card, one behind WSL, or a Jetson's."""
    signs = (root / sign.lstrip("/") for sign in _GPU_SIGNS)
    return any(any(sign.iterdir()) if sign.is_dir() else sign.exists() for sign in signs)


def install_hint(root: Path = Path("/")) -> str:
    """How to install TensorRT on this kind of machine."""
    if is_jetson(root):
        return f"{INSTALL_JETSON}."
    return f"{INSTALL_PIP}, {INSTALL_CONTAINER}."


def is_jetson(root: Path = Path("/")) -> bool:
    return (root / _JETSON.lstrip("/")).exists()


def in_container(root: Path = Path("/")) -> bool:
    return any((root / sign).exists() for sign in (".dockerenv", "run/.containerenv"))


def _driver_hint(root: Path) -> str:
    if is_jetson(root):
        return "Flash the board with JetPack; in a container, start it with --runtime nvidia."
    if in_container(root):
        return "Start the container with --gpus all (NVIDIA Container Toolkit), or build on a machine with a GPU."
    if platform.system() != "Linux":
        return "Build on a Linux machine with an NVIDIA GPU, or install the driver; `nvidia-smi` must list the GPU."
    return "Install NVIDIA's driver until `nvidia-smi` lists the GPU, or use a worker on a machine that has one."


def _lacks(reason: str, hint: str, version: str | None = None) -> Availability:
    return Availability(available=False, version=version, reason=reason, hint=hint)
