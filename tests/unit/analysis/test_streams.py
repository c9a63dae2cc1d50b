"""Streams: who runs where, who waits for whom, what may overlap; on a recorded ResNet-50 and on small made-up orders."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bench.rtx_logs import recorded_graph
from core.analysis.streams import Link, Overlap, Streams, sentences, streams_as_data, streams_of, summary
from core.graph.engine_graph import EngineGraph, Layer


def engine(*told: tuple[str, int | None] | tuple[str, int, int], times: dict[str, float] | None = None) -> EngineGraph:
    """Layers by kind, stream and event; those that work are called by their position."""
    layers = [
        Layer(name=f"{one[0]}{number}", kind=one[0], stream=one[1], event=one[2] if len(one) > 2 else None)  # type: ignore[misc]
        for number, one in enumerate(told, 1)
    ]
    graph = EngineGraph(layers=tuple(layers), source_nodes=())
    return graph.with_times(times) if times else graph


def only(graph: EngineGraph) -> Streams:
    (found,) = streams_of(graph)
    return found


FORK = engine(
    ("k", 0), ("signal", 0, 1), ("k", 0), ("k", 0), ("wait", 1, 1), ("k", 1), ("signal", 1, 2), ("wait", 0, 2), ("k", 0)
)  # fmt: skip


def test_the_recorded_resnet_forks_at_its_four_shortcuts() -> None:
    found = only(recorded_graph("resnet50-int8"))
    first, second = found.lanes
    assert (len(first.layers), len(first.signals), len(first.waits)) == (91, 4, 4)
    assert second.layers == (13, 31, 32, 33, 34, 35, 60, 61, 62, 63, 64, 101, 102, 103, 104, 105)
    assert (second.signals, second.waits) == ((14, 36, 65, 106), (12, 30, 59, 100))
    assert found.links[:3] == (
        Link(event=1, signal=6, wait=12),
        Link(event=2, signal=14, wait=15),
        Link(event=3, signal=29, wait=30),
    )
    assert len(found.links) == 8
    assert found.unmatched == ()
    assert found.overlaps == (
        Overlap(stream=1, layers=(13,), other=0, beside=(7, 8, 9, 10, 11)),
        Overlap(stream=1, layers=(31, 32, 33, 34, 35), other=0, beside=(37,)),
        Overlap(stream=1, layers=(60, 61, 62, 63, 64), other=0, beside=(66,)),
        Overlap(stream=1, layers=(101, 102, 103, 104, 105), other=0, beside=(107,)),
    )
    assert summary(found) == "2 streams; 16 of 107 layers on stream 1; 8 waits."
    assert sentences(found) == [
        "May run at the same time: layer 13 on stream 1 beside layers 7 to 11 on stream 0, layers 31 to 35 on stream 1 beside "
        "layer 37 on stream 0, layers 60 to 64 on stream 1 beside layer 66 on stream 0 and 1 more."
    ]
    assert found.schedule is None


def test_each_profile_of_an_engine_has_its_own_order() -> None:
    """Both use the events 1 to 8: a wait of the second profile must not meet a signal of the first."""
    first, second = streams_of(recorded_graph("resnet50-fp16-two-profiles"))
    assert (first.profile, second.profile) == (0, 1)
    assert summary(first) == "2 streams; 7 of 59 layers on stream 1; 8 waits."
    assert summary(second) == "2 streams; 7 of 61 layers on stream 1; 8 waits."
    assert first.links[0] == Link(event=1, signal=5, wait=8)
    assert second.links[0] == Link(event=1, signal=81, wait=84)
    assert all(link.signal > 75 for link in second.links)


def test_one_stream_has_no_overlap() -> None:
    found = only(recorded_graph("mobilenetv2-fp16"))
    assert not found.several
    assert summary(found) == "1 stream: all 57 layers run one after the other."
    assert sentences(found) == []


def test_streams_that_nobody_told_are_none() -> None:
    assert streams_of(engine(("k", None), ("k", None))) == ()
    assert streams_of(EngineGraph(layers=(), source_nodes=())) == ()


def test_layers_between_a_signal_and_its_wait_may_overlap() -> None:
    found = only(FORK)
    assert found.overlaps == (Overlap(stream=1, layers=(6,), other=0, beside=(3, 4)),)
    assert [one.layers for one in found.overlaps] == [(6,)]


def test_without_an_event_between_them_streams_run_beside_each_other() -> None:
    found = only(engine(("k", 0), ("k", 0), ("k", 1), ("k", 0)))
    assert found.overlaps == (Overlap(stream=1, layers=(3,), other=0, beside=(1, 2, 4)),)


def test_a_wait_right_behind_each_signal_leaves_nothing_to_overlap() -> None:
    found = only(engine(("k", 0), ("signal", 0, 1), ("wait", 1, 1), ("k", 1), ("signal", 1, 2), ("wait", 0, 2), ("k", 0)))
    assert found.overlaps == ()
    assert sentences(found) == ["No layer may run beside another: each stream waits for the other to be done."]


def test_an_order_through_a_third_stream_counts() -> None:
    """Stream 2 waits for stream 1, which waits for layer 1: so layer 1 is done before layer 7, without a wait of its own."""
    found = only(
        engine(("k", 0), ("signal", 0, 1), ("wait", 1, 1), ("k", 1), ("signal", 1, 2), ("wait", 2, 2), ("k", 2), ("k", 0))
    )
    assert [(one.stream, one.layers, one.other, one.beside) for one in found.overlaps] == [
        (1, (4,), 0, (8,)),
        (2, (7,), 0, (8,)),
    ]


def test_an_event_used_again_means_its_latest_signal() -> None:
    found = only(engine(("signal", 0, 1), ("wait", 1, 1), ("k", 0), ("signal", 0, 1), ("wait", 1, 1), ("k", 1)))
    assert found.links == (Link(event=1, signal=1, wait=2), Link(event=1, signal=4, wait=5))
    assert found.overlaps == ()


def test_a_wait_for_nothing_is_told() -> None:
    found = only(engine(("k", 0), ("wait", 1, 9), ("k", 1)))
    assert found.unmatched == (2,)
    assert "1 wait without a signal before: nothing tells what it waits for." in sentences(found)


def test_times_give_a_schedule_with_what_holds_it_up() -> None:
    times = {"k1": 1.0, "k3": 2.0, "k4": 3.0, "k6": 4.0, "k9": 1.0}
    schedule = only(FORK.with_times(times)).schedule
    assert schedule
    assert schedule.start_ms == pytest.approx({1: 0, 2: 1, 3: 1, 4: 3, 5: 1, 6: 1, 7: 5, 8: 6, 9: 6})
    assert (schedule.total_ms, schedule.serial_ms) == pytest.approx((7.0, 11.0))
    assert schedule.chain == (1, 3, 4, 9)
    assert sentences(only(FORK.with_times(times)))[1] == (
        "By their times in the profiled run the layers take 11.0 ms one after the other; with what may overlap, at best 7.00 ms, "
        "36.4 % less: so long is a chain of 4 layers that wait for one another."
    )


def test_the_longer_side_holds_the_other_up() -> None:
    schedule = only(FORK.with_times({"k1": 1.0, "k3": 2.0, "k4": 3.0, "k6": 9.0, "k9": 1.0})).schedule
    assert schedule
    assert schedule.chain == (1, 6, 9)
    assert schedule.total_ms == pytest.approx(11.0)


def test_layers_that_tell_no_stream_are_left_out() -> None:
    graph = engine(("k", 0), ("k", 1), ("k", 0))
    first, *rest = graph.layers
    found = only(replace(graph, layers=(replace(first, stream=None), *rest)))
    assert [lane.layers for lane in found.lanes] == [(3,), (2,)]


def test_scripts_get_the_words_too() -> None:
    (data,) = streams_as_data(streams_of(FORK))
    assert data["summary"] == "2 streams; 1 of 5 layers on stream 1; 2 waits."
    assert data["links"] == [{"event": 1, "signal": 2, "wait": 5}, {"event": 2, "signal": 7, "wait": 8}]
    assert data["lanes"][1] == {"stream": 1, "layers": [6], "signals": [7], "waits": [5]}
