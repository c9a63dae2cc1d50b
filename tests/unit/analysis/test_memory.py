"""What an engine takes of memory, from recorded logs of its builder and from shapes."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bench.rtx_logs import recorded_graph
from core.analysis.memory import (
    BuilderLayer,
    ContextRow,
    LayerBytes,
    builder_layers,
    context_rows,
    layer_bytes,
    memory_text,
    moved_texts,
    parts,
)
from core.graph.engine_graph import EngineGraph, Layer, LayerTensor
from core.graph.memory import EngineMemory, LayerMemory

TWO_PROFILES = "resnet50-fp16-two-profiles"


def memory_of(name: str) -> EngineMemory:
    memory = recorded_graph(name).memory
    assert memory
    return memory


def test_the_parts_are_those_of_the_log() -> None:
    assert {part.name: part.bytes for part in parts(memory_of("resnet50-int8"))} == {
        "Weights": 25_712_518,
        "Activations": 75_792_384,
        "Scratch": 75_792_384,
        "Device persistent": 0,
        "Host persistent": 80,
    }


def test_contexts_share_the_weights_and_nothing_else() -> None:
    memory = EngineMemory(weights_bytes=1000, activation_bytes=100, device_persistent_bytes=10, host_persistent_bytes=1)
    assert context_rows(memory, (4, 1, 4)) == [
        ContextRow(contexts=1, weights_bytes=1000, contexts_bytes=110, device_bytes=1110, host_bytes=1),
        ContextRow(contexts=4, weights_bytes=1000, contexts_bytes=440, device_bytes=1440, host_bytes=4),
    ]


@pytest.mark.parametrize("lacking", ["weights_bytes", "activation_bytes", "device_persistent_bytes"])
def test_a_sum_without_one_of_its_parts_is_not_told(lacking: str) -> None:
    memory = replace(EngineMemory(weights_bytes=1000, activation_bytes=100, device_persistent_bytes=0), **{lacking: None})
    assert context_rows(memory, [2])[0].device_bytes is None
    assert "there is no sum" in memory_text(memory)


def test_the_sentence_has_the_sum_and_its_parts() -> None:
    assert memory_text(memory_of("resnet50-int8")) == (
        "101.5 MB of the GPU's memory with one context: 25.7 MB of weights, loaded once, and 75.8 MB for each context."
    )


def test_zero_is_told() -> None:
    (row,) = context_rows(EngineMemory(weights_bytes=0, activation_bytes=0, device_persistent_bytes=0), [3])
    assert row.device_bytes == 0


def test_a_block_of_the_builders_is_said_to_be_one() -> None:
    (block,) = builder_layers(recorded_graph("resnet50-int8"))
    assert block.is_block
    assert block.position is None
    assert (block.scratch_bytes, block.host_persistent_bytes, block.profile) == (75_792_384, 80, None)


def test_the_builders_layers_are_found_among_the_engines() -> None:
    told = (
        LayerMemory(layer="conv1 + relu1", scratch_bytes=5, host_persistent_bytes=7),
        LayerMemory(layer="gone", scratch_bytes=50, device_persistent_bytes=3),
    )
    graph = EngineGraph(
        layers=(Layer(name="other", kind="x"), Layer(name="conv1 + relu1", kind="x")),
        source_nodes=(),
        memory=EngineMemory(layers=told),
    )
    plain = {"is_block": False, "profile": None}
    assert builder_layers(graph) == [
        BuilderLayer(name="gone", position=None, scratch_bytes=50, device_persistent_bytes=3, host_persistent_bytes=0, **plain),
        BuilderLayer(
            name="conv1 + relu1", position=2, scratch_bytes=5, device_persistent_bytes=0, host_persistent_bytes=7, **plain
        ),
    ]


def test_a_convolution_moves_its_input_its_weights_and_its_output() -> None:
    """The recorded stem of ResNet-50 in FP16 at batch 1: 4 channels of 224 x 224 in, 64 of 112 x 112 out."""
    stem = layer_bytes(recorded_graph(TWO_PROFILES))[1]
    weights = 2 * (64 * 4 * 7 * 7 + 64) + 2 * 4  # kernel and bias in half, two scales in float
    assert (stem.position, stem.kind) == (2, "correlation")
    assert (stem.inputs, stem.constants, stem.outputs) == (2 * 4 * 224 * 224, weights, 2 * 64 * 112 * 112)
    assert stem.total == 401_408 + 25_224 + 1_605_632


def test_what_reads_no_constant_reads_none() -> None:
    pool = layer_bytes(recorded_graph(TWO_PROFILES))[3]
    assert (pool.kind, pool.constants) == ("maxpool", 0)


@pytest.mark.parametrize("name", ["bert-fp16", "mobilenetv2-fp16", "mobilenetv2-int8", "resnet50-int8"])
def test_constants_of_all_layers_are_the_weights(name: str) -> None:
    graph = recorded_graph(name)
    assert sum(row.constants or 0 for row in layer_bytes(graph)) == pytest.approx(memory_of(name).weights_bytes, rel=0.03)


def test_open_lengths_leave_bytes_untold() -> None:
    rows = layer_bytes(recorded_graph("resnet50-int8"))
    assert all(row.inputs is None and row.outputs is None for row in rows if row.kind == "correlation")
    assert moved_texts(rows) == ["Layers: none of 106 tells all that it reads and writes."]


def test_signals_and_waits_move_nothing_and_have_no_row() -> None:
    rows = layer_bytes(recorded_graph(TWO_PROFILES))
    assert {"signal", "wait"}.isdisjoint(row.kind for row in rows)
    assert moved_texts(rows) == [
        "Layers of profile 0: all 59 read and write 110.3 MB together.",
        "Layers of profile 1: none of 60 tells all that it reads and writes.",
    ]


def test_a_tensor_that_is_listed_twice_counts_once() -> None:
    tensor = LayerTensor(name="x", dtype="float16", shape=(2, 3))
    (row,) = layer_bytes(
        EngineGraph(layers=(Layer(name="a", kind="k", inputs=(tensor, tensor), outputs=(tensor,)),), source_nodes=())
    )
    assert row == LayerBytes(position=1, name="a", kind="k", profile=None, inputs=12, constants=None, outputs=12)
    assert row.total is None
