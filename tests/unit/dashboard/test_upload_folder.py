"""An upload on disk: what is whole is not written to any more."""

from __future__ import annotations

from pathlib import Path

import pytest

from core.storage.digest import digest_of
from dashboard.routes import Conflict
from dashboard.upload_folder import UploadedFile, UploadFolder


def test_a_writer_that_comes_late_changes_nothing_that_was_hashed_and_linked(tmp_path: Path) -> None:
    folder = UploadFolder(tmp_path / "upload")
    folder.create((UploadedFile(name="a.bin", size=4),))
    first = folder.writer(0, 0)
    first.write(b"AAAA")
    first.close()
    late = folder.writer(0, 0)
    path, _ = folder.assemble()
    digest_of({"a.bin": path}, store_in=tmp_path / "stored", owned=True)
    folder.empty()
    with pytest.raises(Conflict):
        late.write(b"BBBB")
    late.close()
    assert (tmp_path / "stored" / "a.bin").read_bytes() == b"AAAA"
