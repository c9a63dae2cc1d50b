"""Whether this machine shows an NVIDIA GPU, and how to get at one where it does not; imports no library of NVIDIA's."""

from __future__ import annotations

import platform
from pathlib import Path

_GPU_SIGNS = ("/proc/driver/nvidia/gpus", "/dev/nvidia0", "/dev/dxg", "/dev/nvhost-gpu", "/dev/nvgpu")
_JETSON = "/etc/nv_tegra_release"


def has_gpu(root: Path = Path("/")) -> bool:
    """Whether the system shows an NVIDIA GPU: a PCI card, one behind WSL, or a Jetson's.

    Args:
        root: Where the system's files are looked for.
    """
    signs = (root / sign.lstrip("/") for sign in _GPU_SIGNS)
    return any(any(sign.iterdir()) if sign.is_dir() else sign.exists() for sign in signs)


def is_jetson(root: Path = Path("/")) -> bool:
    return (root / _JETSON.lstrip("/")).exists()


def driver_hint(root: Path = Path("/")) -> str:
    """What to do on this kind of machine where no GPU shows."""
    if is_jetson(root):
        return "Flash the board with JetPack; in a container, start it with --runtime nvidia."
    if _in_container(root):
        return "Start the container with --gpus all (NVIDIA Container Toolkit), or build on a machine with a GPU."
    if platform.system() != "Linux":
        return "Build on a Linux machine with an NVIDIA GPU, or install the driver; `nvidia-smi` must list the GPU."
    return "Install NVIDIA's driver until `nvidia-smi` lists the GPU, or use a worker on a machine that has one."


def _in_container(root: Path) -> bool:
    return any((root / sign).exists() for sign in (".dockerenv", "run/.containerenv"))
