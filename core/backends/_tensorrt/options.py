"""TensorRT's knobs, and what they mean once they are read."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from core.backends._tensorrt.versions import Features
from core.backends.base import Option, OptionValue
from core.base.errors import InvalidRequest
from core.base.profile import ShapeProfile, parse_profiles
from core.base.tensors import Signature

_TACTIC_SOURCES = ("cublas", "cublas_lt", "cudnn", "edge_mask_convolutions", "jit_convolutions")
_MEMORY_POOLS = ("dla_managed_sram", "dla_local_dram", "dla_global_dram", "tactic_dram", "tactic_shared_memory")
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([KMG]?)", re.IGNORECASE)
_UNITS = {"K": 2**10, "": 2**20, "M": 2**20, "G": 2**30}  # a bare number is in MiB, as in trtexec's --memPoolSize

STRIP_WEIGHTS = Option(
    name="strip_weights",
    default=False,
    help="Leave the weights out of the engine's file, for an application that brings them by refitting.",
    choices=(False, True),
)

OPTIONS: tuple[Option, ...] = (
    Option(name="workspace_mb", default=0, help="Scratch memory a layer may use, MiB; 0 allows all of the GPU's."),
    Option(
        name="memory_pools",
        default="",
        help="Limits of other pools, comma-separated, in MiB or with K, M or G: tactic_dram:2G, tactic_shared_memory:64K. "
        f"There are: {', '.join(_MEMORY_POOLS)}; tactic_dram from 8.6, tactic_shared_memory from 10.",
    ),
    Option(
        name="optimization_level",
        default=3,
        help="How long the builder searches, 0 to 5; from TensorRT 8.6.",
        choices=(0, 1, 2, 3, 4, 5),
    ),
    Option(
        name="tactic_sources",
        default="",
        help=f"Libraries to take kernels from, comma-separated: {', '.join(_TACTIC_SOURCES)}; up to 10 for the first three.",
    ),
    Option(name="timing_cache", default=True, help="Reuse kernel timings of earlier builds on this GPU.", choices=(True, False)),
    Option(name="cuda_graph", default=False, help="Launch each run as one CUDA graph.", choices=(False, True)),
    Option(name="profiles", default="", help="More optimization profiles, separated by semicolons: batch=1;batch=8:8:32."),
    Option(name="refit", default=False, help="Weights can be replaced later without a build.", choices=(False, True)),
    Option(name="sparsity", default=False, help="Use 2:4 sparse kernels where weights allow.", choices=(False, True)),
    Option(
        name="version_compatible", default=False, help="The engine runs on later TensorRTs too; from 8.6.", choices=(False, True)
    ),
    Option(
        name="hardware_compatibility",
        default="none",
        help="GPUs the engine runs on besides this one; from TensorRT 8.6, same_compute_capability from 10.11.",
        choices=("none", "ampere_plus", "same_compute_capability"),
    ),
    Option(
        name="aux_streams", default=-1, help="Streams an engine may run layers on at once; -1 leaves it to TensorRT; from 8.6."
    ),
    Option(name="plugins", default="", help=f"Plugin libraries (.so), separated by {os.pathsep!r}."),
    Option(name="dla_core", default=-1, help="DLA core of a Jetson to build for, the GPU doing the rest; -1 for none."),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The options, read and checked.

    Attributes:
        memory_pools: Limits in bytes, by the lower-case names of `MemoryPoolType`'s members.
        capabilities: Members of `ComputeCapability` to build for; none leaves it to the product.
    """

    workspace_bytes: int | None
    memory_pools: Mapping[str, int]
    optimization_level: int | None
    tactic_sources: tuple[str, ...]
    timing_cache: bool
    profiles: tuple[ShapeProfile, ...]
    refit: bool
    sparsity: bool
    version_compatible: bool
    hardware_compatibility: str | None
    aux_streams: int | None
    plugins: tuple[Path, ...]
    dla_core: int | None
    strip_weights: bool = False
    capabilities: tuple[str, ...] = ()


# What a product without an option does.
_WITHOUT: dict[str, OptionValue] = {option.name: option.default for option in OPTIONS} | {
    "timing_cache": False,
    "strip_weights": False,
    "target_capabilities": "",
}


def read_settings(
    options: Mapping[str, OptionValue],
    profile: ShapeProfile,
    signature: Signature,
    version: Features,
    capabilities: Mapping[str, tuple[int, int]] | None = None,
) -> Settings:
    """The options of a build as TensorRT needs them.

    Args:
        options: Every option of the product with its value.
        profile: The request's; it becomes the first optimization profile.
        version: Of the TensorRT that will build.
        capabilities: `Product.capabilities`.

    Raises:
        InvalidRequest: A value makes no sense, or needs a newer TensorRT.
    """
    given = {**_WITHOUT, **options}
    _check_version(given, version)
    told = _read(given, profile, signature, capabilities or {})
    plugins = tuple(Path(text) for text in str(given["plugins"]).split(os.pathsep) if text)
    if missing := [str(path) for path in plugins if not path.is_file()]:
        raise InvalidRequest(
            f"No plugin library lies at {', '.join(missing)}.", hint="Give the paths on the machine that builds."
        )
    level, streams, dla = (int(given[name]) for name in ("optimization_level", "aux_streams", "dla_core"))
    return Settings(
        workspace_bytes=told.workspace_bytes,
        memory_pools=told.memory_pools,
        optimization_level=level if version.optimization_level else None,
        tactic_sources=told.tactic_sources,
        timing_cache=bool(given["timing_cache"]),
        profiles=told.profiles,
        refit=bool(given["refit"]),
        sparsity=bool(given["sparsity"]),
        version_compatible=bool(given["version_compatible"]),
        hardware_compatibility=None if given["hardware_compatibility"] == "none" else str(given["hardware_compatibility"]),
        aux_streams=streams if streams >= 0 else None,
        plugins=plugins,
        dla_core=dla if dla >= 0 else None,
        strip_weights=bool(given["strip_weights"]),
        capabilities=told.capabilities,
    )


def check_options(
    options: Mapping[str, OptionValue],
    profile: ShapeProfile,
    signature: Signature,
    capabilities: Mapping[str, tuple[int, int]],
) -> tuple[str, ...]:
    """What can be told of a build's options before it is known which version builds, and on which machine.

    Args:
        options: Those that differ from the defaults.

    Returns:
        The members of `ComputeCapability` that they name.

    Raises:
        InvalidRequest: A value makes no sense.
    """
    return _read({**_WITHOUT, **options}, profile, signature, capabilities).capabilities


@dataclass(frozen=True, slots=True, kw_only=True)
class _Read:
    """The options that are texts or sizes, as in `Settings`."""

    workspace_bytes: int | None
    memory_pools: Mapping[str, int]
    tactic_sources: tuple[str, ...]
    profiles: tuple[ShapeProfile, ...]
    capabilities: tuple[str, ...]


def _read(
    given: Mapping[str, OptionValue],
    profile: ShapeProfile,
    signature: Signature,
    capabilities: Mapping[str, tuple[int, int]],
) -> _Read:
    profiles = (profile, *parse_profiles(str(given["profiles"])))
    sources = tuple(name.strip().lower() for name in str(given["tactic_sources"]).split(",") if name.strip())
    if unknown := [name for name in sources if name not in _TACTIC_SOURCES]:
        raise InvalidRequest(
            f"No tactic source is called {', '.join(unknown)}.", hint=f"There are: {', '.join(_TACTIC_SOURCES)}."
        )
    workspace = int(given["workspace_mb"])
    if workspace < 0:
        raise InvalidRequest(f"A workspace of {workspace} MiB makes no sense.", hint="Give a size in MiB, or 0 for no limit.")
    return _Read(
        workspace_bytes=workspace * 1024 * 1024 or None,
        memory_pools=_memory_pools(str(given["memory_pools"])),
        tactic_sources=sources,
        profiles=tuple(one.complete(signature) for one in profiles),
        capabilities=_capabilities(str(given["target_capabilities"]), capabilities),
    )


def named_capabilities(text: str) -> tuple[str, ...]:
    """The numbers in the option `target_capabilities`, as they were written, each once."""
    return tuple(dict.fromkeys(part.strip() for part in text.split(",") if part.strip()))


def _capabilities(text: str, known: Mapping[str, tuple[int, int]]) -> tuple[str, ...]:
    """The members of `ComputeCapability` that are meant by "8.6, 8.9", oldest first."""
    by_number = {f"{major}.{minor}": member for member, (major, minor) in known.items()}
    wanted = named_capabilities(text)
    if unknown := [part for part in wanted if part not in by_number]:
        raise InvalidRequest(
            f"No engine can be built for compute capability {', '.join(unknown)}.", hint=f"There are: {', '.join(by_number)}."
        )
    return tuple(member for number, member in by_number.items() if number in wanted)


def _memory_pools(text: str) -> dict[str, int]:
    """Limits in bytes by pool. The pools' rules are those of `MemoryPoolType` in NVIDIA's API reference."""
    limits = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        name, _, size = (word.strip() for word in part.partition(":"))
        name = name.lower()
        if name not in _MEMORY_POOLS:
            hint = "workspace_mb limits the workspace." if name == "workspace" else f"There are: {', '.join(_MEMORY_POOLS)}."
            raise InvalidRequest(f"No other memory pool is called {name}.", hint=hint)
        found = _SIZE.fullmatch(size)
        limit = int(float(found.group(1)) * _UNITS[found.group(2).upper()]) if found else 0
        if limit <= 0:
            raise InvalidRequest(
                f"Could not read the size of the memory pool in {part!r}.", hint=f"Write {name}:64 for 64 MiB, or {name}:64K."
            )
        if name.startswith("dla_") and (limit < 4096 or limit.bit_count() > 1):
            raise InvalidRequest(
                f"The memory pool {name} cannot have {limit} bytes.", hint="DLA's pools need a power of two, at least 4K."
            )
        limits[name] = limit
    return limits


def _check_version(given: Mapping[str, OptionValue], version: Features) -> None:
    default = _WITHOUT
    needs = {
        "optimization_level": (version.optimization_level, "came with 8.6"),
        "aux_streams": (version.aux_streams, "came with 8.6"),
        "version_compatible": (version.compatibility, "came with 8.6"),
        "hardware_compatibility": (version.compatibility, "came with 8.6"),
        "strip_weights": (version.strip_plan, "came with 10.0"),
        "dla_core": (version.dla, "is missing from 10.8 to 11.3"),
    }
    for name, (has, when) in needs.items():
        if given[name] != default[name] and not has:
            raise InvalidRequest(f"{version.name} has no {name}: it {when}.", hint=f"Leave {name} at {default[name]}.")
