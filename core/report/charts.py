"""Charts as SVG, for reports and downloads: text and axes take the colour of what surrounds them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from core.analysis.bars import layer_bars
from core.analysis.colours import ACCENT, GREY, PRECISIONS, Colouring
from core.analysis.comparison_row import ComparisonRow, Standing, by_latency
from core.analysis.layers import LayerRow, time_text
from core.analysis.streams import Streams
from core.base.units import interval, milliseconds, shortened
from core.benchmark.measurement import Measurement
from core.report.elements import tag, text

WIDTH = 1000
INK = "#17212b"
FONT = "system-ui, -apple-system, 'Segoe UI', sans-serif"


class Frame(NamedTuple):
    """The area that data is drawn in."""

    left: float
    top: float
    right: float
    bottom: float


def layers_chart(rows: Sequence[LayerRow], colouring: Colouring) -> str:
    """A bar a layer in execution order: its time where layers were timed, else the source nodes in it."""
    bars = layer_bars(rows, colouring.category)
    timed = any(bar.time_ms is not None for bar in bars)
    frame = Frame(60, 40, WIDTH - 10, 250)
    heights = [(bar.time_ms or 0.0) if timed else float(bar.nodes) for bar in bars]
    ticks = ticks_to(max(heights, default=0.0))
    each = (frame.right - frame.left) / max(1, len(rows))
    parts = [_legend(colouring.legend, frame), *_rules(ticks, frame)]
    for bar, height in zip(bars, heights, strict=True):
        high = (frame.bottom - frame.top) * height / ticks[-1]
        told = f"Layer {bar.first}" + (f" to {bar.last}" if bar.last > bar.first else "")
        parts.append(
            tag(
                "rect",
                tag("title", text(f"{told}: {bar.name}; {time_text(bar.time_ms, bar.share)}; {bar.nodes} source nodes")),
                x=_short(frame.left + (bar.first - 1) * each),
                y=_short(frame.bottom - high),
                width=_short(max(0.6, (bar.last - bar.first + 1) * each * 0.88)),
                height=_short(high),
                fill=colouring.legend[bar.category],
            )
        )
    parts.append(_label(frame.left, frame.bottom + 22, f"Layers in the order of execution, 1 to {len(rows):,}"))
    parts.append(_label(frame.left, 14, "ms a run" if timed else "source nodes"))
    return _svg(parts, 280, f"{len(rows)} layers in execution order by {'time' if timed else 'source nodes'}")


def lanes_chart(rows: Sequence[LayerRow], streams: Streams, colouring: Colouring) -> str:
    """A lane a stream, layers in their order: a rectangle each, a line from a signal to its wait, overlaps shaded."""
    own = [row for row in rows if row.profile == streams.profile and row.stream is not None]
    first, last = own[0].position, own[-1].position
    frame = Frame(60, 30, WIDTH - 10, 30 + 40 * len(streams.lanes))
    middles = {lane.stream: frame.top + 40 * index + 20 for index, lane in enumerate(streams.lanes)}
    each = (frame.right - frame.left) / (last - first + 1)
    height = {row.position: middles[row.stream] for row in own if row.stream is not None}
    idle = {position for lane in streams.lanes for position in (*lane.signals, *lane.waits)}

    def across(position: int) -> float:
        return frame.left + (position - first + 0.5) * each

    parts = [_legend(colouring.legend, frame), _label(frame.left, 14, "streams")]
    high = frame.bottom - frame.top
    for lap in streams.overlaps:
        inside = (*lap.layers, *lap.beside)
        x, width = across(min(inside)) - each / 2, (max(inside) - min(inside) + 1) * each
        parts.append(tag("rect", x=_short(x), y=frame.top, width=_short(width), height=high, fill=ACCENT, fill_opacity=0.15))
    parts += [_label(frame.left - 12, middle + 4, str(stream), anchor="end") for stream, middle in middles.items()]
    for link in streams.links:
        title = tag("title", text(f"Event {link.event}: layer {link.wait} waits for layer {link.signal}"))
        x1, x2, y1, y2 = across(link.signal), across(link.wait), height[link.signal], height[link.wait]
        parts.append(tag("line", title, x1=_short(x1), x2=_short(x2), y1=y1, y2=y2, stroke=GREY, stroke_width=1.5))
    for row in own:
        if row.position not in idle:
            title = tag("title", text(f"Layer {row.position}, stream {row.stream}: {row.name}"))
            x, width = across(row.position) - 0.43 * each, max(0.6, 0.86 * each)
            y = height[row.position] - 13
            fill = colouring.colour(row)
            parts.append(tag("rect", title, x=_short(x), y=y, width=_short(width), height=26, fill=fill))
    told = "Layers in the order of execution, not by time; what is shaded may run at the same time"
    parts.append(_label(frame.left, frame.bottom + 20, told))
    return _svg(parts, frame.bottom + 30, f"{len(streams.lanes)} streams as lanes")


def samples_chart(measured: Measurement) -> str:
    """How latencies spread, up to their 99.5th percentile, with the median and its interval."""
    samples = np.asarray(measured.samples_ms)
    top = float(np.percentile(samples, 99.5))
    counts, edges = np.histogram(samples[samples <= top], bins=60)
    frame = Frame(60, 24, WIDTH - 10, 190)
    ticks = ticks_to(float(counts.max()))
    span = max(float(edges[-1] - edges[0]), 1e-12)

    def across(value: float) -> float:
        return frame.left + (frame.right - frame.left) * (value - float(edges[0])) / span

    parts = _rules(ticks, frame)
    for count, start, end in zip(counts, edges, edges[1:], strict=False):
        high = (frame.bottom - frame.top) * count / ticks[-1]
        parts.append(
            tag(
                "rect",
                tag("title", text(f"{interval(start, end)}: {count}")),
                x=_short(across(start)),
                y=_short(frame.bottom - high),
                width=_short(across(end) - across(start) - 1),
                height=_short(high),
                fill=GREY,
            )
        )
    low, high_ms = across(measured.latency.low_ms), across(measured.latency.high_ms)
    width = _short(max(1.0, high_ms - low))
    parts.append(
        tag("rect", x=_short(low), y=frame.top, width=width, height=frame.bottom - frame.top, fill=ACCENT, fill_opacity=0.35)
    )
    for share in (0.0, 0.25, 0.5, 0.75, 1.0):
        value = float(edges[0]) + share * span
        anchor = "start" if share == 0 else "end" if share == 1 else "middle"
        parts.append(_label(across(value), frame.bottom + 18, milliseconds(value), anchor=anchor))
    parts.append(_label(frame.left, 12, f"Inferences, of {len(samples):,}; the bar is the median's 95 % interval"))
    return _svg(parts, 215, f"Histogram of {len(samples)} latencies, median {milliseconds(measured.latency.median_ms)}")


def latency_chart(rows: Sequence[ComparisonRow]) -> str:
    """A dot for each median with its 95 % interval, the fastest first, on an axis of powers where they differ much."""
    measured = by_latency(rows)
    if not measured:
        return ""
    frame = Frame(330, 24, WIDTH - 90, 24 + 30 * len(measured))
    highest = max(latency.high_ms for _, latency in measured)
    lowest = min(latency.low_ms for _, latency in measured)
    powers = lowest > 0 and highest / lowest > 20
    ticks = ticks_to_powers(lowest, highest) if powers else ticks_to(highest)

    def across(value: float) -> float:
        start, end = ticks[0], ticks[-1]
        share = math.log(value / start) / math.log(end / start) if powers else value / end
        return frame.left + (frame.right - frame.left) * share

    parts = []
    for tick in ticks:
        x = _short(across(tick))
        parts.append(tag("line", x1=x, x2=x, y1=frame.top, y2=frame.bottom, stroke="currentColor", stroke_opacity=0.15))
        parts.append(_label(across(tick), frame.bottom + 18, f"{tick:g}", anchor="middle"))
    for index, (row, latency) in enumerate(measured):
        y = frame.top + 30 * index + 15
        colour = PRECISIONS[row.candidate.precision]
        low, median, high = (across(value) for value in (latency.low_ms, latency.median_ms, latency.high_ms))
        told = f"{milliseconds(latency.median_ms)}, {interval(latency.low_ms, latency.high_ms)}"
        weak = f"; weak: {row.candidate.weak}" if row.candidate.weak else ""
        title = tag("title", text(f"{row.name}: {told}{weak}; {row.verdict}"))
        parts.append(_label(frame.left - 12, y + 4, shortened(row.name, 46), anchor="end", weight=_weight(row)))
        parts.append(
            tag("line", title, x1=_short(low), x2=_short(high), y1=y, y2=y, stroke=colour, stroke_width=7, stroke_opacity=0.45)
        )
        parts.append(tag("circle", title, cx=_short(median), cy=y, r=5, **_dot(colour, weak=bool(row.candidate.weak))))
        parts.append(_label(max(high, median) + 12, y + 4, milliseconds(latency.median_ms)))
    hollow = "; hollow: a weak figure" if any(row.candidate.weak for row, _ in measured) else ""
    scale = "; powers of ten" if powers else ""
    parts.append(_label(frame.left, 12, f"Median latency, ms, with its 95 % interval{scale}{hollow}"))
    return _svg(parts, frame.bottom + 30, f"Latency of {len(measured)} builds")


def _dot(colour: str, *, weak: bool) -> dict[str, object]:
    """A weak figure's is hollow."""
    return {"fill": "none", "stroke": colour, "stroke_width": 2} if weak else {"fill": colour}


def _weight(row: ComparisonRow) -> str:
    return "700" if row.standing is Standing.BASELINE else "400"


def ticks_to(highest: float) -> list[float]:
    """From 0 in about four round steps to at least `highest`."""
    if highest <= 0:
        return [0.0, 1.0]
    rough = highest / 4
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 2.5, 5, 10) if factor * power >= rough * (1 - 1e-9))
    return [step * index for index in range(math.ceil(highest / step - 1e-9) + 1)]


def ticks_to_powers(lowest: float, highest: float) -> list[float]:
    """1, 2 and 5 times powers of ten that enclose both."""
    steps = [factor * 10.0**power for power in range(-9, 9) for factor in (1, 2, 5)]
    first = max(index for index, step in enumerate(steps) if step <= lowest)
    last = min(index for index, step in enumerate(steps) if step >= highest)
    return steps[first : last + 1]


def _rules(ticks: Sequence[float], frame: Frame) -> list[str]:
    parts = []
    for tick in ticks:
        y = _short(frame.bottom - (frame.bottom - frame.top) * tick / ticks[-1])
        parts.append(tag("line", x1=frame.left, x2=frame.right, y1=y, y2=y, stroke="currentColor", stroke_opacity=0.15))
        parts.append(_label(frame.left - 8, float(y) + 4, f"{tick:g}", anchor="end"))
    return parts


def _legend(legend: dict[str, str], frame: Frame) -> str:
    parts, x = [], frame.left + 130
    for name, colour in legend.items():
        parts.append(tag("rect", x=_short(x), y=5, width=11, height=11, rx=2, fill=colour))
        parts.append(_label(x + 16, 15, name))
        x += 34 + 7 * len(name)
    return "".join(parts)


def _label(x: float, y: float, content: str, *, anchor: str = "start", weight: str = "400") -> str:
    return tag("text", text(content), x=_short(x), y=_short(y), text_anchor=anchor, font_weight=weight, fill="currentColor")


def _svg(parts: Sequence[str], height: float, description: str) -> str:
    return tag(
        "svg",
        tag("title", text(description)) + "".join(parts),
        xmlns="http://www.w3.org/2000/svg",
        viewBox=f"0 0 {WIDTH} {height:g}",
        width=WIDTH,
        height=f"{height:g}",
        role="img",
        color=INK,
        font_family=FONT,
        font_size=12,
    )


def _short(value: float) -> str:
    return f"{value:.2f}".rstrip("0").rstrip(".")
