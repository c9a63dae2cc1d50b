"""Users' names as Markdown leaves them."""

from __future__ import annotations

import pytest

from dashboard import formatting


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("my_model_v2.onnx", "my_model_v2.onnx"),
        ("_x_", r"\_x\_"),
        ("a*b", r"a\*b"),
        (":red[no]", r"\:red\[no\]"),
        ("$x$ <b>", r"\$x\$ \<b\>"),
        ("größe 模型", "größe 模型"),
    ],
)
def test_users_names_are_no_markup(name: str, text: str) -> None:
    assert formatting.plain(name) == text


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("![a](http://x/y.png)", "\\!\\[a\\](http\u2060://x/y.png)"),
        ("www.example.com a@b.org", "www\u2060.example.com a\u2060@b.org"),
        ("a\n# b\r\n- c", r"a \# b - c"),
        ("- a", r"\- a"),
        ("-2.3 ms", "-2.3 ms"),
        ("1. a", r"1\. a"),
        ("101.5 MB", "101.5 MB"),
        ("\u202egnp", "‹202E›gnp"),
        ("&lt;", r"\&lt;"),
        ("a: b", "a: b"),
        (":smile:", r"\:smile:"),
        ("    code", "code"),
        ("`a` ~~b~~", r"\`a\` \~\~b\~\~"),
    ],
)
def test_nothing_in_a_name_is_markup(name: str, text: str) -> None:
    assert formatting.plain(name) == text


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ("Free some space: `engineroom gc`.", "Free some space: `engineroom gc`."),
        ("`a` **b** `c`", r"`a` \*\*b\*\* `c`"),
        ("a ` **b**", r"a \` \*\*b\*\*"),
        ("`a``b`", "`a`\u2060`b`"),
        ("``", r"\`\`"),
        ("`a\n\n# b`", "`a # b`"),
        ("`![a](b)` ![a](b)", r"`![a](b)` \!\[a\](b)"),
    ],
)
def test_code_stays_code_in_a_sentence(given: str, text: str) -> None:
    assert formatting.sentence(given) == text


def test_a_charts_text_has_no_tags() -> None:
    assert formatting.drawn("<b>a</b>\n\u202e&lt;") == "&lt;b&gt;a&lt;/b&gt; ‹202E›&amp;lt;"
