"""Whether something works on this machine, and if not, why and what to do."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version


@dataclass(frozen=True, slots=True, kw_only=True)
class Availability:
    """`reason` and `hint` are sentences, set when it is not available.

    Attributes:
        version: Of the package, where it is installed.
        devices: Device types it can work for here ("cpu", "cuda").
    """

    available: bool
    version: str | None = None
    devices: tuple[str, ...] = ()
    reason: str = ""
    hint: str = ""


def installed_version(*packages: str) -> str | None:
    """The version of the first of these packages that is installed; imports nothing."""
    for package in packages:
        try:
            return version(package)
        except PackageNotFoundError:
            continue
    return None


def from_packages(title: str, *packages: str, devices: tuple[str, ...] = ("cpu",)) -> Availability:
    """Available when one of `packages` is installed; the first one is what the hint tells to install."""
    if found := installed_version(*packages):
        return Availability(available=True, version=found, devices=devices)
    return Availability(available=False, reason=f"{title} is not installed.", hint=f"pip install {packages[0]}")


def package_versions(*names: str) -> dict[str, str]:
    """The versions of those packages that are installed; some come built for a device, under a name of their own."""
    found = {name: installed_version(name, f"{name}-cpu", f"{name}-gpu") for name in names}
    return {name: version for name, version in found.items() if version}
