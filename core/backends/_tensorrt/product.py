"""What tells TensorRT from its siblings: one record a product, which its backend's folder makes."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from core.backends._tensorrt.versions import Features, parse_version
from core.backends.base import Option


@dataclass(frozen=True, slots=True, kw_only=True)
class Product:
    """One of NVIDIA's products that build TensorRT engines.

    Attributes:
        name: Of its backend, and of its version among an engine's.
        title: As people read it.
        module: Its Python bindings.
        packages: Those that install it, the first to ask for first.
        options: Its knobs.
        features: What a version, by major and minor, has; raises Unavailable for one that will not do.
        target: What `core.precision` writes graphs for, by the full version; None asks without one.
        install_hint: How to install it on the machine whose system lies below a folder.
        builds_on: Device types that it can build for ("cpu": with no GPU).
        runs_on: Device types that its engines run on.
        runs_where: What it takes to run them, in words, where `runs_on` says less.
        licence: Whose it has, and how to leave it out, for what is installed unasked.
        tells_layers: Its builder writes the engine's layers into its log, so that none needs to be loaded for them.
        capabilities: Compute capabilities that an engine can be built for with no GPU, by the names of
            `ComputeCapability`'s members, oldest first.
        portable: Those that an engine runs on which names none, "12.x" for all of 12; empty where engines run on any.
    """

    name: str
    title: str
    module: str
    packages: tuple[str, ...]
    options: tuple[Option, ...]
    features: Callable[[tuple[int, int]], Features]
    target: Callable[[str | None], str]
    install_hint: Callable[[Path], str]
    builds_on: tuple[str, ...]
    runs_on: tuple[str, ...]
    runs_where: str = ""
    licence: str = ""
    tells_layers: bool = False
    capabilities: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    portable: tuple[str, ...] = ()

    def number(self, member: str) -> str:
        """Of a member of `ComputeCapability`: `8.6`."""
        major, minor = self.capabilities[member]
        return f"{major}.{minor}"

    def imported(self) -> Any:
        """The module of its bindings, called `trt` wherever it is handed on."""
        return importlib.import_module(self.module)

    def features_of(self, trt: Any) -> Features:
        """What the imported version has."""
        return self.features(parse_version(trt.__version__, self.title))
