"""One build, as far as a comparison looks at it."""

from __future__ import annotations

from dataclasses import dataclass, replace

from core.analysis.contradiction import trusted_graph
from core.base.precision import Precision
from core.benchmark.latency import Latency
from core.benchmark.measurement import Measurement, Protocol
from core.benchmark.weakness import words
from core.graph.engine_graph import EngineGraph
from core.graph.memory import EngineMemory
from core.parity.result import OutputParity, Parity
from core.precision.calibration.ranges import UNCALIBRATED
from core.precision.settings import PrecisionSettings
from core.request.build_request import BuildRequest
from core.request.paths import path_title
from core.stages.outcome import NOT_CHECKED, Outcome
from core.storage.builds import Build, Place, StageName, State

CANCELLED = "it was cancelled"


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """One build; None for what it does not have.

    Attributes:
        key: Of the build.
        title: For people: the path and what else sets it apart.
        path: The path's id.
        frozen_bytes: Of the model's weights alone.
        build_seconds: From the prepared model's file to the finished engine, as everywhere: conversion not counted in.
        graph: Its layers, without times where these contradict the latency.
        error: Why there is no engine; empty when there is one.
        unmeasured: Why there are no figures, in a phrase, "not run here: ..." among them; empty when there are.
        unchecked: Why nothing tells whether it is right, in a phrase; empty where something does.
        stamp: Why nobody is to deploy it, in a few words; empty where nothing speaks against it.
        made_at: `Build.created_at`, by which head-to-heads know the engine.
        conditions: Equal for builds of the path that differ in precision alone; None when not known.
    """

    key: str
    title: str
    path: str
    precision: Precision = Precision.FP32
    measurement: Measurement | None = None
    parity: Parity | None = None
    size_bytes: int | None = None
    frozen_bytes: int | None = None
    build_seconds: float | None = None
    graph: EngineGraph | None = None
    error: str = ""
    unmeasured: str = ""
    unchecked: str = ""
    stamp: str = ""
    device: str = "cpu"
    made_at: float = 0.0
    conditions: BuildRequest | None = None

    @property
    def name(self) -> str:
        """The title with the precision, unless that is FP32."""
        return self.title if self.precision is Precision.FP32 else f"{self.title} in {self.precision.value}"

    @property
    def latency(self) -> Latency | None:
        return self.measurement.latency if self.measurement else None

    @property
    def weak(self) -> str:
        """What makes its latency weak, in words: "noisy, shared cores"; empty where nothing does."""
        return words(self.measurement.weaknesses) if self.measurement else ""

    @property
    def on_par(self) -> bool | None:
        """None where nothing tells: not checked, or nothing of any output could be compared."""
        return self.parity.on_par if self.parity else None

    @property
    def verdict(self) -> str:
        """Whether it is right, in a word or two."""
        return self.parity.verdict if self.parity else NOT_CHECKED

    @property
    def doubt(self) -> str:
        """That nothing tells whether it is right, and why; empty where something does."""
        return (
            ""
            if self.on_par is not None
            else ": ".join(text for text in (self.verdict, self.unchecked.removesuffix(".")) if text)
        )

    @property
    def worst(self) -> OutputParity | None:
        """The output farthest off."""
        return self.parity.worst_output if self.parity else None

    @property
    def max_rel(self) -> float | None:
        """Relative error of the worst output."""
        return self.worst.max_rel if self.worst else None

    @property
    def accuracy(self) -> float | None:
        """Top-1 on the user's labels."""
        return self.parity.accuracy.top1 if self.parity and self.parity.accuracy else None

    @property
    def reference_accuracy(self) -> float | None:
        """The same of the source model on the same inputs."""
        return self.parity.reference_accuracy.top1 if self.parity and self.parity.reference_accuracy else None

    @property
    def memory(self) -> EngineMemory | None:
        """What the engine takes of a GPU's memory, where its runtime tells."""
        return self.graph.memory if self.graph else None

    @property
    def size_ratio(self) -> float | None:
        """Of the engine's size to the frozen weights'."""
        return self.size_bytes / self.frozen_bytes if self.size_bytes is not None and self.frozen_bytes else None

    @property
    def notes(self) -> tuple[str, ...]:
        """What makes its figures weak."""
        measured, parity = self.measurement, self.parity
        return (*(measured.warnings if measured else ()), *(parity.notes if parity else ()))


def candidate_from(outcome: Outcome) -> Candidate:
    """A stored build as a candidate."""
    build, built = outcome.build, outcome.built
    request = build.request
    return Candidate(
        key=build.key,
        title=path_title(request.path),
        path=request.path,
        precision=request.precision,
        measurement=outcome.measurement,
        parity=outcome.parity,
        size_bytes=built.engine.size_bytes if built else None,
        frozen_bytes=outcome.model.frozen_bytes,
        build_seconds=built.build_seconds if built else None,
        graph=trusted_graph(outcome),
        error=_error(build, built=built is not None),
        unmeasured="" if outcome.measurement else _unmeasured(build),
        unchecked=outcome.unchecked,
        stamp=UNCALIBRATED if outcome.stamp else "",
        device=build.ran_on,
        made_at=build.created_at,
        conditions=conditions(request, build.ran_elsewhere),
    )


def _error(build: Build, *, built: bool) -> str:
    if build.state is State.CANCELLED:
        return CANCELLED
    return build.error.message if build.error and (build.state is State.FAILED or not built) else ""


def _unmeasured(build: Build) -> str:
    why = build.missing(StageName.MEASURE)
    return why if build.unrun else f"not measured: {why}"


def conditions(request: BuildRequest, place: Place | None = None) -> BuildRequest:
    """Equal for builds that differ only in precision and in what they were compared on: an FP32 build's and its twins'.

    Args:
        place: Where the engine was run, where that is not where it was built.
    """
    return replace(
        request,
        device=f"{place.host} {place.device}" if place else request.device,
        precision=Precision.FP32,
        lowering=PrecisionSettings(),
        calibration=None,
        inputs=None,
        seed=0,
        ranges={},
        protocol=Protocol(),
    )
