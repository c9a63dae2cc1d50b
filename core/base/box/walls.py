"""Which walls this host can give a box, in words for people."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from enum import Enum
from functools import cache

from core.base.box import landlock, seccomp
from core.base.errors import InvalidRequest, Unavailable

SANDBOX_VARIABLE = "ENGINEROOM_SANDBOX"


class Sandbox(str, Enum):
    """What ENGINEROOM_SANDBOX may say."""

    AUTO = "auto"
    REQUIRED = "required"
    OFF = "off"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wall:
    """One wall.

    Attributes:
        what: What it keeps a model from.
        stands: Whether it is there, whole.
        why: What is missing of it, and why; empty when it stands.
    """

    name: str
    what: str
    stands: bool
    why: str = ""

    @property
    def words(self) -> str:
        return f"{self.name}: yes" if self.stands else f"{self.name}: no: {self.why}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Walls:
    """Those of one host."""

    walls: tuple[Wall, ...]

    @property
    def complete(self) -> bool:
        return all(wall.stands for wall in self.walls)

    @property
    def words(self) -> str:
        return ", ".join(wall.words for wall in self.walls)


def sandbox() -> Sandbox:
    """What was asked for.

    Raises:
        InvalidRequest: ENGINEROOM_SANDBOX says something else.
    """
    told = os.environ.get(SANDBOX_VARIABLE) or Sandbox.AUTO.value
    try:
        return Sandbox(told.lower())
    except ValueError:
        choices = ", ".join(choice.value for choice in Sandbox)
        raise InvalidRequest(f"{SANDBOX_VARIABLE} is {told!r}.", hint=f"Set it to one of: {choices}.") from None


@cache
def of_host() -> Walls:
    """What this host can give, whatever was asked for."""
    known, filters = landlock.version(), seccomp.available()
    no_landlock = "" if known else "this kernel has no Landlock (Linux 5.13 and later have it, where it is switched on)"
    no_filter = "" if filters else "this kernel or this kind of processor has no system call filter (seccomp)"
    old = f"Landlock {known} cannot move files between folders (Linux 5.19 and later can)" if known == 1 else ""
    files = no_landlock or old
    processes = no_landlock or no_filter
    return Walls(
        walls=(
            Wall(name="files", what="reading and writing files that are not its own", stands=not files, why=files),
            Wall(name="network", what="connections, loopback and local sockets too", stands=filters, why=no_filter),
            Wall(name="processes", what="seeing, signalling and tracing other processes", stands=not processes, why=processes),
        )
    )


def told() -> Walls:
    """What stands around a model that is opened now, whether that is enough or not.

    Raises:
        InvalidRequest: See `sandbox`.
    """
    if sandbox() is not Sandbox.OFF:
        return of_host()
    off = f"{SANDBOX_VARIABLE} is off"
    return Walls(walls=tuple(replace(wall, stands=False, why=off) for wall in of_host().walls))


def standing() -> Walls:
    """The same, to be asked before one is opened.

    Raises:
        Unavailable: All are required, and this host cannot give them.
        InvalidRequest: See `sandbox`.
    """
    walls = told()
    if sandbox() is Sandbox.REQUIRED and not walls.complete:
        raise Unavailable(
            f"No model is opened here: {SANDBOX_VARIABLE} is required, and not all walls can be put up ({walls.words}).",
            hint="Run it on a host that can, or set it to auto.",
        )
    return walls
