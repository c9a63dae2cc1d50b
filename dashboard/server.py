"""Starts the dashboard, with workers for this machine beside it."""

from __future__ import annotations

import argparse
import logging
import os
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import psutil
import streamlit as st
from starlette.routing import Mount
from starlette.staticfiles import StaticFiles

from core.base.box.homes import sweep_homes
from core.base.errors import EngineRoomError
from core.base.files import WORKSPACE_VARIABLE
from core.base.ownership import keep_files_private
from core.storage.quota import quotas
from core.storage.workspace import default_workspace
from dashboard import downloads, theme, uploads
from dashboard.failures import show_failure
from dashboard.guards import guards
from dashboard.http_protocol import close_half_requests
from dashboard.local_workers import start_workers
from dashboard.login import BrokenSecrets, check_secrets, login_required
from dashboard.reading import check_readers, stop_readings
from dashboard.warm_up import start_warming_up

HERE = Path(__file__).parent
ASSETS = "/engine-room/assets"
GRAPH = (f"{ASSETS}/cytoscape-3.34.4.esm.min.mjs",)
LOOPBACK = ("127.0.0.1", "::1", "localhost")

# Nothing is sent anywhere, and no traceback reaches the browser.
CONFIG = {
    "server.headless": True,
    "server.fileWatcherType": "none",
    "server.maxUploadSize": 1,  # MB; nothing comes this way, since pages would hold it in memory: see dashboard/uploads.py
    "browser.gatherUsageStats": False,
    "client.showErrorDetails": "none",
    "client.showErrorLinks": False,
    "client.toolbarMode": "minimal",
    "client.disableDataExport": True,  # its CSV holds formulas as they are; ours is dashboard/components/csv_button.py
    "client.allowedOrigins": [],  # nobody frames these pages
    **theme.CONFIG,
}


@asynccontextmanager
async def lifespan(_: object) -> AsyncIterator[None]:
    """While the server runs; Streamlit runs by then."""
    send_at_once()
    start_warming_up()
    yield
    stop_readings()


def send_at_once() -> None:
    """Has small answers sent at once: Streamlit's sockets hold them back (Nagle), up to 44 ms each, and a page asks for 60."""
    for listening in psutil.Process().net_connections("tcp"):
        if listening.status == psutil.CONN_LISTEN:
            with socket.socket(fileno=os.dup(listening.fd)) as ours:  # what it accepts inherits the option
                ours.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def make_app(address: str) -> st.App:
    """The whole dashboard, for a server that listens there.

    Raises:
        InvalidRequest: A setting makes no sense.
    """
    return st.App(
        HERE / "main.py",
        routes=[*uploads.ROUTES, *downloads.ROUTES, Mount(ASSETS, StaticFiles(directory=HERE / "components" / "vendor"))],
        middleware=guards(address, {"/engine": GRAPH, "/model": GRAPH}),
        on_script_error=show_failure,
        lifespan=lifespan,
    )


def main() -> None:
    arguments = _parser().parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    if arguments.workspace:
        os.environ[WORKSPACE_VARIABLE] = str(arguments.workspace.absolute())
    try:
        check_secrets()
    except BrokenSecrets as error:
        sys.exit(str(error))
    if arguments.address not in LOOPBACK and not login_required():
        logging.warning("Everybody who reaches %s can use and delete everything: configure a login.", arguments.address)
    if trouble := _cannot_listen(arguments.address, arguments.port):
        sys.exit(trouble)
    workspace = default_workspace()
    try:
        keep_files_private(workspace.root, make=True)
        check_readers()
        quotas()
        app = make_app(arguments.address)
    except EngineRoomError as error:
        sys.exit(str(error))
    close_half_requests()
    uploads.sweep(workspace)
    sweep_homes()
    if not arguments.no_worker:
        start_workers(workspace, arguments.device or ())
    print(f"Engine Room is ready on http://{arguments.address}:{arguments.port}\nIts workspace is {workspace.root}", flush=True)
    app.run(config={**CONFIG, "server.address": arguments.address, "server.port": arguments.port})


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="engineroom-dashboard", description=__doc__)
    parser.add_argument("--port", type=int, default=8501)
    parser.add_argument("--address", default="127.0.0.1", help="where to listen; configure a login before you open it to others")
    parser.add_argument("--workspace", type=Path, metavar="DIR", help=f"where models and builds are kept; {WORKSPACE_VARIABLE}")
    parser.add_argument("--no-worker", action="store_true", help="start no worker on this machine")
    parser.add_argument(
        "--device",
        action="append",
        metavar="DEVICE",
        help="start a worker for this device (cpu, cuda:0; repeatable): all by default",
    )
    return parser


def _cannot_listen(address: str, port: int) -> str:
    """Why the server could not listen there, as a sentence; empty when it can."""
    try:
        with socket.create_server((address, port)):
            return ""
    except OverflowError:
        return f"{port} is no port: give a number from 0 to 65535."
    except OSError as error:
        if error.errno == 98:  # EADDRINUSE
            return f"Port {port} is taken. Is the dashboard running already? Otherwise choose another with --port."
        return f"The dashboard cannot listen on {address}:{port}: {error.strerror}."


if __name__ == "__main__":
    main()
