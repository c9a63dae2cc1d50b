"""Head-to-heads, as jobs: on the queue of the device that the engines run on; of a sweep, once its last build has ended."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import Any

from core.base.errors import EngineRoomError, InvalidRequest, NotFound
from core.jobs.job import DUEL_WORKFLOW, WORKFLOW, DuelTicket, Priority, Ticket, Worker
from core.jobs.rows import UNFINISHED, ending_of
from core.jobs.runs import device_type_for, enqueue, queue_of, register
from core.stages.contestants import MOST, duel_of, needs_of_engine
from core.stages.outcome import Outcome, load_outcome
from core.storage.builds import StageName, State
from core.storage.duels import Duel, duel_folder, store_duel, stored_duel
from core.storage.store import Store
from core.storage.workspace import Workspace


def send_duel(
    client: Any,
    duel: Duel,
    outcomes: Sequence[Outcome],
    *,
    workers: Iterable[Worker],
    priority: Priority = Priority.NORMAL,
    force: bool = False,
) -> tuple[str, bool]:
    """Queues a head-to-head; the job's id, and whether it is a new one: it joins the one that is at it already.

    Args:
        outcomes: Of the builds whose engines they are, the first first.
        force: Hold it again although it was held before.
    """
    first = outcomes[0]
    queue = duel.device
    if runs_on := next((one.build.runs_on for one in outcomes if one.build.ran_elsewhere and one.build.runs_on), None):
        queue = queue_of(device_type_for(runs_on, workers), runs_on)
        register(client, queue)
    ticket = Ticket(
        key=duel.key,
        request=first.build.request,
        model_name=first.model.name,
        stages=(StageName.DUEL,),
        needs={},
        submitted_at=time.time(),
        force=force,
        duel=DuelTicket(duel=duel, needs={one.build.key: needs_of_engine(one) for one in outcomes}),
    )
    return enqueue(client, DUEL_WORKFLOW, queue, ticket, priority)


def forget_duel(workspace: Workspace, key: str) -> None:
    """So that it can be held again."""
    shutil.rmtree(duel_folder(workspace, key), ignore_errors=True)


def bring_duels(workspace: Workspace, rows: Iterable[Any]) -> None:
    """Stores what head-to-heads on other hosts have found.

    Args:
        rows: The engine's, of duels that ended, newest first.
    """
    seen: set[str] = set()
    for row in rows:
        ending = ending_of(row)
        if ending is None or ending.duel is None or ending.duel.key in seen:
            continue
        seen.add(ending.duel.key)
        here = stored_duel(workspace, ending.duel.key)
        if here is None or (here.finished_at or 0.0) < (ending.duel.finished_at or 0.0):
            store_duel(workspace, ending.duel)


def settle_sweep(client: Any, workspace: Workspace, store: Store | None, ticket: Ticket, workers: Iterable[Worker]) -> None:
    """Queues the head-to-head of a sweep's engines if this was its last build to end; one for each device that they ran on."""
    rows = client.list_workflows(name=WORKFLOW, status=list(UNFINISHED), load_output=False)
    going = {str(row.input["args"][0]["key"]) for row in rows} - {ticket.key}
    if going & set(ticket.settle):
        return
    for outcomes in settleable(workspace, store, ticket.settle):
        with suppress(InvalidRequest):  # on shapes of their own: there is nothing to settle between them
            send_duel(client, duel_of(outcomes), outcomes, workers=workers, priority=Priority.LOW)


def settleable(workspace: Workspace, store: Store | None, keys: Iterable[str]) -> list[list[Outcome]]:
    """Of these builds those that were measured and may be right, by the device that they ran on; two or more each."""
    found: dict[str, list[Outcome]] = {}
    for key in keys:
        with suppress(NotFound, EngineRoomError):
            if store:
                store.pull_build(workspace, key, artifacts=False)
            outcome = load_outcome(workspace, key)
            right = outcome.parity is None or outcome.parity.on_par is not False
            if outcome.build.state is State.DONE and outcome.measurement and right:
                found.setdefault(outcome.build.ran_on, []).append(outcome)
    ranked = (sorted(group, key=_median) for group in found.values() if len(group) > 1)
    return [group[:MOST] for group in ranked]


def _median(outcome: Outcome) -> float:
    return outcome.measurement.latency.median_ms if outcome.measurement else 0.0
