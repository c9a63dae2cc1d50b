"""Whether something works on this machine, and if not, why and what to do."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class Availability:
    """`reason` and `hint` are sentences, set when it is not available.

    Attributes:
        version: Of the package, where it is installed.
        builds_on: Device types it can build for as it is installed here ("cpu", "cuda").
        runs_on: Device types that what it built runs on.
        runs_where: What it takes to run it, in words, where `runs_on` says less: "a GPU of compute capability 8.0 or later".
        cannot_run: Why, as it is installed here, nothing that it built runs here although it builds; a sentence.
        licence: Whose it has and how to leave it out, where it is installed unasked and is not free software.
    """

    available: bool
    version: str | None = None
    builds_on: tuple[str, ...] = ()
    runs_on: tuple[str, ...] = ()
    runs_where: str = ""
    reason: str = ""
    hint: str = ""
    cannot_run: str = ""
    licence: str = ""

    @property
    def told_devices(self) -> str:
        """Its device types in words, both kinds where they differ: "cpu, cuda", "builds on cpu; runs on cuda"."""
        builds, runs = ", ".join(self.builds_on), ", ".join(self.runs_on)
        return builds if builds == runs else f"builds on {builds or 'none'}; runs on {runs or 'none'}"


class Offering(Protocol):
    """A backend or a conversion: what works here or does not."""

    def availability(self) -> Availability: ...


_found: dict[Offering, Availability] = {}


def availability_of(offering: Offering) -> Availability:
    """What it tells of itself, asked once in the life of a process.

    A process that lives long and shows what works calls `forget_availability` before it asks: a GPU's driver may be loaded, or
    a package installed, while it runs. Stages, workers and commands start with nothing known.
    """
    if offering not in _found:
        _found[offering] = offering.availability()
    return _found[offering]


def forget_availability() -> None:
    """Has everything asked anew."""
    _found.clear()


def installed_version(*packages: str) -> str | None:
    """The version of the first of these packages that is installed; imports nothing."""
    for package in packages:
        try:
            return version(package)
        except PackageNotFoundError:
            continue
    return None


def from_packages(title: str, *packages: str, devices: tuple[str, ...] = ("cpu",)) -> Availability:
    """Available when one of `packages` is installed; the first one is what the hint tells to install.

    Args:
        devices: Device types that it builds for and runs on.
    """
    if found := installed_version(*packages):
        return Availability(available=True, version=found, builds_on=devices, runs_on=devices)
    return Availability(available=False, reason=f"{title} is not installed.", hint=f"pip install {packages[0]}")


def installed_versions(*names: str) -> dict[str, str]:
    """The versions of those packages that are installed; some come built for a device, under a name of their own."""
    found = {name: installed_version(name, f"{name}-cpu", f"{name}-gpu") for name in names}
    return {name: version for name, version in found.items() if version}
