"""Streamlit's own front end, sent from memory and asked for early.

A page begins with 60 small scripts, which Streamlit reads from disk anew for everybody, and goes on with those of its widgets,
which the browser asks for one after another as they are first named. `FrontEnd` answers for the files and for the HTML of our
pages from memory, and the HTML says what the browser is to fetch at once. What a page needs is named as in the bundler's
manifest beside the files. A name that another release of Streamlit does not have is left out: only time is lost.

Each page also takes navigation.js, which makes links within a page change the address.
"""

from __future__ import annotations

import hashlib
import json
import mimetypes
from collections.abc import Iterable, Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

import anyio
import streamlit
from starlette.types import ASGIApp, Receive, Scope, Send

FOLDER = Path(streamlit.__file__).parent / "static"
PREFIX = "/static/"
FOREVER = "public, immutable, max-age=31536000"  # the files' names change with their content
TITLE = "Engine Room"
START = "index.html"

_ELEMENTS, _WIDGETS = "../lib/src/components/elements", "../lib/src/components/widgets"
HTML, LINK, METRIC, PLOTLY = (f"{_ELEMENTS}/{name}/{name}.tsx" for name in ("Html", "PageLink", "Metric", "PlotlyChart"))
BUTTON, CHECKBOX, CHOICE, COMPONENT, NUMBER, SELECT, TEXT = (
    f"{_WIDGETS}/{name}/{name}.tsx"
    for name in ("Button", "Checkbox", "ButtonGroup", "BidiComponent", "NumberInput", "Selectbox", "TextInput")
)
TABLE = "_DataFrame"
EVERYWHERE = (HTML, LINK, BUTTON)
PAGES: dict[str, tuple[str, ...]] = {
    "/": (COMPONENT,),
    "/model": (COMPONENT, METRIC),
    "/build": (COMPONENT, CHECKBOX, NUMBER, SELECT),
    "/jobs": (),
    "/engine": (COMPONENT, TABLE, METRIC, CHOICE, TEXT),
    "/compare": (COMPONENT, TABLE, CHOICE, SELECT, PLOTLY),
    "/system": (TABLE, METRIC),
}
# Without it the browser first looks for the server below the page's own address.
SERVER = "<script>window.__streamlit = {BACKEND_BASE_URL: location.origin + '/'}</script>"
NAVIGATION = (Path(__file__).parent / "navigation.js").read_bytes()
NAVIGATION_ADDRESS = f"/engine-room/navigation-{hashlib.sha256(NAVIGATION).hexdigest()[:12]}.js"


class Bundle:
    """The files that Streamlit brings, and which of them belong together."""

    def __init__(self, folder: Path = FOLDER) -> None:
        self._folder = folder
        self._read: dict[str, bytes] = {}

    @cached_property
    def files(self) -> dict[str, Path]:
        """By address; nothing else is ever sent."""
        base = self._folder / "static"
        return {PREFIX + path.relative_to(base).as_posix(): path for path in base.rglob("*") if path.is_file()}

    @property
    def pages(self) -> tuple[str, str]:
        """The HTML that browsers get: Streamlit's own, and that of our pages."""
        return (self._folder / START).read_text(encoding="utf-8"), self.page(()).decode()

    async def content(self, address: str) -> bytes:
        """Of a file, kept in memory from the first time on."""
        if address not in self._read:
            self._read[address] = await anyio.Path(self.files[address]).read_bytes()
        return self._read[address]

    @cached_property
    def _manifest(self) -> dict[str, dict[str, Any]]:
        path = self._folder / "manifest.json"
        return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}

    def entry(self, name: str) -> str | None:
        """The manifest's key for a name, given whole or without the hash in it; None when it has none."""
        if name in self._manifest:
            return name
        return next((key for key in self._manifest if key.startswith(f"{name}.") and key.endswith(".js")), None)

    def needed(self, names: Iterable[str]) -> list[str]:
        """Addresses of the entries and of all they import, but for what every page begins with."""
        entries = [entry for name in names if (entry := self.entry(name))]
        begun = set(self._closure([START]))
        return [f"/{self._manifest[key]['file']}" for key in self._closure(entries) if key not in begun]

    def _closure(self, entries: Iterable[str]) -> Iterator[str]:
        seen: set[str] = set()
        waiting = list(entries)
        while waiting:
            key = waiting.pop(0)
            if key not in seen and key in self._manifest:
                seen.add(key)
                yield key
                waiting += self._manifest[key].get("imports", [])

    def page(self, names: Iterable[str], more: Iterable[str] = ()) -> bytes:
        """The HTML of a page that needs the named entries and `more` modules."""
        hints = (f'<link rel="modulepreload" crossorigin href="{address}">' for address in (*self.needed(names), *more))
        html = (self._folder / START).read_text(encoding="utf-8")
        html = html.replace("<title>Streamlit</title>", f"<title>{TITLE}</title>")
        return html.replace("</head>", f"{SERVER}{_script(NAVIGATION_ADDRESS)}{''.join(hints)}</head>").encode()


def _script(address: str) -> str:
    return f'<script defer src="{address}"></script>'


class FrontEnd:
    """ASGI middleware in front of Streamlit.

    Args:
        modules: Addresses of modules of our own, by the page that needs them.
    """

    def __init__(self, app: ASGIApp, bundle: Bundle, modules: dict[str, tuple[str, ...]]) -> None:
        self._app = app
        self._bundle = bundle
        self._pages = {path: bundle.page((*EVERYWHERE, *names), modules.get(path, ())) for path, names in PAGES.items()}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope.get("path", "")
        if scope["type"] != "http" or scope["method"] != "GET":
            await self._app(scope, receive, send)
        elif path in self._pages:
            await _send(send, self._pages[path], "text/html; charset=utf-8", "no-cache")
        elif path == NAVIGATION_ADDRESS:
            await _send(send, NAVIGATION, "text/javascript", FOREVER)
        elif path in self._bundle.files:
            kind = mimetypes.guess_type(path)[0] or "application/octet-stream"
            await _send(send, await self._bundle.content(path), kind, FOREVER)
        else:
            await self._app(scope, receive, send)


async def _send(send: Send, body: bytes, kind: str, cache: str) -> None:
    headers = {"content-type": kind, "content-length": str(len(body)), "cache-control": cache}
    raw = [(name.encode(), value.encode()) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": 200, "headers": raw})
    await send({"type": "http.response.body", "body": body})
