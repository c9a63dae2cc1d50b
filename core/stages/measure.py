"""Measures the engine's latency, alone in its process."""

from __future__ import annotations

import socket
from dataclasses import replace
from typing import Protocol, runtime_checkable

from core.backends.base import Engine, backend_named
from core.base.errors import Cancelled, EngineRoomError
from core.base.gpus import CUDA
from core.base.progress import Report
from core.base.tensors import Tensors
from core.benchmark import measurement
from core.benchmark.gpu import GpuTimes
from core.benchmark.gpu_state import gpu_sample
from core.benchmark.loop import measure
from core.benchmark.machine import compute_capability, gpu_name, usable_cpus
from core.benchmark.measurement import Measurement
from core.parity.batches import batch_length
from core.request.build_request import effective_options
from core.stages.build import built_engine
from core.stages.inputs import first_inputs
from core.stages.stage import Stage, StageContext, needs_backend
from core.storage.builds import StageName

# Of the protocol's own: there are up to six protocols on the GPU, and events scatter less than a host's clock.
GPU_SHARE = 1 / 3


@runtime_checkable
class TimesOnGpu(Protocol):
    """A backend that can also tell what the GPU itself spends."""

    def gpu_times(self, engine: Engine, inputs: Tensors, protocol: measurement.Protocol, report: Report) -> GpuTimes: ...


def run(context: StageContext) -> Measurement:
    backend = backend_named(context.request.backend)
    engine = built_engine(context)
    inputs = first_inputs(context)
    request = context.request
    signature = context.model.signature(request.signature)
    settings = {
        "threads": str(request.threads or len(usable_cpus())),
        **{k: str(v) for k, v in effective_options(request).items()},
    }
    measured = measure(
        lambda: backend.open(engine),
        inputs,
        replace(request.protocol, threads=request.threads),
        context.report,
        batch=batch_length(signature, request.profile),
        settings=settings,
        sample_gpu=gpu_sample if _on_gpu(context) else lambda moment: None,
    )
    measured = replace(measured, machine={**_where(context), **measured.machine})
    return with_gpu_times(measured, backend, engine, inputs, context.report) if isinstance(backend, TimesOnGpu) else measured


def _where(context: StageContext) -> dict[str, str]:
    """The machine's name, and its GPU's where the engine runs on one."""
    host = {"host": socket.gethostname()}
    if not _on_gpu(context):
        return host
    capability = compute_capability()
    return {**host, "gpu": gpu_name(), **({"compute capability": capability} if capability else {})}


def _on_gpu(context: StageContext) -> bool:
    return (context.device or context.request.device) == CUDA


def with_gpu_times(measured: Measurement, backend: TimesOnGpu, engine: Engine, inputs: Tensors, report: Report) -> Measurement:
    """The measurement with the GPU's own times; when they fail, it stands without them and says why."""
    protocol = measured.protocol
    shorter = replace(protocol, warmup_seconds=protocol.warmup_seconds * GPU_SHARE, min_seconds=protocol.min_seconds * GPU_SHARE)
    try:
        return replace(measured, gpu=backend.gpu_times(engine, inputs, shorter, report))
    except Cancelled:
        raise
    except EngineRoomError as error:
        return replace(measured, warnings=(*measured.warnings, f"The GPU's own times were not taken: {error.message}"))


STAGE = Stage(
    name=StageName.MEASURE, result=Measurement, run=run, optional=True, when=lambda task: task.runs, needs=needs_backend
)
