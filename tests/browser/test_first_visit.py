"""What somebody sees who opens the dashboard for the first time."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from tests.browser.driver import visit

pytestmark = pytest.mark.browser


def test_home_says_what_this_is(page: Page, dashboard: object) -> None:
    visit(page)
    expect(page).to_have_title("Engine Room")
