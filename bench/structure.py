"""The shape of the code: rooms, circles of imports and lines.

    python -m bench.structure [FOLDER]

A room is a package directly below `core`, a loose file there, or one of the other packages. A circle is a set of rooms, or of
modules, that import each other in a ring, by imports inside functions too.
FOLDER is a checkout of any revision; this one without it.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

import grimp

PACKAGES = ("core", "dashboard", "pages", "bench", "sample_models", "scripts")
GRAPHED = ("core", "dashboard", "pages", "bench", "sample_models")


def room_of(module: str) -> str:
    parts = module.split(".")
    return ".".join(parts[:2]) if parts[0] == "core" else parts[0]


def circles(imports: Mapping[str, Iterable[str]]) -> list[list[str]]:
    """Strongly connected components of more than one module: those that reach each other."""

    def reached(start: str) -> set[str]:
        found, queue = {start}, [start]
        while queue:
            queue += (new := set(imports.get(queue.pop(), ())) - found)
            found |= new
        return found

    after = {module: reached(module) for module in imports}
    rings = {tuple(sorted(other for other in after[module] if module in after.get(other, ()))) for module in imports}
    return [list(ring) for ring in sorted(rings) if len(ring) > 1]


def lines_of(folder: Path, package: str) -> int:
    return sum(len(path.read_text(encoding="utf-8").splitlines()) for path in (folder / package).rglob("*.py"))


def main() -> None:
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else ".").resolve()
    sys.path.insert(0, str(folder))
    graph = grimp.build_graph(*GRAPHED, cache_dir=None)
    imports = {module: graph.find_modules_directly_imported_by(module) for module in sorted(graph.modules)}
    rooms: dict[str, set[str]] = {}
    for module, targets in imports.items():
        own = rooms.setdefault(room_of(module), set())
        own |= {room_of(target) for target in targets} - {room_of(module), "core"}
    rooms.pop("core", None)
    print(f"rooms\t{len(rooms)}")
    for what, found in (("rooms", circles(rooms)), ("modules", circles(imports))):
        print(f"circles of {what}\t{len(found)}")
        for ring in found:
            print(f"\t{', '.join(ring)}")
    for package in (*PACKAGES, "tests"):
        print(f"lines of {package}\t{lines_of(folder, package):,}")


if __name__ == "__main__":
    main()
