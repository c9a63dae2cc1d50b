"""What the GPU itself spent: with and without transfers and CUDA graph, by streams, by batch, and its clocks."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from core.base.units import UNKNOWN, milliseconds
from core.benchmark.gpu import GpuTimes
from core.benchmark.weakness import words
from dashboard.components.weak_badge import weak_badge
from dashboard.formatting import sentence


def gpu_times_section(gpu: GpuTimes) -> None:
    """Tables of a GPU measurement, with what it says against itself above them."""
    with st.container(horizontal=True, vertical_alignment="center"):
        st.markdown("**On the GPU**")
        weak_badge(words(gpu.weaknesses))
    for warning in gpu.warnings:
        st.warning(sentence(warning), icon=":material/warning:")
    st.dataframe(_runs(gpu), hide_index=True, placeholder=UNKNOWN, alt="GPU times by protocol")
    st.caption(
        "Computing: between CUDA events around the kernels, the next run queued ahead. Page-locked: one inference at a time, "
        "from page-locked host memory and back. Settings: "
        + ", ".join(f"{name} {value}" for name, value in gpu.settings.items())
        + "."
    )
    left, right = st.columns(2, gap="large")
    with left:
        if gpu.streams:
            st.dataframe(_streams(gpu), hide_index=True, placeholder=UNKNOWN, alt="Throughput by streams")
        if gpu.batches:
            st.dataframe(_batches(gpu), hide_index=True, placeholder=UNKNOWN, alt="Throughput by batch")
            st.caption(f"Larger batches hardly pay from batch {gpu.knee} on." if gpu.knee else "")
    with right:
        st.dataframe(_clocks(gpu), hide_index=True, placeholder=UNKNOWN, alt="GPU clocks")


def _runs(gpu: GpuTimes) -> pd.DataFrame:
    rows = [
        {
            "How": run.title,
            "Computing": milliseconds(run.compute.median_ms),
            "With copies": milliseconds(run.latency.median_ms) if run.transfers else "",
            "Copy in": milliseconds(run.h2d_ms) if run.h2d_ms is not None else "",
            "Copy out": milliseconds(run.d2h_ms) if run.d2h_ms is not None else "",
            "Handing over": milliseconds(run.enqueue_ms),
            "Runs a second": f"{run.throughput:,.0f}",
        }
        for run in gpu.runs
    ]
    hosts = {"plain": "page-locked, host to host", "graph": "page-locked, host to host, by CUDA graph"}
    rows += [{"How": hosts.get(how, how), "With copies": milliseconds(time.median_ms)} for how, time in gpu.host_to_host.items()]
    return pd.DataFrame(rows).fillna("")


def _streams(gpu: GpuTimes) -> pd.DataFrame:
    return pd.DataFrame(
        {"Streams": [p.streams for p in gpu.streams], "Runs a second": [f"{p.throughput:,.0f}" for p in gpu.streams]}
    )


def _batches(gpu: GpuTimes) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "Batch": [point.batch for point in gpu.batches],
            "Computing": [milliseconds(point.compute_ms) for point in gpu.batches],
            "Samples a second, 1 / computing": [f"{point.throughput:,.0f}" for point in gpu.batches],
        }
    )


def _clocks(gpu: GpuTimes) -> pd.DataFrame:
    def shown(value: float | None, unit: str) -> str:
        return "not told" if value is None else f"{value:.0f} {unit}"

    return pd.DataFrame(
        {
            "When": [sample.moment for sample in gpu.clocks],
            "Clock": [shown(sample.sm_mhz, "MHz") for sample in gpu.clocks],
            "Temperature": [shown(sample.temperature_c, "°C") for sample in gpu.clocks],
            "Power": [shown(sample.power_w, "W") for sample in gpu.clocks],
            "Held back by": [", ".join(sample.throttled_by) for sample in gpu.clocks],
        }
    )
