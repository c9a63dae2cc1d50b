"""What a worker finds out of its host before it begins: its tools, and the card that tells the others of it."""

from __future__ import annotations

import os
import platform
import sys
from importlib.metadata import version

import core
from core.base.errors import StoreFailed
from core.jobs.carry import Bench
from core.jobs.code import code_stamp
from core.jobs.job import WorkerCard
from core.jobs.start import WorkerOptions
from core.jobs.supervisor import Lease
from core.stages.toolchains import OWN, link_core, probe
from core.storage.store import store_named


def set_up(options: WorkerOptions, worker: str, lease: Lease) -> Bench:
    """What jobs are carried out with.

    Args:
        worker: Its name.

    Raises:
        StoreFailed: The workspace cannot be written.
        Unavailable: A toolchain does not work.
    """
    try:
        core_folder = link_core(options.workspace.root / "workers" / "core")
    except OSError as error:
        hint = "Free some disk space or check the folder's rights."
        raise StoreFailed(f"The workspace {options.workspace.root} is not writable: {error.strerror}.", hint=hint) from error
    named = dict(options.toolchains)
    interpreters = {OWN: named.pop(OWN, sys.executable), **named}
    return Bench(
        worker=worker,
        workspace=options.workspace,
        store=store_named(options.store),
        device=options.device,
        place=options.device.place,
        toolchains=[probe(name, python, core_folder) for name, python in interpreters.items()],
        core_folder=core_folder,
        limits=options.limits,
        lease=lease,
    )


def card_of(bench: Bench) -> WorkerCard:
    """What this process tells the others."""
    return WorkerCard(
        id=bench.worker,
        host=bench.place.host,
        pid=os.getpid(),
        device=bench.place.device,
        device_type=bench.device.type,
        device_name=bench.place.name,
        capability=bench.place.capability,
        versions={
            "engine-room": core.__version__,
            "code": code_stamp(),
            "python": platform.python_version(),
            "dbos": version("dbos"),
        },
        toolchains=tuple(bench.toolchains),
    )
