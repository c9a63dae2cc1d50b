"""What stands before every route: only requests to a name of ours pass, and every answer says what a browser may do with it.

What a page may fetch is the second wall behind `dashboard.formatting.plain`: text of a model that became markup all the same
calls nobody.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterable

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from dashboard.hosts import HOSTS_VARIABLE, Hosts

MISDIRECTED = 421
POLICY_VIOLATION = 1008
HEADERS = {
    "x-frame-options": "DENY",  # for browsers that do not know frame-ancestors
    "x-content-type-options": "nosniff",
    "referrer-policy": "same-origin",  # links to files carry a token
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}


class Gate:
    """ASGI middleware around everything, WebSockets included.

    Args:
        hosts: The names that this server answers to.
        scripts: The scripts that stand in the HTML of pages; no other one in there runs.
    """

    def __init__(self, app: ASGIApp, hosts: Hosts, scripts: Iterable[str]) -> None:
        self._app = app
        self._hosts = hosts
        self._scripts = " ".join(f"'{_hash(script)}'" for script in dict.fromkeys(scripts))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        given = Headers(scope=scope).getlist("host")
        host = given[0] if len(given) == 1 else ""
        if not self._hosts.answer(host):
            await _refuse(scope, receive, send, host)
            return
        policy = self._policy(host)

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
                headers["content-security-policy"] = policy
            await send(message)

        await self._app(scope, receive, send_with_headers)

    def _policy(self, host: str) -> str:
        """Of a page on this host, whose name was checked."""
        rules = {
            "default-src": "'self'",
            "script-src": f"'self' blob: 'wasm-unsafe-eval' {self._scripts}",  # components' own code comes as a blob
            "style-src": "'self' 'unsafe-inline'",
            "img-src": "'self' data: blob:",
            "font-src": "'self' data:",
            "media-src": "'self' data: blob:",
            "connect-src": f"'self' ws://{host} wss://{host} data: blob:",
            "worker-src": "'self' blob:",
            "object-src": "'none'",
            "base-uri": "'self'",
            "form-action": "'self'",
            "frame-ancestors": "'none'",
        }
        return "; ".join(f"{name} {value}" for name, value in rules.items())


async def _refuse(scope: Scope, receive: Receive, send: Send, host: str) -> None:
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": POLICY_VIOLATION})
        return
    told = f"This server does not answer to the name {host[:100]!r}." if host else "The request names no server."
    hint = f"If it is this server's name, whoever runs it adds it to {HOSTS_VARIABLE} (docs/security.md)."
    await PlainTextResponse(f"{told} {hint}\n", status_code=MISDIRECTED)(scope, receive, send)


def scripts_in(html: str) -> list[str]:
    """The scripts that stand in a page's HTML."""
    return re.findall(r"<script>(.*?)</script>", html, flags=re.DOTALL)


def _hash(script: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
