"""Reading XLA's text, in the forms that TensorFlow 2.14 and 2.21 print."""

from __future__ import annotations

import pytest

from core.backends.tensorflow._hlo import ArrayShape, parse_hlo

# TensorFlow 2.21: operands without types, several origins in one op_name.
NEW = """
HloModule a_inference_call__912__.4, is_scheduled=true, entry_computation_layout={(f32[2,4]{1,0})->f32[2]{0}}

%region_0.2 (Max.5: f32[], Max.6: f32[]) -> f32[] {
  %Max.5 = f32[] parameter(0)
  %Max.6 = f32[] parameter(1)
  ROOT %Max.7 = f32[] maximum(%Max.5, %Max.6), metadata={op_type="Max" op_name="Max"}
}

%fused_computation (param_0: f32[2,4]) -> f32[2] {
  %param_0 = f32[2,4]{1,0} parameter(0)
  %zero = f32[] constant(-inf), metadata={op_type="Max" op_name="call/Max"}
  ROOT %Max.8 = f32[2]{0} reduce(%param_0, %zero), dimensions={1}, to_apply=%region_0.2, metadata={op_name="Max;call/Max"}
}

ENTRY %a_inference_call__912__.4 (arg0.1: f32[2,4]) -> f32[2] {
  %arg0.1 = f32[2,4]{1,0} parameter(0), parameter_replication={false}, metadata={op_name="XLA_Args"}
  %split = (f32[2]{0}, /*index=1*/pred[]) custom-call(%arg0.1), custom_call_target="__onednn$matmul", backend_config={"a":"b"}
  ROOT %fusion.1 = f32[2]{0} fusion(%split, %arg0.1), kind=kLoop, calls=%fused_computation, metadata={op_name="Max;call/Max"}
}
"""

# TensorFlow 2.14: operands with their types.
OLD = """
HloModule a_inference__1__.2, entry_computation_layout={(pred[])->f32[2]{0}}

ENTRY %a_inference__1__.2 (arg0.1: pred[]) -> f32[2] {
  %arg0.1 = pred[] parameter(0), metadata={op_name="XLA_Args"}
  %tuple.3 = (f32[2]{0}, s32[]) tuple(f32[2]{0} %x.1, s32[] %y.1)
  ROOT %conditional.28 = (f32[2]{0}) conditional(pred[] %arg0.1, (f32[2]{0}, s32[]) %tuple.3, (f32[2]{0}, s32[]) %tuple.3), \
true_computation=%yes.1, false_computation=%no.2, metadata={op_type="If" op_name="cond"}
}
"""


def test_the_entry_is_read_in_order() -> None:
    entry = parse_hlo(NEW).entry
    assert [(step.name, step.opcode) for step in entry] == [
        ("arg0.1", "parameter"),
        ("split", "custom-call"),
        ("fusion.1", "fusion"),
    ]


def test_a_fusion_tells_its_computation_and_origins() -> None:
    module = parse_hlo(NEW)
    fusion = module.entry[-1]
    assert fusion.called == ("fused_computation",)
    assert fusion.operands == ("split", "arg0.1")
    assert fusion.op_names == ("Max", "call/Max")
    assert fusion.attribute("kind") == "kLoop"
    assert fusion.shapes == (ArrayShape(element="f32", lengths=(2,), layout="0"),)
    assert module.computations["fused_computation"][-1].called == ("region_0.2",)


def test_a_custom_call_tells_its_target_and_its_tuple() -> None:
    call = parse_hlo(NEW).entry[1]
    assert call.attribute("custom_call_target") == "__onednn$matmul"
    assert [shape.element for shape in call.shapes] == ["f32", "pred"]


def test_typed_operands_and_branches() -> None:
    branch = parse_hlo(OLD).entry[-1]
    assert branch.operands == ("arg0.1", "tuple.3", "tuple.3")
    assert branch.called == ("yes.1", "no.2")
    assert branch.op_names == ("cond",)


@pytest.mark.parametrize("text", ["", "HloModule empty", "no HLO at all {\n"])
def test_other_text_is_an_empty_program(text: str) -> None:
    assert parse_hlo(text).entry == ()
