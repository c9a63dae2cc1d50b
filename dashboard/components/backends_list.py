"""What this dashboard can build with: backends by the workers that run, or by this machine while none does."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from core.availability import Availability
from core.backends.base import all_backends
from core.jobs.job import Worker
from dashboard.formatting import plural


def offers(workers: Sequence[Worker]) -> dict[str, Availability]:
    """Each backend's availability where it is best: in a living worker, else on this machine."""
    alive = [worker for worker in workers if worker.alive]
    found = {}
    for backend in all_backends().values():
        told = [offer for worker in alive if (offer := worker.offers(backend.name))] or [backend.availability()]
        found[backend.title] = next((offer for offer in told if offer.available), told[0])
    return found


def show_backends(workers: Sequence[Worker]) -> None:
    """A line a backend: works, with its version; or not, with the reason."""
    lines = [
        f":green[:material/check_circle:] **{title}** {offer.version or ''}"
        if offer.available
        else f":gray[:material/do_not_disturb_on: {title} · {offer.reason}]"
        for title, offer in offers(workers).items()
    ]
    st.markdown("  \n".join(lines))


def show_workers_line(workers: Sequence[Worker]) -> None:
    """How many workers there are, and what follows when there are none."""
    alive = [worker for worker in workers if worker.alive]
    if not alive:
        st.warning(
            "No worker is running, so builds wait. One may still be starting; else run `engineroom worker`.",
            icon=":material/warning:",
        )
        return
    devices = ", ".join(dict.fromkeys(f"{worker.card.device_name} ({worker.card.device_type})" for worker in alive))
    busy = sum(worker.job is not None for worker in alive)
    doing = f"{busy} busy" if busy else "idle"
    st.markdown(f":green[:material/bolt:] **{plural(len(alive), 'worker')}**, {doing}: {devices}")
