"""Temporary homes of boxes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from core.base.box.homes import passing_home, sweep_homes

HOLD = """
import sys, time
from pathlib import Path
from core.base.box.homes import passing_home
with passing_home("probe", Path(sys.argv[1])) as home:
    (home / "file").write_text("x")
    print(home, flush=True)
    time.sleep(60)
"""


def test_the_home_of_a_killed_process_is_cleared_away_and_no_other(tmp_path: Path) -> None:
    def aged(home: Path) -> Path:
        os.utime(home, times=(time.time() - 100, time.time() - 100))
        return home

    with subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE, text=True) as killed:
        assert killed.stdout
        left = aged(Path(killed.stdout.readline().strip()))
        with passing_home("ops", tmp_path) as fresh:
            sweep_homes(tmp_path)
            assert (left / "file").exists()
            killed.send_signal(signal.SIGKILL)
            killed.wait()
            in_use = aged(fresh)
            stranger = tmp_path / "somebody's"
            stranger.mkdir()
            aged(stranger)
            sweep_homes(tmp_path)
            assert in_use.exists()
            assert stranger.exists()
            assert not left.exists()
    assert not fresh.exists()
