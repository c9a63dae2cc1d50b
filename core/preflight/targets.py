"""Which targets can be asked about a model, and by which path each is reached."""

from __future__ import annotations

from collections.abc import Sequence

from core.backends.base import Preflights, all_backends, backend_named
from core.base.errors import InvalidRequest, Unavailable
from core.models.model import Model
from core.preflight.answer import Unasked
from core.request.paths import BuildPath, paths_for

NO_QUESTION = "It has no way to be asked before a build."


def targets_for(model: Model, signature: str | None = None) -> tuple[tuple[BuildPath, ...], tuple[Unasked, ...]]:
    """The path to each target that can be asked here, and the backends that cannot.

    Raises:
        InvalidRequest: The model has no such signature.
    """
    paths, unasked = [], []
    reached = paths_for(model, signature)
    for name, backend in all_backends().items():
        if not any(path.backend == name for path in reached):
            continue
        path = _path(reached, name)
        if not isinstance(backend, Preflights) or path is None:
            unasked.append(Unasked(backend=name, title=backend.title, reason=NO_QUESTION))
        elif path.obstacles:
            lack = path.obstacles[0]
            unasked.append(Unasked(backend=name, title=backend.title, reason=lack.reason, hint=lack.hint))
        else:
            paths.append(path)
    return tuple(paths), tuple(unasked)


def chosen_targets(model: Model, names: Sequence[str], signature: str | None = None) -> tuple[BuildPath, ...]:
    """The paths to the targets of these names.

    Raises:
        InvalidRequest: There is no such target, it cannot be asked, or the model does not reach it.
        Unavailable: It is not here.
    """
    paths, unasked = targets_for(model, signature)
    able = {path.backend: path for path in paths}
    found = []
    for name in dict.fromkeys(name.replace("-", "_") for name in names):
        title = backend_named(name).title
        lack = next((one for one in unasked if one.backend == name), None)
        if name in able:
            found.append(able[name])
        elif lack and lack.reason != NO_QUESTION:
            raise Unavailable(f"{title} cannot be asked here: {lack.reason}", hint=lack.hint)
        else:
            why = f"{title} has no way to be asked before a build" if lack else f"No path leads from {model.name} to {title}"
            raise InvalidRequest(f"{why}.", hint=f"Can be asked: {', '.join(able) or 'none'}.")
    return tuple(found)


def _path(reached: Sequence[BuildPath], name: str) -> BuildPath | None:
    """The shortest path to a backend that ends in a format in which it can be asked."""
    backend = backend_named(name)
    formats = backend.asked_about if isinstance(backend, Preflights) else ()
    return next((path for path in reached if path.backend == name and path.formats[-1] in formats), None)
