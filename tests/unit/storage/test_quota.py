"""What may still come into a workspace."""

from __future__ import annotations

import shutil
from collections import namedtuple
from pathlib import Path

import pytest

from core.base.errors import InvalidRequest, StoreFailed
from core.storage.quota import UPLOADS_QUOTA, WORKSPACE_QUOTA, quotas, room

Usage = namedtuple("Usage", "total used free")


@pytest.fixture(autouse=True)
def disk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(0, 0, 100_000_000_000))
    for name in (UPLOADS_QUOTA, WORKSPACE_QUOTA):
        monkeypatch.delenv(name, raising=False)


def size(tmp_path: Path, **more: int) -> int:
    return room(tmp_path, **{"used_bytes": 0, "promised_bytes": 0, "missing_bytes": 0, **more}).size_bytes


def test_the_disk_alone_counts_without_a_setting(tmp_path: Path) -> None:
    assert size(tmp_path) == 50_000_000_000, "an upload may be on the disk twice"
    assert size(tmp_path, used_bytes=10**15, promised_bytes=20_000_000_000, missing_bytes=20_000_000_000) == 30_000_000_000
    assert size(tmp_path, missing_bytes=10**15) == 0


def test_the_tightest_limit_counts_and_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(WORKSPACE_QUOTA, "10")
    monkeypatch.setenv(UPLOADS_QUOTA, "4.5")
    found = room(tmp_path, used_bytes=2_000_000_000, promised_bytes=1_000_000_000, missing_bytes=0)
    assert found.size_bytes == 3_500_000_000
    found.check(3_500_000_000)
    with pytest.raises(StoreFailed, match=r"3.6 GB do not fit: 3.5 GB are left of the 4.5 GB that uploads under way"):
        found.check(3_600_000_000)
    full = room(tmp_path, used_bytes=9_500_000_000, promised_bytes=0, missing_bytes=0)
    with pytest.raises(StoreFailed, match=r"500.0 MB are left of the 10.0 GB that this workspace may hold") as told:
        full.check(600_000_000)
    assert "engineroom gc" in told.value.hint


@pytest.mark.parametrize("text", ["abc", "-1", "nan", "inf", "1e400"])
@pytest.mark.parametrize("variable", [UPLOADS_QUOTA, WORKSPACE_QUOTA])
def test_a_quota_that_is_none_is_told(monkeypatch: pytest.MonkeyPatch, variable: str, text: str) -> None:
    monkeypatch.setenv(variable, text)
    with pytest.raises(InvalidRequest, match=variable):
        quotas()
