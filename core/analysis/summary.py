"""A build in a few figures, each with what it is to be held against: what command line, report and page draw alike."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from core.analysis.contradiction import trusted_graph
from core.analysis.deviation import deviation
from core.analysis.layers import UNKNOWN, layer_rows, totals_by_precision
from core.analysis.memory import told
from core.analysis.realized import compare_precisions
from core.base.units import NOT_MEASURED, interval, lengths, milliseconds, percent, plural, seconds, size, times
from core.benchmark.latency import Latency
from core.benchmark.measurement import Measurement
from core.benchmark.weakness import words
from core.graph.engine_graph import EngineGraph
from core.parity.result import Parity
from core.stages.outcome import NOT_CHECKED, Outcome
from core.storage.builds import Build, StageName, State
from core.storage.rebuilds import Rebuild, where_measured

TOO_FEW = "too few samples"
NOT_RUN = "not run here"
GPU_MEMORY = "GPU memory"


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One figure.

    Attributes:
        basis: What it is of, as the value's sentence goes on: "of 3,000 samples, host to host".
        against: What it is to be held against, a phrase each.
        weak: What makes it weak, in words: "noisy, shared cores"; empty where nothing does.
        because: The sentences behind that.
    """

    label: str
    value: str
    basis: str = ""
    against: tuple[str, ...] = ()
    weak: str = ""
    because: tuple[str, ...] = ()


def build_figures(outcome: Outcome) -> tuple[Figure, ...]:
    """The figures of a build, those that every build has first: not measured is said where it is so."""
    return (
        _latency(outcome.measurement, outcome.build, outcome.rebuilds),
        _size(outcome),
        _build_time(outcome),
        _memory(outcome.measurement, outcome.build),
        *_gpu_memory(outcome.graph),
        _parity(outcome),
        *_accuracy(outcome.parity),
        *_layers(trusted_graph(outcome), outcome.build),
    )


def failures(build: Build) -> list[str]:
    """A sentence for each stage that failed, the optional ones too."""
    return [f"Stage {record.stage.value}: {record.error}" for record in build.all_stages if record.error]


def state_text(build: Build) -> str:
    """Its state in words: "done", "done, not run here"."""
    return f"{build.state.value}, {NOT_RUN}" if build.not_run and build.state is State.DONE else build.state.value


def devices_text(build: Build) -> str:
    """The device of a build; of one that is run elsewhere both: "built for cpu, run on NVIDIA L4 (cuda:0) of gpu-host"."""
    if build.ran_elsewhere:
        return f"built for {build.request.device}, run on {build.ran_elsewhere.text}"
    return f"built for {build.request.device}, {build.unrun}" if build.unrun else build.request.device


def ran_on_text(build: Build) -> str | None:
    """Where its engine was run: "Intel Xeon (cpu:0) of host", only the device where no more is known; None where it was not."""
    if build.ran_elsewhere:
        return build.ran_elsewhere.text
    ran = any(record.stage in (StageName.PARITY, StageName.MEASURE) and record.state is State.DONE for record in build.stages)
    return (build.built_on.text if build.built_on else build.request.device) if ran else None


def tails(latency: Latency) -> dict[str, str]:
    """The high percentiles, or that samples are too few to tell them."""
    return {
        name: milliseconds(value) if value is not None else TOO_FEW
        for name, value in (("p90", latency.p90_ms), ("p99", latency.p99_ms))
    }


def protocol_text(outcomes: Sequence[Outcome]) -> str:
    """How the figures of builds were taken, from the first that has any."""
    measured = next((outcome.measurement for outcome in outcomes if outcome.measurement), None)
    if measured is None:
        not_run = next((outcome.build.unrun for outcome in outcomes if outcome.build.unrun), "")
        return f"Nothing was measured; {not_run}." if not_run else "Nothing was measured."
    shapes = ", ".join(f"{name} {lengths(shape)}" for name, shape in measured.shapes.items())
    machine = measured.machine.get("gpu") or measured.machine.get("processor") or "processor unknown"
    threads = f", {measured.settings['threads']} threads" if "threads" in measured.settings else ""
    told = (outcome.measurement.machine.get("host") for outcome in outcomes if outcome.measurement)
    hosts = list(dict.fromkeys(host for host in told if host))
    others = f" The figures are from several machines: {', '.join(hosts)}." if len(hosts) > 1 else ""
    return (
        f"{shapes}; at least {measured.protocol.min_seconds:g} s and {measured.protocol.min_samples} runs after warm-up, "
        f"one at a time, host to host; {machine}{threads}.{others}"
    )


def _lacking(label: str, value: str, build: Build, stage: StageName) -> Figure:
    """A figure that there is not, with why: of an engine that does not run where it is built, in other words."""
    why = build.missing(stage).removeprefix(f"{NOT_RUN}: ")
    return Figure(label=label, value=NOT_RUN if build.unrun else value, against=(why,))


def _latency(measured: Measurement | None, build: Build, rebuilds: Sequence[Rebuild]) -> Figure:
    label = "Median latency"
    if measured is None:
        return _lacking(label, NOT_MEASURED, build, StageName.MEASURE)
    latency = measured.latency
    where = f", on {build.ran_elsewhere.text}" if build.ran_elsewhere else ""
    return Figure(
        label=label,
        value=milliseconds(latency.median_ms),
        basis=f"of {latency.samples:,} samples, host to host{where}",
        against=(
            f"95 % interval {interval(latency.low_ms, latency.high_ms)}",
            ", ".join(f"{name} {value}" for name, value in tails(latency).items()),
            measured.throughput_text,
            *_spread(measured, rebuilds),
        ),
        weak=words(measured.weaknesses),
        because=measured.weak_because,
    )


def _spread(measured: Measurement, rebuilds: Sequence[Rebuild]) -> Iterator[str]:
    """How far builds of one request lie apart, of those that were measured where this one was."""
    here = [one.median_ms for one in rebuilds if one.where == where_measured(measured)]
    if here:
        medians = [*here, measured.latency.median_ms]
        yield f"{len(medians)} builds of this request: {interval(min(medians), max(medians))}, measured apart"


def _size(outcome: Outcome) -> Figure:
    built, model = outcome.built, outcome.model

    def beside(what: str, base: int) -> str:
        ratio = f" ({times(built.engine.size_bytes / base)})" if built and base else ""
        return f"{what} {size(base)}{ratio}"

    return Figure(
        label="Engine size",
        value=size(built.engine.size_bytes) if built else "not built",
        basis="of the files that a deployment needs" if built else "",
        against=(
            beside("source on disk", model.size_bytes),
            *((beside("frozen weights", model.frozen_bytes),) if model.frozen_bytes else ()),
        ),
    )


def _build_time(outcome: Outcome) -> Figure:
    built, measured = outcome.built, outcome.measurement
    told = ["reused: it was there already"] if built and built.reused else []
    if built and outcome.prepared and outcome.prepared.made_seconds:
        told.append(f"converting before it {seconds(outcome.prepared.made_seconds)}")
    if measured:
        told += [f"loads in {milliseconds(measured.load_ms)}", f"first inference {milliseconds(measured.first_ms)}"]
    return Figure(
        label="Build time",
        value=seconds(built.build_seconds) if built else "not built",
        basis="from the prepared model's file to the finished engine, conversion not counted in" if built else "",
        against=tuple(told),
    )


def _memory(measured: Measurement | None, build: Build) -> Figure:
    if measured is None:
        return _lacking("Memory", NOT_MEASURED, build, StageName.MEASURE)
    return Figure(
        label="Memory",
        value=size(measured.memory_bytes),
        basis="of the measuring process at its peak",
        against=(f"above {size(measured.baseline_memory_bytes)} of the process before loading",),
    )


def _gpu_memory(graph: EngineGraph | None) -> Iterator[Figure]:
    """Where the runtime tells what its engine takes."""
    if graph and (memory := graph.memory):
        yield Figure(
            label=GPU_MEMORY,
            value=told(memory.device_bytes(1)),
            basis="of the weights and one context, as the builder tells",
            against=(
                f"weights {told(memory.weights_bytes)}",
                f"activations {told(memory.activation_bytes)} at the largest shapes",
                f"each further context {told(memory.context_bytes)}",
            ),
        )


def _parity(outcome: Outcome) -> Figure:
    parity = outcome.parity
    if parity is None:
        why = outcome.unchecked.removeprefix(f"{NOT_RUN}: ")
        return Figure(label="Parity", value=NOT_RUN if outcome.build.unrun else NOT_CHECKED, against=(why,))
    worst = parity.worst_output
    named = (f"worst is {worst.name}",) if worst and len(parity.outputs) > 1 else ()
    return Figure(
        label="Parity",
        value=parity.verdict,
        basis=f"with {parity.reference}, on {parity.inputs}",
        against=(parity.uncompared,) if parity.uncompared else (*named, *(deviation(worst) if worst else ())),
    )


def _accuracy(parity: Parity | None) -> Iterator[Figure]:
    if parity and parity.accuracy:
        source = parity.reference_accuracy
        yield Figure(
            label="Accuracy",
            value=percent(parity.accuracy.top1, 4),
            basis=f"top-1 on {plural(parity.accuracy.samples, 'labelled sample')}",
            against=(f"source model {percent(source.top1, 4)}",) if source else (),
        )


def _layers(graph: EngineGraph | None, build: Build) -> Iterator[Figure]:
    asked = build.request.precision
    if graph is None or not graph.layers:
        return
    totals = totals_by_precision(layer_rows(graph))
    first = next((total for total in totals if total.key != UNKNOWN), totals[0])
    most = f"{percent(first.share)} of the time" if first.share is not None else f"{first.layers} of {len(graph.layers)}"
    lost = (f"{plural(len(graph.unmapped), 'node')} not mapped",) if graph.unmapped else ()
    yield Figure(
        label="Layers",
        value=f"{len(graph.layers):,}",
        against=(
            f"from {plural(len(graph.source_nodes), 'source node')}",
            f"{len(graph.fused_layers):,} fused, of several nodes each",
            *lost,
            f"{most} in {first.key}" if first.key != UNKNOWN else "precision not told",
        ),
    )
    realized = compare_precisions(graph, asked)
    if realized.agreeing is not None:
        timed = realized.agreeing_time
        silent = sum(node.realized is None for node in realized.nodes)
        yield Figure(
            label="Built as asked" if build.not_run else "Ran as asked",
            value=percent(realized.agreeing),
            basis=f"of the nodes whose layer tells its precision, {asked.value} asked for",
            against=(
                *((f"{percent(timed)} of the time",) if timed is not None else ()),
                *((f"{silent} of {plural(len(realized.nodes), 'node')} not told",) if silent else ()),
            ),
        )
