"""What converters throw and log, as errors."""

from __future__ import annotations

import errno
import logging

import pytest

from core.base.errors import ConversionFailed, InvalidRequest, UnsupportedOps
from core.conversion._failures import explained, last_words, unsupported


def test_last_words_are_one_short_line() -> None:
    assert last_words(ValueError("\n  ---\n the third line says it: \nmore")) == "the third line says it"
    assert last_words(KeyError()) == "KeyError"
    assert last_words(ValueError("make_sure failure: no shape.")) == "no shape"
    refused = "[ONNXRuntimeError] : 10 : INVALID_GRAPH : Load model from /tmp/a b/model.onnx failed:This is an invalid model."
    assert last_words(RuntimeError(refused)) == "This is an invalid model"
    long = last_words(ValueError("word " * 200))
    assert len(long) < 650
    assert " ... " in long


def test_a_converter_s_exception_becomes_an_error_with_the_log_s_end() -> None:
    def convert() -> None:
        with explained("tool", "my model", logger="tests.tool"):
            logging.getLogger("tests.tool").error("about to fail at %s", "node_7")
            raise RuntimeError("cannot do it")

    with pytest.raises(ConversionFailed) as caught:
        convert()
    assert caught.value.message == "tool could not convert my model: cannot do it."
    assert caught.value.hint
    assert "about to fail at node_7" in caught.value.detail
    assert "RuntimeError" in caught.value.detail
    assert not logging.getLogger("tests.tool").handlers


def test_an_op_that_tensorflow_does_not_know_is_named() -> None:
    with pytest.raises(UnsupportedOps, match=r"the op Zap that m uses"), explained("tool", "m", logger="tests.tool"):
        raise RuntimeError("Op type not registered 'Zap' in binary running on host")


@pytest.mark.parametrize("error", [InvalidRequest("no"), MemoryError(), OSError(errno.ENOSPC, "No space left on device")])
def test_errors_that_are_not_the_converter_s_pass(error: BaseException) -> None:
    with pytest.raises(type(error)) as caught, explained("tool", "m", logger="tests.tool"):
        raise error
    assert caught.value is error


def test_unsupported_ops_name_a_few_nodes_and_count_the_rest() -> None:
    error = unsupported("tool", "m", {"Zap": ["a", "b", "c", "d"], "Acosh": ["only;fused;parts"], "Custom": []})
    assert error.message == (
        "tool has no translation for 3 op types of m: Acosh (node only); Custom; Zap (nodes a, b, c and 1 more)."
    )
