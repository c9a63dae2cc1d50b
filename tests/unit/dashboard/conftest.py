"""Our routes on a real server in a thread, asked by a small client."""

from __future__ import annotations

import json
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from starlette.applications import Starlette

from core.base.files import WORKSPACE_VARIABLE
from core.storage.workspace import Workspace
from dashboard import access, uploads


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    status: int
    text: str

    def json(self) -> Any:
        return json.loads(self.text)


@dataclass(frozen=True, slots=True, kw_only=True)
class Client:
    url: str
    headers: dict[str, str] = field(default_factory=dict)

    def request(self, method: str, path: str, *, content: bytes | None = None, headers: dict[str, str] | None = None) -> Answer:
        request = urllib.request.Request(  # noqa: S310  our own server
            self.url + path, data=content, method=method, headers={**self.headers, **(headers or {})}
        )
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310
                return Answer(status=answer.status, text=answer.read().decode())
        except urllib.error.HTTPError as error:
            with error:
                return Answer(status=error.code, text=error.read().decode())

    def get(self, path: str, **more: Any) -> Answer:
        return self.request("GET", path, **more)

    def post(self, path: str, body: object = None) -> Answer:
        return self.request("POST", path, content=b"" if body is None else json.dumps(body).encode())


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    monkeypatch.setenv(WORKSPACE_VARIABLE, str(tmp_path / "workspace"))
    return Workspace(tmp_path / "workspace")


@pytest.fixture(scope="module")
def routes_url() -> Iterator[str]:
    config = uvicorn.Config(Starlette(routes=uploads.ROUTES), port=0, log_level="warning", lifespan="off")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    server.should_exit = True
    thread.join()


@pytest.fixture
def stranger(workspace: Workspace, routes_url: str) -> Client:
    """Somebody without a token."""
    return Client(url=routes_url)


@pytest.fixture
def client(workspace: Workspace, routes_url: str) -> Client:
    """A page's own requests."""
    return Client(url=routes_url, headers={access.HEADER: access.token()})
