"""A latency with everything that backs it: samples, protocol, settings, machine, warnings."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from core.benchmark.measurement import Measurement
from core.stages.outcome import Outcome
from dashboard.charts.latency import samples_figure
from dashboard.components.chart import show_chart
from dashboard.components.gpu_times import gpu_times_section
from dashboard.formatting import milliseconds, size


def measurement_section(outcome: Outcome) -> None:
    measured = outcome.measurement
    if measured is None:
        st.info(
            "Latency was not measured: the stage has not run or failed. The tab Build has the log.", icon=":material/timer_off:"
        )
        return
    for warning in measured.warnings:
        st.warning(warning, icon=":material/warning:")
    if measured.samples_ms:
        told = f"Latency of {len(measured.samples_ms):,} inferences in the order taken, and how they spread."
        show_chart(samples_figure(measured), f"latency-{outcome.build.key[:12]}", told)
    if measured.gpu:
        gpu_times_section(measured.gpu)
    left, right = st.columns(2, gap="large")
    with left:
        _table("Figures", _figures(measured))
        _table("Shapes", {name: "×".join(map(str, shape)) or "scalar" for name, shape in measured.shapes.items()})
    with right, st.expander("Protocol and machine", expanded=True):
        _table("Protocol", _protocol(measured))
        _table("Settings of the runtime", measured.settings)
        _table("Machine", measured.machine)


def _figures(measured: Measurement) -> dict[str, str]:
    latency = measured.latency
    few = "too few samples"
    return {
        "median": milliseconds(latency.median_ms),
        "95 % interval of the median": f"{latency.low_ms:.4g} to {latency.high_ms:.4g} ms",
        "p90": milliseconds(latency.p90_ms) if latency.p90_ms is not None else few,
        "p99": milliseconds(latency.p99_ms) if latency.p99_ms is not None else few,
        "fastest": milliseconds(latency.min_ms),
        "mean ± standard deviation": f"{latency.mean_ms:.4g} ± {latency.std_ms:.2g} ms",
        "throughput": f"{measured.throughput:,.1f} a second",
        "loading": milliseconds(measured.load_ms),
        "first inference": milliseconds(measured.first_ms),
        "peak memory of the process": size(measured.peak_memory_bytes),
        "before loading": size(measured.baseline_memory_bytes),
    }


def _protocol(measured: Measurement) -> dict[str, str]:
    protocol = measured.protocol
    return {
        "warm-up": f"{measured.warmup_runs} runs, {measured.warmup_ms:.0f} ms",
        "measured": f"{measured.latency.samples:,} runs, at least {protocol.min_seconds:g} s and {protocol.min_samples} runs",
        "how": "host to host, one inference at a time",
        "samples a run": str(measured.batch),
    }


def _table(title: str, facts: dict[str, str]) -> None:
    if facts:
        st.markdown(f"**{title}**")
        st.dataframe(
            pd.DataFrame({"What": list(facts), "Value": [str(value) for value in facts.values()]}), hide_index=True, alt=title
        )
