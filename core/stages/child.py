"""One stage in a process of its own: `run_stage` starts it, `carry_out` is what it does there."""

from __future__ import annotations

import re
import sys
import traceback
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from core.base.box.walls import standing
from core.base.children.call import Child, Fetch, NoAnswer, Start, start_process
from core.base.children.events import EndingKind
from core.base.errors import BuildFailed, Cancelled, EngineRoomError, RunFailed, StageCrashed, StoreFailed
from core.base.files import WORKSPACE_VARIABLE
from core.base.progress import Report
from core.base.serialization import read_json, to_data, write_json
from core.request.build_request import BuildRequest
from core.stages.all_stages import stage_named
from core.stages.desk import desk_for, inputs_of
from core.stages.inputs import as_given
from core.stages.stage import StageContext
from core.storage.builds import REQUEST_FILE, WALLS_FILE, StageName, result_file
from core.storage.store import Store, store_named
from core.storage.workspace import Workspace

LOG_FILE = "log.txt"
TURN = "turn"  # of a question that is no recipe: what a turn of a head-to-head found
# A failure that may come of lengths, not of what the runtime can do.
_SHAPES = re.compile(r"shape|dimension|broadcast|\baxis\b|\bsize|rank|concat", re.IGNORECASE)
QUIET = {"TF_CPP_MIN_LOG_LEVEL": "1", "TF_ENABLE_ONEDNN_OPTS": "1"}


class Interrupted(BaseException):
    """The stage ended for a reason outside of the build; nothing of it may be recorded, and it must run again."""


def run_stage(
    stage: StageName,
    folder: Path,
    report: Report,
    *,
    device: str = "",
    build: Path | None = None,
    python: str = sys.executable,
    environment: Mapping[str, str] = MappingProxyType({}),
    start: Start = start_process,
    store: Store | None = None,
    turn: Fetch | None = None,
    holding: Path | None = None,
) -> None:
    """Runs a stage to its end; its result is then in `folder`, its output in the build's log.

    Args:
        device: Type of the device that it is on, where that is not the request's.
        build: The build's own folder, where `folder` is not.
        python: The interpreter, of another toolchain perhaps.
        environment: Variables on top of this process's own.
        store: Where other hosts share what they made; None for what ENGINEROOM_STORE names.
        turn: Hears what each turn of an engine in a head-to-head found, and answers when its next one comes.
        holding: Another build's folder that may not be deleted meanwhile.

    Raises:
        EngineRoomError: What the stage itself reported; or it may not be run here, or left what is not kept.
        Cancelled: The guard was told so.
        StageCrashed: Its process ended without a word.
        Interrupted: The guard ended it because this process was cut off.
    """
    workspace = Workspace(folder.parent.parent)
    request = read_json(BuildRequest, folder / REQUEST_FILE)
    walls = standing()
    inputs = inputs_of(workspace, request, folder)
    gpu = (device or request.device) == "cuda"
    with desk_for(workspace, request.model, inputs, store or store_named(), caches=gpu) as desk:
        write_json((build or folder) / WALLS_FILE, walls)
        log = (build or folder) / LOG_FILE
        child = Child(
            python=python,
            environment={**QUIET, **environment, WORKSPACE_VARIABLE: str(desk.workspace.root)},
            box=desk.box(gpu=gpu),
            log=log,
            start=start,
            # A build that runs is known by its folder, see housekeeping.
            about=(stage.value, str(build or folder), *((str(holding),) if holding else ())),
        )

        def answer(question: Any) -> Any:
            return turn(question[TURN]) if turn and isinstance(question, dict) and TURN in question else desk.fetch(question)

        try:
            child.call(carry_out, stage, desk.lay_out(folder), report, answer, device)
        except NoAnswer as end:
            failure: EngineRoomError = _crashed(stage, end)
        except Cancelled:
            raise
        except EngineRoomError as error:
            failure = error
        else:
            desk.take_artifacts()
            if not desk.take_result(stage, folder):
                raise StageCrashed(f"Stage {stage.value} ended without a result.", hint="The log's end may tell why.")
            return
        try:
            desk.take_artifacts()
            if stage_named(stage).leaves_early:
                desk.take_result(stage, folder)
        except StoreFailed as trouble:  # how the stage ended is what matters
            with log.open("a", encoding="utf-8") as lines:
                lines.write(f"What the stage left was not kept: {trouble}\n")
        raise failure


def _crashed(stage: StageName, end: NoAnswer) -> StageCrashed:
    """What it means that a stage ended without a word, of those ends that are the stage's own.

    Raises:
        Cancelled: It was told to end, and nothing of it is taken.
        Interrupted: See there.
    """
    told = f"Stage {stage.value} {end.ending.words}."
    if end.ending.kind is EndingKind.CANCELLED:
        raise Cancelled(told) from None
    if end.ending.kind in (EndingKind.LEASE, EndingKind.ORPHANED):
        raise Interrupted(told) from None
    return StageCrashed(told, hint="The log's end may tell why.", detail=end.log)


def carry_out(stage: StageName, folder: Path, report: Report, fetch: Fetch, device: str) -> None:
    """Carries a stage out in this process, and leaves its result in the folder.

    Raises:
        EngineRoomError: Whatever went wrong.
    """
    context: StageContext | None = None
    try:
        workspace = Workspace(folder.parent.parent)
        request = read_json(BuildRequest, folder / REQUEST_FILE)
        context = StageContext(
            workspace=workspace,
            folder=folder,
            request=request,
            model=workspace.model(request.model),
            report=report,
            device=device,
            fetch=fetch,
            next_turn=lambda told: fetch({TURN: to_data(told)}),
        )
        result = stage_named(stage).run(as_given(context))
        write_json(result_file(folder, stage), result)
    except (BuildFailed, RunFailed) as error:
        if context and not context.request.inputs and _SHAPES.search(error.message):
            note = context.request.profile.guess_note(context.model.signature(context.request.signature))
            error.hint = f"{note} {error.hint}".strip()
        raise
    except EngineRoomError:
        raise
    except MemoryError as error:
        raise EngineRoomError(f"Stage {stage.value} ran out of memory.", hint="Free memory or use a larger host.") from error
    except Exception as error:
        traceback.print_exc()
        raise EngineRoomError(
            f"Stage {stage.value} failed: {type(error).__name__}: {str(error).strip()[:500]}",
            hint="The log has the details.",
            detail=traceback.format_exc()[-8000:],
        ) from error
