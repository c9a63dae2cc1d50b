"""Paths: every chain from a model's format through conversions to a backend."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import pairwise

from core.backends.base import Backend, Selective, Variant, all_backends, backend_named
from core.base.availability import Availability
from core.base.errors import InvalidRequest
from core.base.precision import Precision
from core.conversion.base import Conversion, all_conversions
from core.models.model import Format, Model
from core.request.references import reference_for


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildPath:
    """A chain of formats ending in a backend's variant; its id reads `savedmodel.onnx.onnxruntime`.

    Attributes:
        lacks: Availabilities of the steps that do not work here; empty when the whole path does.
        refused: Why it cannot take the model's signature, on any machine; None when it can.
    """

    formats: tuple[Format, ...]
    backend: str
    variant: str = ""
    lacks: tuple[Availability, ...] = ()
    refused: Availability | None = None

    @property
    def id(self) -> str:
        return ".".join([*(f.value for f in self.formats), self.backend, *([self.variant] if self.variant else [])])

    @property
    def available(self) -> bool:
        return not self.obstacles

    @property
    def obstacles(self) -> tuple[Availability, ...]:
        """Everything that keeps it from being built here."""
        return (*((self.refused,) if self.refused else ()), *self.lacks)

    @property
    def title(self) -> str:
        return path_title(self.id)


def path_title(path_id: str) -> str:
    """A path's id as people read it: `ONNX → ONNX Runtime`; the model's own format is left out."""
    parts = path_id.split(".")
    formats = [Format(part) for part in parts if part in {f.value for f in Format}]
    backend, variant = [*parts[len(formats) :], ""][:2]
    return " → ".join([*(f.label for f in formats[1:]), variant_title(backend, variant)])


def variant_title(backend: str, variant: str) -> str:
    found = backend_named(backend)
    return next((v.title for v in found.variants if v.name == variant), found.title)


def conversion_between(source: Format, target: Format) -> Conversion:
    """The conversion that leads from one format to the other.

    Raises:
        InvalidRequest: There is none.
    """
    for conversion in all_conversions():
        if (conversion.source, conversion.target) == (source, target):
            return conversion
    raise InvalidRequest(f"Nothing converts {source.value} to {target.value}.")


def _chains(start: Format) -> Iterator[tuple[Format, ...]]:
    """Every loop-free chain of conversions from `start`, shortest first; one chain for each format reached."""
    reached: dict[Format, tuple[Format, ...]] = {start: (start,)}
    queue = [start]
    while queue:
        here = queue.pop(0)
        for conversion in all_conversions():
            if conversion.source is here and conversion.target not in reached:
                reached[conversion.target] = (*reached[here], conversion.target)
                queue.append(conversion.target)
    yield from reached.values()


def _path(chain: tuple[Format, ...], backend: Backend, variant: Variant) -> BuildPath:
    steps = [conversion_between(a, b).availability() for a, b in pairwise(chain)]
    lacks = tuple(step for step in [*steps, backend.availability()] if not step.available)
    return BuildPath(formats=chain, backend=backend.name, variant=variant.name, lacks=lacks)


def paths_from(start: Format) -> tuple[BuildPath, ...]:
    """Every path from a format, whether it works here or not; short chains first, of those the format's own framework."""
    own = reference_for(start)
    found = (
        _path(chain, backend, variant)
        for chain in _chains(start)
        for backend in all_backends().values()
        if chain[-1] in backend.accepts
        for variant in backend.variants
    )
    return tuple(sorted(found, key=lambda path: (len(path.formats), path.backend != own.backend)))


def paths_for(model: Model, signature: str | None = None) -> tuple[BuildPath, ...]:
    """Every path of a model's signature, the default one unless named."""
    asked = model.signature(signature).name
    return tuple(replace(path, refused=_refused(path, model, asked)) for path in paths_from(model.format))


def _refused(path: BuildPath, model: Model, signature: str) -> Availability | None:
    backend = backend_named(path.backend)
    if len(path.formats) > 1 or not isinstance(backend, Selective):
        return None
    return backend.refusal(model.format, signature, [known.name for known in model.signatures])


def precisions_of(path: BuildPath) -> tuple[Precision, ...]:
    """The precisions that a path's backend can make of what the path hands it."""
    backend = backend_named(path.backend)
    return backend.precisions_from(path.formats) if isinstance(backend, Selective) else tuple(backend.precisions)


def path_named(model: Model, path_id: str, signature: str | None = None) -> BuildPath:
    """The model's path of that id.

    Raises:
        InvalidRequest: The model has no such path.
    """
    paths = paths_for(model, signature)
    for path in paths:
        if path.id == path_id:
            return path
    raise InvalidRequest(
        f"{model.name} ({model.format.value}) has no path {path_id!r}.", hint=f"It has: {', '.join(p.id for p in paths)}."
    )
