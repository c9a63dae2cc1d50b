"""What OpenVINO's errors say in a sentence."""

from core.backends.openvino._reading import told

UNCONVERTED = """Exception from src/inference/src/cpp/core.cpp:84:
Check 'false' failed at src/frontends/common_translators/src/unconverted_ops_report.cpp:151:
FrontEnd API failed with OpConversionFailure:
Model wasn't fully converted. Failed operations detailed log:
-- Conv-16 with a message:
While validating ONNX node '<Node(Conv): /decoder/Conv_output_0>': Check 'rank().is_static()' failed at src/op/conv.cpp:38:
FrontEnd API failed with GeneralFailure:
The input data tensor's rank has to be known (static)

-- ReduceMean-16 with a message:
Check '(supported_types.find(ov_input.get_element_type()) != supported_types.end())' failed at src/op/reduce.cpp:134:
While validating ONNX node '<Node(ReduceMean): /ReduceMean_output_0>':
Unsupported input type dynamic

Summary:
-- Conversion is failed for: Conv-16, ReduceMean-16
"""


def test_what_cannot_be_converted_is_named() -> None:
    assert told(RuntimeError(UNCONVERTED)) == (
        "it cannot convert the Conv that makes /decoder/Conv_output_0: The input data tensor's rank has to be known (static)"
    )


def test_an_op_without_a_rule_comes_before_what_follows_from_it() -> None:
    text = UNCONVERTED.replace("Summary:", "No conversion rule found for operations: foo.Mystery\n\nSummary:")
    assert told(RuntimeError(text)) == "No conversion rule found for operations: foo.Mystery"


def test_the_summary_may_follow_without_a_blank_line() -> None:
    text = UNCONVERTED.replace("(static)\n\n", "(static)\n")
    assert told(RuntimeError(text)).endswith("has to be known (static)")


def test_other_errors_give_the_line_that_tells() -> None:
    assert told(RuntimeError("Exception from src/a.cpp:1:\nThe file is damaged")) == "The file is damaged"
    assert told(RuntimeError("")) == "RuntimeError"
