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
from core.jobs.processes import boot_seconds

LEAST_SECONDS = 1.0  # a clock that is set back by less is only drifting


class Heartbeats:
    """Reads and writes the workers' rows, in a table that it makes where it is missing; everything may raise StoreFailed."""

    def __init__(self, url: str) -> None:
        dbos_module()  # brings sqlalchemy, or says how to install both
        import sqlalchemy as sa

        self._url = url
        if is_local(url):
            self._engine = sa.create_engine(url, connect_args={"timeout": 30})
        else:
            address = sa.make_url(url).set(drivername="postgresql+psycopg")
            self._engine = sa.create_engine(address, pool_size=1, max_overflow=0, pool_pre_ping=True)
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

    def remove(self, worker: str, *, beat: float | None = None) -> bool:
        """Deletes a worker's row, given a heartbeat only if that is still its last; whether it did."""
        row = self._table.delete().where(self._table.c.id == worker)
        return bool(self._run(row if beat is None else row.where(self._table.c.beat_at == beat)).rowcount)

    def beats(self) -> dict[str, float]:
        """The last heartbeat of every worker with a row, of other releases too."""
        import sqlalchemy as sa

        with told(self._url), self._engine.connect() as connection:
            rows = connection.execute(sa.select(self._table.c.id, self._table.c.beat_at)).fetchall()
        return {str(worker): float(beat) for worker, beat in rows}

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
            alive = -LEAST_SECONDS < float(age) < dead_after  # of before a reboot, or before the clock was set back
            found.append(Worker(card=known, alive=alive, beat_age_seconds=max(0.0, float(age)), job=job))
        return sorted(found, key=lambda worker: (worker.card.device_type, worker.card.host, worker.card.device))

    @property
    def _now(self) -> Any:
        """The database's own clock, so that hosts with wrong clocks agree; of a file the kernel's, which nobody sets."""
        import sqlalchemy as sa

        if is_local(self._url):
            return sa.literal(boot_seconds(), sa.Float)
        return sa.literal_column("extract(epoch from clock_timestamp())", sa.Float)

    def close(self) -> None:
        self._engine.dispose()

    def _run(self, statement: Any) -> Any:
        with told(self._url), self._engine.begin() as connection:
            return connection.execute(statement)
