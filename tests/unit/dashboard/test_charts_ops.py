"""The chart of a model's ops."""

from __future__ import annotations

from dashboard.charts.ops import SHOWN, ops_figure


def test_the_most_frequent_ops_come_first_and_the_rest_are_one_bar() -> None:
    ops = {f"Op{n:02}": n for n in range(1, SHOWN + 4)}
    bars = ops_figure(ops).data[0]
    assert bars.y[0] == f"Op{SHOWN + 3:02}"
    assert len(bars.y) == SHOWN + 1
    assert bars.y[-1] == "3 other kinds"
    assert bars.x[-1] == 1 + 2 + 3
    assert sum(bars.x) == sum(ops.values())


def test_few_ops_have_no_rest() -> None:
    bars = ops_figure({"Relu": 1, "Conv": 2}).data[0]
    assert list(bars.y) == ["Conv", "Relu"]
