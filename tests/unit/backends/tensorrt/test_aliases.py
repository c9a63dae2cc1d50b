"""Nodes go to a builder under aliases, and everything it says of them comes back under their names."""

import pytest
from onnx import TensorProto, helper

from core.onnxio.aliases import NO_ALIASES, alias_nodes

ODD = [
    "a[0]",
    "a, b",
    "a]",
    '"quoted"',
    "two\nlines",
    "a | b",
    "x" * 4_000,
    "[ONNX Layer: b]",
    "er1",
    "ü",
    "{ForeignNode[a...b]}",
]


def chain(names, tensors=None):
    """Relus one after the other."""
    tensors = tensors or [f"t{index}" for index in range(len(names) + 1)]
    nodes = [helper.make_node("Relu", [tensors[i]], [tensors[i + 1]], name=name) for i, name in enumerate(names)]
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1]) for name in (tensors[0], tensors[-1])]
    return helper.make_model(helper.make_graph(nodes, "g", ends[:1], ends[1:]))


def test_every_name_comes_back():
    model = chain(ODD)
    aliases = alias_nodes(model)
    given = [node.name for node in model.graph.node]
    assert all(len(name) < 10 and name.isalnum() for name in given)
    assert [aliases.name(name) for name in given] == ODD
    assert aliases.restore(f"no kernel for {given[1]} + {given[10]}") == f"no kernel for {ODD[1]} + {ODD[10]}"


def test_the_layers_of_a_node_are_told_from_other_numbers():
    aliases = alias_nodes(chain([f"relu{index}" for index in range(12)]))
    assert aliases.restore("er1_myl0_2, er11, er1_3, layer1, ier1, er123") == "relu1_myl0_2, relu11, relu1_3, layer1, ier1, er123"
    assert aliases.name("er1_3") == "relu1"
    assert aliases.name("constant") == "constant"


@pytest.mark.parametrize("tensors", [["er0", "er1"], ["a_er7:0", "b"]])
def test_tensors_are_never_taken_for_aliases(tensors):
    aliases = alias_nodes(chain(["relu"], tensors))
    assert aliases.restore(f"{tensors[0]} {tensors[1]} {aliases.prefix}0") == f"{tensors[0]} {tensors[1]} relu"


def test_nodes_inside_count_as_their_owners():
    branch = chain(["inner"]).graph
    del branch.input[:]
    choice = helper.make_node("If", ["c"], ["y"], name="choice", then_branch=branch, else_branch=branch)
    model = helper.make_model(helper.make_graph([choice], "g", [], []))
    aliases = alias_nodes(model)
    inner = model.graph.node[0].attribute[0].g.node[0].name
    assert inner != "inner"
    assert aliases.name(inner) == "choice"


def test_without_aliases_nothing_changes():
    assert NO_ALIASES.restore("er0 and er1") == "er0 and er1"
    assert NO_ALIASES.name("er0") == "er0"
