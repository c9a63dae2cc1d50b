from __future__ import annotations

import os
import subprocess
import sys
from contextlib import ExitStack

from core.jobs.processes import GUARD_VARIABLE, children, descendants, end, end_orphans, identity, resident_bytes, start_ticks


def test_a_tree_is_found_and_weighed() -> None:
    script = "import subprocess, sys; subprocess.run(['sleep', '30'])"
    with subprocess.Popen([sys.executable, "-c", script]) as process:
        try:
            while len(tree := descendants(process.pid)) < 1:
                pass
            assert process.pid in children(os.getpid())
            assert resident_bytes([process.pid, *tree]) > resident_bytes(tree) > 0
        finally:
            end([*descendants(process.pid), process.pid])


def test_an_identity_is_of_one_process_for_good() -> None:
    with subprocess.Popen(["sleep", "30"]) as process:
        assert identity(process.pid) == identity(process.pid) == f"{process.pid}.{start_ticks(process.pid)}"
        process.kill()
    assert start_ticks(process.pid) is None
    assert resident_bytes([process.pid]) == 0
    end([process.pid])


def test_only_processes_of_a_guard_that_is_gone_are_orphans() -> None:
    own = {**os.environ, GUARD_VARIABLE: identity(os.getpid())}
    lost = {**os.environ, GUARD_VARIABLE: f"{os.getpid()}.12"}
    words = [{**os.environ, GUARD_VARIABLE: word} for word in ("abc", "", "7", "1.x", "٣.٤", "12.34.5")]
    with ExitStack() as started:
        kept = [started.enter_context(subprocess.Popen(["sleep", "30"], env=one)) for one in (own, *words)]
        orphan = started.enter_context(subprocess.Popen(["sleep", "30"], env=lost))
        end_orphans()
        assert orphan.wait(5) == -9
        assert [one.poll() for one in kept] == [None] * len(kept)
        for one in kept:
            one.kill()
