"""How a runtime is asked until it has told of every node; the runtimes here are made up, to answer as real ones may."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import onnx
import pytest

from core.backends._preflight import MOST_ROUNDS, Refusal, told_by
from core.base.progress import silent
from core.graph.support import NodeSupport, Verdict
from core.onnxio.aliases import Aliases
from core.onnxio.file import save_onnx
from core.onnxio.parts import Types
from tests.asked_models import CUSTOM, FLOAT, ODD_NAMES, branches, custom_between, info, model, node, odd_names, taken

TAKEN, REFUSED, UNKNOWN = Verdict.TAKEN, Verdict.REFUSED, Verdict.UNKNOWN
Answering = Callable[[onnx.ModelProto, Aliases], Sequence[Refusal]]


@pytest.fixture
def ask(tmp_path: Path) -> Callable[..., dict[str, NodeSupport]]:
    """What such a runtime tells of a model, by node; `asked` collects how many nodes each question was about."""

    def asked(made: onnx.ModelProto, answer: Answering, log: list[int] | None = None, **more: object) -> dict[str, NodeSupport]:
        save_onnx(made, tmp_path / "model.onnx")

        def judge(part: onnx.ModelProto, types: Types, aliases: Aliases) -> Sequence[Refusal]:
            if log is not None:
                log.append(len(part.graph.node))
            return answer(part, aliases)

        nodes, _ = told_by(tmp_path / "model.onnx", "It", judge, silent, **more)  # type: ignore[arg-type]
        return {one.name: one for one in nodes}

    return asked


def stops_at(*ops: str, final: bool = True) -> Answering:
    """A runtime that names the first node of one of these ops, and no other."""

    def answer(part: onnx.ModelProto, aliases: Aliases) -> Sequence[Refusal]:
        found = next((one for one in part.graph.node if one.op_type in ops), None)
        return [Refusal(found.name, f"no {found.op_type}", "do without", is_final=final)] if found else []

    return answer


def verdicts(found: dict[str, NodeSupport]) -> dict[str, Verdict]:
    return {name: one.verdict for name, one in found.items()}


def test_a_graph_that_is_taken_whole_is_asked_about_once(ask: Callable[..., dict[str, NodeSupport]]) -> None:
    log: list[int] = []
    found = ask(taken(), stops_at("Nothing"), log)
    assert verdicts(found) == {"relu_a": TAKEN, "sigmoid_y": TAKEN}
    assert log == [2]


def test_every_node_behind_the_first_refused_one_is_told_of(ask: Callable[..., dict[str, NodeSupport]]) -> None:
    nodes = [
        node("Fancy", "x", "a", "f1", domain=CUSTOM),
        node("Add", "a x", "b", "r"),
        node("Odd", "b", "c", "o", domain=CUSTOM),
    ]
    found = ask(model([*nodes, node("Neg", "c", "y", "n")]), stops_at("Fancy", "Odd"))
    assert verdicts(found) == {"f1": REFUSED, "r": TAKEN, "o": REFUSED, "n": TAKEN}
    assert (found["f1"].reason, found["f1"].hint) == ("no Fancy", "do without")
    assert found["o"].stands_between


def test_an_op_that_is_refused_of_whatever_type_is_so_behind_an_unknown_one(ask: Callable[..., dict[str, NodeSupport]]) -> None:
    """Nothing tells what type a and b are of; that there is no Odd is told all the same, of Relu nothing."""
    nodes = [node("Fancy", "x", "a", "f", domain=CUSTOM), node("Relu", "a", "b", "r"), node("Odd", "b", "c", "o", domain=CUSTOM)]

    def answer(part: onnx.ModelProto, aliases: Aliases) -> Sequence[Refusal]:
        found = next((one for one in part.graph.node if one.op_type in ("Fancy", "Odd")), None)
        return [Refusal(found.name, f"no {found.op_type} {found.name}", is_final=True, is_of_op=True)] if found else []

    found = ask(model([*nodes, node("Neg", "c", "y", "n")]), answer)
    assert verdicts(found) == {"f": REFUSED, "r": UNKNOWN, "o": REFUSED, "n": TAKEN}
    assert found["o"].reason == "no Odd o"


def test_hundreds_alike_take_two_rounds_and_a_question_each(ask: Callable[..., dict[str, NodeSupport]]) -> None:
    nodes = [node("Fancy", "x", f"a{n}", domain=CUSTOM) for n in range(300)]
    outputs = [info(f"a{n}") for n in range(300)]
    log: list[int] = []
    found = ask(model([*nodes, node("Relu", "x", "y")], outputs=[*outputs, info("y")]), stops_at("Fancy"), log)
    assert [one.verdict for one in found.values()].count(REFUSED) == 300
    assert log[0] == 301
    assert log[-1] == 1  # the Relu
    assert set(log[1:-1]) == {1}


def test_alike_in_op_alone_is_not_refused_alike(ask: Callable[..., dict[str, NodeSupport]]) -> None:
    """Only Casts to float16 are refused; the other is asked about and stays."""
    nodes = [
        node("Cast", "x", "a", "half", to=10),
        node("Cast", "x", "b", "also half", to=10),
        node("Cast", "x", "y", "double", to=11),
    ]
    made = model(nodes, outputs=[info("a", 10), info("b", 10), info("y", 11)])

    def answer(part: onnx.ModelProto, aliases: Aliases) -> Sequence[Refusal]:
        half = next((one for one in part.graph.node if one.attribute[0].i == 10), None)
        return [Refusal(half.name, "no half", is_final=True)] if half else []

    assert verdicts(ask(made, answer)) == {"half": REFUSED, "also half": REFUSED, "double": TAKEN}


def test_what_names_no_node_is_found_by_asking_about_each(ask: Callable[..., dict[str, NodeSupport]]) -> None:
    def answer(part: onnx.ModelProto, aliases: Aliases) -> Sequence[Refusal]:
        return [Refusal(None, "a type it has not")] if any(one.op_type == "Fancy" for one in part.graph.node) else []

    found = ask(custom_between(), answer)
    assert verdicts(found) == {"before": TAKEN, "odd one": REFUSED, "after": TAKEN}
    assert found["odd one"].reason == "a type it has not"


def test_what_no_single_node_is_refused_for_leaves_all_untold(ask: Callable[..., dict[str, NodeSupport]]) -> None:
    def answer(part: onnx.ModelProto, aliases: Aliases) -> Sequence[Refusal]:
        return [Refusal(None, "too many")] if len(part.graph.node) > 1 else []

    found = ask(taken(), answer)
    assert set(verdicts(found).values()) == {UNKNOWN}
    assert found["relu_a"].reason == "It refuses the graph and names no node: too many"
    assert found["relu_a"].region is None


def test_another_reason_of_a_node_alone_does_not_count(ask: Callable[..., dict[str, NodeSupport]]) -> None:
    """The whole is too large; that Sigmoid alone is refused because its input is none of the graph's says nothing."""

    def answer(part: onnx.ModelProto, aliases: Aliases) -> Sequence[Refusal]:
        if len(part.graph.node) > 1:
            return [Refusal(None, "too many")]
        return [Refusal(None, "no constant")] if part.graph.node[0].op_type == "Sigmoid" else []

    assert set(verdicts(ask(taken(), answer)).values()) == {UNKNOWN}


def test_a_complaint_about_an_input_that_was_put_in_place_of_a_refused_node_is_no_refusal(
    ask: Callable[..., dict[str, NodeSupport]],
) -> None:
    def answer(part: onnx.ModelProto, aliases: Aliases) -> Sequence[Refusal]:
        fancy = [one.name for one in part.graph.node if one.op_type == "Fancy"]
        late = [one.name for one in part.graph.node if one.op_type == "Sigmoid"]
        return (
            [Refusal(fancy[0], "no Fancy", is_final=True)]
            if fancy
            else [Refusal(late[0], "it must be a constant")]
            if late
            else []
        )

    found = ask(custom_between(), answer)
    assert verdicts(found) == {"before": TAKEN, "odd one": REFUSED, "after": UNKNOWN}
    assert (
        found["after"].reason
        == "It stands behind a refused node; with what that makes as an input, It says: it must be a constant"
    )


def test_what_reads_an_unknown_type_cannot_be_asked_about(ask: Callable[..., dict[str, NodeSupport]]) -> None:
    nodes = [node("Fancy", "x", "a", "f", domain=CUSTOM), node("Cast", "a", "b", "c", to=FLOAT), node("Relu", "b", "y", "r")]
    found = ask(model(nodes), stops_at("Fancy"))
    assert verdicts(found) == {"f": REFUSED, "c": UNKNOWN, "r": TAKEN}
    assert found["c"].reason == f"It reads a of {CUSTOM}.Fancy f, of a type that nothing tells: it could not be asked about."


def test_asking_ends(ask: Callable[..., dict[str, NodeSupport]]) -> None:
    """Nodes of ops of their own, refused one at a time."""
    count = MOST_ROUNDS + 5
    nodes = [node(f"Odd{n}", "x", f"a{n}", f"n{n}", domain=CUSTOM) for n in range(count)]
    found = ask(model(nodes, outputs=[info(f"a{n}") for n in range(count)]), stops_at(*(f"Odd{n}" for n in range(count))))
    assert [one.verdict for one in found.values()] == [REFUSED] * MOST_ROUNDS + [UNKNOWN] * 5
    assert f"refused other nodes {MOST_ROUNDS} times" in found[f"n{count - 1}"].reason


def test_odd_names_come_back_as_they_are(ask: Callable[..., dict[str, NodeSupport]]) -> None:
    """The runtime has short ones of ours, and tells them in its sentence."""

    def answer(part: onnx.ModelProto, aliases: Aliases) -> Sequence[Refusal]:
        found = next((one for one in part.graph.node if one.op_type == "NonZero"), None)
        return [Refusal(found.name, f"no kernel for {found.name}")] if found else []

    found = ask(odd_names(), answer)
    assert list(found) == [*ODD_NAMES[:5], "cast", ODD_NAMES[5]]
    assert found["p | q"].reason == "no kernel for p | q"


def test_a_node_inside_another_is_told_by_both_names(ask: Callable[..., dict[str, NodeSupport]]) -> None:
    def answer(part: onnx.ModelProto, aliases: Aliases) -> Sequence[Refusal]:
        for one in part.graph.node:
            for attribute in one.attribute:
                inner = [inside.name for inside in attribute.g.node if inside.op_type == "NonZero"]
                if inner:
                    return [Refusal(one.name, f"no kernel for {inner[0]}")]
        return []

    found = ask(branches(), answer)
    assert verdicts(found) == {"the if": REFUSED, "after": TAKEN}
    assert found["the if"].reason == "no kernel for NonZero inside else inside it"


def test_doubts_are_asked_of_what_is_left(ask: Callable[..., dict[str, NodeSupport]]) -> None:
    def doubt(part: onnx.ModelProto, types: Types, aliases: Aliases) -> Sequence[Refusal]:
        by_op = {one.op_type: one.name for one in part.graph.node}
        assert "Fancy" not in by_op
        return [Refusal(by_op["Relu"], "perhaps"), Refusal(by_op["Sigmoid"], "surely", is_final=True)]

    found = ask(custom_between(), stops_at("Fancy"), doubts=doubt)
    assert verdicts(found) == {"before": UNKNOWN, "odd one": REFUSED, "after": REFUSED}


def test_an_assumed_rank_is_told(tmp_path: Path) -> None:
    save_onnx(custom_between(), tmp_path / "model.onnx")
    seen = {}

    def judge(part: onnx.ModelProto, types: Types, aliases: Aliases) -> Sequence[Refusal]:
        seen.update({value.name: len(value.type.tensor_type.shape.dim) for value in part.graph.input})
        return stops_at("Fancy")(part, aliases)

    _, notes = told_by(tmp_path / "model.onnx", "It", judge, silent)
    assert seen["b"] == 2
    (note,) = notes
    assert note.endswith(f"with the rank of what they read: {CUSTOM}.Fancy odd one.")
