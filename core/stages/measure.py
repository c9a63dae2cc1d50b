"""Measures the engine's latency, alone in its process."""

from __future__ import annotations

from dataclasses import replace

from core.backends.base import backend_named
from core.benchmark.loop import measure
from core.benchmark.measurement import Measurement
from core.stages.build import built_engine
from core.stages.inputs import input_sets
from core.stages.stage import StageContext


def run(context: StageContext) -> Measurement:
    backend = backend_named(context.request.backend)
    engine = built_engine(context)
    inputs = input_sets(context)[0][0]
    protocol = replace(context.request.protocol, threads=context.request.threads)
    return measure(lambda: backend.open(engine), inputs, protocol, context.report)
