"""Children in a box find this package compiled, and need not compile it each time."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest

from core.base.children import bytecode


@pytest.mark.parametrize("wanted", [True, False])
def test_the_package_is_compiled_before_a_child_needs_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wanted: bool) -> None:
    module = tmp_path / "within" / "module.py"
    module.parent.mkdir()
    module.write_text("ANSWER = 42\n", encoding="utf-8")
    monkeypatch.setattr(bytecode, "PACKAGE", tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", not wanted)
    bytecode.keep_bytecode.cache_clear()

    bytecode.keep_bytecode()

    assert Path(importlib.util.cache_from_source(str(module))).exists() is wanted
