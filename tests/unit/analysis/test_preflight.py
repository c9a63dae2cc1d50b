"""What a preflight comes to, over answers made up for it."""

from __future__ import annotations

from dataclasses import replace

from core.analysis.preflight import between_text, problems, regions_text, verdict_text
from core.base.errors import BuildFailed, Failure
from core.base.tensors import Signature
from core.graph.support import NodeSupport, Support, Verdict
from core.models.model import Format
from core.preflight.answer import Answer, Preflight, Target
from core.stages.stage import Prepared

GRAPH = Prepared(artifact="a", entry="model.onnx", format=Format.ONNX, signature=Signature(name="main", inputs=(), outputs=()))
RELU = NodeSupport(name="r", op="Relu", region=1)
REFUSED = NodeSupport(
    name="f", op="Fancy", verdict=Verdict.REFUSED, reason="no Fancy", hint="Do without.", before=(1,), after=(2, 3)
)
UNKNOWN = NodeSupport(name="u", op="Odd", verdict=Verdict.UNKNOWN, reason="not asked")


def target(backend: str, *nodes: NodeSupport, graph: Prepared = GRAPH) -> Target:
    answer = Answer(graph=graph, asked=graph, support=Support(nodes=nodes, way="It was asked."))
    return Target(backend=backend, title=backend.title(), path=f"onnx.{backend}", answer=answer)


def told(*targets: Target) -> Preflight:
    return Preflight(model="m", signature="main", targets=targets)


def test_a_target_is_summed_up_in_a_line() -> None:
    assert verdict_text(target("openvino", RELU)) == "takes its one node"
    assert verdict_text(target("openvino", RELU, replace(RELU, name="s"))) == "takes all 2 nodes"
    assert verdict_text(target("openvino", RELU, REFUSED, UNKNOWN)) == "refuses 1 of 3 nodes, 1 not told"
    assert verdict_text(target("openvino", RELU, UNKNOWN)) == "1 not told"
    assert verdict_text(target("openvino")) == "takes it: the graph has no node"
    failure = Failure.of(BuildFailed("It broke."))
    failed = replace(target("openvino"), answer=None, failure=failure)
    assert verdict_text(failed) == "no answer: It broke."


def test_regions_are_counted_with_what_parts_them() -> None:
    answer = target("openvino", RELU, REFUSED, replace(RELU, region=2)).answer
    assert answer is not None
    assert regions_text(answer) == "2 regions, parted by 1 node"
    assert between_text(REFUSED) == "regions 1, 2 and 3"
    assert between_text(UNKNOWN) == ""


def test_nodes_refused_alike_are_one_problem_and_refusals_come_first() -> None:
    twin = replace(REFUSED, name="g")
    one = target("openvino", UNKNOWN, REFUSED, twin)
    found = problems(told(one), one)
    assert [(problem.op, [node.name for node in problem.nodes]) for problem in found] == [("Fancy", ["f", "g"]), ("Odd", ["u"])]
    assert found[0].advice == ("Do without.",)
    assert found[0].cuts_text == "all of them stand between supported regions"
    assert found[1].cuts_text == ""
    (alone,) = problems(told(one), target("openvino", REFUSED))
    assert alone.cuts_text == "stands between regions 1, 2 and 3"


def test_who_takes_the_whole_model_is_advised_before_who_takes_the_node() -> None:
    one = target("openvino", RELU, REFUSED)
    whole = target("onnxruntime", RELU, replace(REFUSED, verdict=Verdict.TAKEN))
    part = target("tensorrt_rtx", replace(RELU, verdict=Verdict.REFUSED), replace(REFUSED, verdict=Verdict.TAKEN))
    (problem,) = problems(told(one, whole, part), one)
    assert problem.advice == ("Do without.", "Onnxruntime takes the whole model: ONNX Runtime (onnx.onnxruntime).")
    (problem,) = problems(told(one, part), one)
    assert problem.advice == ("Do without.", "Tensorrt_Rtx takes this node, though not the whole model.")


def test_a_target_that_was_asked_about_another_graph_is_no_advice() -> None:
    """Names of its nodes may be the same by chance."""
    one = target("openvino", REFUSED)
    other = target("litert", replace(REFUSED, verdict=Verdict.TAKEN), graph=replace(GRAPH, artifact="b"))
    (problem,) = problems(told(one, other), one)
    assert problem.advice == ("Do without.",)
