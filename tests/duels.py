"""Head-to-heads as they may be stored, for tests of what is made of them."""

from __future__ import annotations

import numpy as np

from core.benchmark.duel import Start
from core.storage.builds import Place, State
from core.storage.duels import Contestant, Duel

HOST = "bench"
PLACE = Place(host=HOST, device="cpu:0", name="a processor")


def duel(medians_ms: dict[str, float], *, scatter: float = 0.002, starts: int = 6, state: State = State.DONE) -> Duel:
    """One whose engines take so long, each start off by `scatter`, a factor's logarithm."""
    rng = np.random.default_rng(0)

    def blocks(ms: float) -> tuple[float, ...]:
        return tuple(rng.normal(ms, 1e-4 * ms, 5) * np.exp(rng.normal(0, scatter)))

    found = tuple(Start(blocks={key: blocks(ms) for key, ms in medians_ms.items()}) for _ in range(starts))
    contestants = tuple(Contestant(key=key, made_at=0.0, title=key.title()) for key in medians_ms)
    return Duel(key="d" * 12, model="m", device="cpu", contestants=contestants, state=state, starts=found, place=PLACE)


# Of another model's engines: it tells that repeats differ by little on this machine.
QUIET = duel({"someone": 1.0, "else": 1.0})
