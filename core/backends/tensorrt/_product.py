"""TensorRT as a product: how it is installed, and what differs between 8.5, 8.6, 10 and 11: facts by version, without TensorRT.

Sources: NVIDIA's release notes and migration guides 8.x to 10.x and 10.x to 11.x; the names each version has, from its Python
bindings (tests/golden/tensorrt/api, which tests/unit/backends/tensorrt/test_api.py holds the code against).
"""

from __future__ import annotations

from pathlib import Path

from core.backends._nvidia import is_jetson
from core.backends._tensorrt.options import OPTIONS
from core.backends._tensorrt.product import Product
from core.backends._tensorrt.versions import Features
from core.base.errors import Unavailable

OLDEST = (8, 5)

INSTALL_PIP = (
    "pip install 'engine-room[tensorrt]' (TensorRT 9 and later gets its libraries from NVIDIA's own package index; "
    "8.5 and 8.6 lie on the public one, for CPython 3.10 at the newest)"
)
INSTALL_CONTAINER = "or start NVIDIA's TensorRT container (nvidia/tensorrt) with --gpus all"
INSTALL_JETSON = (
    "TensorRT comes with JetPack: sudo apt install nvidia-jetpack, then make the environment with --system-site-packages "
    "and pip install cuda-bindings"
)


def features(version: tuple[int, int]) -> Features:
    """The features of a version.

    Raises:
        Unavailable: It is older than 8.5.
    """
    if version < OLDEST:
        raise Unavailable(
            f"TensorRT {version[0]}.{version[1]} is too old.", hint="Install 8.5 or later: pip install 'tensorrt>=8.5'."
        )
    return Features(
        title="TensorRT",
        version=version,
        strong_types=version >= (10, 0),
        precision_flags=version < (10, 0),
        explicit_batch_flag=version < (10, 0),
        optimization_level=version >= (8, 6),
        aux_streams=version >= (8, 6),
        compatibility=version >= (8, 6),
        progress_monitor=version >= (10, 0),
        plugin_libraries=version >= (8, 6),
        profile_sharing_preview=(8, 6) <= version < (10, 0),
        node_errors=version >= (10, 0),
        subgraphs=version >= (10, 1),
        dla=version < (10, 8) or version >= (11, 4),
        strip_plan=version >= (10, 0),
        profile_memory=version >= (10, 1),
        runtime_cache=False,
        named_capabilities=False,
    )


def target(version: str | None) -> str:
    return f"tensorrt-{version}" if version else "tensorrt"


def install_hint(root: Path = Path("/")) -> str:
    """How to install TensorRT on this kind of machine."""
    return f"{INSTALL_JETSON}." if is_jetson(root) else f"{INSTALL_PIP}, {INSTALL_CONTAINER}."


PRODUCT = Product(
    name="tensorrt",
    title="TensorRT",
    module="tensorrt",
    # Not tensorrt-lean nor tensorrt-dispatch, which run engines alone, under names of their own.
    packages=("tensorrt", "tensorrt-cu13", "tensorrt-cu12", "tensorrt-cu11"),
    options=OPTIONS,
    features=features,
    target=target,
    install_hint=install_hint,
    builds_on=("cuda",),
    runs_on=("cuda",),
)
