from __future__ import annotations

import os
import tempfile
from contextlib import suppress
from pathlib import Path

import pytest

from core.base.errors import InvalidRequest, StoreFailed
from core.jobs.device import Device, exclusive, lock_folder, parse_device, try_lock


def test_devices_are_read() -> None:
    assert parse_device("cpu") == Device("cpu", 0)
    assert parse_device("cuda:3") == Device("cuda", 3)
    assert parse_device("cuda-h100:1").environment == {"CUDA_DEVICE_ORDER": "PCI_BUS_ID", "CUDA_VISIBLE_DEVICES": "1"}
    assert parse_device("cpu").environment == {}


@pytest.mark.parametrize(("visible", "index"), [("3", 3), ("2,5", 2), ("", 0), ("-1", 0), ("GPU-1a28ed05", 0)])
def test_a_gpu_without_a_number_is_the_first_that_is_visible(monkeypatch: pytest.MonkeyPatch, visible: str, index: int) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert parse_device("cuda") == Device("cuda", index)
    assert parse_device("cuda:1") == Device("cuda", 1)
    assert parse_device("cpu") == Device("cpu", 0)


@pytest.mark.parametrize("text", ["", "cuda:", "cuda:x", "../cpu", "CPU", "cuda:1:2"])
def test_what_is_no_device_is_told(text: str) -> None:
    with pytest.raises(InvalidRequest, match="Could not read the device"):
        parse_device(text)


def test_a_held_device_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    assert lock_folder().stat().st_mode & 0o777 == 0o700
    held = try_lock(Device("cpu").lock_file)
    assert held is not None
    waited = []

    def give_up() -> None:
        waited.append(1)
        if len(waited) == 3:
            os.close(held)

    with exclusive(Device("cpu"), give_up) as lock:
        assert try_lock(Device("cpu").lock_file) is None
        assert os.get_inheritable(lock) is False
    assert len(waited) == 3
    freed = try_lock(Device("cpu").lock_file)
    assert freed is not None
    os.close(freed)


def test_the_lock_stays_where_it_is_while_the_disk_is_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`tempfile` goes to another folder then: two workers would each have a lock of their own, and the device."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    before = Device("cpu").lock_file

    def full(*_: object, **__: object) -> int:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("os.open", full)
        with suppress(FileNotFoundError):
            tempfile.gettempdir()
        assert Device("cpu").lock_file == before
        with pytest.raises(StoreFailed, match="No space left on device"), exclusive(Device("cpu"), lambda: None):
            pass
    assert before.parent == tmp_path / f"engine-room-{os.getuid()}"
