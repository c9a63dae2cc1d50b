"""What TensorRT's parser says, in versions that name the node and those that do not; the parsers here are stubs."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

from core.backends._tensorrt.graph import Graph
from core.backends._tensorrt.preflight import TYPE_HINT, _refusals
from core.backends.tensorrt._product import features
from core.graph.source import nodes_of_onnx
from core.onnxio.aliases import alias_nodes
from tests.asked_models import non_zero

MODEL = non_zero()
ALIASES = alias_nodes(MODEL)
GRAPH = Graph(path=Path("m.onnx"), source=nodes_of_onnx(MODEL), content=b"")
NAMES = {name: alias for alias, name in ALIASES.names.items()}


class Parser:
    """Answers both questions, as far as its version has them."""

    def __init__(self, taken: bool, parts: list[tuple[list[int], bool]], errors: list[Any]) -> None:
        self.supports_model = lambda content, path: (taken, parts)
        self.supports_model_v2 = lambda content, path: taken
        self.num_subgraphs, self.num_errors = len(parts), len(errors)
        self.get_subgraph_nodes = lambda index: parts[index][0]
        self.get_error = errors.__getitem__


def error(index: int, name: str = "", op: str = "", text: str = "no") -> Any:
    return SimpleNamespace(
        node=lambda: index, node_name=lambda: name, node_operator=lambda: op, desc=lambda: text, code=lambda: "UNSUPPORTED_NODE"
    )


def told(version: tuple[int, int], parser: Parser) -> list[tuple[str | None, str]]:
    found = _refusals(parser, GRAPH, features(version), ALIASES)
    return [(ALIASES.names[one.node] if one.node else None, one.reason) for one in found]


def test_a_graph_that_is_taken_has_no_refusals() -> None:
    for version in ((8, 5), (10, 0), (11, 0)):
        assert told(version, Parser(True, [([0, 1, 2, 3], True)], [])) == []


def test_a_version_that_tells_places_is_understood() -> None:
    assert told((8, 6), Parser(False, [([0], True), ([2, 3], True)], [error(1, text="no importer")])) == [("nz", "no importer")]


def test_a_version_that_tells_names_is_understood() -> None:
    assert told((10, 5), Parser(False, [], [error(0, NAMES["nz"], "NonZero", "no plugin")])) == [("nz", "no plugin")]


def test_a_node_inside_another_is_told_as_its_owner() -> None:
    (found,) = told((11, 0), Parser(False, [], [error(0, f"{NAMES['cast']}_in3", "NonZero", "no plugin")]))
    assert found == ("cast", f"no plugin (at {NAMES['cast']}_in3)")


def test_what_is_in_no_part_is_refused_where_no_error_tells() -> None:
    for version in ((8, 6), (10, 5)):
        ((name, reason),) = told(version, Parser(False, [([0], True), ([2, 3], False)], []))
        assert name == "nz"
        assert "gives no reason" in reason


def test_a_type_that_it_has_not_is_about_no_node() -> None:
    text = 'Assertion failed: convertDtype(a, &b) && "Failed to convert ONNX date type to TensorRT data type."'
    (found,) = _refusals(Parser(False, [], [error(-1, text=text)]), GRAPH, features((11, 0)), ALIASES)
    assert (found.node, found.hint, found.is_final) == (None, TYPE_HINT, True)
    assert found.reason == "Failed to convert ONNX date type to TensorRT data type."
