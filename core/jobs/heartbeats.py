"""The workers' heartbeats: one row a living worker, in the queue's database.

A worker that finds its row gone was given up as dead: its jobs are somebody else's now.
"""

from __future__ import annotations

import json
from typing import Any

from pydantic import ValidationError

from core.base.serialization import from_data, to_data
from core.jobs.database import dbos_module, is_local, told
from core.jobs.job import Worker, WorkerCard


class Heartbeats:
    """Reads and writes the workers' rows, in a table that it makes where it is missing; everything may raise StoreFailed."""

    def __init__(self, url: str) -> None:
        dbos_module()  # brings sqlalchemy, or says how to install both
        import sqlalchemy as sa

        self._url = url
        if is_local(url):
            self._engine = sa.create_engine(url, connect_args={"timeout": 30})
            clock = "(julianday('now') - 2440587.5) * 86400.0"
        else:
            address = sa.make_url(url).set(drivername="postgresql+psycopg")
            self._engine = sa.create_engine(address, pool_size=1, max_overflow=0, pool_pre_ping=True)
            clock = "extract(epoch from clock_timestamp())"
        # The database's own clock, so that hosts with wrong clocks agree.
        self._now: Any = sa.literal_column(clock, sa.Float)
        self._table = sa.Table(
            "engineroom_workers",
            sa.MetaData(),
            sa.Column("id", sa.Text, primary_key=True),
            sa.Column("beat_at", sa.Double, nullable=False),
            sa.Column("job", sa.Text),
            sa.Column("card", sa.Text, nullable=False),
        )
        self._run(sa.schema.CreateTable(self._table, if_not_exists=True))

    def join(self, card: WorkerCard) -> None:
        self._run(self._table.insert().values(id=card.id, beat_at=self._now, card=json.dumps(to_data(card))))

    def beat(self, worker: str, job: str | None) -> bool:
        """Whether the worker still counts as alive."""
        row = self._table.update().where(self._table.c.id == worker)
        return bool(self._run(row.values(beat_at=self._now, job=job)).rowcount)

    def remove(self, worker: str, *, silent_for: float = 0.0) -> bool:
        """Deletes a worker's row if it has been silent for so many seconds; whether it did."""
        silent = self._table.c.beat_at <= self._now - silent_for
        return bool(self._run(self._table.delete().where(self._table.c.id == worker, silent)).rowcount)

    def workers(self, dead_after: float) -> list[Worker]:
        """Every worker with a row, by device."""
        import sqlalchemy as sa

        columns = self._table.c
        found = []
        with told(self._url), self._engine.connect() as connection:
            rows = connection.execute(sa.select(columns.card, columns.job, self._now - columns.beat_at)).fetchall()
        for card, job, age in rows:
            try:
                known = from_data(WorkerCard, json.loads(card))
            except ValidationError:
                continue  # of another release
            found.append(Worker(card=known, alive=float(age) < dead_after, beat_age_seconds=max(0.0, float(age)), job=job))
        return sorted(found, key=lambda worker: (worker.card.device_type, worker.card.host, worker.card.device))

    def close(self) -> None:
        self._engine.dispose()

    def _run(self, statement: Any) -> Any:
        with told(self._url), self._engine.begin() as connection:
            return connection.execute(statement)
