from __future__ import annotations

import os
from pathlib import Path

import pytest

from core.base.errors import InvalidRequest
from core.jobs.device import Device, exclusive, lock_folder, parse_device, try_lock


def test_devices_are_read() -> None:
    assert parse_device("cpu") == Device("cpu", 0)
    assert parse_device("cuda:3") == Device("cuda", 3)
    assert parse_device("cuda-h100:1").environment == {"CUDA_DEVICE_ORDER": "PCI_BUS_ID", "CUDA_VISIBLE_DEVICES": "1"}
    assert parse_device("cpu").environment == {}


@pytest.mark.parametrize("text", ["", "cuda:", "cuda:x", "../cpu", "CPU", "cuda:1:2"])
def test_what_is_no_device_is_told(text: str) -> None:
    with pytest.raises(InvalidRequest, match="Could not read the device"):
        parse_device(text)


def test_a_held_device_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
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
