"""What this dashboard can build with: backends by the workers that run, or by this machine while none does."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from core.backends.base import all_backends
from core.base.availability import Availability, availability_of
from core.base.units import plural
from core.jobs.job import Worker
from dashboard import services
from dashboard.formatting import plain

REFRESH_SECONDS = 5.0


@st.fragment(run_every=REFRESH_SECONDS)
def show_offers() -> None:
    """The workers in a line and a line a backend, asked anew every few seconds: a worker may just be starting."""
    workers = [worker for worker in services.queue().workers() if worker.alive]
    if workers:
        devices = plain(", ".join(dict.fromkeys(f"{worker.card.device_name} ({worker.card.device_type})" for worker in workers)))
        busy = sum(worker.job is not None for worker in workers)
        doing = f"{busy} busy" if busy else "idle"
        st.markdown(f":green[:material/bolt:] **{plural(len(workers), 'worker')}**, {doing}: {devices}")
    else:
        st.warning(
            "No worker is running, so builds wait. One may still be starting; else run `engineroom worker`.",
            icon=":material/warning:",
        )
    lines = [
        f":green[:material/check_circle:] **{title}** {plain(offer.version or '')}"
        if offer.available
        else f":gray[:material/do_not_disturb_on: {title} · {plain(offer.reason)}]"
        for title, offer in offers(workers).items()
    ]
    st.markdown("  \n".join(lines))


def offers(workers: Sequence[Worker]) -> dict[str, Availability]:
    """Each backend's availability where it is best: in one of these workers, else on this machine."""
    found = {}
    for backend in all_backends().values():
        told = [offer for worker in workers if (offer := worker.offers(backend.name))] or [availability_of(backend)]
        found[backend.title] = next((offer for offer in told if offer.available), told[0])
    return found
