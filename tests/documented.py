"""The additions that CONTRIBUTING shows: whole files, and lines for files that are there."""

from __future__ import annotations

import re
import shutil
import textwrap
import types
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from core.backends.base import Backend

ROOT = Path(__file__).parents[1]
GUIDE = ROOT / "CONTRIBUTING.md"
_HEADING = re.compile(r"^### An? (\w+)$", re.MULTILINE)
_BLOCK = re.compile(r"^```python (\S+?)(?: (above|instead of): (.*?))?\n(.*?)^```$", re.DOTALL | re.MULTILINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Addition:
    """One block of code.

    Attributes:
        place: "" for a whole file; else "above" or "instead of" the line that begins with `line`.
    """

    path: str
    place: str
    line: str
    code: str

    def apply(self, root: Path) -> None:
        path = root / self.path
        if not self.place:
            assert not path.exists(), f"{self.path} is there already"
            path.write_text(self.code, encoding="utf-8")
            return
        lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
        (at,) = [number for number, line in enumerate(lines) if line.strip().startswith(self.line)]
        indent = lines[at][: len(lines[at]) - len(lines[at].lstrip())]
        lines[at : at + (self.place == "instead of")] = [textwrap.indent(textwrap.dedent(self.code), indent)]
        path.write_text("".join(lines), encoding="utf-8")


def additions() -> dict[str, list[Addition]]:
    """What to write for each kind of addition ("backend", "page"), as the guide has it."""
    parts = _HEADING.split(GUIDE.read_text(encoding="utf-8"))[1:]
    return {kind: list(_blocks(text)) for kind, text in zip(parts[::2], parts[1::2], strict=True)}


def _blocks(text: str) -> Iterator[Addition]:
    for path, place, line, code in _BLOCK.findall(text):
        yield Addition(path=path, place=place, line=line, code=code)


def copy_of_the_tree(root: Path) -> Path:
    """What the program runs from, in a folder of its own, as compiled so far; a compiler may just be writing."""
    for name in ("core", "dashboard", "pages", "sample_models"):
        shutil.copytree(ROOT / name, root / name, ignore=shutil.ignore_patterns("cache", "*.pyc.*"))
    return root


def documented_backend() -> Backend:
    (addition,) = additions()["backend"]
    module = types.ModuleType("documented_backend")
    exec(compile(addition.code, str(GUIDE), "exec"), module.__dict__)  # noqa: S102
    found: Backend = module.BACKEND
    return found
