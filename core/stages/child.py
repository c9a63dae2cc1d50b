"""Starts one stage in a process of its own and listens to it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from core.errors import StageCrashed, error_from_dict
from core.progress import Progress, Report
from core.serialization import from_data
from core.stages.__main__ import EVENTS_VARIABLE
from core.stages.stage import StageName

LOG_FILE = "log.txt"
LOG_TAIL_BYTES = 8_000

# tf2onnx needs a third of the memory with protobuf's pure-Python implementation, which must be chosen before any import.
STAGE_ENVIRONMENT: Mapping[StageName, Mapping[str, str]] = {
    StageName.CONVERT: {"PROTOCOL_BUFFERS_PYTHON_IMPLEMENTATION": "python"}
}
QUIET = {"TF_CPP_MIN_LOG_LEVEL": "1", "TF_ENABLE_ONEDNN_OPTS": "1", "PYTHONUNBUFFERED": "1"}


def run_stage(stage: StageName, folder: Path, report: Report, *, python: str = sys.executable) -> None:
    """Runs a stage to its end; its result is then in `folder`, its output in the folder's log.

    Raises:
        EngineRoomError: What the stage itself reported.
        StageCrashed: Its process ended without a word.
    """
    read_end, write_end = os.pipe()
    environment = {**os.environ, **QUIET, **STAGE_ENVIRONMENT.get(stage, {}), EVENTS_VARIABLE: str(write_end)}
    command = [python, "-m", "core.stages", stage.value, str(folder)]
    with (folder / LOG_FILE).open("ab") as log, os.fdopen(read_end, encoding="utf-8") as events:
        try:
            process = subprocess.Popen(
                command, stdout=log, stderr=log, stdin=subprocess.DEVNULL, env=environment, pass_fds=(write_end,)
            )
        finally:
            os.close(write_end)
        try:
            error = None
            done = False
            for line in events:
                event = json.loads(line)
                done = done or "done" in event
                error = event.get("error") or error
                if "progress" in event:
                    report(from_data(Progress, event["progress"]))
            code = process.wait()
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
    if error:
        raise error_from_dict(error)
    if not done:
        raise StageCrashed(f"Stage {stage.value} {_ending(code)}.", hint="The log's end may tell why.", detail=log_tail(folder))


def _ending(code: int) -> str:
    if code >= 0:
        return f"ended with exit code {code} and no answer"
    return f"was ended by {signal.Signals(-code).name}" + (" (out of memory?)" if code == -signal.SIGKILL else "")


def log_tail(folder: Path) -> str:
    """The end of the build's log."""
    path = folder / LOG_FILE
    return path.read_bytes()[-LOG_TAIL_BYTES:].decode(errors="replace") if path.exists() else ""
