"""Toolchains: the interpreters that a worker can run stages in, and what works in each.

`python -m core.stages.toolchains` describes the interpreter it runs under, as JSON.
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path

from pydantic import ValidationError

import core
from core.base.availability import Availability, from_packages
from core.base.errors import EngineRoomError, InvalidRequest, Unavailable
from core.base.precision import Precision
from core.base.serialization import from_data, to_data
from core.models.model import Model
from core.precision.settings import MODELOPT
from core.request.build_request import BuildRequest
from core.request.paths import conversion_between, path_named
from core.storage.builds import StageName

OWN = "default"
ONNXSLIM, ONNXRUNTIME, ML_DTYPES = "onnxslim", "onnxruntime", "ml-dtypes"
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
        tools=_tools(),
    )


def _tools() -> dict[str, Availability]:
    from core.precision.modelopt_environment import availability

    return {
        ONNXSLIM: from_packages("onnxslim", "onnxslim"),
        ONNXRUNTIME: from_packages("ONNX Runtime", "onnxruntime", "onnxruntime-gpu"),
        ML_DTYPES: from_packages("ml-dtypes", "ml-dtypes"),
        MODELOPT: availability(),
    }


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
    environment = {**os.environ, **python_path(python, core_folder)}
    try:
        done = subprocess.run(
            [python, "-m", "core.stages.toolchains"],
            capture_output=True,
            text=True,
            timeout=PROBE_SECONDS,
            env=environment,
            check=True,
        )
        return replace(from_data(Toolchain, json.loads(done.stdout)), name=name, python=python)
    except (OSError, subprocess.SubprocessError, ValueError, ValidationError) as error:
        said = (getattr(error, "stderr", "") or str(error)).strip().splitlines()
        raise Unavailable(
            f"Toolchain {name} cannot run stages: {said[-1] if said else error}",
            hint=f"{python} -m pip install numpy onnx psutil pydantic",
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Needs:
    """Names of the backends, the conversions and the tools that a stage works with."""

    backends: tuple[str, ...] = ()
    conversions: tuple[str, ...] = ()
    tools: tuple[str, ...] = ()


def needs_of(request: BuildRequest, model: Model) -> dict[StageName, Needs]:
    """What each stage of a build needs of its interpreter; stages not named here run in any."""
    from core.request.references import reference_for

    formats = path_named(model, request.path).formats
    conversions = tuple(conversion_between(source, target).name for source, target in pairwise(formats))
    engine = Needs(backends=(request.backend,))
    return {
        StageName.CONVERT: Needs(conversions=conversions),
        StageName.SIMPLIFY: Needs(tools=(ONNXSLIM,)),
        StageName.PRECISION: Needs(tools=_lowering_tools(request)),
        StageName.BUILD: engine,
        StageName.INSPECT: engine,
        StageName.REFERENCE: Needs(backends=(reference_for(model.format).backend,)),
        StageName.PARITY: engine,
        StageName.MEASURE: engine,
    }


def _lowering_tools(request: BuildRequest) -> tuple[str, ...]:
    """Quantizing simplifies first; calibration, FP16's range check and every study run the model."""
    settings = request.lowering
    studies = settings.layer_errors or settings.max_rel is not None or settings.top1_drop is not None
    tools = [ML_DTYPES]
    if request.precision.quantizes:
        tools.append(ONNXSLIM)
    if request.precision is not Precision.BF16 or studies:
        tools.append(ONNXRUNTIME)
    return (*tools, *((MODELOPT,) if settings.engine == MODELOPT else ()))


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


if __name__ == "__main__":
    try:
        print(json.dumps(to_data(describe())))
    except EngineRoomError as problem:
        sys.exit(str(problem))
