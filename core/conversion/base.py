"""The contract of a conversion: a model of one format in, the same model in another out.

A conversion is one file in this folder with a module-level `CONVERSION`. It runs in a child process of its own.
"""

from __future__ import annotations

import importlib
import pkgutil
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Protocol

import core.conversion
from core.base.availability import Availability
from core.base.progress import Report
from core.base.tensors import Signature
from core.models.model import Format, Source


@dataclass(frozen=True, slots=True, kw_only=True)
class Converted:
    """What a conversion left in its folder.

    Attributes:
        entry: The main file below the folder ("model.onnx"; "." for a SavedModel).
        signature: In the source's own names.
        ops: Count of each op type after the conversion.
        versions: Of the packages that did it.
    """

    entry: str
    format: Format
    signature: Signature
    ops: dict[str, int] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


class Conversion(Protocol):
    """One way from a format to another.

    Attributes:
        packages: Those that carry it out: a new version of any may convert otherwise.
    """

    name: str
    source: Format
    target: Format
    packages: tuple[str, ...]

    def availability(self) -> Availability:
        """Whether it works here; imports no heavy package."""
        ...

    def convert(self, source: Source, folder: Path, report: Report) -> Converted:
        """Writes the converted model into `folder`.

        Raises:
            UnsupportedOps: Some ops have no translation.
            ConversionFailed: The converter failed otherwise.
        """
        ...


def _load(name: str) -> Conversion:
    conversion: Conversion = importlib.import_module(f"core.conversion.{name}").CONVERSION
    return conversion


@lru_cache(maxsize=1)
def all_conversions() -> tuple[Conversion, ...]:
    """Every conversion; fails loudly on a module of this folder without a `CONVERSION`."""
    names = (info.name for info in pkgutil.iter_modules(core.conversion.__path__))
    return tuple(_load(name) for name in names if name != "base" and not name.startswith("_"))
