"""A latency with everything that backs it: samples, protocol, settings, machine, warnings."""

from __future__ import annotations

import streamlit as st

from core.analysis.summary import tails
from core.base.units import digest, interval, lengths, milliseconds, size
from core.benchmark.measurement import Measurement
from core.benchmark.weakness import words
from core.stages.outcome import Outcome
from core.storage.builds import StageName, State
from dashboard.charts.latency import samples_figure
from dashboard.components.chart import show_chart
from dashboard.components.gpu_times import gpu_times_section
from dashboard.components.measure_again import measure_again_button
from dashboard.components.tables import facts_table
from dashboard.components.weak_badge import weak_badge
from dashboard.formatting import plain, sentence


def measurement_section(outcome: Outcome) -> None:
    measured = outcome.measurement
    if measured is None:
        why = plain(outcome.build.missing(StageName.MEASURE)).removesuffix(".")
        st.info(f"Latency was not measured: {why}. The tab Build has the log.", icon=":material/timer_off:")
        return
    if outcome.build.state is State.DONE:
        measure_again_button(outcome.build.key, "tab")
    weak_badge(words(measured.weaknesses))
    for warning in measured.warnings:
        st.warning(sentence(warning), icon=":material/warning:")
    if measured.samples_ms:
        told = f"Latency of {len(measured.samples_ms):,} inferences in the order taken, and how they spread."
        show_chart(samples_figure(measured), f"latency-{digest(outcome.build.key)}", told)
    if measured.gpu:
        gpu_times_section(measured.gpu)
    left, right = st.columns(2, gap="large")
    with left:
        facts_table("Figures", _figures(measured))
        facts_table("Shapes", {name: lengths(shape) for name, shape in measured.shapes.items()})
    with right, st.expander("Protocol and machine", expanded=True):
        facts_table("Protocol", _protocol(measured))
        facts_table("Settings of the runtime", measured.settings)
        facts_table("Machine", measured.machine)


def _figures(measured: Measurement) -> dict[str, str]:
    latency = measured.latency
    return {
        "median": milliseconds(latency.median_ms),
        "95 % interval of the median": interval(latency.low_ms, latency.high_ms),
        **tails(latency),
        "fastest": milliseconds(latency.min_ms),
        "mean ± standard deviation": f"{milliseconds(latency.mean_ms)} ± {milliseconds(latency.std_ms, 2)}",
        "throughput": measured.throughput_text,
        "loading": milliseconds(measured.load_ms),
        "first inference": milliseconds(measured.first_ms),
        "peak memory of the process": size(measured.peak_memory_bytes),
        "before loading": size(measured.baseline_memory_bytes),
    }


def _protocol(measured: Measurement) -> dict[str, str]:
    protocol = measured.protocol
    return {
        "warm-up": f"{measured.warmup_runs} runs, {milliseconds(measured.warmup_ms)}",
        "measured": f"{measured.latency.samples:,} runs, at least {protocol.min_seconds:g} s and {protocol.min_samples} runs",
        "how": "host to host, one inference at a time",
        "samples a run": str(measured.batch),
    }
