"""Paths: every chain from a model's format through conversions to a backend."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import pairwise, takewhile

from core.backends.base import Selective, all_backends, backend_named
from core.base.availability import Availability, availability_of
from core.base.errors import InvalidRequest
from core.base.precision import Precision
from core.conversion.base import Conversion, all_conversions
from core.models.model import Format, Model
from core.request.references import reference_for


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildPath:
    """A chain of formats ending in a backend's variant; its id reads `savedmodel.onnx.onnxruntime`.

    Attributes:
        refused: Why it cannot take the model's signature, on any machine; None when it can.
    """

    formats: tuple[Format, ...]
    backend: str
    variant: str = ""
    refused: Availability | None = None

    @property
    def id(self) -> str:
        return ".".join([*(f.value for f in self.formats), self.backend, *([self.variant] if self.variant else [])])

    @property
    def lacks(self) -> tuple[Availability, ...]:
        """Availabilities of the steps that do not work here; empty when the whole path does."""
        conversions = [conversion_between(source, target) for source, target in pairwise(self.formats)]
        steps = [*map(availability_of, conversions), availability_of(backend_named(self.backend))]
        return tuple(step for step in steps if not step.available)

    @property
    def available(self) -> bool:
        return not self.obstacles

    @property
    def obstacles(self) -> tuple[Availability, ...]:
        """Everything that keeps it from being built here."""
        return (*((self.refused,) if self.refused else ()), *self.lacks)

    @property
    def title(self) -> str:
        """As people read it: `ONNX → ONNX Runtime`; the model's own format is left out."""
        return " → ".join([*(f.label for f in self.formats[1:]), variant_title(self.backend, self.variant)])


def parse_path(path_id: str) -> BuildPath:
    """The path that an id spells; whether there is one of its parts is not asked."""
    parts = path_id.split(".")
    known = {f.value for f in Format}
    formats = tuple(Format(part) for part in takewhile(known.__contains__, parts))
    backend, variant = [*parts[len(formats) :], "", ""][:2]
    return BuildPath(formats=formats, backend=backend, variant=variant)


def path_title(path_id: str) -> str:
    return parse_path(path_id).title


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


def paths_from(start: Format) -> tuple[BuildPath, ...]:
    """Every path from a format, whether it works here or not; short chains first, of those the format's own framework."""
    own = reference_for(start)
    found = (
        BuildPath(formats=chain, backend=backend.name, variant=variant.name)
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
    asked = model.signature(signature).name
    path = parse_path(path_id)
    if path.id != path_id or not _is_path_from(model.format, path):
        able = ", ".join(known.id for known in paths_from(model.format))
        raise InvalidRequest(f"{model.name} ({model.format.value}) has no path {path_id!r}.", hint=f"It has: {able}.")
    return replace(path, refused=_refused(path, model, asked))


def _is_path_from(start: Format, path: BuildPath) -> bool:
    backend = all_backends().get(path.backend)
    return (
        backend is not None
        and path.formats in _chains(start)
        and path.formats[-1] in backend.accepts
        and path.variant in [variant.name for variant in backend.variants]
    )
