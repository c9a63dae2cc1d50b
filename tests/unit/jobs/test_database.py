from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from core.base.errors import InvalidRequest, StoreFailed
from core.jobs.database import database_url, identity, is_own, prepare, shown
from core.storage.workspace import Workspace


def test_the_workspace_has_a_queue_unless_a_database_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    workspace = Workspace(tmp_path)
    monkeypatch.delenv("ENGINEROOM_DATABASE", raising=False)
    assert database_url(workspace) == f"sqlite:///{tmp_path}/jobs.sqlite"
    monkeypatch.setenv("ENGINEROOM_DATABASE", "postgres://somebody@host/jobs")
    assert database_url(workspace) == "postgresql://somebody@host/jobs"
    assert database_url(workspace, "sqlite:////elsewhere.sqlite") == "sqlite:////elsewhere.sqlite"


def test_another_database_is_refused_without_telling_its_password(tmp_path: Path) -> None:
    with pytest.raises(InvalidRequest, match="'host/jobs' is no database we know"):
        database_url(Workspace(tmp_path), "mysql://me:secret@host/jobs")


def test_passwords_are_never_shown() -> None:
    assert shown("postgresql://me:secret@host:5432/jobs") == "postgresql://me@host:5432/jobs"
    assert shown("postgresql://me@host:5432/jobs") == "postgresql://me@host:5432/jobs"
    assert shown("postgresql://host/jobs?user=me&password=secret") == "postgresql://host/jobs"
    assert shown("sqlite:////w/jobs.sqlite") == "sqlite:////w/jobs.sqlite"


def test_a_database_that_cannot_be_reached_is_told(tmp_path: Path) -> None:
    with pytest.raises(StoreFailed, match=r"The job database postgresql://me@127.0.0.1:1/jobs failed"):
        prepare("postgresql://me:secret@127.0.0.1:1/jobs?connect_timeout=2")
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreFailed, match="The job database sqlite"):
        prepare(f"sqlite:///{tmp_path}/file/jobs.sqlite")


def test_a_file_that_is_no_database_is_told(tmp_path: Path) -> None:
    (tmp_path / "jobs.sqlite").write_text("not a database, but long enough to look at" * 50)
    with pytest.raises(StoreFailed, match="file is not a database"):
        prepare(f"sqlite:///{tmp_path}/jobs.sqlite")


def test_a_damaged_database_of_the_workspace_is_put_aside(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    workspace, file = Workspace(tmp_path), tmp_path / "jobs.sqlite"
    url = database_url(workspace, None)
    assert is_own(url, workspace)
    assert not is_own(f"sqlite:///{tmp_path}/other.sqlite", workspace)
    rubbish = b"\x07rubbish" * 40_000
    file.write_bytes(rubbish)
    for suffix in ("-wal", "-shm"):
        file.with_name(file.name + suffix).write_bytes(b"rubbish")
    before = identity(url)
    prepare(url, own=True)
    (aside,) = tmp_path.glob("jobs.sqlite.damaged-*")
    assert aside.read_bytes() == rubbish
    assert f"it is now {aside}" in capsys.readouterr().err
    assert identity(url) not in (None, before)
    prepare(url, own=True)
    assert len(list(tmp_path.glob("jobs.sqlite.damaged-*"))) == 1
    file.unlink()
    assert identity(url) is None
    assert identity("postgresql://host/jobs") is None


def test_readers_never_wait_for_writers(tmp_path: Path) -> None:
    prepare(f"sqlite:///{tmp_path}/jobs.sqlite")
    with sqlite3.connect(tmp_path / "jobs.sqlite") as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    connection.close()
