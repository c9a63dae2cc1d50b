"""Errors on a page: a sentence, a way out, details on demand."""

from __future__ import annotations

import logging

import pytest
from streamlit.testing.v1 import AppTest


def named() -> None:
    from core.base.errors import NotFound
    from dashboard.failures import show_failure

    show_failure(NotFound("There is no such build.", hint="Choose another.", detail="at /somewhere"))


def unnamed() -> None:
    from dashboard.failures import show_failure

    try:
        raise ZeroDivisionError("division by zero")
    except ZeroDivisionError as error:
        show_failure(error)


def test_an_error_we_can_name_is_a_sentence_with_a_way_out() -> None:
    app = AppTest.from_function(named).run()
    assert [error.value for error in app.error] == ["There is no such build."]
    assert [caption.value for caption in app.caption] == ["What to do: Choose another."]
    assert [code.value for code in app.expander[0].code] == ["at /somewhere"]


def test_any_other_error_says_so_and_keeps_its_traceback_folded(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.ERROR, "dashboard.failures"):
        app = AppTest.from_function(unnamed).run()
    assert [error.value for error in app.error] == ["This page failed: ZeroDivisionError."]
    assert "reload the page" in app.caption[0].value
    assert "division by zero" in app.expander[0].code[0].value
    assert "A page failed" in caplog.text
