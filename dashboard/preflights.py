"""Preflights that are run for the pages: one at a time, in the background, on when the browser that asked goes away."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import streamlit as st

from core.base.errors import EngineRoomError, Failure, StoreFailed
from core.base.progress import Progress
from core.base.serialization import read_json
from core.jobs.turn import turn_of
from core.models.model import Model
from core.preflight.answer import ANSWER, Answer, Preflight, Target
from core.preflight.run import answer_folders, preflight
from core.preflight.targets import targets_for
from core.request.paths import BuildPath
from core.storage.workspace import Workspace
from dashboard import services

KEPT = 32  # answers held in memory
REMEMBERED = 100  # failures of earlier runs

Key = tuple[Path, str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Running:
    """How far one is."""

    message: str = "Waiting for another preflight"
    fraction: float = 0.0
    cancelled: bool = False


class _Cancelled(BaseException):
    """Out of a report it ends the process that asks; nothing on the way takes it for a target's failure."""


_running: dict[Key, Running] = {}
_failures: dict[Key, dict[str, Failure]] = {}
_lock = threading.Lock()
_ASKING = threading.Semaphore(1)  # runtimes beside each other would need the memory of all


def running(model: Model, signature: str) -> Running | None:
    """How far the preflight of a model's signature is; None when none runs."""
    return _running.get(_key(model, signature))


def cancel(model: Model, signature: str) -> None:
    """Ends it as soon as it next tells how far it is; answers that are there by then stay."""
    key = _key(model, signature)
    with _lock:
        if state := _running.get(key):
            _running[key] = replace(state, message="Cancelling", cancelled=True)


def begin(model: Model, signature: str, paths: Sequence[BuildPath]) -> None:
    """Starts one in the background, unless it runs already."""
    key, workspace = _key(model, signature), services.workspace()
    with _lock:
        if key in _running:
            return
        _running[key] = Running()
        _failures.pop(key, None)
        for old in list(_failures)[:-REMEMBERED]:
            del _failures[old]
    work = threading.Thread(target=_run, args=(key, workspace, model, signature, paths), name="preflight", daemon=True)
    work.start()


def told(model: Model, signature: str) -> tuple[Preflight, tuple[BuildPath, ...]]:
    """What is known by now, of all targets that can be asked here; one with neither answer nor failure was not asked yet."""
    workspace = services.workspace()
    paths, unasked = targets_for(model, signature)
    folders = answer_folders(workspace, model, paths, signature=signature)
    failures = _failures.get(_key(model, signature), {})
    targets = []
    for path in paths:
        answer = _kept(workspace, folders[path.backend]) if path.backend in folders else None
        failure = failures.get(path.backend) if answer is None else None
        targets.append(Target.of(path, answer=answer, failure=failure))
    return Preflight(model=model.digest, signature=signature, targets=tuple(targets), unasked=unasked), paths


def _run(key: Key, workspace: Workspace, model: Model, signature: str, paths: Sequence[BuildPath]) -> None:
    def tell(step: Progress) -> None:
        with _lock:
            if _running[key].cancelled:
                raise _Cancelled
            _running[key] = Running(message=step.message, fraction=step.fraction or 0.0)

    failed: dict[str, Failure] = {}
    try:
        with _ASKING:
            tell(Progress(message="Beginning"))
            done = preflight(workspace, model, paths, signature=signature, report=tell, turn=turn_of)
        failed = {target.backend: target.failure for target in done.targets if target.failure}
    except _Cancelled:
        pass
    except EngineRoomError as error:  # of all of them: the workspace is full, say
        failed = {path.backend: Failure.of(error) for path in paths}
    except Exception as error:
        failed = {
            path.backend: Failure.of(EngineRoomError(f"The preflight failed: {type(error).__name__}: {error}")) for path in paths
        }
    finally:
        with _lock:
            _failures[key] = failed
            _running.pop(key, None)


def _key(model: Model, signature: str) -> Key:
    return services.workspace().root, model.digest, signature


def _kept(workspace: Workspace, folder: Path) -> Answer | None:
    with suppress(StoreFailed):  # just deleted
        answer = _read(folder)
        return answer if answer.is_whole(workspace) else None
    return None


@st.cache_resource(max_entries=KEPT, show_spinner=False)
def _read(folder: Path) -> Answer:
    """An answer never changes; what it is about may be deleted."""
    return read_json(Answer, folder / ANSWER)
