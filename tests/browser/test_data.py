"""Bringing input data on the Build page: it goes by our own route, is kept over reruns, and can be taken away."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Page, expect

from bench.driver import Dashboard, visit
from core.models.model import Model

pytestmark = pytest.mark.browser


def test_an_npz_becomes_the_inputs_of_a_build(page: Page, dashboard: Dashboard, digits: Model, tmp_path: Path) -> None:
    given = tmp_path / "images.npz"
    np.savez(given, image=np.random.default_rng(3).random((4, 8, 8, 1), np.float32))
    visit(page, f"/build?model={digits.digest}")
    page.get_by_text("Data", exact=True).click()
    field = page.locator(".data").first
    field.locator("input.file").set_input_files(str(given))
    expect(field.locator(".told")).to_contain_text("images.npz · ")
    (stored,) = dashboard.workspace.data.glob("*/data.npz")
    assert stored.read_bytes() == given.read_bytes()
    page.get_by_text("The same on the command line").click()
    command = page.get_by_test_id("stCode").filter(has_text="engineroom submit")
    expect(command).to_contain_text(stored.parent.name[:12])
    page.get_by_text("Build again although it was built before").click()
    expect(field.locator(".told")).to_contain_text("images.npz · ")
    field.get_by_role("button", name="Remove").click()
    expect(field.locator(".told")).to_have_text("")
    expect(command).not_to_contain_text(stored.parent.name[:12])


def test_what_is_no_npz_is_refused_in_words(page: Page, digits: Model, tmp_path: Path) -> None:
    (tmp_path / "notes.npz").write_text("not arrays")
    visit(page, f"/build?model={digits.digest}")
    page.get_by_text("Data", exact=True).click()
    field = page.locator(".data").first
    field.locator("input.file").set_input_files(str(tmp_path / "notes.npz"))
    expect(field.locator(".told")).to_contain_text("notes.npz is no .npz file. Write it with numpy.savez")
