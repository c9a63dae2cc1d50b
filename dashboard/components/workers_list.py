"""The workers: where they run, what they run with, and whether they live."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
import streamlit as st

from core.backends.base import all_backends
from core.base.units import UNKNOWN, plural, seconds
from core.jobs.job import Worker
from core.jobs.local import is_outdated
from core.stages.toolchains import Toolchain
from dashboard import links, services
from dashboard.formatting import plain

REFRESH_SECONDS = 5.0


@st.fragment(run_every=REFRESH_SECONDS)
def show_workers() -> None:
    """Every worker with a sign of life, asked anew every few seconds."""
    workers = services.queue().workers()
    st.header(f"Workers · {sum(worker.alive for worker in workers)}")
    if not workers:
        st.warning("No worker is running, so builds wait in the queue.", icon=":material/warning:")
        st.markdown("Start one on this machine, or on any host that shares the database and the store:")
        st.code("engineroom worker --device cpu", language=None)
        return
    for column, worker in zip(_columns(workers), workers, strict=True):
        with column.container(border=True):
            _show(worker)
    if not any(worker.alive for worker in workers):
        st.warning("None of these is alive. Start one with `engineroom worker`.", icon=":material/warning:")


def _columns(workers: Sequence[Worker]) -> list[st.delta_generator.DeltaGenerator]:
    width = min(3, max(2, len(workers)))
    rows = [st.columns(width) for _ in range(0, len(workers), width)]
    return [column for row in rows for column in row][: len(workers)]


def _show(worker: Worker) -> None:
    card = worker.card
    state = ":green-badge[:material/favorite: alive]" if worker.alive else ":red-badge[:material/heart_broken: silent]"
    st.markdown(f"**{plain(card.device_name)}** · {plain(str(card.device))} {state}")
    capability = f" · compute capability {card.capability}" if card.capability else ""
    st.caption(
        f"on {plain(card.host)}{capability}, process {card.pid} · last sign of life {seconds(worker.beat_age_seconds)} ago"
    )
    if is_outdated(worker):
        st.caption(":material/update: It runs another version of the program, ends after its job, and is then replaced.")
    if worker.job:
        links.link(links.JOBS, f"Works on job {plain(worker.job)}", icon=":material/play_circle:", job=worker.job)
    else:
        st.markdown(":gray[:material/bedtime: idle]" if worker.alive else ":gray[its jobs go to others]")
    for chain in card.toolchains:
        able = [name for name, offer in chain.backends.items() if offer.available]
        with st.expander(f"Toolchain {plain(chain.name)} · Python {chain.version} · {plural(len(able), 'backend')}"):
            st.code(chain.python, language=None)
            st.dataframe(_offers(chain), hide_index=True, placeholder=UNKNOWN, alt=f"What toolchain {chain.name} offers")


def _offers(chain: Toolchain) -> pd.DataFrame:
    titles = {backend.name: backend.title for backend in all_backends().values()}
    return pd.DataFrame(
        [
            {
                "Backend or tool": titles.get(name, name),
                "Works": "yes" if offer.available else "no",
                "Version": offer.version,
                "Devices": offer.told_devices,
                "Why not": f"{offer.reason} {offer.hint}".strip(),
            }
            for name, offer in {**chain.backends, **chain.tools}.items()
        ]
    )
