"""Whether a product can work here, from what is installed alone; importing it would load gigabytes of libraries."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from core.backends._nvidia import driver_hint, has_gpu
from core.backends._tensorrt.product import Product
from core.backends._tensorrt.versions import parse_version
from core.base.availability import Availability, installed_version
from core.base.errors import Unavailable


def availability(product: Product, root: Path = Path("/")) -> Availability:
    """The product's availability; `root` is where the system's files are looked for."""
    version = installed_version(*product.packages)
    if not version and not find_spec(product.module):
        return _lacks(f"{product.title} is not installed.", product.install_hint(root))
    if version:
        try:
            product.features(parse_version(version, product.title))
        except Unavailable as error:
            return _lacks(error.message, error.hint, version)
    no_gpu = _gpu_lack(root)
    builds_on = tuple(device for device in product.builds_on if not (device == "cuda" and no_gpu))
    if no_gpu and not builds_on:
        return _lacks(*no_gpu, version)
    return Availability(
        available=True,
        version=version,
        builds_on=builds_on,
        runs_on=product.runs_on,
        runs_where=product.runs_where,
        cannot_run=no_gpu[0] if no_gpu else "",
        licence=product.licence,
    )


def _gpu_lack(root: Path) -> tuple[str, str] | None:
    """Why no GPU can be used here, and what to do; None where one can."""
    if not has_gpu(root):
        return "This machine has no NVIDIA GPU, or its driver is not loaded.", driver_hint(root)
    if not (installed_version("cuda-bindings", "cuda-python") or find_spec("cuda")):
        return "cuda-bindings is not installed, which runs the engines.", "pip install cuda-bindings"
    return None


def _lacks(reason: str, hint: str, version: str | None = None) -> Availability:
    return Availability(available=False, version=version, reason=reason, hint=hint)
