"""Builds a serialized engine from an ONNX graph whose precision is in the graph."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from core.backends._tensorrt import cuda, timing_cache
from core.backends._tensorrt.graph import Graph
from core.backends._tensorrt.layer_types import hold_all_in_fp32, hold_in_fp32
from core.backends._tensorrt.log import Log, build_failure, make_logger, start_failure
from core.backends._tensorrt.options import Settings
from core.backends._tensorrt.parse import parse
from core.backends._tensorrt.plugins import load_plugins
from core.backends._tensorrt.product import Product
from core.backends._tensorrt.progress import Watch, watched
from core.backends._tensorrt.versions import Features, flags_for, network_flags
from core.base.errors import BuildFailed, InvalidRequest, Unavailable
from core.base.gpus import fits
from core.base.precision import Precision
from core.base.profile import Point, ShapeProfile
from core.base.progress import Progress, Report
from core.base.tensors import Signature
from core.base.units import listed
from core.precision.target import Device, Target, advise

SHAPE_REASON = "Input {name} decides about shapes, which a profile of axis lengths cannot bound."
_NAMED = 4
SHAPE_HINT = "Export the model with that input as a constant."


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildFacts:
    """What the builder was set to and what it took.

    Attributes:
        gpu: That it was built on, with its compute capability; empty without one.
        network_layers: Layers after parsing, before optimizing.
        flags: `BuilderFlag`s that were on.
        held_in_fp32: Layers that weak typing was told to compute in FP32.
        timing_cache_bytes: Of timings found before the build and kept after it; None when the cache was off.
    """

    gpu: str
    compute_capability: str
    network_layers: int
    flags: tuple[str, ...]
    parse_seconds: float
    build_seconds: float
    timing_cache_bytes: tuple[int, int] | None
    held_in_fp32: int = 0
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """What to build, and from what.

    Attributes:
        fp32_nodes: Source nodes that must compute in FP32 although the builder may narrow others; none where types are strong.
        on_gpu: It is built on a GPU; else nothing may ask CUDA.
        title: Of the model, for messages; empty for the graph's file name.
    """

    product: Product
    graph: Graph
    signature: Signature
    precision: Precision
    settings: Settings
    version: Features
    fp32_nodes: frozenset[str] = frozenset()
    on_gpu: bool = True
    title: str = ""


def build_plan(trt: Any, job: Job, log: Log, report: Report) -> tuple[bytes, BuildFacts]:
    """The serialized engine, and how it came about.

    Raises:
        Unavailable: There is no GPU or no driver that this TensorRT can use.
        RunFailed: An earlier run broke this process's GPU context.
        UnsupportedOps: TensorRT has no translation for some nodes.
        BuildFailed: The builder refused.
        InvalidRequest: An option is not this GPU's.
        Cancelled: `report` said so.
    """
    if job.on_gpu:
        cuda.check_context()
    _check_ends(job)
    logger = make_logger(trt, log)
    load_plugins(trt, logger, os.pathsep.join(map(str, job.settings.plugins)), job.version)
    try:
        builder = trt.Builder(logger)
    except TypeError as error:  # pybind11: the factory returned nothing
        raise start_failure(log, "start its builder") from error
    report(Progress(message="Reading the graph"))
    started = time.perf_counter()
    network = builder.create_network(network_flags(trt, job.version))
    parse(trt, network, logger, log, job.graph, job.version, job.signature)
    fix_axes(network, job.signature, job.settings.profiles)
    parsed = time.perf_counter()
    config = builder.create_builder_config()
    configure(trt, builder, network, config, job)
    held = hold_in_fp32(trt, network, config, job.graph.source, job.fp32_nodes)
    gpu = cuda.device_name() if job.on_gpu else ""
    watch = Watch()
    if job.version.progress_monitor:
        monitor = watch.monitor(trt)
        config.progress_monitor = monitor
    with _timings(config, job.settings, timing_cache.cache_path(job.product.name, gpu, trt.__version__)) as cache_bytes:

        def work() -> Any:
            return builder.build_serialized_network(network, config)

        def serialize() -> Any:
            placed = cuda.on_this_device(work) if job.on_gpu else work
            return watched(placed, watch, log, report, can_stop=job.version.progress_monitor)

        serialized = serialize()
        if serialized is None and held and job.precision is Precision.INT8:
            hold_all_in_fp32(trt, config)
            log.memory_told.clear()
            serialized = serialize()
        if serialized is None:
            raise build_failure(log, job.title or job.graph.path.name, cuda.memory_bytes()[0] if job.on_gpu else None)
    warnings = tuple(dict.fromkeys(log.warnings))
    facts = BuildFacts(
        gpu=gpu,
        compute_capability=".".join(map(str, cuda.compute_capability())) if job.on_gpu else "",
        network_layers=network.num_layers,
        flags=tuple(name for name, member in trt.BuilderFlag.__members__.items() if config.get_flag(member)),
        parse_seconds=round(parsed - started, 3),
        build_seconds=round(time.perf_counter() - parsed, 3),
        timing_cache_bytes=(cache_bytes[0], cache_bytes[1]) if job.settings.timing_cache else None,
        held_in_fp32=held,
        warnings=warnings,
    )
    return bytes(serialized), facts


def _check_ends(job: Job) -> None:
    """Refuses an output that is an input: the parser renames one of the two.

    Raises:
        BuildFailed: There is one.
    """
    fed = {spec.name for spec in job.signature.inputs}
    if handed := [spec.name for spec in job.signature.outputs if spec.name in fed]:
        raise BuildFailed(
            f"{job.product.title} gives no input back as it is, as the graph does with {listed(handed, _NAMED)}.",
            hint="Put an Identity between the two, so that the output has a name of its own.",
        )


def fix_axes(network: Any, signature: Signature, profiles: Sequence[ShapeProfile]) -> None:
    """Writes a dynamic axis that has one length in every profile into the network, which then needs no shape arithmetic."""
    specs = {spec.name: spec for spec in signature.inputs}
    for index in range(network.num_inputs):
        tensor = network.get_input(index)
        spec = specs.get(tensor.name)
        if spec is None or spec.shape is None:
            continue
        ends = [profile.shape(spec, point) for profile in profiles for point in (Point.MIN, Point.MAX)]
        now = tuple(tensor.shape)
        fixed = tuple(
            ends[0][axis] if length < 0 and len({end[axis] for end in ends}) == 1 else length for axis, length in enumerate(now)
        )
        if fixed != now:
            tensor.shape = fixed


def configure(trt: Any, builder: Any, network: Any, config: Any, job: Job) -> None:
    """Sets every option on the builder's config.

    Raises:
        InvalidRequest: This version or GPU does not have what an option asks for.
        Unavailable: An option needs a GPU, and there is none.
    """
    settings = job.settings
    check_refit(job.product, asked=settings.refit or settings.strip_weights, on_gpu=job.on_gpu)
    config.profiling_verbosity = trt.ProfilingVerbosity.DETAILED
    _limit_memory(trt, config, job)
    flags = flags_for(job.precision, job.version)
    flags |= {
        "REFIT": settings.refit,
        "STRIP_PLAN": settings.strip_weights,
        "SPARSE_WEIGHTS": settings.sparsity,
        "VERSION_COMPATIBLE": settings.version_compatible,
    }
    for name, wanted in flags.items():
        member = trt.BuilderFlag.__members__.get(name)
        if member is not None:
            (config.set_flag if wanted else config.clear_flag)(member)
        elif wanted:
            raise InvalidRequest(f"{job.version.name} has no builder flag {name}.", hint="Use a newer TensorRT, or leave it out.")
    if settings.optimization_level is not None:
        config.builder_optimization_level = settings.optimization_level
    if settings.aux_streams is not None:
        config.max_aux_streams = settings.aux_streams
    if settings.tactic_sources:
        config.set_tactic_sources(sum(1 << int(_member(trt.TacticSource, n, job.version)) for n in settings.tactic_sources))
    if settings.hardware_compatibility:
        level = _member(trt.HardwareCompatibilityLevel, settings.hardware_compatibility, job.version)
        config.hardware_compatibility_level = level
    if settings.version_compatible and settings.plugins:
        config.plugins_to_serialize = [str(path) for path in settings.plugins]
    if job.version.profile_sharing_preview:
        config.set_preview_feature(trt.PreviewFeature.PROFILE_SHARING_0806, True)
    _aim_at(trt, config, job)
    if settings.dla_core is not None:
        _use_dla(trt, builder, config, settings.dla_core)
    _add_profiles(builder, network, config, job)


def _aim_at(trt: Any, config: Any, job: Job) -> None:
    """Names the compute capabilities that the engine is for; without any, the product has its own default."""
    names = job.settings.capabilities
    if job.version.named_capabilities and names:
        config.num_compute_capabilities = len(names)
        for index, name in enumerate(names):
            config.set_compute_capability(_member(trt.ComputeCapability, name, job.version), index)


def _limit_memory(trt: Any, config: Any, job: Job) -> None:
    if job.settings.workspace_bytes:
        config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, job.settings.workspace_bytes)
    for name, limit in job.settings.memory_pools.items():
        pool = _member(trt.MemoryPoolType, name, job.version)
        config.set_memory_pool_limit(pool, limit)
        if (kept := config.get_memory_pool_limit(pool)) != limit:  # it refuses a limit in its log alone
            raise InvalidRequest(
                f"{job.version.title} did not take {limit} bytes as the limit of the memory pool {name}; it stays at {kept}.",
                hint="Give a limit that this GPU has.",
            )


def _use_dla(trt: Any, builder: Any, config: Any, core: int) -> None:
    if builder.num_DLA_cores <= core:
        raise InvalidRequest(
            f"This machine has {builder.num_DLA_cores} DLA cores; core {core} was asked for.",
            hint="Only Jetson and DRIVE boards have them: leave dla_core at -1.",
        )
    config.default_device_type = trt.DeviceType.DLA
    config.DLA_core = core
    config.set_flag(trt.BuilderFlag.GPU_FALLBACK)


def _add_profiles(builder: Any, network: Any, config: Any, job: Job) -> None:
    specs = {spec.name: spec for spec in job.signature.inputs}
    inputs = [network.get_input(index) for index in range(network.num_inputs)]
    if unknown := [tensor.name for tensor in inputs if tensor.name not in specs]:
        raise InvalidRequest(f"The graph has inputs that the signature does not know: {', '.join(unknown)}.")
    if not any(length < 0 for tensor in inputs for length in tensor.shape) and not any(t.is_shape_tensor for t in inputs):
        return
    for shapes in job.settings.profiles:
        profile = builder.create_optimization_profile()
        for tensor in inputs:
            if tensor.is_shape_tensor:
                raise InvalidRequest(SHAPE_REASON.format(name=tensor.name), hint=SHAPE_HINT)
            low, opt, high = (shapes.shape(specs[tensor.name], point) for point in Point)
            profile.set_shape(tensor.name, low, opt, high)
        config.add_optimization_profile(profile)


def _member(kind: Any, name: str, version: Features) -> Any:
    found = kind.__members__.get(name.upper())
    if found is None:
        known = ", ".join(member.lower() for member in kind.__members__)
        raise InvalidRequest(f"{version.name} has no {kind.__name__} {name!r}.", hint=f"It has: {known}.")
    return found


@contextmanager
def _timings(config: Any, settings: Settings, path: Path) -> Iterator[list[int]]:
    """The timing cache around a build; gives a list that ends as its bytes before and after."""
    sizes: list[int] = []
    if not settings.timing_cache:
        yield sizes
        return
    sizes.append(timing_cache.attach(config, path))
    yield sizes
    sizes.append(timing_cache.keep(config, path))


def check_refit(product: Product, *, asked: bool, on_gpu: bool) -> None:
    """Refuses weights that can be replaced where no GPU is.

    Raises:
        Unavailable: They are asked for there.
    """
    if asked and not on_gpu:
        raise Unavailable(
            f"{product.title} makes refittable and stripped engines only where a GPU is: it compiles on it what computes their "
            "constants.",
            hint="Leave refit and strip_weights off, or build with a GPU worker (device cuda).",
        )


def check_capabilities(precision: Precision, product: Product, chosen: Sequence[str]) -> tuple[str, ...]:
    """Whether the capabilities that an engine is built for compute in a precision; a note where only some do.

    Args:
        chosen: `Settings.capabilities`.

    Raises:
        Unavailable: None does.
    """
    needed = precision.facts.capability
    members = chosen or [name for name in product.capabilities if fits(product.number(name), product.portable)]
    lacking = [name for name in members if product.capabilities[name] < needed]
    if not lacking:
        return ()
    told = ", ".join(map(product.number, lacking))
    what = f"{precision.value.upper()} needs compute capability {needed[0]}.{needed[1]}"
    if len(lacking) == len(members):
        raise Unavailable(f"{what}; the engine is asked for {told}.", hint="Name another in target_capabilities.")
    return (f"{what}: nothing tells whether the engine runs on {told}, which it was built for too.",)


def check_gpu(precision: Precision, target: Target) -> None:
    """Refuses a precision that this GPU or version does not compute in.

    Raises:
        Unavailable: It does not, or there is no GPU.
    """
    device = Device(kind="cuda", compute_capability=cuda.compute_capability())
    advice = next(advice for advice in advise(target, device) if advice.precision is precision)
    if not advice.supported:
        raise Unavailable(
            f"{precision.value.upper()} cannot be built here. {advice.reason}", hint="Choose another precision or device."
        )
