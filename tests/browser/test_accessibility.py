"""axe-core over every page, light and dark: it finds nothing."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page

from bench.driver import visit
from core.stages.outcome import Outcome

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


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_of_ours(new_page: Callable[..., Page], digits_build: Outcome, scheme: str) -> None:
    page = new_page(color_scheme=scheme)
    found = []
    for path in PAGES:
        visit(page, path.format(model=digits_build.model.digest, build=digits_build.build.key))
        page.wait_for_timeout(700)
        for violation in Axe().run(page).response["violations"]:
            for node in violation["nodes"]:
                target = " ".join(str(part) for part in node["target"])
                found.append(f"{path} {violation['id']}: {target}\n    {node['html'][:200]}\n    {node['failureSummary']}")
    assert not found, "\n".join(found)
