"""Streams as swim lanes: each layer on the lane of its stream, signals and waits between them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import plotly.graph_objects as go

from core.analysis.colours import ACCENT, GREY, Colouring
from core.analysis.layers import LayerRow, time_text
from core.analysis.streams import Schedule, Streams
from core.base.units import shortened
from dashboard.charts.layers import Span
from dashboard.charts.style import calm
from dashboard.formatting import drawn

LANE = 46
THICK = 0.62
# As wide as the frame of the bars of layers, so that a layer stands below its bar.
LEFT, RIGHT = 54, 6
SEEN = {"marker": {"opacity": 1.0}}


def lanes_figure(
    rows: Sequence[LayerRow],
    streams: Streams,
    colouring: Colouring,
    selected: int,
    span: Span | None = None,
    schedule: Schedule | None = None,
) -> go.Figure:
    """A mark for each layer; its `customdata` is its position.

    Args:
        rows: Of the whole engine.
        span: Layers to draw alone; all of them when it is None. Not for a schedule.
        schedule: Draws layers as long as they take; without it they stand in their order, each as wide as any.
    """
    lanes = {lane.stream: -index for index, lane in enumerate(streams.lanes)}
    own = [row for row in rows if row.stream in lanes and row.profile == streams.profile]
    within = [row for row in own if span and not schedule and span.first <= row.position <= span.last]
    here = within or own
    if within and span:
        first, last = span.first, span.last
    elif streams.profile is None:
        first, last = 1, len(rows)
    else:
        first, last = own[0].position, own[-1].position
    heights = {row.position: lanes[row.stream] for row in here if row.stream is not None}
    synchronizing = {position for lane in streams.lanes for position in (*lane.signals, *lane.waits)}
    starts = schedule.start_ms if schedule else {row.position: float(row.position) for row in here}
    figure = go.Figure()
    if not schedule:
        _shade_overlaps(figure, streams, heights)
    _draw_links(figure, streams, heights, starts)
    for category, colour in colouring.legend.items():
        alike = [row for row in here if row.position not in synchronizing and colouring.category(row) == category]
        if alike:
            _draw_layers(figure, category, colour, alike, heights, starts if schedule else None)
    for name, symbol, positions in (
        ("signal", "triangle-right", [p for lane in streams.lanes for p in lane.signals if p in heights]),
        ("wait", "triangle-left-open", [p for lane in streams.lanes for p in lane.waits if p in heights]),
    ):
        figure.add_scatter(
            name=name, x=[starts[p] for p in positions], y=[heights[p] for p in positions], mode="markers",
            marker={"symbol": symbol, "size": 9, "color": GREY, "line": {"width": 1.5, "color": GREY}}, customdata=positions,
            hovertext=[_told(rows[p - 1]) for p in positions], hovertemplate="%{hovertext}<extra></extra>",
            selected=SEEN, unselected=SEEN,
        )  # fmt: skip
    if selected in heights:
        _mark(figure, rows[selected - 1], heights[selected], starts, as_long_as_it_takes=schedule is not None)
    figure.update_yaxes(
        tickvals=list(lanes.values()), ticktext=[str(stream) for stream in lanes], title="Stream", automargin=False,
        range=[min(lanes.values()) - 0.55, 0.55], fixedrange=True, showgrid=False, zeroline=False,
    )  # fmt: skip
    if schedule:
        figure.update_xaxes(title="ms, as if each layer took its measured time and began as soon as it may", rangemode="tozero")
    else:
        figure.update_xaxes(title="Layers in the order of execution, not by time", range=[first - 0.5, last + 0.5])
    figure.update_xaxes(showgrid=False, zeroline=False)
    # A marker has the pointer when it is on it; by default it would take it from the bar beside.
    figure.update_layout(barmode="overlay", dragmode=False, clickmode="event+select", hoverdistance=1)
    calm(figure, 92 + LANE * len(lanes))
    return figure.update_layout(margin={"l": LEFT, "r": RIGHT, "t": 62, "b": 8})


def _draw_layers(
    figure: go.Figure,
    category: str,
    colour: str,
    rows: Sequence[LayerRow],
    heights: Mapping[int, int],
    starts: Mapping[int, float] | None,
) -> None:
    positions = [row.position for row in rows]
    where = (
        {
            "orientation": "h", "y": [heights[p] for p in positions], "width": THICK,
            "base": [starts[p] for p in positions], "x": [row.time_ms or 0.0 for row in rows],
        }
        if starts is not None
        else {
            "x": positions, "width": 0.86,
            "base": [heights[p] - THICK / 2 for p in positions], "y": [THICK for _ in positions],
        }
    )  # fmt: skip
    figure.add_bar(
        name=drawn(category),
        marker={"color": colour, "line": {"width": 0.6, "color": "rgba(0, 0, 0, 0.4)"}},
        customdata=positions,
        hovertext=[_told(row) for row in rows],
        hovertemplate="%{hovertext}<extra></extra>",
        selected=SEEN,
        unselected=SEEN,
        **where,
    )


def _draw_links(figure: go.Figure, streams: Streams, heights: Mapping[int, int], starts: Mapping[int, float]) -> None:
    links = [link for link in streams.links if link.signal in heights and link.wait in heights]
    figure.add_scatter(
        name="a wait for its signal",
        x=[value for link in links for value in (starts[link.signal], starts[link.wait], None)],
        y=[value for link in links for value in (heights[link.signal], heights[link.wait], None)],
        mode="lines",
        line={"color": GREY, "width": 1.2, "dash": "dot"},
        hoverinfo="skip",
    )


def _shade_overlaps(figure: go.Figure, streams: Streams, heights: Mapping[int, int]) -> None:
    """Behind layers that may run at the same time."""
    for one in streams.overlaps:
        inside = [position for position in (*one.layers, *one.beside) if position in heights]
        if inside:
            figure.add_vrect(
                x0=min(inside) - 0.5, x1=max(inside) + 0.5, fillcolor=ACCENT, opacity=0.14, line_width=0, layer="below"
            )


def _mark(figure: go.Figure, row: LayerRow, height: int, starts: Mapping[int, float], *, as_long_as_it_takes: bool) -> None:
    """Around the selected layer."""
    start = starts[row.position]
    low, high = (start, start + (row.time_ms or 0.0)) if as_long_as_it_takes else (start - 0.5, start + 0.5)
    figure.add_shape(
        type="rect", x0=low, x1=high, y0=height - 0.45, y1=height + 0.45, line={"color": ACCENT, "width": 2.5}, layer="above"
    )  # fmt: skip


def _told(row: LayerRow) -> str:
    times = "" if row.time_ms is None else f"<br>{time_text(row.time_ms, row.share)}"
    return f"<b>Layer {row.position}</b>, {drawn(row.kind)}, stream {row.stream}<br>{drawn(shortened(row.name, 60))}{times}"
