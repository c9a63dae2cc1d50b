"""The contract of a backend.

A backend is one file (or one package) in this folder with a module-level `BACKEND`. `build` leaves everything an
engine needs in a folder, `open` runs it from that folder alone, `describe` tells its layers. Builds, measurements
and inspections each run in a process of their own, so a backend may import its runtime freely inside these methods
and nowhere else.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Protocol, runtime_checkable

import core.backends
from core.base.availability import Availability
from core.base.errors import InvalidRequest
from core.base.names import check_below
from core.base.precision import Precision
from core.base.profile import ShapeProfile
from core.base.progress import Report
from core.base.tensors import Session, Signature, Tensors
from core.graph.engine_graph import EngineGraph
from core.graph.support import Support
from core.models.model import Format, Source

OptionValue = str | int | float | bool


_YES = ("1", "true", "yes", "on")


@dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    """A knob of a backend that a user may turn; `choices` closes the set of values, which are of the default's type."""

    name: str
    default: OptionValue
    help: str
    choices: tuple[OptionValue, ...] = ()

    def read(self, text: str) -> OptionValue:
        """A text as a value; whether it is one of the choices is not asked.

        Raises:
            InvalidRequest: It is of another type.
        """
        if isinstance(self.default, bool):
            return text.lower() in _YES
        try:
            return type(self.default)(text)
        except ValueError:
            raise InvalidRequest(f"{self.name} takes a {type(self.default).__name__}, not {text!r}.") from None

    def check(self, value: OptionValue) -> None:
        """Refuses what it cannot be.

        Raises:
            InvalidRequest: The value is of another type, or none of the choices.
        """
        if self.choices and value not in self.choices:
            able = ", ".join(str(choice) for choice in self.choices)
            raise InvalidRequest(f"{self.name} cannot be {value!r}.", hint=f"Choose from: {able}.")
        if not self.choices and type(value) is not type(self.default):
            raise InvalidRequest(f"{self.name} cannot be {value!r}.", hint=f"Give a {type(self.default).__name__}.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    """One way of a backend to run a model; a path names it as `backend` or `backend-variant`."""

    name: str
    title: str


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildConfig:
    """What to build; `options` holds only values that differ from the backend's defaults."""

    variant: str = ""
    precision: Precision = Precision.FP32
    profile: ShapeProfile = field(default_factory=ShapeProfile)
    options: Mapping[str, OptionValue] = field(default_factory=dict)
    device: str = "cpu"
    threads: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Engine:
    """A built engine: the folder that holds it, and the config it was built with.

    Attributes:
        size_bytes: Of the files that a deployment needs.
        versions: Of every package that had a say.
        artifact: The file or folder a deployment takes, relative to `folder`.
    """

    folder: Path
    backend: str
    config: BuildConfig
    signature: Signature
    artifact: str
    size_bytes: int
    versions: dict[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        check_below(self.artifact)


class Backend(Protocol):
    """A runtime at a path's end."""

    name: str
    title: str
    accepts: tuple[Format, ...]
    variants: tuple[Variant, ...]
    options: tuple[Option, ...]
    precisions: tuple[Precision, ...]
    simplifies: bool  # whether ONNX graphs are simplified before they are built

    def availability(self) -> Availability:
        """Whether it works here. Cheap: looks at what is installed and imports no runtime."""
        ...

    def target(self, version: str | None) -> str | None:
        """What `core.precision` writes ONNX graphs for when this backend builds from them, as `parse_target` reads it.

        None where a precision is not put into the graph. A version is in the name where each one reads other graphs.

        Args:
            version: Of the package that will build; None when it is not known.
        """
        ...

    def build(self, source: Source, config: BuildConfig, folder: Path, report: Report) -> Engine:
        """Builds into `folder`.

        Raises:
            BuildFailed: The runtime refused.
            Unavailable: The runtime is not here.
        """
        ...

    def open(self, engine: Engine) -> AbstractContextManager[Session]:
        """Loads an engine that `build` left; releases everything on exit."""
        ...

    def describe(self, engine: Engine) -> EngineGraph:
        """The engine's layers with the source nodes in each; no times."""
        ...

    def layer_times(self, engine: Engine, inputs: Tensors, runs: int) -> dict[str, float]:
        """Mean milliseconds a run of each layer, by its name in `describe`, from a profiled run; empty if it cannot."""
        ...


@runtime_checkable
class Selective(Protocol):
    """What a backend adds that cannot take every signature, or make every precision, of all the formats it accepts."""

    def refusal(self, format: Format, signature: str, known: Sequence[str]) -> Availability | None:
        """Why it cannot take that signature straight from a model of that format; None when it can.

        Args:
            known: All signatures of the model, the default one first.
        """
        ...

    def precisions_from(self, formats: Sequence[Format]) -> tuple[Precision, ...]:
        """Those of `precisions` that it can make at the end of a chain of formats, the model's own first."""
        ...


@runtime_checkable
class Preflights(Protocol):
    """What a backend adds that can be asked which nodes it takes, before any build."""

    asked_about: tuple[Format, ...]  # of what it accepts, what it can be asked about

    def preflight(self, source: Source, config: BuildConfig, folder: Path, report: Report) -> Support:
        """What it takes of a model, node by node. It may crash the process; each question is asked in one of its own.

        Args:
            config: Its options count, such as plugins.
            folder: An empty one to work in, on the file system of the workspace.

        Raises:
            Unavailable: The runtime is not here, or lacks what it needs to answer.
            BrokenModel: The model cannot be read.
        """
        ...


@runtime_checkable
class ForSomeGpus(Protocol):
    """What a backend adds whose engines run on GPUs of some compute capabilities alone."""

    def capabilities(self, options: Mapping[str, OptionValue]) -> tuple[str, ...]:
        """Compute capabilities of the GPUs that an engine runs on, "8.6" or "12.x" for all of 12; empty for any.

        Args:
            options: Those of the build that differ from their defaults.
        """
        ...


@runtime_checkable
class ChecksConfig(Protocol):
    """What a backend adds whose options are more than a choice: what is wrong with them is told before anything is made."""

    def check(self, config: BuildConfig, signature: Signature) -> None:
        """Imports no runtime; what only the machine that builds can tell is left to `build`.

        Args:
            signature: What will be built.

        Raises:
            InvalidRequest: An option makes no sense, or contradicts the signature.
            Unavailable: What the options ask for cannot be in that precision.
        """
        ...


@runtime_checkable
class Widens(Protocol):
    """What a backend adds that can run an engine in float32 although its model computes in 16-bit floats."""

    def narrow_type(self, engine: Engine) -> str:
        """The narrowest float type that the engine's model computes in ("bfloat16"); empty where there is none of 16 bits."""
        ...

    def open_wide(self, engine: Engine) -> AbstractContextManager[Session]:
        """Loads it with every 16-bit float as one of 32 bits, inputs and outputs among them.

        Raises:
            EngineRoomError: It does not run so.
        """
        ...


def capabilities_of(backend: Backend, options: Mapping[str, OptionValue]) -> tuple[str, ...]:
    """The compute capabilities that an engine of this backend runs on; empty for any."""
    return backend.capabilities(options) if isinstance(backend, ForSomeGpus) else ()


def _load(name: str) -> Backend:
    module = importlib.import_module(f"core.backends.{name}")
    backend: Backend = module.BACKEND
    return backend


@lru_cache(maxsize=1)
def all_backends() -> Mapping[str, Backend]:
    """Every backend by its name; fails loudly on a module of this folder without a `BACKEND`."""
    names = (info.name for info in pkgutil.iter_modules(core.backends.__path__))
    found = (_load(name) for name in names if name != "base" and not name.startswith("_"))
    return {backend.name: backend for backend in found}


def known_option(backend: Backend, name: str) -> Option:
    """The backend's option of that name.

    Raises:
        InvalidRequest: There is none.
    """
    for option in backend.options:
        if option.name == name:
            return option
    able = ", ".join(option.name for option in backend.options)
    raise InvalidRequest(f"{backend.title} has no option {name!r}.", hint=f"It has: {able or 'none'}.")


def backend_named(name: str) -> Backend:
    """The backend of that name.

    Raises:
        InvalidRequest: There is none.
    """
    try:
        return all_backends()[name]
    except KeyError:
        raise InvalidRequest(f"No backend is called {name!r}.", hint=f"There are: {', '.join(all_backends())}.") from None
