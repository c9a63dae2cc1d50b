"""Where an engine runs, beside where it is built."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from core.backends.base import Backend, OptionValue, capabilities_of
from core.base.availability import Availability
from core.base.gpus import RunsOn, gpus_text

NO_OPTIONS: Mapping[str, OptionValue] = MappingProxyType({})


def runs_elsewhere(
    backend: Backend, device: str, offer: Availability | None, options: Mapping[str, OptionValue] = NO_OPTIONS
) -> RunsOn | None:
    """What an engine that is built for a device type runs on instead; None where it runs there, and where nobody tells.

    Args:
        device: The device type that it is built for.
        offer: The backend's availability where it is built; None when that is not known.
        options: Those of the build that differ from their defaults.
    """
    if offer is None or not offer.runs_on or device in offer.runs_on:
        return None
    capabilities = capabilities_of(backend, options)
    return RunsOn(
        devices=offer.runs_on,
        backend=backend.name,
        title=backend.title,
        capabilities=capabilities,
        where=gpus_text(capabilities) if capabilities else offer.runs_where or " or ".join(offer.runs_on),
    )


def not_run_here(runs_on: RunsOn | None) -> str:
    """Why an engine is not run where it is built, "not run here: it runs on cuda"; empty where it is."""
    return f"not run here: it runs on {runs_on.where}" if runs_on else ""
