"""Whether the workers that there are can carry a build out, asked before it is queued."""

from __future__ import annotations

from collections.abc import Sequence

from core.base.errors import Unavailable
from core.jobs.job import Worker
from core.models.model import Model
from core.request.build_request import BuildRequest
from core.request.paths import path_named
from core.stages.stage import Needs
from core.stages.toolchains import lack_of


def check_offered(request: BuildRequest, model: Model, workers: Sequence[Worker], *, here: bool) -> None:
    """Whether the backend works in one of these workers.

    Args:
        workers: Of the request's device type.
        here: Whether this machine could become one, and is asked where no worker tells.

    Raises:
        Unavailable: It works in none.
    """
    offers = [offer for worker in workers if (offer := worker.offers(request.backend))]
    if any(offer.available for offer in offers):
        return
    lacks = offers or (list(path_named(model, request.path).lacks) if here else [])
    if lacks:
        where = f"any running worker for {request.device!r}" if offers else "this machine"
        raise Unavailable(f"{request.path} does not work on {where}: {lacks[0].reason}", hint=lacks[0].hint)


def lack_in(worker: Worker, needs: Sequence[Needs]) -> Unavailable | None:
    """The tool that a worker has in no toolchain, as the error that a job of it would end with."""
    card = worker.card
    for one in needs:
        if lack := lack_of(one, card.toolchains):
            return Unavailable(f"Worker {card.id} on {card.host} cannot carry this out: {lack.reason}", hint=lack.hint)
    return None
