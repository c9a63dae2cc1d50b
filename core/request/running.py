"""Where an engine runs, beside where it is built."""

from __future__ import annotations

from core.base.availability import Availability


def not_run_here(device: str, offer: Availability | None) -> str:
    """Why an engine that is built for a device type does not run there: "not run here: it runs on cuda".

    Empty where it does run, and where nobody tells.

    Args:
        device: The device type that it is built for.
        offer: The backend's availability where it is built; None when that is not known.
    """
    if offer is None or not offer.runs_on or device in offer.runs_on:
        return ""
    return f"not run here: it runs on {offer.runs_where or ' or '.join(offer.runs_on)}"
