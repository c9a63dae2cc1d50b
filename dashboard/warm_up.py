"""Does before the first visitor comes what would otherwise make that visitor wait: imports, and the queue's tables."""

from __future__ import annotations

import gc
import logging
import pkgutil
import threading
from importlib import import_module

import dashboard

SCRIPT = "dashboard.main"  # run by Streamlit for every visitor, never imported

ALLOCATIONS = 20_000  # between collections: reading a large engine makes 100,000 objects, all of which stay

log = logging.getLogger(__name__)


def start_warming_up() -> None:
    """Begins in the background; Streamlit must be running, since components register with it."""
    threading.Thread(target=_warm_up, name="warm-up", daemon=True).start()


def _warm_up() -> None:
    try:
        for module in pkgutil.walk_packages(dashboard.__path__, f"{dashboard.__name__}."):
            if module.name != SCRIPT:
                import_module(module.name)
        from dashboard import services  # noqa: PLC0415  among the slow ones

        services.queue()
        gc.collect()
        gc.freeze()  # what is there now stays: collections need not look at it again
        gc.set_threshold(ALLOCATIONS, *gc.get_threshold()[1:])
    except Exception:
        log.warning("The dashboard could not warm up; the first page will be slower or say why.", exc_info=True)
