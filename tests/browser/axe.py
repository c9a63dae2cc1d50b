"""axe-core over an open page, dark and light."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Literal

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page

# Markup of Streamlit and plotly that nobody outside them can change.
THEIRS = ("data-testid=", "glide", "modebar", "st-emotion", "stHeader")
SCHEMES: tuple[Literal["dark", "light"], ...] = ("dark", "light")
BRIGHT = """() => {
    const channels = getComputedStyle(document.querySelector('[data-testid=stApp]')).backgroundColor.match(/\\d+/g).map(Number);
    return channels.slice(0, 3).every(channel => channel > 127);
}"""


def violations(page: Page, open_it: Callable[[], object], *, settles_ms: int, theirs: Collection[str] = ()) -> list[str]:
    """What axe finds on a page that is opened in the dark, and on the same page once its visitor's system has turned light.

    Args:
        settles_ms: It is given so long to be drawn, each time.
        theirs: What the markup of others has in it, which nobody but they can change.
    """
    found = []
    for scheme in SCHEMES:
        page.emulate_media(color_scheme=scheme)
        if scheme == SCHEMES[0]:
            open_it()
        page.wait_for_timeout(settles_ms)
        assert page.evaluate(BRIGHT) is (scheme == "light")
        for violation in Axe().run(page).response["violations"]:
            for node in violation["nodes"]:
                if not any(part in node["html"] for part in theirs):
                    target = " ".join(str(part) for part in node["target"])
                    told = f"{violation['id']}: {target}\n    {node['html'][:300]}\n    {node['failureSummary']}"
                    found.append(f"{page.url} {scheme} {told}")
    return found
