"""Pages run by Streamlit's AppTest on a workspace of the module's own; no browser and no worker."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Protocol

import pytest
import streamlit as st
from streamlit.components.v2 import manifest_scanner
from streamlit.testing.v1 import AppTest

from core.base.files import WORKSPACE_VARIABLE
from core.intake.add_model import add_model
from core.models.model import Model
from core.stages.outcome import Outcome
from core.storage.workspace import Workspace
from dashboard import services
from sample_models.make_models import sample
from tests.digits import copy_into

MAIN = Path(__file__).parents[2] / "dashboard" / "main.py"
SECONDS = 30


class OpenPage(Protocol):
    def __call__(self, page: str, **ids: str) -> AppTest: ...


@pytest.fixture(scope="session", autouse=True)
def scanned_once() -> Iterator[None]:
    """A server looks through the installed packages for components when it starts; every AppTest is a new server."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(manifest_scanner, "scan_component_manifests", cache(manifest_scanner.scan_component_manifests))
        yield


@pytest.fixture(autouse=True)
def no_cookies(monkeypatch: pytest.MonkeyPatch) -> None:
    """AppTest's visitors have a mock in place of cookies."""
    monkeypatch.setattr(type(st.context), "cookies", {})


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory, forked: None) -> Iterator[Workspace]:
    """Empty at first."""
    root = tmp_path_factory.mktemp("workspace")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(WORKSPACE_VARIABLE, str(root))
        yield Workspace(root)
        services.queue().close()


@pytest.fixture
def open_page(workspace: Workspace) -> OpenPage:
    """Runs a page, named as in dashboard/links.py, with ids in its address."""

    def run(page: str, **ids: str) -> AppTest:
        app = AppTest.from_file(str(MAIN), default_timeout=SECONDS)
        app.switch_page(page)
        for name, value in ids.items():
            app.query_params[name] = value
        return app.run()

    return run


@pytest.fixture(scope="module")
def digits(workspace: Workspace) -> Model:
    return add_model(sample("digits"), workspace)


@pytest.fixture(scope="module")
def digits_build(workspace: Workspace, digits_made: Workspace) -> Outcome:
    """A real build by ONNX Runtime, measured for an instant."""
    return copy_into(workspace, digits_made)


def text_of(app: AppTest) -> str:
    """All that a page says, for assertions about words."""
    elements = [
        *app.title,
        *app.header,
        *app.subheader,
        *app.markdown,
        *app.caption,
        *app.info,
        *app.warning,
        *app.error,
        *app.success,
    ]
    return "\n".join(str(element.value) for element in elements)
