"""What the queue asks about availability: each step of the paths it was given, once."""

from __future__ import annotations

from collections import Counter

import pytest

from bench.shop import Shop
from core.backends.base import all_backends
from core.base.availability import Availability, Offering, forget_availability
from core.conversion.base import all_conversions


def test_queueing_four_builds_asks_only_what_is_on_their_paths(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: Counter[str] = Counter()

    def counted(offering: Offering, name: str) -> None:
        real = offering.availability

        def availability() -> Availability:
            asked[name] += 1
            return real()

        monkeypatch.setattr(offering, "availability", availability)

    for offering in (*all_backends().values(), *all_conversions()):
        counted(offering, offering.name)
    forget_availability()
    shop.queue.submit_all([shop.request(seed) for seed in range(4)])
    assert asked == {"onnxruntime": 1}
