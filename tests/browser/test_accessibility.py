"""axe-core over every page, dark and light: it finds nothing."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page

from bench.driver import visit
from core.stages.outcome import Outcome
from tests.browser.axe import violations

pytestmark = pytest.mark.browser

PAGES = (
    "/",
    "/model",
    "/model?model={model}",
    "/build?model={model}",
    "/jobs",
    "/engine?build={build}",
    "/engine?build={build}&section=Source+nodes",
    "/engine?build={build}&section=Findings",
    "/engine?build={build}&section=Precision",
    "/engine?build={build}&section=Measurement",
    "/engine?build={build}&section=Build",
    "/compare?model={model}",
    "/system",
)


@pytest.mark.parametrize("path", PAGES)
def test_axe_finds_nothing_of_ours(page: Page, digits_build: Outcome, path: str) -> None:
    address = path.format(model=digits_build.model.digest, build=digits_build.build.key)
    found = violations(page, lambda: visit(page, address), settles_ms=700)
    assert not found, "\n".join(found)
