"""The order in which the suite is shared out names files that are there."""

from __future__ import annotations

from fnmatch import fnmatchcase
from pathlib import Path

import pytest

from tests.conftest import FIRST

ROOT = Path(__file__).parents[2]
FILES = [path.relative_to(ROOT).as_posix() for path in (ROOT / "tests").rglob("test_*.py")]


@pytest.mark.parametrize("pattern", FIRST)
def test_every_pattern_has_files(pattern: str) -> None:
    assert [file for file in FILES if fnmatchcase(file, pattern)]


def test_every_file_with_a_browser_is_in_one_of_two() -> None:
    found = {file: [pattern for pattern in FIRST if fnmatchcase(file, pattern)] for file in FILES if "/browser/" in file}
    assert {file: patterns for file, patterns in found.items() if len(patterns) != 1} == {}
    assert len({patterns[0] for patterns in found.values()}) == 2
