"""What a model can be built into by the workers there are: every path in every precision, possible or why not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from core.backends.base import backend_named
from core.base.availability import Availability, availability_of
from core.base.precision import Precision
from core.jobs.job import Worker
from core.models.model import Model
from core.request.paths import BuildPath, paths_for, precisions_of
from core.request.references import reference_for
from core.request.running import not_run_here, runs_elsewhere


@dataclass(frozen=True, slots=True, kw_only=True)
class PathChoice:
    """One path on one device type.

    Attributes:
        precisions: Those that the path can build.
        lacks: What keeps it from being built now; None when nothing does.
        is_reference: It runs the source model in its own framework: the natural baseline.
        not_run: Why its engines, built for this device type, do not run there; empty when they do.
        runs_elsewhere: Where they run then: "a GPU worker".
    """

    path: BuildPath
    precisions: tuple[Precision, ...]
    lacks: Availability | None
    is_reference: bool
    not_run: str = ""
    runs_elsewhere: str = ""

    @property
    def possible(self) -> bool:
        return self.lacks is None

    @property
    def reason(self) -> str:
        """Why it is not possible, and what to do; empty when it is."""
        return f"{self.lacks.reason} {self.lacks.hint}".strip() if self.lacks else ""


def path_choices(model: Model, device: str, workers: Sequence[Worker], signature: str | None = None) -> list[PathChoice]:
    """Every path of a model's signature, the default one unless named.

    Judged by the live workers of a device type, or by this machine when there are none yet.
    """
    alive = [worker for worker in workers if worker.alive and worker.card.device_type == device]
    reference = reference_for(model.format)
    choices = []
    for path in paths_for(model, signature):
        offer = _offer(path, alive)
        elsewhere = runs_elsewhere(backend_named(path.backend), device, offer)
        choices.append(
            PathChoice(
                path=path,
                precisions=precisions_of(path),
                lacks=path.refused or (None if offer.available else offer),
                is_reference=(path.backend, path.variant) == (reference.backend, reference.variant) and len(path.formats) == 1,
                not_run=not_run_here(elsewhere),
                runs_elsewhere=elsewhere.kind_of_worker if elsewhere else "",
            )
        )
    return choices


def device_types(workers: Sequence[Worker]) -> list[str]:
    """Device types that live workers take jobs for; the CPU is always among them."""
    found = {worker.card.device_type for worker in workers if worker.alive}
    return ["cpu", *sorted(found - {"cpu"})]


def _offer(path: BuildPath, alive: Sequence[Worker]) -> Availability:
    """What one of these workers offers at best; what this machine does where none tells."""
    offers = [offer for worker in alive if (offer := worker.offers(path.backend)) is not None]
    if not offers:
        return path.lacks[0] if path.lacks else availability_of(backend_named(path.backend))
    return next((offer for offer in offers if offer.available), offers[0])
