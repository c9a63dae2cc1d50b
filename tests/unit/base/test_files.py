"""Files with a second name, or copied where there can be none."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from core.base import files
from core.base.files import clear_away, folder_bytes, link_or_copy, linked, write_whole


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


@pytest.fixture
def deep(tmp_path: Path) -> Path:
    """Folders in folders, deeper than a path can be long and than a function may call itself; 10 bytes at the top."""
    top = tmp_path / "top"
    top.mkdir()
    (top / "file").write_text("x" * 10)
    (top / "link").symlink_to("file")
    place = os.open(top, os.O_RDONLY)
    for _ in range(3_000):
        os.mkdir("d", dir_fd=place)
        below = os.open("d", os.O_RDONLY, dir_fd=place)
        os.close(place)
        place = below
    os.mkdir("closed", mode=0o300, dir_fd=place)
    os.close(place)
    return top


def test_folders_without_end_are_counted_and_cleared_away(deep: Path, tmp_path: Path) -> None:
    (tmp_path / "beside").write_text("x")
    assert folder_bytes(deep) == 20
    assert folder_bytes(deep, ["file", "gone"]) == 10
    clear_away(deep)
    assert [path.name for path in tmp_path.iterdir()] == ["beside"]
    clear_away(deep)


def test_threads_that_write_one_file_do_not_take_it_from_each_other(tmp_path: Path) -> None:
    texts = [bytes([number]) * 5000 for number in range(8)]

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda text: write_whole(tmp_path / "walls.json", text), texts * 100))

    assert (tmp_path / "walls.json").read_bytes() in texts
    assert [one.name for one in tmp_path.iterdir()] == ["walls.json"]
