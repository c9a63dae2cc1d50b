"""Where the queue lives: SQLite in the workspace unless a database is named, Postgres for several hosts."""

from __future__ import annotations

import fcntl
import os
import sqlite3
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from core.base.errors import InvalidRequest, StoreFailed, Unavailable
from core.storage.workspace import Workspace

DATABASE_VARIABLE = "ENGINEROOM_DATABASE"
OWN_FILE = "jobs.sqlite"
APPLICATION = "engine-room"
# Recovery takes only jobs of its own application version, so this is no release number: it changes with the job's protocol.
APPLICATION_VERSION = "1"


def database_url(workspace: Workspace, database: str | None = None) -> str:
    """The database named, else by ENGINEROOM_DATABASE, else the workspace's own SQLite file.

    Raises:
        InvalidRequest: It is neither Postgres nor SQLite.
    """
    url = database or os.environ.get(DATABASE_VARIABLE) or f"sqlite:///{workspace.root / OWN_FILE}"
    if not url.startswith(("sqlite:///", "postgresql://", "postgres://", "postgresql+psycopg://")):
        raise InvalidRequest(f"{url.split('@')[-1]!r} is no database we know.", hint="Give postgresql://user@host/name.")
    return url.replace("postgres://", "postgresql://", 1)


def is_local(url: str) -> bool:
    return url.startswith("sqlite")


def shown(url: str) -> str:
    """The database's address without its password."""
    head, at, tail = url.partition("?")[0].rpartition("@")
    return f"{head.rpartition(':')[0] if head.count(':') > 1 else head}{at}{tail}"


@contextmanager
def told(url: str) -> Iterator[None]:
    """Turns the database's errors into ours.

    Raises:
        StoreFailed: It is full, read-only, gone, or not reachable.
    """
    import sqlalchemy.exc

    try:
        yield
    except (sqlalchemy.exc.SQLAlchemyError, sqlite3.Error, OSError) as error:
        reason = str(getattr(error, "orig", None) or error).strip().splitlines()[0]
        hint = (
            "Free some disk space or check the folder's rights." if is_local(url) else "Check that it runs and who may connect."
        )
        raise StoreFailed(f"The job database {shown(url)} failed: {reason}.", hint=hint) from error


def dbos_module() -> Any:
    """The job engine.

    Raises:
        Unavailable: It is not installed.
    """
    try:
        import dbos
    except ImportError as error:
        raise Unavailable(f"The job engine cannot be imported: {error}.", hint="pip install 'engine-room[jobs]'") from error
    return dbos


def is_own(url: str, workspace: Workspace) -> bool:
    """Whether it is the workspace's own SQLite file, which nobody named."""
    return url == database_url(workspace, f"sqlite:///{workspace.root / OWN_FILE}")


def prepare(url: str, *, own: bool = False) -> None:
    """Makes the job engine's tables where they are missing.

    Args:
        own: It is the workspace's own file: where that is damaged, it is put aside and a new one begun.

    Raises:
        StoreFailed: It cannot be reached or written.
    """
    dbos = dbos_module()
    with told(url):
        if is_local(url):
            path = _file_of(url)
            path.parent.mkdir(parents=True, exist_ok=True)
            try:
                _use_wal(path)
            except sqlite3.DatabaseError as error:
                # Full, locked, not writable: nothing is wrong with it.
                if isinstance(error, sqlite3.OperationalError) or not own:
                    raise
                _set_aside(path)
        dbos.DBOS.migrate(url)


def identity(url: str) -> tuple[int, int] | None:
    """Of a SQLite file: another when it was deleted or replaced; None when it is gone, and for a database server."""
    if not is_local(url):
        return None
    try:
        told = _file_of(url).stat()
    except OSError:
        return None
    return told.st_dev, told.st_ino


def _file_of(url: str) -> Path:
    return Path(url.removeprefix("sqlite:///"))


def _use_wal(path: Path) -> None:
    connection = sqlite3.connect(path, timeout=30)
    try:
        connection.execute("PRAGMA journal_mode=WAL")  # readers never wait for a writer; kept in the file
        connection.execute("PRAGMA schema_version").fetchone()
    finally:
        connection.close()


def _set_aside(path: Path) -> None:
    """Puts a damaged database out of the way, beside its place; what was queued in it is lost, models and builds are not."""
    descriptor = os.open(path.with_suffix(".lock"), os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        try:
            _use_wal(path)  # somebody else was faster
        except sqlite3.DatabaseError:
            damaged = path.with_name(f"{path.name}.damaged-{int(time.time())}")
            path.replace(damaged)
            for suffix in ("-wal", "-shm"):
                path.with_name(path.name + suffix).unlink(missing_ok=True)
            print(f"The job database was damaged: it is now {damaged}, and a new one is begun.", file=sys.stderr, flush=True)
            _use_wal(path)
    finally:
        os.close(descriptor)


def open_client(url: str) -> Any:
    """A client of the job engine, for a database that was prepared.

    Raises:
        StoreFailed: It cannot be reached.
    """
    dbos = dbos_module()
    with told(url):
        return dbos.DBOSClient(
            system_database_url=url,
            serializer=dbos.DBOSPortableJSONSerializer(),
            system_database_pool_size=2,
            application_name=APPLICATION,
            retry_connection_errors=False,
        )
