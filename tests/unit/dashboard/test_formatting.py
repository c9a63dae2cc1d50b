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
