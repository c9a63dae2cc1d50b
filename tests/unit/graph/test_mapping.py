from __future__ import annotations

from core.graph.engine_graph import Fate, Layer, SourceNode
from core.graph.mapping import EngineFacts, Mapped, map_nodes, with_sources
from core.graph.source import SourceGraph


def graph(*lines: str, constants: str = "w", outputs: str = "y", repeats: dict[str, str] | None = None) -> SourceGraph:
    """Lines such as `c = Conv x w`: a node named after the one tensor that it makes."""
    nodes = []
    for line in lines:
        made, _, right = line.partition(" = ")
        op, *inputs = right.split()
        nodes.append(SourceNode(name=made, op=op, inputs=tuple(inputs), outputs=(made,)))
    return SourceGraph(
        nodes=tuple(nodes), constants=tuple(constants.split()), outputs=tuple(outputs.split()), repeats=repeats or {}
    )


def fates(mapped: Mapped) -> dict[str, Fate]:
    return {node.name: node.fate for node in mapped.loose}


def test_nodes_read_in_one_layer_alone_are_part_of_it() -> None:
    source = graph("p = Pad x", "c = Conv p w", "b = BatchNormalization c w", "r = Relu b", "y = Softmax r")
    mapped = map_nodes(source, {"conv": ["r"], "softmax": ["y"]})
    assert mapped.carried == {"conv": ("p", "c", "b", "r"), "softmax": ("y",)}
    assert not mapped.loose


def test_a_node_that_several_layers_read_belongs_to_the_layer_before_it() -> None:
    source = graph("c = Conv x w", "r = Relu c", "s = Tanh r", "t = Sigmoid r", "y = Add s t")
    mapped = map_nodes(source, {"conv": ["c"], "tanh": ["s"], "sigmoid": ["t"], "add": ["y"]})
    assert mapped.carried["conv"] == ("c", "r")


def test_what_borders_on_several_layers_is_said_to_be_unmapped() -> None:
    source = graph("a = Exp x", "b = Log x", "m = Mul a b", "s = Tanh m", "t = Sigmoid m", "y = Add s t")
    mapped = map_nodes(source, {"exp": ["a"], "log": ["b"], "tanh": ["s"], "sigmoid": ["t"], "add": ["y"]})
    assert fates(mapped) == {"m": Fate.UNMAPPED}


def test_constants_are_folded_unless_a_layer_claims_them() -> None:
    source = graph("k = Mul w w", "q = Neg k", "y = Add x q")
    assert fates(map_nodes(source, {"add": ["y"]})) == {"k": Fate.FOLDED, "q": Fate.FOLDED}
    claimed = map_nodes(source, {"neg": ["q"], "add": ["y"]})
    assert claimed.carried == {"neg": ("k", "q"), "add": ("y",)}


def test_shapes_alone_are_folded_unless_a_layer_works_them_out() -> None:
    source = graph("s = Shape x", "g = Gather s w", "y = Reshape x g")
    assert fates(map_nodes(source, {"reshape": ["y"]})) == {"s": Fate.FOLDED, "g": Fate.FOLDED}
    assert map_nodes(source, {"gather": ["g"], "reshape": ["y"]}).carried["gather"] == ("s", "g")


def test_random_values_are_no_constants() -> None:
    source = SourceGraph(
        nodes=(
            SourceNode(name="n", op="RandomNormal", outputs=("n",)),
            SourceNode(name="y", op="Add", inputs=("x", "n"), outputs=("y",)),
        ),
        outputs=("y",),
        random=("n",),
    )
    assert map_nodes(source, {"add": ["y"]}).carried == {"add": ("n", "y")}


def test_no_ops_dead_nodes_and_repeats_are_eliminated_and_seen_through() -> None:
    source = graph(
        "c = Conv x w", "d = Dropout c", "r = Relu d", "e = Exp r", "f = Exp r", "z = Tanh c", "y = Add e f", repeats={"f": "e"}
    )
    mapped = map_nodes(source, {"conv": ["r"], "exp": ["e"], "add": ["y"]})
    assert fates(mapped) == {"d": Fate.ELIMINATED, "f": Fate.ELIMINATED, "z": Fate.ELIMINATED}
    assert mapped.carried == {"conv": ("c", "r"), "exp": ("e",), "add": ("y",)}
    assert all(node.reason.endswith(".") for node in mapped.loose)


def test_repeats_that_a_runtime_keeps_stay_apart() -> None:
    source = graph("e = Exp x", "f = Exp x", "y = Add e f", repeats={"f": "e"})
    mapped = map_nodes(source, {"one": ["e"], "two": ["f"], "add": ["y"]})
    assert mapped.carried == {"one": ("e",), "two": ("f",), "add": ("y",)}


def test_a_bias_is_appended_to_an_open_layer_and_else_goes_to_its_reader() -> None:
    source = graph("m = MatMul x w", "b = Add m w", "y = Softmax b")
    claims = {"product": ["m"], "softmax": ["y"]}
    assert map_nodes(source, claims, EngineFacts(open_layers=["product"])).carried == {"product": ("m", "b"), "softmax": ("y",)}
    assert map_nodes(source, claims).carried == {"product": ("m",), "softmax": ("b", "y")}


def test_one_node_may_be_several_layers() -> None:
    source = graph("y = Softmax x")
    assert map_nodes(source, {"exp": ["y"], "divide": ["y"]}).carried == {"exp": ("y",), "divide": ("y",)}


def test_the_engine_graph_keeps_layers_without_source_nodes() -> None:
    source = graph("y = Relu x")
    made = with_sources(
        [Layer(name="reorder", kind="Reorder"), Layer(name="relu", kind="Relu")], source, {"relu": ["y"]}, ("So.",)
    )
    assert [layer.source_nodes for layer in made.layers] == [(), ("y",)]
    assert made.notes == ("So.",)
    assert not made.unmapped
