"""The backend that CONTRIBUTING shows whole, held to the contract."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from core.backends.base import Backend, BuildConfig
from core.base.errors import InvalidRequest
from core.base.progress import silent
from core.models.model import Format
from tests.contract.conftest import BATCHES, Case
from tests.documented import documented_backend


@pytest.fixture(scope="module")
def backend() -> Backend:
    return documented_backend()


def test_it_is_available_and_gives_the_right_answers(backend: Backend, cases: Callable[[Format], Case], tmp_path: Path) -> None:
    assert backend.availability().available
    case = cases(Format.ONNX)
    engine = backend.build(case.source, BuildConfig(), tmp_path, silent)
    moved = replace(engine, folder=tmp_path.rename(tmp_path.with_name("moved")))
    with backend.open(moved) as session:
        for batch in BATCHES:
            found = session.run(case.inputs[batch])
            for name, expected in case.outputs[batch].items():
                np.testing.assert_allclose(found[name], expected, rtol=1e-5, atol=1e-6)
        with pytest.raises(InvalidRequest):
            session.run({"nothing": np.zeros(1)})
    graph = backend.describe(moved)
    assert {name for layer in graph.layers for name in layer.source_nodes} == {node.name for node in graph.source_nodes}
