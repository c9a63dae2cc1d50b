"""An instance to attack: a real server on a workspace of its own, a client that says what it likes, and probes."""

from __future__ import annotations

import http.client
import json
import socket
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from bench.driver import start_server, stop
from core.storage.workspace import Workspace
from dashboard.access import HEADER, signer

UPLOADS = "/engine-room/uploads"
SLICE_BYTES = 16 << 20
PROBE_SECONDS = 0.5
SLOW_SECONDS = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def in_words(self) -> bool:
        """Whether a refusal says what failed, and is no fault of the server's."""
        try:
            return 400 <= self.status < 500 and bool(json.loads(self.body).get("message"))
        except ValueError:
            return False

    @property
    def refused(self) -> bool:
        return 400 <= self.status < 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Instance:
    """A running server.

    Attributes:
        quick: Fewer tries where they take long.
        fuzzed: How many uploads to fuzz.
    """

    workspace: Workspace
    home: Path
    port: int
    pid: int
    quick: bool
    fuzzed: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def token(self) -> str:
        """As a page of nobody who is logged in hands it out: attackers may have a browser too."""
        return str(signer(self.workspace.root).dumps(""))

    def ask(self, method: str, path: str, body: bytes | None = None, headers: Mapping[str, str] | None = None) -> Answer:
        """One request, with a token unless the headers have another."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=120)
        try:
            connection.request(method, path, body, {HEADER: self.token, **(headers or {})})
            told = connection.getresponse()
            return Answer(status=told.status, headers={k.lower(): v for k, v in told.getheaders()}, body=told.read())
        finally:
            connection.close()

    def say(self, data: bytes, *, seconds: float = 10.0) -> bytes:
        """Whatever comes back to these bytes, until the server closes or falls silent."""
        heard = b""
        with socket.create_connection(("127.0.0.1", self.port), timeout=seconds) as connection:
            try:
                connection.sendall(data)
                while piece := connection.recv(65536):
                    heard += piece
            except OSError:
                pass
        return heard

    def begin(self, *files: tuple[str, int]) -> Answer:
        listed = [{"name": name, "size": size} for name, size in files]
        return self.ask("POST", UPLOADS, json.dumps({"files": listed}).encode())

    def send(self, name: str, data: bytes, options: Mapping[str, Any] | None = None) -> str:
        """Uploads a file and has it read; the upload's id."""
        upload = str(self.begin((name, len(data))).json()["id"])
        for offset in range(0, len(data), SLICE_BYTES):
            self.ask("PUT", f"{UPLOADS}/{upload}/0?offset={offset}", data[offset : offset + SLICE_BYTES])
        self.ask("POST", f"{UPLOADS}/{upload}/finish", json.dumps(options or {}).encode())
        return upload

    def ended(self, upload: str, *, seconds: float = 300.0) -> dict[str, Any]:
        """The last word on an upload's reading."""
        deadline = time.monotonic() + seconds
        while (told := self.ask("GET", f"{UPLOADS}/{upload}").json())["state"] == "reading":
            if time.monotonic() > deadline:
                raise TimeoutError(f"It was not read in {seconds:g} s: {told}")
            time.sleep(0.1)
        return dict(told)

    def children(self) -> list[psutil.Process]:
        """The processes that read uploads now, with all that they started."""
        found: list[psutil.Process] = psutil.Process(self.pid).children(recursive=True)
        return found

    def resident_bytes(self) -> int:
        return int(psutil.Process(self.pid).memory_info().rss)


@contextmanager
def running(*, quick: bool, fuzzed: int, **settings: Any) -> Iterator[Instance]:
    """A server with these settings of the environment; it and its workspace are gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="engine-room-attack-", ignore_cleanup_errors=True) as folder:
        home = Path(folder)
        workspace = Workspace(home / "workspace")
        server, url = start_server(workspace, home / "server.log", **settings)
        try:
            found = Instance(
                workspace=workspace,
                home=home,
                port=int(url.rpartition(":")[2]),
                pid=server.pid,
                quick=quick,
                fuzzed=fuzzed,
            )
            yield found
        finally:
            stop(server)


class Probes:
    """Asks the server for its health all the while; `slowest` is the longest that it took, `failed` what went wrong."""

    def __init__(self, instance: Instance) -> None:
        self.slowest, self.count = 0.0, 0
        self.failed: list[str] = []
        self._instance, self._over = instance, threading.Event()
        self._thread = threading.Thread(target=self._ask, daemon=True)

    def __enter__(self) -> Probes:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _ask(self) -> None:
        while not self._over.wait(PROBE_SECONDS):
            started = time.monotonic()
            try:
                status = self._instance.ask("GET", "/_stcore/health").status
                told = "" if status == 200 else f"health says {status}"
            except OSError as error:
                told = f"no answer: {error}"
            took = time.monotonic() - started
            self.count, self.slowest = self.count + 1, max(self.slowest, took)
            if told or took > SLOW_SECONDS:
                self.failed.append(told or f"an answer took {took:.1f} s")
