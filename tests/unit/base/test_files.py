"""Files with a second name, or copied where there can be none."""

from __future__ import annotations

from pathlib import Path

import pytest

from core.base import files
from core.base.files import link_or_copy, linked


def test_a_file_gets_a_second_name_and_a_link_is_followed(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("x")
    (tmp_path / "link").symlink_to(tmp_path / "a")
    link_or_copy(str(tmp_path / "link"), str(tmp_path / "b"))
    assert (tmp_path / "b").samefile(tmp_path / "a")
    assert not (tmp_path / "b").is_symlink()
    assert not linked(tmp_path / "a", tmp_path / "b"), "a name that is taken is left alone"


def test_where_there_are_no_links_it_is_copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError("no links here")

    monkeypatch.setattr(files.os, "link", refuse)
    (tmp_path / "a").write_text("x")
    link_or_copy(tmp_path / "a", tmp_path / "b")
    assert (tmp_path / "b").read_text() == "x"
    assert not (tmp_path / "b").samefile(tmp_path / "a")
