"""What a file leaves open, by the arrays and the axes that are given."""

from __future__ import annotations

import pytest

from core.base.errors import InvalidRequest
from core.base.profile import ShapeProfile, parse_profile
from core.base.tensors import Signature
from core.models.axes import RawTensor, with_symbols
from core.models.given_shapes import with_asked_axes, with_given_shapes
from core.parity.batches import batch_symbol

GRAPH = with_symbols(
    "main",
    [
        RawTensor(name="nodes", dtype="float32", shape=(None, 4)),
        RawTensor(name="edges", dtype="int32", shape=(None, 2)),
    ],
    [RawTensor(name="sums", dtype="float32", shape=(None, 3))],
)


def shapes(signature: Signature) -> dict[str, object]:
    return {spec.name: spec.shape for spec in (*signature.inputs, *signature.outputs)}


def test_lengths_that_differ_show_that_it_is_no_batch() -> None:
    found, profile = with_given_shapes(GRAPH, ShapeProfile(), {"nodes": (5, 4), "edges": (8, 2)})
    assert shapes(found) == {"nodes": ("nodes_0", 4), "edges": ("edges_0", 2), "sums": ("sums_0", 3)}
    assert [profile.shape(spec) for spec in found.inputs] == [(5, 4), (8, 2)]
    assert batch_symbol(found) is None


@pytest.mark.parametrize("given", [{"nodes": (6, 4), "edges": (6, 2)}, {"nodes": (1, 4), "edges": (6, 2)}, {}])
def test_samples_in_equal_numbers_or_one_for_all_are_a_batch(given: dict[str, tuple[int, ...]]) -> None:
    found, profile = with_given_shapes(GRAPH, ShapeProfile(), given)
    assert (found, profile) == (GRAPH, ShapeProfile())
    assert batch_symbol(found) == "batch"


def test_axes_that_the_file_itself_names_alike_stay_one() -> None:
    named = [RawTensor(name=name, dtype="float32", shape=("batch", 4)) for name in ("a", "b")]
    signature = with_symbols("main", named, [], share=False)
    assert with_given_shapes(signature, ShapeProfile(), {"a": (5, 4), "b": (8, 4)})[0] == signature


def test_other_axes_that_were_taken_for_one_are_told_apart_too() -> None:
    texts = [RawTensor(name=name, dtype="int64", shape=(None, None)) for name in ("question", "answer")]
    signature = with_symbols("main", texts, [])
    assert signature.guessed == ("batch", "dim_1")
    found, profile = with_given_shapes(signature, ShapeProfile(), {"question": (2, 10), "answer": (2, 130)})
    assert shapes(found) == {"question": ("batch", "question_1"), "answer": ("batch", "answer_1")}
    assert profile.length("answer_1") == 130


def test_a_rank_that_nobody_tells_is_the_array_s() -> None:
    signature = with_symbols("main", [RawTensor(name="x", dtype="float32", shape=None)], [])
    found, profile = with_given_shapes(signature, ShapeProfile(), {"x": (2, 3)})
    assert profile.shape(found.inputs[0]) == (2, 3)
    with pytest.raises(InvalidRequest, match="--inputs"):
        ShapeProfile().shape(signature.inputs[0])


def test_asking_for_an_axis_by_its_own_symbol_tells_it_apart() -> None:
    profile = parse_profile(["nodes_0=5", "edges_0=1:8:16"])
    found = with_asked_axes(GRAPH, profile)
    assert shapes(found)["nodes"] == ("nodes_0", 4)
    assert [profile.shape(spec) for spec in found.inputs] == [(5, 4), (8, 2)]
    assert with_asked_axes(GRAPH, parse_profile(["batch=2"])) == GRAPH
    kept, lengths = with_given_shapes(found, profile, {"nodes": (5, 4), "edges": (9, 2)})
    assert (kept, lengths) == (found, profile)
