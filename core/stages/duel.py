"""One engine's part in a head-to-head: it is opened, and runs when it is its turn. No build has this stage of itself."""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np

from core.backends.base import backend_named
from core.base.progress import Progress
from core.benchmark.collector import collector_off
from core.benchmark.duel import Block, take_turn
from core.stages.build import built_engine
from core.stages.inputs import first_inputs
from core.stages.stage import Stage, StageContext, needs_backend
from core.storage.builds import StageName

WARM_UP_SECONDS = 0.3


@dataclass(frozen=True, slots=True, kw_only=True)
class Seated:
    """Its process has started, with what it needs to open its engine, and waits until it may."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ready:
    """What an engine tells before its first turn.

    Attributes:
        load_ms: From opening it to ready.
        run_ms: A warm run.
    """

    load_ms: float
    run_ms: float
    processor_seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """How many turns it had."""

    turns: int


def run(context: StageContext) -> Part:
    backend, engine = backend_named(context.request.backend), built_engine(context)
    feed = {name: np.asarray(value, order="C") for name, value in first_inputs(context).items()}
    if context.next_turn(Seated()) is None:
        return Part(turns=0)
    context.report(Progress(message="Loading the engine"))
    began = time.perf_counter()
    with backend.open(engine) as session:
        loaded = time.perf_counter()
        run_ms, _ = take_turn(session, feed, 0.0)
        run_ms, _ = take_turn(session, feed, WARM_UP_SECONDS)
        told: Ready | Block = Ready(load_ms=1000 * (loaded - began), run_ms=run_ms, processor_seconds=time.process_time())
        turns = 0
        with collector_off():
            while (seconds := context.next_turn(told)) is not None:
                median_ms, runs = take_turn(session, feed, seconds)
                told = Block(median_ms=median_ms, runs=runs, processor_seconds=time.process_time())
                turns += 1
    return Part(turns=turns)


STAGE = Stage(name=StageName.DUEL, result=Part, run=run, when=lambda task: False, needs=needs_backend)
