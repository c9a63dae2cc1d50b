"""Where source nodes go when Grappler was done: fused, folded, removed, merged, or unknown."""

from __future__ import annotations

import pytest

from core.backends.tensorflow._accounting import Account, ExecutedNode, account, base_op
from core.graph.engine_graph import SourceNode
from core.graph.tensorflow_source import Naming


def source(name: str, op: str, *inputs: str) -> SourceNode:
    return SourceNode(name=name, op=op, inputs=inputs, outputs=(name,))


def executed(name: str, op: str, *inputs: str) -> ExecutedNode:
    return ExecutedNode(name=name, op=op, inputs=inputs)


def taken(nodes: list[SourceNode], ran: list[ExecutedNode], *, frozen: bool = True) -> Account:
    return account(nodes, ran, Naming(node.name for node in nodes), weights_are_constants=frozen)


CONVOLUTION = [
    source("w", "ReadVariableOp", "resource"),
    source("conv", "Conv2D", "image", "w"),
    source("bias", "BiasAdd", "conv"),
    source("relu", "Relu", "bias"),
]


def fates(found: Account) -> dict[str, str]:
    return {node.name: node.fate.value for node in found.loose}


def test_a_fused_node_carries_what_lies_before_it() -> None:
    found = taken(CONVOLUTION, [executed("relu", "_MklNativeFusedConv2D", "image", "w")])
    assert found.carried == {"relu": ("conv", "bias", "relu")}
    assert fates(found) == {"w": "folded"}


def test_weights_that_are_read_are_not_folded() -> None:
    ran = [executed("w", "ReadVariableOp"), executed("relu", "_FusedConv2D", "image", "w")]
    assert taken(CONVOLUTION, ran, frozen=False).loose == ()


def test_a_node_that_kept_its_operation_took_nothing_in() -> None:
    found = taken(CONVOLUTION, [executed("conv", "_MklNativeConv2D", "image"), executed("relu", "Relu", "conv")])
    assert found.carried["relu"] == ("relu",)
    assert fates(found) == {"w": "folded", "bias": "eliminated"}
    assert "relu runs without it" in next(node.reason for node in found.loose if node.name == "bias")


def test_an_identity_is_nothing() -> None:
    nodes = [source("a", "Relu", "x"), source("same", "Identity", "a"), source("b", "Tanh", "same")]
    assert fates(taken(nodes, [executed("a", "Relu"), executed("b", "Tanh", "a")])) == {"same": "eliminated"}


def test_a_twin_is_merged_and_not_fused() -> None:
    nodes = [
        source("one", "Sqrt", "x"),
        source("other", "Sqrt", "x"),
        source("product", "MatMul", "y", "other"),
        source("sum", "BiasAdd", "product"),
    ]
    ran = [executed("one", "Sqrt", "x"), executed("sum", "_FusedMatMul", "y", "one")]
    found = taken(nodes, ran)
    assert found.carried["sum"] == ("product", "sum")
    assert [node.reason for node in found.loose] == ["The same as one, which runs once for both."]


def test_what_only_constants_reach_is_folded() -> None:
    nodes = [source("range", "Range"), source("cast", "Cast", "range"), source("add", "AddV2", "x", "cast")]
    assert fates(taken(nodes, [executed("add", "AddV2", "x")])) == {"range": "folded", "cast": "folded"}


def test_dead_nodes_and_riddles_are_told_apart() -> None:
    nodes = [
        source("dead", "Sqrt", "x"),
        source("lost", "Sqrt", "x"),
        source("lost_too", "Neg", "lost", "b"),
        source("b", "Tanh", "y"),
    ]
    found = taken([*nodes, source("end", "Sub", "lost_too")], [executed("b", "Tanh"), executed("end", "Sub")])
    assert fates(found)["dead"] == "eliminated"
    assert fates(found)["lost"] == "eliminated"


@pytest.mark.parametrize(
    ("name", "origin"),
    [
        ("loop/switch_pred/_16", "loop"),
        ("ConstantFoldingCtrl/loop/pivot_0", "loop"),
        ("scope/ArithmeticOptimizer/AddOpsRewrite_add", "scope/add"),
        ("loop/body/_7/scope/mul", "loop/body/scope/mul"),
    ],
)
def test_a_node_that_tensorflow_made_goes_to_the_one_it_was_made_for(name: str, origin: str) -> None:
    nodes = [source("loop", "While", "x"), source("scope/add", "AddV2", "x", "y"), source("loop/body/scope/mul", "Mul", "x", "y")]
    assert taken(nodes, [executed(name, "Anything")]).carried[name] == (origin,)


def test_a_node_of_nobody_carries_nothing() -> None:
    assert taken([], [executed("surprise", "Anything")]).carried == {"surprise": ()}


@pytest.mark.parametrize(
    ("op", "base"),
    [("_MklNativeFusedConv2D", "FusedConv2D"), ("_FusedMatMul", "FusedMatMul"), ("_MklSoftmax", "Softmax"), ("Relu", "Relu")],
)
def test_the_operation_behind_a_rewritten_op(op: str, base: str) -> None:
    assert base_op(op) == base


def test_names_lose_the_scopes_of_calls_while_they_stay_unique() -> None:
    naming = Naming(["StatefulPartitionedCall/StatefulPartitionedCall/conv", "StatefulPartitionedCall/Identity", "Identity"])
    assert naming("StatefulPartitionedCall/StatefulPartitionedCall/conv") == "conv"
    assert naming("StatefulPartitionedCall/Identity") == "StatefulPartitionedCall/Identity"
    assert naming("Identity") == "Identity"


SUMS = [
    source("f/exp", "Exp", "x"),
    source("f/a", "AddV2", "x", "z"),
    source("f/b", "AddV2", "f/a", "f/exp"),
    source("f/square", "Mul", "x", "x"),
    source("f/c", "AddV2", "f/b", "f/square"),
    source("f/y", "Tanh", "f/c"),
]


def test_a_tree_of_sums_that_was_written_anew_has_all_of_them() -> None:
    """Shapes apart, Grappler adds in two steps; each does some of the work of every sum of the tree."""
    ran = [
        executed("f/exp", "Exp", "x"),
        executed("f/square", "Square", "x"),
        executed("f/ArithmeticOptimizer/AddOpsRewrite_Leaf_0_c", "AddN", "x", "z", "f/exp"),
        executed("f/ArithmeticOptimizer/AddOpsRewrite_c", "AddV2", "f/ArithmeticOptimizer/AddOpsRewrite_Leaf_0_c", "f/square"),
        executed("f/y", "Tanh", "f/ArithmeticOptimizer/AddOpsRewrite_c"),
    ]
    found = taken(SUMS, ran)
    assert found.carried["f/ArithmeticOptimizer/AddOpsRewrite_Leaf_0_c"] == ("f/a", "f/b", "f/c")
    assert found.carried["f/ArithmeticOptimizer/AddOpsRewrite_c"] == ("f/a", "f/b", "f/c")
    assert found.carried["f/y"] == ("f/y",)
    assert found.loose == ()


def test_what_does_not_run_before_sums_that_were_written_anew_is_rewritten_too() -> None:
    ran = [
        executed("f/exp", "Exp", "x"),
        executed("f/ArithmeticOptimizer/AddOpsRewrite_c", "AddN", "x", "z", "f/exp", "f/exp"),
        executed("f/y", "Tanh", "f/ArithmeticOptimizer/AddOpsRewrite_c"),
    ]
    assert fates(taken(SUMS, ran)) == {"f/square": "eliminated"}


def test_operations_that_were_moved_past_a_join_are_where_they_run() -> None:
    nodes = [
        source("f/sin", "Sin", "x"),
        source("f/exp", "Exp", "f/sin"),
        source("f/sin_1", "Sin", "z"),
        source("f/exp_1", "Exp", "f/sin_1"),
        source("f/cos", "Cos", "z"),
        source("f/join", "ConcatV2", "f/exp", "f/exp_1"),
        source("f/y", "Add", "f/join", "f/cos"),
    ]
    moved = "f/ArithmeticOptimizer/_f/exp_concat"
    ran = [
        executed("f/join", "ConcatV2", "x", "z"),
        ExecutedNode(
            name=f"{moved}/unary_ops_composition", op="_UnaryOpsComposition", inputs=("f/join",), composed=("Sin", "Exp")
        ),
        executed("f/cos", "Cos", "z"),
        executed("f/y", "Add", f"{moved}/unary_ops_composition", "f/cos"),
    ]
    found = taken(nodes, ran)
    assert found.carried[f"{moved}/unary_ops_composition"] == ("f/sin", "f/exp", "f/sin_1", "f/exp_1")
    assert found.carried["f/join"] == ("f/join",)
    assert found.loose == ()


def test_twins_are_merged_with_all_that_they_are_made_of() -> None:
    nodes = [
        source("a", "Abs", "x"),
        source("b", "Neg", "a"),
        source("c", "Abs", "x"),
        source("d", "Neg", "c"),
        source("y", "Mul", "b", "d"),
    ]
    ran = [executed("a", "Abs", "x"), executed("b", "Neg", "a"), executed("y", "Square", "b")]
    assert fates(taken(nodes, ran)) == {"c": "eliminated", "d": "eliminated"}


def test_a_constant_that_bears_a_nodes_name_is_no_twin_of_it() -> None:
    nodes = [source("double", "Mul", "x"), source("triple", "Mul", "double"), source("y", "RealDiv", "triple")]
    found = taken(nodes, [executed("y", "Mul", "triple", "x")])
    assert found.carried == {"y": ("double", "triple", "y")}
