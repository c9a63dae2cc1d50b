"""Measures the engine's latency, alone in its process."""

from __future__ import annotations

from dataclasses import replace

from core.backends.base import backend_named
from core.benchmark.loop import measure
from core.benchmark.machine import usable_cpus
from core.benchmark.measurement import Measurement
from core.parity.batches import batch_length
from core.request import effective_options
from core.stages.build import built_engine
from core.stages.inputs import input_sets
from core.stages.stage import StageContext


def run(context: StageContext) -> Measurement:
    backend = backend_named(context.request.backend)
    engine = built_engine(context)
    inputs = input_sets(context)[0][0]
    request = context.request
    signature = context.model.signature(request.signature)
    settings = {
        "threads": str(request.threads or len(usable_cpus())),
        **{k: str(v) for k, v in effective_options(request).items()},
    }
    return measure(
        lambda: backend.open(engine),
        inputs,
        replace(request.protocol, threads=request.threads),
        context.report,
        batch=batch_length(signature, request.profile),
        settings=settings,
    )
