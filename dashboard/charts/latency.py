"""Latency samples over time and how they spread."""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from core.analysis.colours import ACCENT, GREY
from core.base.units import milliseconds
from core.benchmark.measurement import Measurement
from dashboard.charts.style import calm

HEIGHT = 280


def samples_figure(measured: Measurement) -> go.Figure:
    """Samples in the order taken, with the median's interval, beside their histogram; axes end at the 99.5th percentile."""
    samples = np.asarray(measured.samples_ms)
    top = float(np.percentile(samples, 99.5)) * 1.05
    low = float(samples.min()) * 0.95
    figure = make_subplots(rows=1, cols=2, column_widths=[0.75, 0.25], shared_yaxes=True, horizontal_spacing=0.02)
    figure.add_scatter(
        y=samples, mode="markers", marker={"size": 3, "color": GREY}, name="inference",
        hovertext=[milliseconds(sample, 4) for sample in measured.samples_ms],
        hovertemplate="inference %{x}: %{hovertext}<extra></extra>", row=1, col=1,
    )  # fmt: skip
    kept = samples[samples <= top]
    figure.add_histogram(
        y=kept, nbinsy=60, marker={"color": GREY}, name="inferences", hovertemplate="%{y} ms: %{x}<extra></extra>", row=1, col=2
    )
    latency = measured.latency
    for column in (1, 2):
        figure.add_hrect(y0=latency.low_ms, y1=latency.high_ms, fillcolor=ACCENT, opacity=0.25, line_width=0, row=1, col=column)
        figure.add_hline(y=latency.median_ms, line={"color": ACCENT, "width": 1.5}, row=1, col=column)
    figure.update_xaxes(title_text="Inferences in the order taken", row=1, col=1)
    figure.update_xaxes(title_text="How many", row=1, col=2)
    figure.update_yaxes(title_text="ms", range=[low, max(top, latency.high_ms)], row=1, col=1)
    figure.update_layout(showlegend=False)
    return calm(figure, HEIGHT)
