"""SHA-256 of files, read in pieces."""

from __future__ import annotations

import hashlib
from pathlib import Path

PIECE_BYTES = 1 << 20


def file_sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while piece := stream.read(PIECE_BYTES):
            digest.update(piece)
    return digest.hexdigest()
