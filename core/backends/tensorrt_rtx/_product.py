"""TensorRT-RTX as a product: how it is installed, and what it has of TensorRT 11.

Sources: NVIDIA's TensorRT-RTX documentation; what its bindings and builder answered, 1.7.1 on a machine with no GPU
(docs/measurements/tensorrt_rtx.md).
"""

from __future__ import annotations

from pathlib import Path

from core.backends._tensorrt.options import OPTIONS, STRIP_WEIGHTS
from core.backends._tensorrt.product import Product
from core.backends._tensorrt.versions import Features
from core.backends.base import Option
from core.base.gpus import gpus_text

PORTABLE = ("8.0", "8.6", "8.9", "12.x")  # what its runtime says it supports: 8.0 8.6 8.9 12.0 12.1 >12.0
CAPABILITIES = {"SM75": (7, 5), "SM80": (8, 0), "SM86": (8, 6), "SM89": (8, 9), "SM120": (12, 0), "SM121": (12, 1)}

# Of TensorRT's knobs, those that do something here: timing caches and hardware compatibility do nothing, there is no lean
# runtime for version compatible engines, and every kernel is compiled on the GPU.
_SHARED = (
    "workspace_mb",
    "memory_pools",
    "optimization_level",
    "cuda_graph",
    "profiles",
    "refit",
    "sparsity",
    "aux_streams",
    "plugins",
)


def options() -> tuple[Option, ...]:
    shared = {option.name: option for option in OPTIONS}
    target = Option(
        name="target_capabilities",
        default="",
        help="Compute capabilities to build for, comma-separated: "
        f"{', '.join(f'{major}.{minor}' for major, minor in CAPABILITIES.values())}. "
        "Empty: one engine that runs on 8.0, 8.6, 8.9, 12.0 and later.",
    )
    kernels = Option(
        name="runtime_cache",
        default=True,
        help="Keep the kernels that a GPU compiles, for its next start there.",
        choices=(True, False),
    )
    return (target, *(shared[name] for name in _SHARED), STRIP_WEIGHTS, kernels)


def features(version: tuple[int, int]) -> Features:
    return Features(
        title="TensorRT-RTX",
        version=version,
        strong_types=True,
        precision_flags=False,
        explicit_batch_flag=False,
        optimization_level=True,
        aux_streams=True,
        compatibility=False,
        progress_monitor=True,
        plugin_libraries=True,
        profile_sharing_preview=False,
        node_errors=True,
        subgraphs=True,
        dla=False,
        strip_plan=True,
        profile_memory=True,
        runtime_cache=True,
        named_capabilities=True,
    )


def target(_: str | None) -> str:
    """It reads what TensorRT 11 reads, whatever its own version is called."""
    return "tensorrt-11.0"


def install_hint(_: Path) -> str:
    return "pip install tensorrt-rtx-cu12 (x86-64 Linux and Windows; under NVIDIA's own licence)."


PRODUCT = Product(
    name="tensorrt_rtx",
    title="TensorRT-RTX",
    module="tensorrt_rtx",
    packages=("tensorrt-rtx-cu12", "tensorrt-rtx-cu13", "tensorrt-rtx"),
    options=options(),
    features=features,
    target=target,
    install_hint=install_hint,
    builds_on=("cpu", "cuda"),
    runs_on=("cuda",),
    runs_where=gpus_text(PORTABLE),
    licence="NVIDIA's own licence, beside the package; make run TENSORRT_RTX=no leaves it out.",
    tells_layers=True,
    capabilities=CAPABILITIES,
    portable=PORTABLE,
)
