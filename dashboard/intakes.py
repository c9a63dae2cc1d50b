"""Takes models in by a child process, since reading one may take gigabytes that the web process should never hold.

`python -m dashboard.intakes NAME PATH [--input-name X] [--output-name Y]` is that child: it prints progress as lines of JSON,
then a model's digest or an error.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from core.base.errors import EngineRoomError, Failure, InvalidRequest, NotFound, StageCrashed
from core.base.progress import Progress, Report, silent
from core.base.serialization import from_data, to_data
from core.intake.add_model import add_model
from core.storage.workspace import default_workspace

ALLOWED_FOLDER_VARIABLE = "ENGINEROOM_ALLOWED_FOLDER"
PROGRESS_SECONDS = 0.25


def take_in(
    path: Path, *, name: str = "", inputs: Sequence[str] = (), outputs: Sequence[str] = (), report: Report = silent
) -> str:
    """Stores the model at a path and returns its digest; arguments are those of `core.intake.add_model.add_model`.

    Raises:
        EngineRoomError: As `add_model` does.
        StageCrashed: The child ended without an answer.
    """
    command = [sys.executable, "-m", "dashboard.intakes", name or path.name, str(path)]
    command += [part for one in inputs for part in ("--input-name", one)]
    command += [part for one in outputs for part in ("--output-name", one)]
    answer: dict[str, Any] = {}
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout  # noqa: S101  it is a pipe
        for line in child.stdout:
            with suppress(json.JSONDecodeError):
                answer = json.loads(line)
            if "message" in answer:
                report(Progress(message=answer["message"], fraction=answer["fraction"]))
    if "error" in answer:
        raise from_data(Failure, answer["error"]).to_error()
    if "digest" not in answer:
        raise StageCrashed(
            f"Reading {name or path.name} ended without an answer.", hint="It may need more memory than this machine has."
        )
    return str(answer["digest"])


def allowed_folder() -> Path | None:
    """The folder from which models may be taken by their path; None when that is switched off."""
    folder = os.environ.get(ALLOWED_FOLDER_VARIABLE)
    return Path(folder).resolve() if folder else None


def allowed_path(text: str) -> Path:
    """A path that a user typed, relative to the allowed folder or absolute within it; links are followed first.

    Raises:
        InvalidRequest: It leads out of the allowed folder, or there is no such folder.
        NotFound: Nothing is there.
    """
    folder = allowed_folder()
    if folder is None:
        raise InvalidRequest("Models cannot be added by a path here.", hint=f"Set {ALLOWED_FOLDER_VARIABLE} for the server.")
    try:
        path = (folder / text.strip()).resolve()
        inside, exists = path.is_relative_to(folder), path.exists()
    except (OSError, ValueError, RuntimeError):  # too long, a NUL in it, a loop of links
        inside, exists = True, False
    if not inside:
        raise InvalidRequest(f"{text.strip()!r} is not inside {folder}.", hint="Choose a file or folder in there.")
    if not exists:
        raise NotFound(f"There is no {text.strip()!r} in {folder}.", hint="Check the path.")
    return path


def _child() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name")
    parser.add_argument("path", type=Path)
    parser.add_argument("--input-name", action="append", default=[])
    parser.add_argument("--output-name", action="append", default=[])
    arguments = parser.parse_args()
    # When memory runs out, this process is to go and not the server.
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000", encoding="ascii")
    told_at = 0.0

    def tell(step: Progress) -> None:
        nonlocal told_at
        if time.monotonic() - told_at > PROGRESS_SECONDS:
            told_at = time.monotonic()
            print(json.dumps({"message": step.message, "fraction": step.fraction}), flush=True)

    try:
        model = add_model(
            arguments.path,
            default_workspace(),
            name=arguments.name,
            inputs=arguments.input_name,
            outputs=arguments.output_name,
            report=tell,
        )
        answer: dict[str, Any] = {"digest": model.digest}
    except EngineRoomError as error:
        answer = {"error": to_data(Failure.of(error))}
    print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    _child()
