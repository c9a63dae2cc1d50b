"""Files of known types, out of the packages that are installed: what a judge of file types is scored on."""

from __future__ import annotations

import sysconfig
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

KINDS = {
    ".py": "python",
    ".js": "javascript",
    ".css": "css",
    ".html": "html",
    ".json": "json",
    ".md": "markdown",
    ".rst": "rst",
    ".csv": "csv",
    ".svg": "svg",
    ".png": "png",
    ".toml": "toml",
    ".yaml": "yaml",
    ".xml": "xml",
    ".pyc": "pythonbytecode",
    ".so": "elf",
    ".gz": "gzip",
    ".npz": "npz",
    ".npy": "npy",
    ".ttf": "ttf",
    ".woff2": "woff2",
}
_EACH = 24  # files of a type, at most: half to calibrate on, half to score
_LEAST_BYTES = 64
_ENDS, _BLOCK, _PADDING = 1024, 4096, 256


def files(half: int) -> list[tuple[Path, str]]:
    """Every other file, with its type: half 0 or 1. Of each type some, far from each other in the order of their names."""
    found: dict[str, list[Path]] = {suffix: [] for suffix in KINDS}
    for path in sorted(Path(sysconfig.get_paths()["purelib"]).rglob("*.*")):
        if path.suffix in found and path.is_file() and path.stat().st_size >= _LEAST_BYTES:
            found[path.suffix].append(path)
    chosen = []
    for suffix, paths in found.items():
        far = max(1, len(paths) // _EACH)
        chosen += [(path, KINDS[suffix]) for path in paths[::far][:_EACH][half::2]]
    return chosen


def features(path: Path) -> NDArray[np.int32]:
    """The first and the last bytes as Magika reads them: white space around is left out, 256 stands for none."""
    content = path.read_bytes()
    first = content[:_BLOCK].lstrip()[:_ENDS]
    last = content[-_BLOCK:].rstrip()[-_ENDS:]
    numbers = np.full(2 * _ENDS, _PADDING, np.int32)
    numbers[: len(first)] = list(first)
    numbers[2 * _ENDS - len(last) :] = list(last)
    return numbers
