"""Every format has a framework of its own to be compared with."""

from __future__ import annotations

import pytest

from core.backends.base import all_backends
from core.models.model import Format
from core.request.references import REFERENCES, reference_for


def test_every_format_has_a_reference() -> None:
    assert set(REFERENCES) == set(Format)


@pytest.mark.parametrize("model_format", list(Format))
def test_its_backend_takes_that_format_and_those_options(model_format: Format) -> None:
    kind = reference_for(model_format)
    backend = all_backends()[kind.backend]
    assert model_format in backend.accepts
    assert kind.variant in [variant.name for variant in backend.variants]
    known = {option.name: option for option in backend.options}
    for name, value in kind.options.items():
        assert value in known[name].choices
