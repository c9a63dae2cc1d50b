"""What a runtime says stays, without where in its sources it said so."""

from __future__ import annotations

import pytest

from core.backends._errors import failure, first_line
from core.base.errors import BuildFailed

IR_VERSION = (
    "[ONNXRuntimeError] : 1 : FAIL : Load model from /tmp/a/workspace/tmp/desk-vm.5219-dk8iuu69/home/workspace/artifacts/f2e6/"
    "model.onnx failed:/onnxruntime_src/onnxruntime/core/graph/model.cc:256 onnxruntime::Model::Model(onnx::ModelProto&&, const "
    "onnxruntime::PathString&, const onnxruntime::IOnnxRuntimeOpSchemaRegistryList*, const onnxruntime::logging::Logger&, const "
    "onnxruntime::ModelOptions&) Unsupported model IR version: 14, max supported IR version: 13\n"
)


@pytest.mark.parametrize(
    ("said", "told"),
    [
        (
            IR_VERSION,
            "Unsupported model IR version: 14, max supported IR version: 13",
        ),
        (
            "Exception during initialization: /onnxruntime_src/onnxruntime/core/optimizer/foo.cc:50 virtual onnxruntime::common::"
            "Status onnxruntime::Foo::Bar(int) const [with T = float] node_ptr != nullptr was false. No node.",
            "Exception during initialization: node_ptr != nullptr was false. No node.",
        ),
        ("Check failed at model.cc:12 foo: bar (baz)", "Check failed at model.cc:12 foo: bar (baz)"),
        ("Could not read /etc/hosts.", "Could not read /etc/hosts."),
    ],
)
def test_the_reason_is_in_the_message(said: str, told: str) -> None:
    assert first_line(RuntimeError(said)) == told


def test_of_a_long_line_beginning_and_end_are_told_and_all_of_it_is_kept() -> None:
    said = f"Building {'x' * 900} did not work."
    found = failure(BuildFailed, "It could not be built", RuntimeError(said))
    assert found.message.startswith("It could not be built: Building xxx")
    assert found.message.endswith("xxx did not work.")
    assert len(found.message) < 650
    assert found.detail == said
