"""What there is to choose from, as a Markdown page made from the code: `python -m core.request.catalogue > docs/backends.md`."""

from __future__ import annotations

from collections.abc import Iterator

from core.backends.base import Backend, all_backends
from core.models.model import Format
from core.request.paths import paths_from


def page() -> str:
    return "\n".join(_lines()) + "\n"


def _lines() -> Iterator[str]:
    yield "# Backends, options and paths"
    yield ""
    yield "Made from the code by `python -m core.request.catalogue > docs/backends.md`; a test holds it to that."
    yield ""
    yield "| backend | takes | variants | precisions |"
    yield "|---|---|---|---|"
    for backend in all_backends().values():
        takes = ", ".join(format_.label for format_ in backend.accepts)
        variants = ", ".join(f"`{variant.name}`" for variant in backend.variants if variant.name)
        precisions = ", ".join(precision.value for precision in backend.precisions)
        yield f"| {backend.title} (`{backend.name}`) | {takes} | {variants or '–'} | {precisions} |"
    for backend in all_backends().values():
        yield from _options(backend)
    yield ""
    yield "## Paths"
    for format_ in Format:
        yield ""
        yield f"From {format_.label}:"
        yield ""
        for path in paths_from(format_):
            yield f"- `{path.id}`: {path.title}"


def _options(backend: Backend) -> Iterator[str]:
    if not backend.options:
        return
    yield ""
    yield f"## Options of {backend.title}"
    yield ""
    yield "| option | default | choices | |"
    yield "|---|---|---|---|"
    for option in backend.options:
        choices = ", ".join(f"`{choice}`" for choice in option.choices)
        default = f"`{option.default}`" if option.default != "" else "–"
        yield f"| `{option.name}` | {default} | {choices or 'any'} | {option.help} |"


if __name__ == "__main__":
    print(page(), end="")
