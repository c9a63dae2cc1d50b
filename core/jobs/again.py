"""Measuring an engine again, as a job: a run of one stage, by a worker on the device that the figures are from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from core.base.errors import InvalidRequest, NotFound
from core.base.serialization import read_json
from core.base.units import digest
from core.jobs.job import RUN_WORKFLOW, Priority, Worker
from core.jobs.runs import enqueue, queue_at, register, run_ticket
from core.stages.elsewhere import AGAIN, check_measurable
from core.stages.stage import Needs
from core.storage.builds import BUILD_FILE, Build, Place, StageName
from core.storage.workspace import Workspace


def place_of(build: Build) -> Place | None:
    """Where a build's figures are from; None of builds that did not tell where they were made."""
    return build.ran_elsewhere or build.built_on


def queue_for(build: Build, workers: Sequence[Worker]) -> str:
    """The queue of the device type where every worker would do, else that of the place; one that does not run yet waits there."""
    place, kind = place_of(build), build.ran_on
    alive = [worker.card for worker in workers if worker.alive and worker.card.device_type == kind]
    if place is None or all(card.device_name == place.name for card in alive):
        return kind
    return queue_at(next((card.place for card in alive if card.device_name == place.name), place))


def lacks_place(build: Build, workers: Sequence[Worker]) -> str:
    """That no worker runs where a build's figures are from, a sentence; empty where one does."""
    place = place_of(build)
    alive = [worker.card for worker in workers if worker.alive and worker.card.device_type == build.ran_on]
    if any(place is None or card.device_name == place.name for card in alive):
        return ""
    where = f"{build.ran_on!r}" if place is None or not alive else place.text
    return f"No worker for {where} is running: start one there with `engineroom worker`."


def send_again(
    client: Any,
    build: Build,
    *,
    model_name: str,
    needs: Mapping[StageName, Needs],
    workers: Sequence[Worker],
    priority: Priority = Priority.NORMAL,
) -> tuple[str, bool]:
    """Queues another measurement of a build's engine; the job's id, and whether it is a new one: it joins the one that is queued.

    Raises:
        InvalidRequest: It has no engine, or one that nothing has run yet.
    """
    check_measurable(build)
    queue = queue_for(build, workers)
    ticket = run_ticket(build, AGAIN, build.runs_on, model_name, needs)
    register(client, queue)
    # A job of its own beside a build of the same key: that may not be swallowed by it.
    return enqueue(client, RUN_WORKFLOW, queue, ticket, priority, once=f"{build.key}/measure")


def check_place(workspace: Workspace, key: str, here: Place) -> None:
    """Whether a new figure would be from the same kind of device as the old one.

    Raises:
        NotFound: The build is not here.
        InvalidRequest: It would not.
    """
    file = workspace.build_folder(key) / BUILD_FILE
    if not file.exists():
        raise NotFound(f"Build {digest(key)} was deleted.", hint="Build it again.")
    place = place_of(read_json(Build, file))
    if place and place.name != here.name:
        raise InvalidRequest(
            f"The figures of build {digest(key)} are from {place.text}, and this is {here.text}: they stay as they are.",
            hint=f"Start a worker on {place.host}, or build it again here.",
        )
