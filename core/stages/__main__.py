"""The child process of one stage: `python -m core.stages STAGE BUILD_FOLDER`.

Speaks JSON lines on the file descriptor named by ENGINEROOM_EVENTS: {"progress": ...} many times, then {"error": ...}
or {"done": true}. Standard output and error are the build's log.
"""

from __future__ import annotations

import json
import os
import sys
import traceback
from pathlib import Path
from typing import Any

from core.base.errors import EngineRoomError, Failure
from core.base.progress import Progress
from core.base.serialization import read_json, to_data, write_json
from core.request.build_request import BuildRequest
from core.stages.all_stages import stage_named
from core.stages.stage import StageContext
from core.storage.builds import REQUEST_FILE, StageName, result_file
from core.storage.store import store_named
from core.storage.workspace import Workspace

EVENTS_VARIABLE = "ENGINEROOM_EVENTS"


def main(stage: StageName, folder: Path) -> int:
    events = os.fdopen(int(os.environ[EVENTS_VARIABLE]), "w", buffering=1, encoding="utf-8")

    def send(kind: str, value: Any) -> None:
        events.write(json.dumps({kind: to_data(value)}) + "\n")

    def report(progress: Progress) -> None:
        send("progress", progress)

    try:
        workspace = Workspace(folder.parent.parent)
        request = read_json(BuildRequest, folder / REQUEST_FILE)
        context = StageContext(
            workspace=workspace,
            folder=folder,
            request=request,
            model=workspace.model(request.model),
            report=report,
            store=store_named(),
        )
        result = stage_named(stage).run(context)
        write_json(result_file(folder, stage), result)
    except EngineRoomError as error:
        send("error", Failure.of(error))
        return 1
    except MemoryError:
        send(
            "error",
            Failure.of(EngineRoomError(f"Stage {stage.value} ran out of memory.", hint="Free memory or use a larger host.")),
        )
        return 1
    except Exception as error:
        traceback.print_exc()
        unforeseen = EngineRoomError(
            f"Stage {stage.value} failed: {type(error).__name__}: {str(error).strip()[:500]}",
            hint="The log has the details.",
            detail=traceback.format_exc()[-8000:],
        )
        send("error", Failure.of(unforeseen))
        return 1
    send("done", True)
    return 0


if __name__ == "__main__":
    code = main(StageName(sys.argv[1]), Path(sys.argv[2]))
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)  # native runtimes may hang or crash while being torn down; the result is already on disk
