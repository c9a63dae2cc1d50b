"""`doctor`: what works on this machine, and what to do about the rest."""

from __future__ import annotations

import platform
from typing import Annotated

import typer

from core.backends.base import all_backends
from core.base.availability import availability_of
from core.base.box.walls import told
from core.cli.output import print_fields, print_json, print_table
from core.conversion.base import all_conversions
from core.storage.workspace import default_workspace


def register(app: typer.Typer) -> None:
    app.command("doctor")(doctor_command)


def doctor_command(json: Annotated[bool, typer.Option("--json", help="Print JSON for scripts.")] = False) -> None:
    """Tell which backends and conversions work here, and how to get those that do not."""
    backends = {backend.name: (backend.title, availability_of(backend)) for backend in all_backends().values()}
    conversions = {conversion.name: availability_of(conversion) for conversion in all_conversions()}
    if json:
        found = {name: found for name, (_, found) in backends.items()}
        print_json({"backends": found, "conversions": conversions, "walls": told()})
        return
    machine = f"{platform.machine()}, Python {platform.python_version()}"
    place = ("workspace", default_workspace().root)
    print_fields("This machine", [("machine", machine), place, ("walls around models", told().words)])
    rows = [
        (
            title,
            "yes" if found.available else "no",
            found.version,
            found.told_devices,
            " ".join(filter(None, (found.reason, found.hint, found.licence))),
        )
        for title, found in backends.values()
    ]
    print_table("Backends", ["backend", "works", "version", "devices", "what to do"], rows)
    steps = [(name, "yes" if a.available else "no", a.version, f"{a.reason} {a.hint}".strip()) for name, a in conversions.items()]
    print_table("Conversions", ["conversion", "works", "version", "what to do"], steps)
