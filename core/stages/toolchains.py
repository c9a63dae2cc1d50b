"""Toolchains: the interpreters that a worker can run stages in, and what works in each."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import core
from core.base.availability import Availability
from core.base.children.call import Child, NoAnswer
from core.base.errors import EngineRoomError, InvalidRequest, Unavailable
from core.models.model import Model
from core.request.build_request import BuildRequest
from core.stages.all_stages import all_stages
from core.stages.stage import Needs, Task
from core.stages.tools import tools
from core.storage.builds import StageName

OWN = "default"
PROBE_SECONDS = 120


@dataclass(frozen=True, slots=True, kw_only=True)
class Toolchain:
    """An interpreter that stages can run in, and what works there.

    Attributes:
        python: Path of the interpreter.
        version: Of that Python.
        backends, conversions: By name.
        tools: The packages that lower a graph's precision, by name.
    """

    name: str
    python: str
    version: str
    backends: dict[str, Availability] = field(default_factory=dict)
    conversions: dict[str, Availability] = field(default_factory=dict)
    tools: dict[str, Availability] = field(default_factory=dict)


def describe() -> Toolchain:
    """This interpreter."""
    from core.backends.base import all_backends
    from core.conversion.base import all_conversions

    return Toolchain(
        name=OWN,
        python=sys.executable,
        version=platform.python_version(),
        backends={name: backend.availability() for name, backend in all_backends().items()},
        conversions={conversion.name: conversion.availability() for conversion in all_conversions()},
        tools=tools(),
    )


def parse_toolchain(text: str) -> tuple[str, str]:
    """Reads `tftrt=/path/to/python3.10`.

    Raises:
        InvalidRequest: It is not of that form, or no program is there.
    """
    name, _, python = text.partition("=")
    if not name or not python:
        raise InvalidRequest(f"Could not read the toolchain {text!r}.", hint="Write name=/path/to/python.")
    if not os.access(python, os.X_OK) or os.path.isdir(python):
        raise InvalidRequest(f"Toolchain {name}: {python} is not a program.", hint="Give the path of its python.")
    return name, python


def probe(name: str, python: str, core_folder: Path) -> Toolchain:
    """Asks an interpreter what works in it.

    Args:
        core_folder: As `link_core` made it.

    Raises:
        Unavailable: It cannot import `core`.
    """
    try:
        child = Child(python=python, environment=python_path(python, core_folder), seconds=PROBE_SECONDS)
        return replace(child.call(describe), name=name, python=python)
    except (NoAnswer, EngineRoomError) as error:
        said = error.last_line if isinstance(error, NoAnswer) else error
        raise Unavailable(
            f"Toolchain {name} cannot run stages: {said}", hint=f"{python} -m pip install numpy onnx psutil pydantic"
        ) from error


def link_core(folder: Path) -> Path:
    """A folder that holds this `core` and nothing else, so that another interpreter finds no package of ours beside it."""
    folder.mkdir(parents=True, exist_ok=True)
    link = folder / "core"
    target = Path(core.__file__).parent
    if not link.is_symlink() or link.resolve() != target.resolve():
        fresh = folder / f"core.{os.getpid()}"
        fresh.symlink_to(target)
        fresh.replace(link)
    return folder


def python_path(python: str, core_folder: Path) -> dict[str, str]:
    """The environment in which an interpreter finds `core`; our own finds it without."""
    return {} if python == sys.executable else {"PYTHONPATH": str(core_folder)}


def needs_of(request: BuildRequest, model: Model) -> dict[StageName, Needs]:
    """What each stage of a build needs of its interpreter; one that needs nothing runs in any."""
    task = Task(request=request, model=model)
    return {name: stage.needs(task) for name, stage in all_stages().items()}


def lack_of(needs: Needs, toolchains: Sequence[Toolchain]) -> Availability | None:
    """Why none of the toolchains has the tools; None when one has them all, or when they do not tell."""
    told = [[chain.tools[name] for name in needs.tools] for chain in toolchains if chain.tools.keys() >= set(needs.tools)]
    lacks = [next((tool for tool in tools if not tool.available), None) for tools in told]
    return lacks[0] if lacks and None not in lacks else None


def toolchain_for(needs: Needs, toolchains: Sequence[Toolchain]) -> Toolchain:
    """The first toolchain that has all of it; the first of all when none has: the stage then says what is missing."""
    for chain in toolchains:
        offers = [chain.backends.get(name) for name in needs.backends]
        offers += [chain.conversions.get(name) for name in needs.conversions]
        offers += [chain.tools.get(name) for name in needs.tools]
        if all(offer and offer.available for offer in offers):
            return chain
    return toolchains[0]
