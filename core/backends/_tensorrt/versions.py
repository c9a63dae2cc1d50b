"""What a version of TensorRT may have or lack, and how its names are told from that; without TensorRT."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from core.base.dtypes import bits, worded_dtype
from core.base.errors import Unavailable
from core.base.precision import Precision


@dataclass(frozen=True, slots=True, kw_only=True)
class Features:
    """What a version of TensorRT has.

    Attributes:
        title: Of the product.
        strong_types: Networks in which every tensor's type in the graph is what the engine computes in.
        precision_flags: Weak typing: FP16 and INT8 kernels are used only where a builder flag allows them.
        explicit_batch_flag: Networks need `EXPLICIT_BATCH`.
        optimization_level: `IBuilderConfig.builder_optimization_level`.
        aux_streams: `IBuilderConfig.max_aux_streams`.
        compatibility: `BuilderFlag.VERSION_COMPATIBLE` and `hardware_compatibility_level`.
        progress_monitor: `IProgressMonitor`; before, progress is read from the log.
        plugin_libraries: `IPluginRegistry.load_library`; before, a library registers its plugins when it is loaded.
        profile_sharing_preview: Several contexts may use one optimization profile once a preview feature is set; 10 always can.
        node_errors: A parser error names its node; before, it gives the node's place in the graph.
        subgraphs: The parser is asked for each part of the graph it can take; before, it gives them all at once.
        dla: Deep learning accelerators of Jetson and DRIVE boards.
        strip_plan: `BuilderFlag.STRIP_PLAN`.
        profile_memory: An engine tells the activation memory of each of its profiles.
        runtime_cache: `IRuntimeConfig.create_runtime_cache`: kernels that were compiled where an engine ran.
        named_capabilities: An engine is built for compute capabilities that are named; else for the GPU at hand.
    """

    title: str
    version: tuple[int, int]
    strong_types: bool
    precision_flags: bool
    explicit_batch_flag: bool
    optimization_level: bool
    aux_streams: bool
    compatibility: bool
    progress_monitor: bool
    plugin_libraries: bool
    profile_sharing_preview: bool
    node_errors: bool
    subgraphs: bool
    dla: bool
    strip_plan: bool
    profile_memory: bool
    runtime_cache: bool
    named_capabilities: bool

    @property
    def name(self) -> str:
        return f"{self.title} {self.version[0]}.{self.version[1]}"


def parse_version(text: str, title: str = "TensorRT") -> tuple[int, int]:
    """Major and minor of `8.6.0` or `10.13.3.9.post1`.

    Args:
        title: The product's.

    Raises:
        Unavailable: The text does not begin with two numbers.
    """
    found = re.match(r"(\d+)\.(\d+)", text)
    if not found:
        raise Unavailable(f"{title} calls its version {text!r}, which tells nothing.", hint=f"Install {title} again.")
    return int(found.group(1)), int(found.group(2))


def flags_for(precision: Precision, version: Features) -> dict[str, bool]:
    """`BuilderFlag`s to set or to clear. TF32 is a flag on every version, on by default; the others are weak typing's."""
    flags = {"TF32": precision is not Precision.FP32}
    if version.precision_flags:
        flags |= {name: name in precision.facts.weak_flags for name in ("FP16", "INT8")}
    return flags


def array_dtype(member: str) -> str | None:
    """Our name of a `DataType`; None for those that no array holds: below a byte, and bare exponents.

    `tensorrt.nptype` of 8.5 fails on NumPy 1.24.
    """
    name = worded_dtype(member)
    return name if name and bits(name) >= 8 else None


def device_memory_bytes(engine: Any) -> int:
    """The activation memory of one context; renamed in 10.1, and the old name is gone in 11."""
    size = getattr(engine, "device_memory_size_v2", None)
    return int(engine.device_memory_size if size is None else size)


def profile_memory_bytes(engine: Any, version: Features) -> tuple[int, ...]:
    """The activation memory of a context that runs each profile; empty where the version does not tell."""
    if not version.profile_memory:
        return ()
    return tuple(int(engine.get_device_memory_size_for_profile_v2(index)) for index in range(engine.num_optimization_profiles))


def network_flags(trt: Any, version: Features) -> int:
    """The argument of `Builder.create_network`."""
    wanted = ["EXPLICIT_BATCH"] if version.explicit_batch_flag else []
    wanted += ["STRONGLY_TYPED"] if version.strong_types else []
    kinds = trt.NetworkDefinitionCreationFlag
    # 11 is always strongly typed, whether or not it still has the flag.
    return sum(1 << int(getattr(kinds, name)) for name in wanted if hasattr(kinds, name))
