"""A disk that is full or read-only at every stage of a job, for a user who is not root."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import asdict

from bench.faults.tally import Options, Tally, Tell


def try_all(options: Options, tell: Tell) -> None:
    if os.geteuid() != 0 or shutil.which("setpriv") is None:
        tell(Tally("not tried: mounting a small disk needs root, and util-linux"))
        return
    command = ["unshare", "--mount", "--propagation", "private", sys.executable, "-m", "bench.faults.small_disk"]
    with subprocess.Popen([*command, json.dumps(asdict(options))], stdout=subprocess.PIPE, text=True) as keeper:
        for line in keeper.stdout or ():
            tell(Tally(**json.loads(line)))
    if keeper.returncode:
        tell(Tally("the group itself", tries=1, broke=[f"it ended with {keeper.returncode}"]))
