"""What the command line says where there is nothing, and which repeat of a measurement it keeps."""

from __future__ import annotations

from dataclasses import replace

import pytest

from core.benchmark.measurement import Measurement, Protocol
from core.benchmark.statistics import latency
from core.cli.output import print_table
from core.stages.elsewhere import middle


def test_an_empty_table_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    print_table("", ["build", "model"], [])
    print_table("Nodes in no layer", ["node"], [])
    assert capsys.readouterr().out.splitlines() == ["None.", "Nodes in no layer: none"]


def test_the_repeat_in_the_middle_is_kept() -> None:
    one = Measurement(
        latency=latency([1.0] * 9),
        throughput=1.0,
        load_ms=1.0,
        first_ms=1.0,
        peak_memory_bytes=2,
        baseline_memory_bytes=1,
        shapes={},
        protocol=Protocol(),
    )
    found = [replace(one, latency=latency([median] * 9)) for median in (5.0, 2.0, 9.0)]
    assert middle(found) == 0
    assert middle(found[1:]) == 1, "of two the slower"
    assert middle(found[:1]) == 0
