"""The worker's own program, which loads no command line: `engineroom worker` becomes this one, so that it stays small."""

from __future__ import annotations

import json
import os
import sys

from core.base.errors import EngineRoomError
from core.base.ownership import keep_files_private
from core.base.serialization import from_data
from core.jobs.start import OPTIONS_VARIABLE, WorkerOptions
from core.jobs.worker import run_worker

try:
    options = from_data(WorkerOptions, json.loads(os.environ[OPTIONS_VARIABLE]))
    keep_files_private(options.workspace.root, make=True)
    run_worker(options)
except EngineRoomError as problem:
    print(f"Error: {problem.message}\n→ {problem.hint}", file=sys.stderr)
    sys.exit(problem.exit_code)
