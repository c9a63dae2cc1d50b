"""Regions of supported nodes, on graphs small enough to see the answer."""

from __future__ import annotations

import itertools
import random

import pytest

from core.graph.engine_graph import SourceNode
from core.graph.regions import with_regions
from core.graph.source import SourceGraph
from core.graph.support import NodeSupport, Support, Verdict


def regions_of(edges: dict[str, str], refused: str = "", constants: tuple[str, ...] = ()) -> dict[str, NodeSupport]:
    """Nodes of one letter by what each reads; those in `refused` are not taken."""
    nodes = tuple(SourceNode(name=name, op="Op", inputs=tuple(read), outputs=(name,)) for name, read in edges.items())
    verdicts = [Verdict.REFUSED if node.name in refused else Verdict.TAKEN for node in nodes]
    told = [NodeSupport(name=node.name, op=node.op, verdict=verdict) for node, verdict in zip(nodes, verdicts, strict=True)]
    return {node.name: node for node in with_regions(told, SourceGraph(nodes=nodes, constants=constants))}


def numbers(found: dict[str, NodeSupport]) -> dict[str, int | None]:
    return {name: node.region for name, node in found.items()}


def test_a_graph_that_is_taken_whole_is_one_region() -> None:
    assert numbers(regions_of({"a": "x", "b": "a", "c": "ab"})) == {"a": 1, "b": 1, "c": 1}


def test_a_refused_node_in_a_chain_stands_between_two_regions() -> None:
    found = regions_of({"a": "x", "b": "a", "u": "b", "c": "u", "d": "c"}, "u")
    assert numbers(found) == {"a": 1, "b": 1, "u": None, "c": 2, "d": 2}
    assert (found["u"].before, found["u"].after, found["u"].stands_between) == ((1,), (2,), True)


def test_a_residual_around_it_does_not_make_them_one() -> None:
    """a feeds c both directly and by u: with a and c in one engine, u would need its output and be needed by it."""
    found = regions_of({"a": "x", "u": "a", "c": "ua"}, "u")
    assert numbers(found) == {"a": 1, "u": None, "c": 2}
    assert found["u"].stands_between


def test_a_branch_that_joins_behind_it_belongs_to_what_it_joins() -> None:
    """s reads the graph's input and feeds c alone: it is no region of its own although no refused node lies before it."""
    found = regions_of({"a": "x", "s": "z", "u": "a", "c": "us"}, "u")
    assert numbers(found) == {"a": 1, "s": 2, "u": None, "c": 2}


def test_at_the_ends_of_a_graph_it_parts_nothing() -> None:
    found = regions_of({"u": "x", "a": "u", "v": "a"}, "uv")
    assert numbers(found) == {"u": None, "a": 1, "v": None}
    assert (found["u"].before, found["u"].after) == ((), (1,))
    assert (found["v"].before, found["v"].after) == ((1,), ())
    assert not found["u"].stands_between
    assert not found["v"].stands_between


def test_of_several_in_a_row_each_stands_between() -> None:
    found = regions_of({"a": "x", "u": "a", "v": "u", "b": "v"}, "uv")
    assert [found[name].stands_between for name in "uv"] == [True, True]
    assert (found["u"].after, found["v"].before) == ((2,), (1,))


def test_side_by_side_regions_are_told_apart() -> None:
    assert numbers(regions_of({"a": "x", "b": "z"})) == {"a": 1, "b": 2}


def test_constants_are_in_no_region_and_lead_to_none() -> None:
    """k and l come of the weight w alone: only what reads the input counts, and u has nothing supported before it."""
    found = regions_of({"k": "w", "l": "k", "u": "xl", "b": "ul"}, "u", constants=("w",))
    assert numbers(found) == {"k": None, "l": None, "u": None, "b": 1}
    assert not found["u"].stands_between


def test_the_counts_of_a_whole_answer() -> None:
    found = regions_of({"a": "x", "u": "a", "b": "u"}, "u")
    support = Support(nodes=tuple(found.values()), way="")
    assert (support.regions, [node.name for node in support.cuts], support.complete) == (2, ["u"], False)
    assert support.counts() == {Verdict.TAKEN: 2, Verdict.REFUSED: 1, Verdict.UNKNOWN: 0}


@pytest.mark.parametrize("seed", range(40))
def test_no_path_leaves_a_region_and_comes_back_and_no_two_that_touch_could_be_one(seed: int) -> None:
    """Against the definition itself, on random graphs."""
    rng = random.Random(seed)  # noqa: S311
    names = "abcdefghijklmn"
    edges = {name: "".join(rng.sample(names[:place], min(place, rng.randint(0, 2)))) or "x" for place, name in enumerate(names)}
    found = regions_of(edges, "".join(name for name in names if rng.random() < 0.3))
    reach: dict[str, set[str]] = {}
    for name, read in edges.items():
        reach[name] = {name}.union(*(reach[source] for source in read if source in reach))

    def convex(members: set[str]) -> bool:
        inside = itertools.product(members, members)
        return all(
            middle in members for first, last in inside for middle in names if first in reach[middle] and middle in reach[last]
        )

    regions: dict[int, set[str]] = {}
    for name, node in found.items():
        assert (node.region is None) == (node.verdict is Verdict.REFUSED)
        if node.region:
            regions.setdefault(node.region, set()).add(name)
    assert all(convex(members) for members in regions.values())
    for one, other in itertools.combinations(regions.values(), 2):
        touching = any(a in edges[b] or b in edges[a] for a in one for b in other)
        assert not (touching and convex(one | other)), (one, other)
