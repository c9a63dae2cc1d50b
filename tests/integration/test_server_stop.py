"""A server that stops takes the processes that read uploads with it, however it ends."""

from __future__ import annotations

import json
import signal
import time
import urllib.request
from pathlib import Path
from typing import Any

import psutil
import pytest

from bench.attack.readings import slow_archive
from bench.driver import start_server
from core.storage.workspace import Workspace
from dashboard.access import HEADER, signer

STOP_SECONDS = 15


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_readers_end_with_the_server(tmp_path: Path, how: signal.Signals) -> None:
    workspace = Workspace(tmp_path / "workspace")
    server, url = start_server(workspace, tmp_path / "server.log")
    token = signer(workspace.root).dumps("")

    def ask(method: str, path: str, body: bytes) -> Any:
        request = urllib.request.Request(  # noqa: S310  our own server
            f"{url}/engine-room/uploads{path}", data=body, method=method, headers={HEADER: str(token)}
        )
        with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310
            return json.loads(answer.read())

    try:
        data = slow_archive()
        for _ in range(2):
            upload = ask("POST", "", json.dumps({"files": [{"name": "slow.zip", "size": len(data)}]}).encode())["id"]
            ask("PUT", f"/{upload}/0?offset=0", data)
            ask("POST", f"/{upload}/finish", b"{}")
        deadline = time.monotonic() + 30
        readers: list[psutil.Process] = []
        while len(readers) < 2 and time.monotonic() < deadline:
            readers = psutil.Process(server.pid).children(recursive=True)
            time.sleep(0.02)
        assert len(readers) >= 2
        server.send_signal(how)
        server.wait(STOP_SECONDS)
        _, left = psutil.wait_procs(readers, timeout=STOP_SECONDS)
        assert left == []
    finally:
        server.kill()
        server.wait()
