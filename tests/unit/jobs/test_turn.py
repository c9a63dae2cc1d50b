"""What is no job takes its turn on a device."""

from __future__ import annotations

from pathlib import Path

import pytest

from core.base.errors import Unavailable
from core.base.progress import Progress, silent
from core.jobs.device import exclusive, parse_device, try_lock
from core.jobs.turn import WAITING, turn_of


@pytest.fixture(autouse=True)
def own_locks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("core.jobs.device.lock_folder", lambda: tmp_path)


def test_it_has_the_device_and_gives_it_back() -> None:
    lock = parse_device("cpu").lock_file
    with turn_of("onnxruntime", silent):
        assert try_lock(lock) is None
    with exclusive(parse_device("cpu"), lambda: pytest.fail("it was not given back")):
        pass


def test_while_a_build_is_at_it_it_waits_and_says_so_but_not_for_ever() -> None:
    said: list[Progress] = []
    with (
        exclusive(parse_device("cpu"), lambda: None),
        pytest.raises(Unavailable, match=r"ONNX Runtime was not asked: builds had the device cpu:0 for 0 s\.") as caught,
        turn_of("onnxruntime", said.append, seconds=0.2),
    ):
        pytest.fail("it has a device that is taken")
    assert {one.message for one in said} == {WAITING}
    assert "engineroom jobs" in caught.value.hint
