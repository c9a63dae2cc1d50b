"""Browsers of different users, lent to a test each and given back with nothing left in them but scripts and styles.

A new browser, and a new process of one, fetches and compiles all of Streamlit's scripts anew, which takes it longer than all else
that most tests ask of it. A tab that another one has opened is drawn by the same process.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from playwright.sync_api import Browser, Page, ViewportSize

from bench.driver import PAGE_MILLISECONDS

VIEWPORT = ViewportSize(width=1440, height=900)
STILL = "/_stcore/health"  # has no scripts
STORED = "cache_storage,cookies,file_systems,indexeddb,local_storage,service_workers"


@dataclass(kw_only=True)
class Visitors:
    """Those of one server.

    Attributes:
        options: What `Browser.new_context` takes.
    """

    browser: Browser
    url: str
    options: dict[str, Any] = field(default_factory=dict)
    _free: list[Page] = field(default_factory=list)  # of each visitor the tab that stays

    def lend(self) -> Page:
        """An empty tab of somebody whom no other test has."""
        if not self._free:
            context = self.browser.new_context(base_url=self.url, viewport=VIEWPORT, **self.options)
            stays = context.new_page()
            stays.goto(STILL)
            self._free.append(stays)
        stays = self._free.pop()
        with stays.context.expect_page() as opened:
            stays.evaluate("() => { window.open('about:blank') }")
        opened.value.set_default_timeout(PAGE_MILLISECONDS)
        return opened.value

    def take_back(self, page: Page) -> None:
        """Closes all tabs of its visitor but the one that stays, and forgets what they have stored."""
        context = page.context
        stays, *tabs = context.pages
        origins = {self.url, *(_origin(tab.url) for tab in tabs if tab.url.startswith("http:"))}
        for tab in tabs:
            tab.close()
        context.set_offline(False)
        context.clear_cookies()
        context.clear_permissions()
        session = context.new_cdp_session(stays)
        for origin in origins:
            session.send("Storage.clearDataForOrigin", {"origin": origin, "storageTypes": STORED})
        session.detach()
        self._free.append(stays)


def _origin(url: str) -> str:
    split = urlsplit(url)
    return f"{split.scheme}://{split.netloc}"
