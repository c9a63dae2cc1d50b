"""Where the queue lives: SQLite in the workspace unless a database is named, Postgres for several hosts."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from core.base.errors import InvalidRequest, StoreFailed, Unavailable
from core.storage.workspace import Workspace

DATABASE_VARIABLE = "ENGINEROOM_DATABASE"
APPLICATION = "engine-room"
# Recovery takes only jobs of its own application version, so this is no release number: it changes with the job's protocol.
APPLICATION_VERSION = "1"


def database_url(workspace: Workspace, database: str | None = None) -> str:
    """The database named, else by ENGINEROOM_DATABASE, else the workspace's own SQLite file.

    Raises:
        InvalidRequest: It is neither Postgres nor SQLite.
    """
    url = database or os.environ.get(DATABASE_VARIABLE) or f"sqlite:///{workspace.root / 'jobs.sqlite'}"
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


def prepare(url: str) -> None:
    """Makes the job engine's tables where they are missing.

    Raises:
        StoreFailed: It cannot be reached or written.
    """
    dbos = dbos_module()
    with told(url):
        if is_local(url):
            path = Path(url.removeprefix("sqlite:///"))
            path.parent.mkdir(parents=True, exist_ok=True)
            with sqlite3.connect(path, timeout=30) as connection:
                connection.execute("PRAGMA journal_mode=WAL")  # readers never wait for a writer; kept in the file
            connection.close()
        dbos.DBOS.migrate(url)


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
