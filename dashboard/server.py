"""Starts the dashboard: `python -m dashboard.server [--port N]`, with a worker beside it."""

from __future__ import annotations

import argparse
import logging
from pathlib import Path

import streamlit as st
from starlette.routing import Mount
from starlette.staticfiles import StaticFiles

from dashboard import downloads, uploads
from dashboard.failures import show_failure

HERE = Path(__file__).parent
ASSETS = "/engine-room/assets"

# 127.0.0.1 alone, nothing sent anywhere, no tracebacks in the browser.
CONFIG = {
    "server.address": "127.0.0.1",
    "server.headless": True,
    "server.fileWatcherType": "none",
    "browser.gatherUsageStats": False,
    "client.showErrorDetails": "none",
    "client.showErrorLinks": False,
    "client.toolbarMode": "minimal",
}

app = st.App(
    HERE / "main.py",
    routes=[*uploads.ROUTES, *downloads.ROUTES, Mount(ASSETS, StaticFiles(directory=HERE / "components" / "vendor"))],
    on_script_error=show_failure,
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=8501)
    parser.add_argument("--no-worker", action="store_true", help="do not start a worker on this machine")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    print(f"Engine Room is ready on http://127.0.0.1:{arguments.port}", flush=True)
    app.run(config={**CONFIG, "server.port": arguments.port})


if __name__ == "__main__":
    main()
